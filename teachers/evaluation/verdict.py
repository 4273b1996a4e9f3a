"""Whether a student is likely to learn from a teacher, measured against our own benchmark.

Simulated teachers of known acting success taught PPO students on the four tasks
(docs/performance.md): one of 0.96 by its most probable action saved the student 4.6 to 5.1 times
the frames of an equally trained control; one of 0.53 still brought it to 0.95, once the weight of
the KL had ended; and a student taught with unsharpened soft labels ended where *sampling* from them
ends (0.73 for a teacher of 0.96).
"""

from __future__ import annotations

from typing import Literal

from teachers.evaluation.findings import percent, ranged
from teachers.evaluation.results import Acting, Estimate, Verdict

STRONG, USEFUL = 0.9, 0.5
"""Acting success from which distillation helped, without further care and with lambda ending."""
STRONG_TOP1, USEFUL_TOP1 = 0.95, 0.8
"""The same for top-1, where no episodes were played: an episode is many choices."""

_ADVICE = {
    "strong": "In our benchmark a teacher of 0.96 saved a student 4.6 to 5.1 times the frames. "
    "Distil with its most probable action, and replay stored labels.",
    "useful": "In our benchmark a teacher of 0.53 still brought a student to 0.95, after the "
    "weight of its labels had ended: let lambda end, or the student copies the errors.",
    "doubtful": "Better than chance, but below what helped a student in our benchmark: expect a "
    "head start at best, and let lambda end early.",
    "no": "Not distinguishable from chance: a student learns faster without it.",
}


def judge_teacher(
    labelled: int,
    top1: Estimate | None,
    acting: Acting | None,
    sampled: Acting | None,
    chance_top1: Estimate | None,
    chance_success: Estimate | None,
) -> Verdict:
    """The verdict: by acting success where episodes were played, else by top-1.

    Args:
        labelled: number of states with a label.
        top1: share of optimal choices.
        acting: episodes by the most probable action.
        sampled: episodes by drawing from the probabilities.
        chance_top1: top-1 of uniformly random answers on the same states.
        chance_success: acting success of the same.
    """
    if labelled == 0:
        return Verdict(level="no", text="It gave no label at all: nothing can be learned from it.")
    if acting is not None:
        level = _level(acting.success, chance_success, STRONG, USEFUL)
        measured = f"Acting on its most probable action succeeds in {ranged(acting.success)}."
    elif top1 is not None:
        level = _level(top1, chance_top1, STRONG_TOP1, USEFUL_TOP1)
        measured = f"No episodes were played; its top-1 is {ranged(top1)}."
    else:
        return Verdict(
            level="unknown", text="Without a planner and without episodes nobody can say."
        )
    return Verdict(level=level, text=f"{measured} {_ADVICE[level]}{_sharpen(acting, sampled)}")


def _level(
    found: Estimate, chance: Estimate | None, strong: float, useful: float
) -> Literal["strong", "useful", "doubtful", "no"]:
    if found.low <= (chance.high if chance else 0.0):
        return "no"
    if found.value >= strong:
        return "strong"
    return "useful" if found.value >= useful else "doubtful"


def _sharpen(acting: Acting | None, sampled: Acting | None) -> str:
    if acting is None or sampled is None or sampled.success.high >= acting.success.low:
        return ""
    return (
        f" Drawing from its probabilities succeeds in only {percent(sampled.success.value)}: "
        "train on argmax or sharpened labels, not on soft ones."
    )
