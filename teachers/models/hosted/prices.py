"""What 1,000 labels cost: tokens counted in the actual prompt, times litellm's price list.

Text is counted with OpenAI's tokenizer (it comes with litellm); other providers' differ by some
percent. Pictures are counted by each provider's published rule (``pictures.py``). A prefix that the
provider has cached costs less and hidden reasoning costs more; neither is in the figure.
"""

from __future__ import annotations

import base64
import os
import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lvlm2p.envs import task_named
from lvlm2p.prompts import AnswerFormat, Message, analysis_json, load_examples, load_prompt
from lvlm2p.prompts.answer_format import answer_format
from lvlm2p.teachers.models.hosted.capabilities import price_entry
from lvlm2p.teachers.models.hosted.pictures import picture_tokens

_STATED = answer_format("stated")
_OVERHEAD = 4
"""Tokens that frame a message."""


def price_of_1000(
    model: str,
    prompt: str = "two-turn",
    shots: int | None = None,
    answer: AnswerFormat = _STATED,
    calls: int = 1,
    detail: str | None = None,
) -> float | None:
    """Dollars for 1,000 labels about GoToDoor on 6x6 cells; None: the price is not known, or what
    the model counts for a picture.

    ``answer``: what the last question asks for; ``calls``: how often it is asked for one label;
    ``detail``: the ``image_detail``.
    """
    entry = price_entry(model)
    each_in, each_out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not each_in or not each_out:
        return None
    tokens_in, tokens_out = tokens_of_label(model, prompt, shots, answer, calls, detail)
    if tokens_in is None:
        return None
    return 1000 * (tokens_in * float(each_in) + tokens_out * float(each_out))


@cache
def tokens_of_label(
    model: str,
    prompt: str,
    shots: int | None,
    answer: AnswerFormat,
    calls: int = 1,
    detail: str | None = None,
) -> tuple[int | None, int]:
    """Tokens in (None: not known) and out of one label: every turn is sent with all before it."""
    task = task_named("go-to-door")
    loaded = load_prompt(prompt, task, shots=shots, elicit=answer)
    (example,) = load_examples(task, loaded.style, 1)
    conversation = loaded.conversation(example.view)
    answers = [analysis_json(example.analysis), answer.example(example)]
    answers = answers[-len(conversation.questions) :]
    said = 0
    sent: list[int | None] = []
    for turn, text in enumerate(answers):
        times = calls if turn == len(answers) - 1 else 1
        messages = conversation.messages(answers[:turn])
        sent += times * [_tokens(model, message, detail) for message in messages]
        said += times * _text_tokens(text)
    known = [tokens for tokens in sent if tokens is not None]
    return sum(known) if len(known) == len(sent) else None, said


def _tokens(model: str, message: Message, detail: str | None) -> int | None:
    content = message["content"]
    if isinstance(content, str):
        return _OVERHEAD + _text_tokens(content)
    total = _OVERHEAD
    for part in content:
        if part["type"] == "text":
            total += _text_tokens(part["text"])
        else:
            tokens = picture_tokens(model, *_size(part["image_url"]["url"]), detail)
            if tokens is None:
                return None
            total += tokens
    return total


def _size(url: str) -> tuple[int, int]:
    """Width and height from a PNG's header."""
    header = base64.b64decode(url.partition(",")[2][:64])
    width, height = struct.unpack(">II", header[16:24])
    return width, height


def _text_tokens(text: str) -> int:
    return len(_encoding().encode(text))


@cache
def _encoding() -> Any:
    """OpenAI's tokenizer from the files that come with litellm: nothing is downloaded."""
    spec = find_spec("litellm")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(folder))
    import tiktoken

    return tiktoken.get_encoding("o200k_base")
