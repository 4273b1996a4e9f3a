"""Whether a student is likely to learn from a teacher, measured against our own benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lvlm2p.teachers.evaluation.benchmark import CAUTIOUS, Benchmark, Taught
from lvlm2p.teachers.evaluation.results import Acting, Evaluation, Interval, Verdict
from lvlm2p.teachers.evaluation.sufficiency import above, decided, needed
from lvlm2p.teachers.evaluation.wording import percent, ranged

Level = Literal["strong", "useful", "doubtful", "no"]

HALF = 0.5
"""A teacher that surely answers less often than this, and never did, has nothing to teach."""
UNASKED = 0.1
"""Share of the steps of its episodes in which it may be missing beyond its failures on states."""

ADVICE = {
    "strong": "Distil its most probable action.",
    "useful": "Errors that it repeats in similar states are learned: look at where it is wrong.",
    "doubtful": "It is better than uniformly random actions: expect a head start, and let lambda "
    "end (--kl-floor 0).",
    "no": "Not distinguishable from uniformly random actions: a student learns faster without it.",
}


def judge_teacher(
    labelled: int,
    valid: Interval | None,
    top1: Interval | None,
    acting: Acting | None,
    sampled: Acting | None,
    uniform: Evaluation | None,
    figures: Benchmark | None = None,
) -> Verdict:
    """The verdict: by acting success where episodes were played, else by top-1.

    Args:
        labelled: number of states with a label.
        valid: share of the states asked about that got one.
        top1: share of optimal choices.
        acting: episodes by the most probable action.
        sampled: episodes by drawing from the probabilities.
        uniform: the evaluation of uniformly random answers on the same states and episodes.
        figures: what our benchmark found on this task; None: it has none of it.
    """
    if labelled == 0:
        return _without_labels(valid)
    thresholds = figures.thresholds if figures is not None else CAUTIOUS
    if acting is not None and _its_own(acting, valid):
        measured = f"Acting on its most probable action succeeds in {ranged(acting.success)}."
        found, other = acting.success, uniform.success if uniform else None
        judged = _judged(measured, found, other, thresholds.acting, "episodes", figures)
        return judged.model_copy(update={"text": judged.text + _sharpen(acting, sampled)})
    if top1 is not None:
        measured = f"{_why_top1(acting)} its top-1 is {ranged(top1)}."
        other = uniform.top1 if uniform else None
        return _judged(measured, top1, other, thresholds.top1, "states", figures)
    return Verdict(
        level="unknown", text="Without a planner and without episodes it can't be judged."
    )


def _without_labels(valid: Interval | None) -> Verdict:
    if valid is None:
        return Verdict(
            level="unknown",
            text="Nobody asked it: the budget was spent, or it was offline and nothing was stored.",
        )
    text = "It gave no label at all"
    if valid.high >= HALF:
        few = f"{text} on {valid.n} states. Too few states to tell: "
        return Verdict(level="unknown", text=f"{few}{needed(valid, None, HALF)} are needed.")
    return Verdict(level="no", text=f"{text}: nothing can be learned from it.")


def _its_own(acting: Acting, valid: Interval | None) -> bool:
    """Whether it was asked in its episodes; where a budget is spent, random actions are taken."""
    failing = 1 - valid.value if valid is not None else 0.0
    return acting.unanswered <= failing + UNASKED


def _why_top1(acting: Acting | None) -> str:
    if acting is None:
        return "No episodes were played;"
    share = percent(acting.unanswered)
    return f"In {share} of the steps of its episodes it had no answer, so they say little of it;"


def _judged(
    measured: str,
    found: Interval,
    uniform: Interval | None,
    thresholds: tuple[float, float],
    what: Literal["episodes", "states"],
    figures: Benchmark | None,
) -> Verdict:
    strong, useful = thresholds
    if not decided(found, uniform, useful):
        beside = f" ({ranged(uniform)})" if uniform else ""
        number = needed(found, uniform, useful)
        return Verdict(
            level="unknown",
            text=f"{measured} Too few {what} to tell it from uniformly random actions{beside}: if "
            f"these rates hold, --{what} {number} would do; here were {found.n:,}.",
        )
    level = _level(found, uniform, strong, useful)
    return Verdict(level=level, text=f"{measured} {advice(level, figures)}")


def _level(found: Interval, uniform: Interval | None, strong: float, useful: float) -> Level:
    if not above(found, uniform):
        return "no"
    if found.value >= strong and found.low > useful:  # a few lucky ones are not strong
        return "strong"
    return "useful" if found.value >= useful else "doubtful"


def advice(level: Level, figures: Benchmark | None) -> str:
    """What students of such teachers reached in ``figures``, and what to do with this one."""
    if level == "no" or figures is None:
        return ADVICE[level]
    strong, useful = figures.thresholds.acting
    ranges = {"strong": (strong, math.inf), "useful": (useful, strong), "doubtful": (0.0, useful)}
    low, high = ranges[level]
    alike = [taught for taught in figures.taught if low <= taught.teacher < high]
    if not alike:
        return ADVICE[level]
    return f"{_reached(alike, figures)} {ADVICE[level]}"


def _reached(taught: Sequence[Taught], figures: Benchmark) -> str:
    teachers = " and ".join(f"{each.teacher:.2f}" for each in taught)
    who = "a simulated teacher" if len(taught) == 1 else "simulated teachers"
    ends = [end for each in taught for end in each.students]
    return (
        f"In our benchmark on {figures.env} students of {who} of {teachers}, with independent "
        f"errors, ended at {_span(min(ends), max(ends))}, where students alone reach "
        f"{_span(*figures.alone)}."
    )


def _span(low: float, high: float) -> str:
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def _sharpen(acting: Acting | None, sampled: Acting | None) -> str:
    if acting is None or sampled is None or sampled.success.high >= acting.success.low:
        return ""
    return (
        f" Drawing from its probabilities succeeds in only {percent(sampled.success.value)}: "
        "train on argmax labels, not on soft ones."
    )
