"""Why a state has no target."""

from __future__ import annotations

from lvlm2p.teachers import Failure, Label

HAS_LABEL, NOT_ASKED, FAILED, FAILED_FOR_GOOD = range(4)
"""It has one; nobody was asked about it; the answer was a failure that passes (a timeout, a 5xx);
or one that would come again."""


def why_no_target(answer: Label | Failure) -> int:
    """Which of these an answer means."""
    if isinstance(answer, Label):
        return HAS_LABEL
    if answer.not_asked:
        return NOT_ASKED
    return FAILED_FOR_GOOD if answer.lasting else FAILED
