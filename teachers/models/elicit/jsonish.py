"""JSON inside whatever a model wrote around it, in bounded time.

Objects come back as :class:`Pairs`, so that a key that was written twice is still there twice.
Numbers, NaN and Infinity come back as floats (whole numbers of a sensible length as int).
"""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST = 200_000
"""Characters. What is longer is no answer."""

ATTEMPTS = 2_000
"""Opening brackets at which a value is looked for; more of them is no answer either."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: its keys and values in order, duplicates included."""


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 16 else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=Pairs, parse_int=_whole, strict=False)
_OPENING = re.compile(r"[{\[]")


def values(text: str) -> list[Any]:
    """Every outermost JSON object or array in ``text`` that is complete, in order of appearance.

    Prose and code fences around them don't matter; brackets that open nothing valid are skipped.
    Nothing is read from where a thousand of them are open at a time.
    """
    found: list[Any] = []
    position = 0
    for _ in range(ATTEMPTS):
        opening = _OPENING.search(text, position)
        if opening is None:
            break
        try:
            value, position = _DECODER.raw_decode(text, opening.start())
        except RecursionError:
            break
        except ValueError:
            position = opening.end()
            continue
        found.append(value)
    return found


def without_thoughts(text: str) -> str:
    """``text`` without the blocks in which reasoning models think aloud.

    A block that is never closed takes the rest of the text with it: the answer never came.
    """
    for tag in ("think", "thinking", "reasoning"):
        opening, closing = f"<{tag}>", f"</{tag}>"
        if closing in text and opening not in text.split(closing, 1)[0]:
            text = text.split(closing, 1)[1]  # some chat templates write the opening tag themselves
        while opening in text:
            before, rest = text.split(opening, 1)
            text = before + (rest.split(closing, 1)[1] if closing in rest else "")
    return text
