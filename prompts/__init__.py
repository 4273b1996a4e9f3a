"""What a teacher is asked: versioned texts, few-shot examples with pictures, answer formats.

A prompt is a folder of files (:mod:`prompts.prompt`), never a Python literal. ``load_prompt``
binds one to a task; the result makes a conversation of any view of that task.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prompts.conversation import Conversation, Message, Question, plain_text
    from prompts.errors import PromptError
    from prompts.examples import Example, load_examples
    from prompts.prompt import Elicit, Prompt, load_prompt, prompt_names
    from prompts.schema import (
        Analysis,
        action_model,
        analysis_json,
        choice_json,
        choice_model,
        letters,
        probabilities_json,
    )

_HOME = {
    "Analysis": "schema",
    "Conversation": "conversation",
    "Elicit": "prompt",
    "Example": "examples",
    "Message": "conversation",
    "Prompt": "prompt",
    "PromptError": "errors",
    "Question": "conversation",
    "action_model": "schema",
    "analysis_json": "schema",
    "choice_json": "schema",
    "choice_model": "schema",
    "letters": "schema",
    "load_examples": "examples",
    "load_prompt": "prompt",
    "plain_text": "conversation",
    "probabilities_json": "schema",
    "prompt_names": "prompt",
}

__all__ = [
    "Analysis",
    "Conversation",
    "Elicit",
    "Example",
    "Message",
    "Prompt",
    "PromptError",
    "Question",
    "action_model",
    "analysis_json",
    "choice_json",
    "choice_model",
    "letters",
    "load_examples",
    "load_prompt",
    "plain_text",
    "probabilities_json",
    "prompt_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'prompts' has no attribute {name!r}")
    return getattr(import_module(f"prompts.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
