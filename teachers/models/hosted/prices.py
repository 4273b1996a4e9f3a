"""What 1,000 labels cost: tokens counted in the actual prompt, times litellm's price list.

Text is counted with OpenAI's tokenizer (it comes with litellm); other providers' differ by some
percent. Pictures are counted by each provider's published rule. A prefix that the provider has
cached costs less and hidden reasoning costs more; neither is in the figure.
"""

from __future__ import annotations

import base64
import math
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

_STATED = answer_format("stated")
_OVERHEAD = 4
"""Tokens that frame a message."""


def price_of_1000(
    model: str,
    prompt: str = "two-turn",
    shots: int | None = None,
    answer: AnswerFormat = _STATED,
    calls: int = 1,
) -> float | None:
    """Dollars for 1,000 labels about GoToDoor on 6x6 cells; None: the price is not known.

    ``answer``: what the last question asks for; ``calls``: how often it is asked for one label.
    """
    entry = price_entry(model)
    each_in, each_out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not each_in or not each_out:
        return None
    tokens_in, tokens_out = tokens_of_label(model, prompt, shots, answer, calls)
    return 1000 * (tokens_in * float(each_in) + tokens_out * float(each_out))


@cache
def tokens_of_label(
    model: str, prompt: str, shots: int | None, answer: AnswerFormat, calls: int = 1
) -> tuple[int, int]:
    """Tokens in and out of one label: every turn is sent with all that went before."""
    task = task_named("go-to-door")
    loaded = load_prompt(prompt, task, shots=shots, elicit=answer)
    (example,) = load_examples(task, loaded.style, 1)
    conversation = loaded.conversation(example.view)
    answers = [analysis_json(example.analysis), answer.example(example)]
    answers = answers[-len(conversation.questions) :]
    sent = said = 0
    for turn, text in enumerate(answers):
        times = calls if turn == len(answers) - 1 else 1
        messages = conversation.messages(answers[:turn])
        sent += times * sum(_tokens(model, message) for message in messages)
        said += times * _text_tokens(text)
    return sent, said


def _tokens(model: str, message: Message) -> int:
    content = message["content"]
    if isinstance(content, str):
        return _OVERHEAD + _text_tokens(content)
    return _OVERHEAD + sum(
        _text_tokens(part["text"])
        if part["type"] == "text"
        else _image_tokens(model, part["image_url"]["url"])
        for part in content
    )


def _image_tokens(model: str, url: str) -> int:
    """Tokens of a PNG data URL, by the provider's rule.

    Gemini 3 and later: 1,120 a picture at the default resolution; before: 258 a tile of 768
    pixels. Claude: pixels / 750. OpenAI: 32-pixel patches times 1.62 (4.1-mini) or 2.46
    (4.1-nano); 85 and 170 a tile of 512 pixels (4o, 4.1). Others as Qwen-VL: 32-pixel patches.
    """
    width, height = _size(url)
    patches = math.ceil(width / 32) * math.ceil(height / 32)
    if model.startswith("gemini/"):
        if "gemini-2" not in model:
            return 1120
        return 258 if max(width, height) <= 384 else 258 * _tiles(width, height, 768)
    if model.startswith("anthropic/"):
        return math.ceil(width * height / 750)
    if model.startswith("openai/"):
        if "nano" in model:
            return math.ceil(2.46 * patches)
        if "mini" in model and "4o" not in model:
            return math.ceil(1.62 * patches)
        return 85 + 170 * _tiles(width, height, 512)
    return patches


def _tiles(width: int, height: int, side: int) -> int:
    return math.ceil(width / side) * math.ceil(height / side)


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
