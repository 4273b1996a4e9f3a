"""From a few episodes, states or answers nothing is concluded; how many it takes is said."""

from __future__ import annotations

import dataclasses
import math
import re
from unittest.mock import Mock

import numpy as np
import pytest

from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.evaluation import evaluate_teacher, measures
from lvlm2p.teachers.evaluation.findings import find
from lvlm2p.teachers.evaluation.intervals import Z, wilson
from lvlm2p.teachers.evaluation.outcome import Outcome
from lvlm2p.teachers.evaluation.results import (
    Acting,
    AnalysisScores,
    Evaluation,
    Interval,
    Probe,
    Probes,
    Temperature,
    Verdict,
)
from lvlm2p.teachers.evaluation.scores import Scores
from lvlm2p.teachers.evaluation.states import draw_states
from lvlm2p.teachers.evaluation.sufficiency import needed
from lvlm2p.teachers.evaluation.verdict import judge_teacher
from lvlm2p.teachers.wrappers.calibrated import temper
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Planted

DOOR = ENVS[1]


def rate(successes: float, n: int) -> Interval:
    found = wilson(successes, n)
    assert found is not None
    return found


def played(successes: int, n: int, unanswered: float = 0.0) -> Acting:
    success = rate(successes, n)
    return Acting(success=success, episode_return=success, length=success, unanswered=unanswered)


def uniform(successes: int, n: int, top1: float = 0.3, states: int = 200) -> Evaluation:
    found = evaluate_teacher(load_teacher("random"), DOOR, states=1, episodes=0, probes=0)
    return found.model_copy(
        update={"acting": played(successes, n), "top1": rate(top1 * states, states)}
    )


def judged(successes: int, n: int, alone: int, unanswered: float = 0.0) -> Verdict:
    acting = played(successes, n, unanswered)
    return judge_teacher(200, rate(200, 200), rate(196, 200), acting, None, uniform(alone, n))


def test_how_many_are_needed_by_hand() -> None:
    """Of n all: low = n / (n + z²); of n none: high = z² / (n + z²). They part above n = z²."""
    assert 3 < Z * Z < 4
    assert needed(rate(2, 2), rate(0, 2), useful=0.5) == 4
    # two rates of 0: the upper end has to fall below 0.5, which is above n = z² again
    assert needed(rate(0, 2), rate(0, 2), useful=0.5) == 4
    assert needed(rate(0, 2), rate(0, 2), useful=0.1) == math.ceil(9 * Z * Z)
    # all against half: n / (n + z²) > 1/2 + z / 2 / sqrt(n + z²), so with m = n + z²
    # m - z sqrt(m) - 2 z² > 0, which is sqrt(m) > 2 z, n > 3 z² = 11.5
    assert needed(rate(2, 2), rate(1, 2), useful=0.5) == 12
    # where random actions are useful themselves, below halfway from there to always counts
    assert needed(rate(5, 5), rate(5, 5), useful=0.5) > 1_000


@pytest.mark.parametrize(("n", "alone"), [(1, 0), (2, 1), (3, 0), (3, 1), (4, 1), (5, 1)])
def test_a_perfect_teacher_is_not_condemned_on_few_episodes(n: int, alone: int) -> None:
    verdict = judged(n, n, alone)
    assert verdict.level == "unknown"
    assert "Too few episodes to tell" in verdict.text
    assert "learns faster without" not in verdict.text
    (told,) = re.findall(r"--episodes (\d+)", verdict.text)
    enough = int(told)
    assert enough > n and f"here were {n}" in verdict.text
    again = rate(enough * alone / n, enough)
    assert rate(enough, enough).low > again.high  # what it says holds
    fewer = enough - 1
    assert rate(fewer, fewer).low <= rate(fewer * alone / n, fewer).high


@pytest.mark.parametrize(
    ("successes", "n", "alone", "level"),
    [
        (5, 5, 0, "strong"),  # 57% and more, against 43% and less
        (50, 50, 6, "strong"),
        (30, 50, 6, "useful"),
        (17, 50, 2, "doubtful"),
        (6, 50, 6, "no"),  # 6 to 24%: surely below a half, and no better than chance
        (0, 50, 0, "no"),
        (0, 2, 0, "unknown"),  # nobody knows
        (5, 10, 2, "unknown"),
        (22, 50, 12, "unknown"),  # 31 to 58%, against 14 to 37%: it may well be useful
        (30, 50, 30, "no"),  # chance is good here, and it is no better
    ],
)
def test_the_level_needs_numbers_that_carry_it(
    successes: int, n: int, alone: int, level: str
) -> None:
    assert judged(successes, n, alone).level == level


