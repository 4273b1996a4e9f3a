"""Action names in other spelling: "Turn left", "PICK_UP", "move forward" (one written rule).

A written name means an action where both are the same letters and digits, case aside; failing
that, where they are the same once the words of :data:`FILLERS` are left out of both. If that fits
two actions it means neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import dropwhile

FILLERS = frozenset(
    [
        *("a", "an", "the", "to", "of", "by", "one", "action", "agent", "cell", "object"),
        *("turn", "turns", "turning", "rotate", "rotating", "degrees", "go", "move", "moves"),
        *("moving", "step", "square", "p", "prob", "probability"),
    ]
)

_WORD = re.compile(r"[^\W_]+")
_VERBS = frozenset(
    ["to", "turn", "turning", "rotate", "rotating", "go", "move", "moving", "step", "one"]
)
"""Fillers that may stand before an action in prose; the others make it a place or a story."""

_LONGEST = 60


def find_action(written: str, names: Sequence[str]) -> str | None:
    """Which of ``names`` is meant by ``written``; None where that is none of them, or unclear."""
    if len(written) > _LONGEST:
        return None
    words = _words(written)
    for form in (_joined, _without_fillers):
        wanted = form(words)
        fitting = [name for name in names if wanted and form(_words(name)) == wanted]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def find_said(written: str, names: Sequence[str]) -> str | None:
    """Like :func:`find_action`, for prose: "the right one" and "left to you" are no actions."""
    action = find_action(written, names)
    words = _words(written) if action is not None else []
    rest = list(dropwhile(_VERBS.__contains__, words))
    if action is None or _joined(words) == _joined(_words(action)):
        return action
    return None if rest and (rest[0] in FILLERS or "to" in rest) else action


def actions_mentioned(text: str, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that occur in ``text`` as words of their own, in the names' order."""
    spaced = f" {' '.join(_words(text))} "
    return [name for name in names if any(f" {form} " in spaced for form in _forms(name))]


def _forms(name: str) -> set[str]:
    """A name as words: as it is, and "pick up" beside "pickup"."""
    words = " ".join(_words(name))
    apart = {f"{words[:-2]} {words[-2:]}"} if words.endswith("up") and " " not in words else set()
    return {words} | apart


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _joined(words: list[str]) -> str:
    return "".join(words)


def _without_fillers(words: list[str]) -> str:
    return "".join(word for word in words if word not in FILLERS)
