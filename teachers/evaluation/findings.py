"""What the numbers say about a teacher, in words; each finding is a rule with its threshold.

A rule speaks only where an interval, and not just a value, is past its threshold, and about no
fewer than :data:`FEWEST` answers: a report should not blame a teacher for what may be a random
fluctuation. ``fails`` and ``unasked`` say how many there were, and conclude nothing from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.measures import Bools, Floats, choice, nll, top1
from lvlm2p.teachers.evaluation.outcome import Outcome
from lvlm2p.teachers.evaluation.results import (
    AnalysisScores,
    Finding,
    Interval,
    PlanScores,
    Probes,
    Temperature,
)
from lvlm2p.teachers.evaluation.scores import Scores
from lvlm2p.teachers.evaluation.wording import percent, ranged
from lvlm2p.teachers.label import NOT_ASKED
from lvlm2p.teachers.wrappers.calibrated import temper

FEWEST = 10
"""Of fewer even Wilson's interval is too narrow: one miss of one is below 0.8 with it."""
CONSTANT = 0.95
"""An action chosen on this share of the states is chosen whatever they show,"""
SURELY_CONSTANT = 0.8
"""where it surely is on more than this one."""
BLIND = 0.75
SYMMETRIC = 0.9
STEADY = 0.95
READS = 0.9
PLANS = 0.9
INFEASIBLE = 0.02
GAIN = 0.02
"""Less NLL than this is not worth a word, nor is what may be none."""
CALIBRATED = 1.25
"""A fitted temperature within this factor of 1 is not worth a word."""


def find(scored: Scores, outcome: Outcome) -> tuple[Finding, ...]:
    """Everything worth a sentence, the gravest first."""
    return (
        *_fails(outcome.valid, outcome.failures),
        *_choices(scored.names, scored.p, scored.optimal),
        *_probes(outcome.probes),
        *_analysis(outcome.analysis),
        *_plans(outcome.plans),
        *_temperature(outcome.temperature, scored.p, scored.optimal),
    )


def _fails(valid: Interval | None, failures: dict[str, int]) -> Iterator[Finding]:
    if valid is not None and valid.value < 0.99:
        kinds = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in failures.items())
        share = percent(1 - valid.value)
        text = f"Gives no usable answer on {share} of {valid.n:,} states ({kinds})."
        yield Finding(code="fails", text=text)
    unasked = sum(failures.get(kind, 0) for kind in NOT_ASKED)
    if unasked:
        yield Finding(
            code="unasked",
            text=f"{unasked} states were not asked about: budget spent, or offline and not stored.",
        )


def _choices(names: tuple[str, ...], p: Floats, optimal: Bools | None) -> Iterator[Finding]:
    if len(p) == 0:
        return
    shares = choice(p).mean(axis=0)
    most = int(shares.argmax())
    interval = intervals.wilson(float(shares[most]) * len(p), len(p))
    if shares[most] >= CONSTANT and interval and interval.low > SURELY_CONSTANT:
        best = "" if optimal is None else f" It is optimal in {percent(optimal[:, most].mean())}."
        text = f"Says {names[most]} on {percent(shares[most])} of states, whatever they show.{best}"
        yield Finding(code="constant", text=text)
    elif optimal is not None:
        yield from _exchanged(names, p, optimal)


def _exchanged(names: tuple[str, ...], p: Floats, optimal: Bools) -> Iterator[Finding]:
    """Two actions taken for each other, such as left for right."""
    if len(p) < FEWEST:
        return
    before = intervals.proportion(top1(p, optimal))
    chosen = choice(p).mean(axis=0)
    for a, b in combinations(range(len(names)), 2):
        order = list(range(len(names)))
        order[a], order[b] = b, a
        after = intervals.proportion(top1(p[:, order], optimal))
        assert before and after
        if min(chosen[a], chosen[b]) > 0.05 and after.low > before.high + 0.1:
            yield Finding(
                code="exchanged",
                text=f"Takes {names[a]} and {names[b]} for each other: exchanging them would raise "
                f"top-1 from {percent(before.value)} to {percent(after.value)}.",
            )


def _probes(probes: Probes) -> Iterator[Finding]:
    blank, symmetry, repeat = probes.blank, probes.symmetry, probes.repeat
    if blank and blank.same.low > BLIND:
        yield Finding(
            code="blind",
            text="Does not depend on the picture: the same choice on "
            f"{ranged(blank.same)} of states when it is blank.",
        )
    if symmetry and _surely_below(symmetry.same, SYMMETRIC):
        yield Finding(
            code="asymmetric",
            text="Chooses otherwise when a state is turned, mirrored or recoloured: only "
            f"{ranged(symmetry.same)} of choices stay.",
        )
    if repeat and _surely_below(repeat.same, STEADY):
        yield Finding(
            code="unsteady",
            text=f"Asked again word for word, keeps only {ranged(repeat.same)} of its choices: "
            "votes or a lower temperature would steady it.",
        )


def _analysis(analysis: AnalysisScores | None) -> Iterator[Finding]:
    if analysis is None:
        return
    if _surely_below(analysis.right, READS):
        worst = min(analysis.fields, key=lambda field: analysis.fields[field].value)
        yield Finding(
            code="misreads",
            text=f"Describes {ranged(analysis.right)} of scenes right; worst is "
            f"{worst.replace('_', ' ')}, right in {percent(analysis.fields[worst].value)}.",
        )
    given = analysis.top1_given_right
    if given and _surely_below(given, PLANS):
        yield Finding(
            code="misplans",
            text=f"Chooses well in only {ranged(given)} of the scenes that it describes right: "
            "it sees, but plans badly.",
        )


def _plans(plans: PlanScores | None) -> Iterator[Finding]:
    if plans is None:
        return
    if plans.infeasible and plans.infeasible.n >= FEWEST and plans.infeasible.low > INFEASIBLE:
        yield Finding(
            code="infeasible",
            text=f"Of the options that it names, {ranged(plans.infeasible)} are not there to be "
            "carried out.",
        )
    if plans.accuracy and _surely_below(plans.accuracy, PLANS):
        yield Finding(
            code="other-options",
            text=f"Pursues what the task's own planner does in {ranged(plans.accuracy)} of states.",
        )


def _surely_below(interval: Interval, threshold: float) -> bool:
    return interval.n >= FEWEST and interval.high < threshold


def _temperature(
    temperature: Temperature | None, p: Floats, optimal: Bools | None
) -> Iterator[Finding]:
    if temperature is None or optimal is None:
        return
    gains = intervals.mean(nll(p, optimal) - nll(temper(p, temperature.value), optimal))
    if gains is None or gains.value < GAIN or gains.low <= 0:
        return
    gain = f"(NLL {temperature.nll_before:.2f} to {temperature.nll_after:.2f} at temperature "
    gain += f"{temperature.value:.2g})"
    if temperature.value > CALIBRATED:
        yield Finding(
            code="overconfident",
            text=f"Is surer than it is right; --calibrate softens its labels {gain}.",
        )
    elif temperature.value < 1 / CALIBRATED:
        yield Finding(
            code="timid", text=f"Is right more often than it is sure; --calibrate sharpens {gain}."
        )