def test_few_states_are_too_few_as_well() -> None:
    few = judge_teacher(4, rate(4, 4), rate(4, 4), None, None, uniform(0, 1, states=4))
    assert few.level == "unknown" and "Too few states to tell" in few.text
    assert re.search(r"--states \d+ would do; here were 4\.", few.text)
    # of 13 all is 77% and more: above chance, but not surely above the 80% that are useful
    some = judge_teacher(40, rate(40, 40), rate(38.4, 40), None, None, uniform(0, 1, states=40))
    assert some.level == "strong"
    lucky = judge_teacher(13, rate(13, 13), rate(13, 13), None, None, uniform(0, 1, states=13))
    assert lucky.level == "useful"


def test_one_failure_is_not_a_teacher_that_gives_no_label() -> None:
    def silent(valid: Interval | None) -> Verdict:
        return judge_teacher(0, valid, None, None, None, None)

    assert silent(rate(0, 4)).level == "no"
    assert silent(rate(0, 1)).level == "unknown"
    assert "Too few states to tell: 4 are needed" in silent(rate(0, 1)).text
    assert silent(None).level == "unknown" and "Nobody asked it" in silent(None).text


def test_episodes_without_its_answers_are_not_held_against_it() -> None:
    """The budget ended, or nothing was stored: nearly all actions were random ones."""
    verdict = judged(6, 50, 6, unanswered=0.97)
    assert verdict.level == "strong"
    assert "In 97% of the steps of its episodes it had no answer" in verdict.text
    assert judged(6, 50, 6, unanswered=0.05).level == "no"


@pytest.mark.parametrize("episodes", [2, 5])
def test_a_perfect_teacher_from_beginning_to_end(episodes: int) -> None:
    found = evaluate_teacher(load_teacher("expert"), DOOR, states=10, episodes=episodes, probes=0)
    assert found.success is not None and found.success.value == 1
    assert found.verdict.level != "no"


# ---------------------------------------------------------------- findings


def codes(character: planted.Character, states: int) -> set[str]:
    found = evaluate_teacher(
        Planted("x", character), DOOR, states=states, episodes=0, probes=states
    )
    return {finding.code for finding in found.findings}


def test_always_the_same_on_few_states_is_no_constant_teacher() -> None:
    """Of n all: surely above 80% from n = 4 z² = 15.4 on."""
    assert "constant" not in codes(planted.forward, 15)
    assert "constant" in codes(planted.forward, 16)


def silent_but(probes: Probes, analysis: AnalysisScores | None) -> Outcome:
    return Outcome(
        valid=rate(30, 30), failures={}, analysis=analysis, probes=probes, temperature=None
    )


@pytest.mark.parametrize("n", [1, 3, 9, 10])
def test_findings_need_ten_answers(n: int) -> None:
    cases = draw_states(DOOR, 30, seed=0)
    expert = load_teacher("expert")
    scored = Scores(cases, [answer for _, answer in expert.ask([case.view for case in cases])])
    nothing = Probe(same=rate(0, n), moved=rate(n, n))
    described = AnalysisScores(
        n=n, fields={"target": rate(0, n)}, right=rate(0, n),
        top1_given_right=rate(0, n), top1_given_wrong=None,
    )  # fmt: skip
    probes = Probes(blank=nothing, symmetry=nothing, repeat=nothing)
    found = {finding.code for finding in find(scored, silent_but(probes, described))}
    blamed = {"asymmetric", "unsteady", "misreads", "misplans"}
    assert found & blamed == (blamed if n >= 10 else set())


@pytest.mark.parametrize(("wrong", "blamed"), [(1, False), (10, True)])
def test_a_gain_that_may_be_none_is_no_overconfidence(wrong: int, blamed: bool) -> None:
    """At temperature 2 a right 0.999 loses 0.03 nats and a wrong one gains 3.4: one wrong of
    thirty carries a mean gain of 0.085 alone, and is missing in a third of all resamples."""
    p = np.array([[0.001, 0.999]] * wrong + [[0.999, 0.001]] * (30 - wrong))
    optimal = np.array([[True, False]] * 30)
    gain = measures.nll(p, optimal) - measures.nll(temper(p, 2.0), optimal)
    assert gain[[0, -1]] == pytest.approx([3.42, -0.03], abs=0.01) and gain.mean() > 0.08
    fitted = Temperature(value=2.0, nll_before=1.0, nll_after=0.5, at_bound=False)
    nothing = Probes(blank=None, symmetry=None, repeat=None)
    outcome = dataclasses.replace(silent_but(nothing, None), temperature=fitted)
    scored = Mock(spec=Scores, names=("left", "right"), p=p, optimal=optimal)
    assert ("overconfident" in {finding.code for finding in find(scored, outcome)}) is blamed
