"""Numbers as models write them: 0.2, "0.2", "20%", "0,2", "1/4"."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lvlm2p.teachers.errors import AnswerError

NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40}|,\d{1,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?"
"""A number in plain text; a fraction is two of them. A comma is part of it between digits only."""

_WRITTEN = re.compile(rf"[~≈]?\s*({NUMBER})\s*(?:/\s*(\d{{1,9}}(?:\.\d{{1,9}})?))?\s*(%|percent)?")
_SPECIAL = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}


class Number(NamedTuple):
    """A value, and whether it was written as a percentage."""

    value: float
    percent: bool


def read_number(written: Any, what: str) -> Number:
    """The number ``written``, a JSON value; ``what`` names it in the error.

    Raises:
        AnswerError: it is no number.
    """
    if isinstance(written, int | float) and not isinstance(written, bool):
        return Number(float(written), percent=False)
    if isinstance(written, str):
        text = written.strip()
        if text.lower() in _SPECIAL:
            return Number(float(text), percent=False)
        match = _WRITTEN.fullmatch(text)
        if match is not None:
            return _number(match)
    raise AnswerError(f"{what} is {_short(written)}, which is not a number")


def _number(match: re.Match[str]) -> Number:
    digits, divisor, percent = match.groups()
    value = float(digits.replace(",", "."))
    if divisor is not None and float(divisor) != 0:
        value /= float(divisor)
    elif divisor is not None:
        value = float("nan")
    return Number(value, percent is not None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
