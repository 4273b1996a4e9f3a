"""A fitted temperature reaches the labels that a student learns from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lvlm2p.envs import View, task_named
from lvlm2p.teachers import Failure, Label
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.evaluation import EvaluateConfig, evaluate, evaluate_teacher, write_report
from lvlm2p.teachers.evaluation.states import draw_states
from lvlm2p.teachers.expert import ExpertTeacher
from lvlm2p.teachers.wrappers.calibrated import CalibratedTeacher, calibrated, temper
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Planted


def views(env_id: str, n: int, seed: int = 0) -> list[View]:
    return [case.view for case in draw_states(env_id, n, seed)]


def overconfident() -> Planted:
    return Planted("sure", planted.overconfident)


def test_tempering_by_hand() -> None:
    # square roots of 0.64, 0.32 and 0.04, and their squares, each divided by the sum
    p = np.array([0.64, 0.32, 0.04])
    roots = np.array([0.8, 0.32**0.5, 0.2])
    assert temper(p, 2.0) == pytest.approx(roots / roots.sum())
    assert temper(p, 0.5) == pytest.approx(p**2 / (p**2).sum())
    assert temper(p, 1.0) == pytest.approx(p)
    # a stated 0 is read as a thousandth
    assert temper(np.array([1.0, 0.0]), 1.0) == pytest.approx([1 / 1.001, 0.001 / 1.001])


def test_labels_are_tempered_and_failures_pass() -> None:
    asked = views(ENVS[1], 60)
    inner = Planted("flaky", planted.flaky)
    teacher = CalibratedTeacher(inner, {"go-to-door": 2.0})
    for before, after in zip(inner.label(asked), teacher.label(asked), strict=True):
        assert type(before) is type(after)
        if isinstance(before, Label) and isinstance(after, Label):
            p = np.array(list(before.probabilities.values()))
            assert list(after.probabilities.values()) == pytest.approx(temper(p, 2.0).tolist())
            assert after.action == before.action
            assert after.transcript == before.transcript
        else:
            assert isinstance(after, Failure)
    assert teacher.counts is inner.counts


def test_the_temperature_is_in_the_fingerprint_of_its_task_alone() -> None:
    door, lava = task_named("go-to-door"), task_named("lava-gap")
    inner = ExpertTeacher()
    one, other = (CalibratedTeacher(inner, {"go-to-door": t, "lava-gap": 3.0}) for t in (2.0, 2.5))
    assert len({inner.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert one.fingerprint_for(door) != other.fingerprint_for(door)
    assert one.fingerprint_for(lava) == other.fingerprint_for(lava)
    label = one.label(views(ENVS[1], 1))[0]
    assert label.fingerprint == one.fingerprint_for(door)


def test_a_task_that_was_not_measured_is_refused() -> None:
    teacher = CalibratedTeacher(ExpertTeacher(), {"go-to-door": 2.0})
    assert teacher.supports(task_named("go-to-door")) is None
    assert "covers go-to-door, not lava-gap" in (teacher.supports(task_named("lava-gap")) or "")


def test_from_a_report_to_better_labels_on_other_states(tmp_path: Path) -> None:
    config = EvaluateConfig(
        teacher=["sure"], env=[ENVS[1]], states=150, episodes=0, probes=0, out=tmp_path
    )
    report = evaluate(config, lambda name, sample=0: overconfident(), lambda *_: None)
    write_report(report, tmp_path)
    fitted = report.results.results[0].temperature
    assert fitted is not None
    teacher = calibrated(overconfident(), tmp_path / "report.json")
    assert teacher.temperatures == {"go-to-door": pytest.approx(fitted.value)}
    fresh = views(ENVS[1], 150, seed=9)
    before, after = (
        evaluate_teacher(t, ENVS[1], states=fresh, episodes=0, probes=0)
        for t in (overconfident(), teacher)
    )
    assert before.nll is not None
    assert after.nll is not None
    assert after.nll.value < before.nll.value - 0.3
    assert after.top1 == before.top1
    with pytest.raises(ConfigError, match="measured sure, but not expert"):
        calibrated(ExpertTeacher(), tmp_path / "report.json")


def test_several_environments_of_a_task_share_one_temperature(tmp_path: Path) -> None:
    inner = ExpertTeacher()
    row = {"teacher": "expert", "task": "go-to-door"}
    row["fingerprint"] = inner.fingerprint_for(task_named("go-to-door"))
    rows = [{**row, "temperature": {"value": t}} for t in (1.0, 4.0)]
    rows.append({**row, "task": "no-such-task", "temperature": {"value": 9.0}})
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"results": rows}))
    assert calibrated(inner, path).temperatures == {"go-to-door": pytest.approx(2.0)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not a report"),
        ("[]", "is not a report"),
        ('{"results": 7}', "is not a report"),
        ('{"results": ["x"]}', "is not a report"),
        ('{"results": []}', "measured nobody"),
    ],
)
def test_a_file_that_is_no_report(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        calibrated(ExpertTeacher(), path)


@pytest.mark.parametrize("value", [None, {"value": 0}, {"value": -1.0}, {"value": "2"}, {}])
def test_a_report_without_a_usable_temperature(tmp_path: Path, value: object) -> None:
    inner = ExpertTeacher()
    row = {"teacher": "expert", "task": "go-to-door", "temperature": value}
    row["fingerprint"] = inner.fingerprint_for(task_named("go-to-door"))
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"results": [row]}))
    with pytest.raises(ConfigError, match="no temperature for expert"):
        calibrated(inner, path)
    with pytest.raises(ConfigError, match="can't read"):
        calibrated(inner, tmp_path / "none.json")
