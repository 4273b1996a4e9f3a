"""A conversation in the message format that every provider is reached through.

Messages are OpenAI-style dictionaries; pictures travel as PNG data URLs inside them.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

Message: TypeAlias = dict[str, Any]
"""``{"role": "system" | "user" | "assistant", "content": text or list of parts}``."""

_PNG_URL = "data:image/png;base64,"


@dataclass(frozen=True)
class Question:
    """One turn: what kind of answer is asked for, and the schema to send along."""

    kind: str
    """``analysis``, or the form of the last answer: ``stated``, ``choice``, ``letter`` ..."""
    schema: type[BaseModel] | None
    """``Analysis``, ``action_model(task)``, ``choice_model(task)`` ...; None for plain text."""


@dataclass(frozen=True)
class Conversation:
    """One view, asked about in one turn or two.

    Attributes:
        questions: what is asked, in order: ``(analysis, stated)`` or ``(letter,)``, for instance.
        opening: system message and examples; the same bytes for every view of a prompt.
        turns: the user's message for each question; the first one holds the view's picture.
        letters: ``{"A": "left", ...}`` where the last question asks for a letter, else empty.
    """

    questions: tuple[Question, ...]
    opening: tuple[Message, ...]
    turns: tuple[Message, ...]
    letters: Mapping[str, str]

    @property
    def prefix(self) -> int:
        """How many leading messages are the same bytes for every view."""
        return len(self.opening)

    def messages(self, answers: Sequence[str] = ()) -> list[Message]:
        """What is sent to have ``questions[len(answers)]`` answered; the caller's own copy.

        ``answers`` are the model's own answers to the questions before, word for word.
        """
        messages = [*self.opening, self.turns[0]]
        for answer, turn in zip(answers, self.turns[1:], strict=False):
            messages += [{"role": "assistant", "content": answer}, turn]
        if len(answers) >= len(self.turns):
            raise ValueError(f"{len(answers)} answers to {len(self.turns)} questions: none is left")
        return copy.deepcopy(messages)


def user_message(parts: Sequence[str | bytes]) -> Message:
    """A user's message of texts and PNG pictures, in their order; a plain string if it is one."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return {"role": "user", "content": parts[0]}
    return {"role": "user", "content": [_part(part) for part in parts]}


def pictures(message: Message) -> list[bytes]:
    """The PNG files in a message."""
    parts = [] if isinstance(message["content"], str) else message["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [base64.b64decode(url.removeprefix(_PNG_URL)) for url in urls]


def plain_text(message: Message) -> str:
    """What a message says, for transcripts: each picture is named by its SHA-256, not inlined."""
    if isinstance(message["content"], str):
        return message["content"]
    images = iter(pictures(message))
    return "".join(
        part["text"]
        if part["type"] == "text"
        else f"<image sha256:{hashlib.sha256(next(images)).hexdigest()}>"
        for part in message["content"]
    )


def _part(part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    url = _PNG_URL + base64.b64encode(part).decode("ascii")
    return {"type": "image_url", "image_url": {"url": url}}
