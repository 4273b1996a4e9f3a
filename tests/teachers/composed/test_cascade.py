"""Cascades: who is asked, whose word counts, and where the thresholds come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.teachers import ConfigError, Failure, Label, LabelStore
from lvlm2p.teachers.composed.cascade import NEVER, share_below, threshold_from
from lvlm2p.teachers.wrappers.calibrated import Reliability
from tests.support.composed import VIEWS, cascade, member

SURE, UNSURE, OTHER = (0.8, 0.1, 0.1, 0.0), (0.5, 0.3, 0.1, 0.1), (0.0, 0.9, 0.1, 0.0)
BARS = [
    Reliability(low=0.9, n=10, accuracy=1.0),
    Reliability(low=0.5, n=10, accuracy=0.6),
    Reliability(low=0.7, n=20, accuracy=0.9),
]


def test_the_dear_one_is_asked_where_the_cheap_one_is_unsure(tmp_path: Path) -> None:
    cheap = member("cheap", [SURE, UNSURE, "invalid", SURE], cost_usd=0.0)
    dear = member("dear", [OTHER, OTHER, OTHER, OTHER], cost_usd=1.0)
    with LabelStore(tmp_path) as store:
        teacher = cascade([cheap, dear], store)
        answers = teacher.label(VIEWS)
        assert dear.asked == [VIEWS[1].key, VIEWS[2].key] and len(cheap.asked) == 4
        who = [
            list(answer.probabilities.values()) for answer in answers if isinstance(answer, Label)
        ]
        assert who == [list(SURE), list(OTHER), list(OTHER), list(SURE)]
        assert [answer.cost_usd for answer in answers] == [0.0, 1.0, 1.0, 0.0]
        assert {answer.teacher for answer in answers} == {"cascade:cheap,dear"}
        assert {answer.fingerprint for answer in answers} == {
            teacher.fingerprint_for(VIEWS[0].task)
        }
        assert answers[1].transcript[0].text.startswith("cheap: {")
        assert (teacher.counts.asked, teacher.counts.cost_usd) == (4, 2.0)
        again = cascade([cheap, dear], store, threshold=0.5)
        again.label(VIEWS)
        assert (again.counts.asked, again.counts.cached) == (0, 4)
        assert again.fingerprint != teacher.fingerprint


def test_the_last_ones_failure_is_the_cascades() -> None:
    teacher = cascade([member("cheap", [UNSURE] * 4), member("dear", ["timeout"] * 4)])
    answer = teacher.label(VIEWS[:1])[0]
    assert isinstance(answer, Failure) and answer.message == "dear: it was timeout"
    assert not answer.lasting and answer.cost_usd == 0.25


def test_three_are_asked_in_turn() -> None:
    steps = [member("a", [SURE, UNSURE, UNSURE, UNSURE]), member("b", [OTHER, OTHER, UNSURE, SURE])]
    last = member("c", [OTHER] * 4)
    answers = cascade([*steps, last]).label(VIEWS)
    assert last.asked == [VIEWS[2].key] and len(steps[1].asked) == 3
    assert [getattr(answer, "action", "") for answer in answers] == [
        VIEWS[0].task.action_names[place] for place in (0, 1, 1, 0)
    ]


@pytest.mark.parametrize(
    ("target", "threshold", "asked_on"),
    [
        (1.0, 0.9, 0.75),  # the upper ten are all right
        (0.93, 0.7, 0.25),  # 28 of 30
        (0.94, 0.9, 0.75),
        (0.85, 0.5, 0.0),  # 34 of 40
        (0.86, 0.7, 0.25),
    ],
)
def test_a_threshold_from_a_reliability_diagram(
    target: float, threshold: float, asked_on: float
) -> None:
    assert threshold_from(BARS, target) == threshold
    assert share_below(BARS, threshold) == asked_on


def test_where_nothing_is_reliable_nothing_is_taken() -> None:
    assert threshold_from([Reliability(low=0.9, n=5, accuracy=0.8)], 0.9) == NEVER
    assert threshold_from([], 0.5) == NEVER and share_below([], 0.5) == 1
    assert share_below(BARS, NEVER) == 1


def report(path: Path, fingerprint: str, **more: Any) -> Path:
    row = {
        "teacher": "cheap",
        "task": VIEWS[0].task.name,
        "fingerprint": fingerprint,
        "reliability": [{**bar.model_dump(), "high": 1.0, "confidence": 0.9} for bar in BARS],
    }
    path.write_text(json.dumps({"results": [row | more]}))
    return path


def test_thresholds_come_from_the_members_own_report(tmp_path: Path) -> None:
    members = [member("cheap", [SURE, UNSURE, SURE, SURE]), member("dear", [OTHER] * 4)]
    good = report(tmp_path / "report.json", "f-cheap")
    teacher = cascade(members, calibration=good, target=0.93)
    task = VIEWS[0].task
    assert teacher.threshold(0, task) == 0.7 and teacher.supports(task) is None
    teacher.label(VIEWS)
    assert members[1].asked == [VIEWS[1].key]
    estimate = teacher.estimate(VIEWS)  # a quarter is below: of four states one goes on
    assert (estimate.states, estimate.calls) == (4, 5)
    by_hand = cascade(members, threshold=0.7)
    assert by_hand.fingerprint_for(task) == teacher.fingerprint_for(task)
    assert by_hand.estimate(VIEWS).calls == 8
    with pytest.raises(ConfigError, match="measured cheap, but not cheap as it is configured now"):
        cascade(members, calibration=report(tmp_path / "other.json", "f-other"))
    with pytest.raises(ConfigError, match="does not say how reliable cheap is"):
        cascade(members, calibration=report(tmp_path / "none.json", "f-cheap", reliability=None))
    lava = report(tmp_path / "lava.json", "f-cheap", task="lava-gap")
    with pytest.raises(ConfigError, match="covers lava-gap, not go-to-door"):
        cascade(members, calibration=lava).supports(task)
