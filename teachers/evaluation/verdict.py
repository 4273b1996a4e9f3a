"""Whether a student is likely to learn from a teacher, measured against our own benchmark.

Simulated teachers of known acting success taught PPO students GoToDoor-6x6 in 20,000 frames, in
which students alone reach 0.12 to 0.22 (docs/performance.md). Taught by a teacher of 0.97 the
greedy student ended at 1.00, by one of 0.86 at 1.00, by one of 0.63 at 0.99 or better, by one of
0.23 between 0.70 and 0.90. Their errors were strewn over the states; a real model's are alike in
states that are alike, where students learn them too.
"""

from __future__ import annotations

from typing import Literal

from lvlm2p.teachers.evaluation.findings import percent, ranged
from lvlm2p.teachers.evaluation.results import Acting, Estimate, Verdict

STRONG, USEFUL = 0.85, 0.5
"""Acting success from which distillation helped, without further care and with lambda ending."""
STRONG_TOP1, USEFUL_TOP1 = 0.95, 0.8
"""The same for top-1, where no episodes were played: an episode is many choices (the teacher of
0.86 is right in 95% of states, the one of 0.63 in 85%)."""

_ADVICE = {
    "strong": "In our benchmark students of simulated teachers of 0.97 and 0.86 ended at 1.00, "
    "where students alone reach 0.12 to 0.22. Distil its most probable action.",
    "useful": "In our benchmark students of a simulated teacher of 0.63 ended at 0.99, where "
    "students alone reach 0.12 to 0.22; but errors that it repeats in states that are alike are "
    "learned: look at where it is wrong.",
    "doubtful": "Better than chance. In our benchmark students of a simulated teacher of 0.23 "
    "ended between 0.70 and 0.90, its errors strewn over the states: expect a head start, and let "
    "lambda end (--kl-floor 0).",
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
