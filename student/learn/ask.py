"""Which states the teacher is asked about (``--ask``): all of them, or the more useful ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from lvlm2p.teachers.numerals import in_digits

Rule = Callable[[Sequence[str], Sequence[float]], list[bool]]
"""(keys of new distinct states, the student's entropy there) -> which of them to ask about."""

KINDS = "all, random:SHARE, entropy:SHARE or budget:NUMBER"


def parse_ask(rule: str) -> tuple[str, float]:
    """``"random:0.25"`` as ``("random", 0.25)``.

    Raises:
        ValueError: one sentence that names what is allowed.
    """
    kind, _, amount = rule.partition(":")
    if kind == "all" and not amount:
        return kind, 1.0
    try:
        number = float(in_digits(amount) if kind == "budget" else amount)
    except ValueError:
        number = -1.0
    if kind in ("random", "entropy") and 0 <= number <= 1:
        return kind, number
    if kind == "budget" and number >= 0 and number.is_integer():
        return kind, number
    raise ValueError(f"{rule!r} is not a rule: say {KINDS}, such as random:0.25 or budget:1000")


def chosen_by_lot(key: str, seed: int, share: float) -> bool:
    """Whether a state is among the ``share`` that is asked about: the same each time it is met."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
