"""Whether a student is likely to learn from a teacher, measured against our own benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lvlm2p.teachers.evaluation.benchmark import Benchmark, Taught, benchmark
from lvlm2p.teachers.evaluation.results import Acting, Evaluation, Interval, Verdict
from lvlm2p.teachers.evaluation.wording import percent, ranged

Level = Literal["strong", "useful", "doubtful", "no"]

STRONG, USEFUL = 0.85, 0.5
"""Acting success from which distillation helped, without further care and with lambda ending."""
STRONG_TOP1, USEFUL_TOP1 = 0.95, 0.8
"""The same for top-1, where no episodes were played: an episode is many choices (the teacher that
succeeds in 0.86 of episodes is right in 95% of states, the one that does in 0.63 in 85%)."""
RANGES = {"strong": (STRONG, math.inf), "useful": (USEFUL, STRONG), "doubtful": (0.0, USEFUL)}
"""From and below which acting success."""

ADVICE = {
    "strong": "Distil its most probable action.",
    "useful": "Errors that it repeats in similar states are learned: look at where it is wrong.",
    "doubtful": "It is better than uniformly random actions: expect a head start, and let lambda "
    "end (--kl-floor 0).",
    "no": "Not distinguishable from uniformly random actions: a student learns faster without it.",
}


def judge_teacher(
    labelled: int,
    top1: Interval | None,
    acting: Acting | None,
    sampled: Acting | None,
    uniform: Evaluation | None,
) -> Verdict:
    """The verdict: by acting success where episodes were played, else by top-1.

    Args:
        labelled: number of states with a label.
        top1: share of optimal choices.
        acting: episodes by the most probable action.
        sampled: episodes by drawing from the probabilities.
        uniform: the evaluation of uniformly random answers on the same states and episodes.
    """
    if labelled == 0:
        return Verdict(level="no", text="It gave no label at all: nothing can be learned from it.")
    if acting is not None:
        level = _level(acting.success, uniform.success if uniform else None, STRONG, USEFUL)
        measured = f"Acting on its most probable action succeeds in {ranged(acting.success)}."
    elif top1 is not None:
        level = _level(top1, uniform.top1 if uniform else None, STRONG_TOP1, USEFUL_TOP1)
        measured = f"No episodes were played; its top-1 is {ranged(top1)}."
    else:
        return Verdict(
            level="unknown", text="Without a planner and without episodes it can't be judged."
        )
    return Verdict(
        level=level, text=f"{measured} {advice(level, benchmark())}{_sharpen(acting, sampled)}"
    )


def _level(found: Interval, uniform: Interval | None, strong: float, useful: float) -> Level:
    if found.low <= (uniform.high if uniform else 0.0):
        return "no"
    if found.value >= strong:
        return "strong"
    return "useful" if found.value >= useful else "doubtful"


def advice(level: Level, figures: Benchmark) -> str:
    """What students of such teachers reached in ``figures``, and what to do with this one."""
    if level == "no":
        return ADVICE[level]
    low, high = RANGES[level]
    alike = [taught for taught in figures.taught if low <= taught.teacher < high]
    if not alike:
        return ADVICE[level]
    return f"{_reached(alike, figures)} {ADVICE[level]}"


def _reached(taught: Sequence[Taught], figures: Benchmark) -> str:
    teachers = " and ".join(f"{each.teacher:.2f}" for each in taught)
    who = "a simulated teacher" if len(taught) == 1 else "simulated teachers"
    ends = [end for each in taught for end in each.students]
    return (
        f"In our benchmark students of {who} of {teachers}, with independent errors, ended at "
        f"{_span(min(ends), max(ends))}, where students alone reach {_span(*figures.alone)}."
    )


def _span(low: float, high: float) -> str:
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def _sharpen(acting: Acting | None, sampled: Acting | None) -> str:
    if acting is None or sampled is None or sampled.success.high >= acting.success.low:
        return ""
    return (
        f" Drawing from its probabilities succeeds in only {percent(sampled.success.value)}: "
        "train on argmax or sharpened labels, not on soft ones."
    )
