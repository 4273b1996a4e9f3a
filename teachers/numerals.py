"""Numbers as people write them: ``20k``, ``2e4``, ``1.5M``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin

_WRITTEN = re.compile(r"([+-]?[\d_]{1,18}(?:\.\d{1,18})?(?:e\+?\d{1,2})?)([kmgb]?)", re.IGNORECASE)
_TIMES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def in_digits(text: str) -> str:
    """``"20k"`` as ``"20000"``; what is no integer, or could be read anyway, as it is."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or not text.strip(" _"):
        return text
    try:
        value = Decimal(match[1]) * _TIMES[match[2].lower()]
    except ArithmeticError:
        return text
    return str(int(value)) if value == int(value) else text


def is_number(kind: Any) -> bool:
    """Whether an annotation is ``int`` or ``float``, or one of them among others such as None."""
    if get_origin(kind) in (Union, UnionType):
        return any(map(is_number, get_args(kind)))
    return kind in (int, float)


def numbers_in_digits(values: Mapping[str, object], kinds: Mapping[str, Any]) -> dict[str, object]:
    """``values`` with the texts of options that are numbers (by ``kinds``) in digits."""
    return {
        name: in_digits(value) if isinstance(value, str) and is_number(kinds.get(name)) else value
        for name, value in values.items()
    }
