"""What a model wrote, made safe to look at.

A page escapes markup by itself (jinja2, ``textContent``); what is left are characters that no
markup shows: those that reorder the line they stand in, or erase it, or can't be written at all.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks and overrides of direction
    "\u200b-\u200d\u2028\u2029\ufeff"  # zero-width, line separators, byte-order mark
    "\ud800-\udfff]"  # half of a character
)

PAGE_CHARACTERS = 6_000_000
"""All transcripts of a page together: with pictures and plots it then stays below 15 MB."""

LIMITS = (4_000, 2_000, 1_000, 500, 250)
"""Lengths at which one text may be cut, the longest that fits the page."""


def visible(text: str) -> str:
    """``text`` with every unseen character named: ``⟨U+202E⟩``."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


class TextPool:
    """The distinct texts of a page, each kept once and cut at one common length."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        """The number of ``text`` in the pool."""
        return self._numbers.setdefault(text, len(self._numbers))

    def cut(self) -> tuple[list[tuple[str, int]], int]:
        """Each text as (its beginning made visible, characters left out), and the limit."""
        lengths = [len(text) for text in self._numbers]
        limit = next(
            (n for n in LIMITS if sum(min(length, n) for length in lengths) <= PAGE_CHARACTERS),
            LIMITS[-1],
        )
        cut = [(visible(text[:limit]), max(0, len(text) - limit)) for text in self._numbers]
        return cut, limit
