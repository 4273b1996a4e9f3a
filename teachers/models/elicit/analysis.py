"""From what a model wrote in its analysis turn to a :class:`lvlm2p.prompts.Analysis`.

====================  =========================================================================
what came             what becomes of it
====================  =========================================================================
prose, fences         the last complete JSON object with at least three of the fields counts,
                      inside another one too; else ``field: value`` lines
field names           case, spaces and hyphens don't matter ("Agent Row"); others are left out
numbers as text       "3", 3.0: whole numbers from 0 to 999; anything else is an error
directions            case doesn't matter; north, east, south, west and arrows are translated
stated twice          the same value: once; different values: an error
a field is missing    an error
====================  =========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lvlm2p.prompts import Analysis
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit.text import Pairs, read_number, readable, values

_SYNONYMS = {
    "right": ("right", "east", "→", ">", "rightward", "rightwards"),
    "down": ("down", "south", "↓", "v", "downward", "downwards"),
    "left": ("left", "west", "←", "<", "leftward", "leftwards"),
    "up": ("up", "north", "↑", "^", "upward", "upwards"),
}
_DIRECTIONS = {word: direction for direction, words in _SYNONYMS.items() for word in words}
_NUMBERS = ("agent_row", "agent_column", "target_row", "target_column")
_FIELDS = (*_NUMBERS, "agent_direction", "ahead")
_BY_LETTERS = {field.replace("_", ""): field for field in _FIELDS}
_ENOUGH = 3
_DEPTH = 5
_LARGEST = 999
_LINE = re.compile(
    r"^[ \t\-*•\"'`|]*([A-Za-z][A-Za-z _\-]{2,30}?)[ \t\"'`*]*[:=|][ \t]*([^\n]{1,80})$", re.M
)


def parse_analysis(text: str) -> Analysis:
    """The scene as the model described it.

    Raises:
        AnswerError: no rule makes an analysis of ``text``.
    """
    text = readable(text)
    for value in reversed(values(text)):
        stated = _fields_in(value, _DEPTH)
        if stated is not None:
            return _settle(stated)
    lines = _known((name, value.strip(" \t,.\"'`*|}")) for name, value in _LINE.findall(text))
    if lines:
        return _settle(lines)
    raise AnswerError(f"no JSON object with {', '.join(_FIELDS)} was found in the answer")


def _fields_in(value: Any, depth: int) -> list[tuple[str, Any]] | None:
    if depth == 0 or not isinstance(value, list):
        return None
    if isinstance(value, Pairs):
        stated = _known(value)
        if len({field for field, _ in stated}) >= _ENOUGH:
            return stated
        children: Iterable[Any] = [item for _, item in value]
    else:
        children = value
    inside = [_fields_in(child, depth - 1) for child in children]
    found = [one for one in inside if one is not None]
    return found[-1] if found else None


def _known(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """(field, value) of the pairs whose name is a field of the analysis."""
    named = ((_BY_LETTERS.get(re.sub(r"[\W_]+", "", key).casefold()), item) for key, item in pairs)
    return [(field, item) for field, item in named if field is not None]


def _settle(stated: list[tuple[str, Any]]) -> Analysis:
    fields: dict[str, Any] = {}
    for field, written in stated:
        value = _value(field, written)
        if fields.setdefault(field, value) != value:
            raise AnswerError(f"{field} is stated twice, with different values")
    missing = [field for field in _FIELDS if field not in fields]
    if missing:
        raise AnswerError(f"the analysis lacks {', '.join(missing)}")
    return Analysis(**fields)


def _value(field: str, written: Any) -> int | str:
    if field in _NUMBERS:
        number = read_number(written, field).value
        if not (0 <= number <= _LARGEST and number == int(number)):
            raise AnswerError(f"{field} is {written!s:.20}: it must be a whole number, 0 or more")
        return int(number)
    if not isinstance(written, str) or not written.strip():
        raise AnswerError(f"{field} is {written!r:.40}: it must be words")
    words = " ".join(written.casefold().split())
    if field == "ahead":
        return words[:60]
    direction = _DIRECTIONS.get(words)
    if direction is None:
        raise AnswerError(f"agent_direction is {words!r:.40}: it must be right, down, left or up")
    return direction
