"""What a teacher is asked: versioned texts, few-shot examples with pictures, answer formats.

A prompt is a folder of files (:mod:`lvlm2p.prompts.prompt`), never a Python literal.
``load_prompt`` binds one to a task; the result makes a conversation of any view of that task.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
