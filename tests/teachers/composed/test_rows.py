"""An ensemble in an evaluation: a row for each member beside it, and nobody asked twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lvlm2p.teachers import LabelStore, StoredTeacher, Teacher
from lvlm2p.teachers.evaluation import EvaluateConfig, evaluate
from lvlm2p.teachers.evaluation.candidates import Candidate
from lvlm2p.teachers.evaluation.forecast import forecast
from lvlm2p.teachers.evaluation.measuring import EvalSpec
from lvlm2p.teachers.evaluation.states import draw_states
from tests.support.composed import ensemble, member
from tests.test_cli import last_json, run

DOOR = "MiniGrid-GoToDoor-5x5-v0"
BOTH = "ensemble:gemini,claude"


def configure(*teachers: str, **more: Any) -> EvaluateConfig:
    return EvaluateConfig.model_validate({"teacher": list(teachers), "env": [DOOR]} | more)


def test_members_get_rows_before_the_ensemble() -> None:
    assert configure(BOTH).measured() == ["gemini", "claude", BOTH]
    assert configure(BOTH, "claude").measured() == ["gemini", "claude", BOTH]
    assert configure(BOTH, members=False).measured() == [BOTH]
    assert configure(BOTH, labels=Path("x.parquet")).measured() == [BOTH]


def test_whose_options_are_whose() -> None:
    args = {"gemini.shots": "1", f"{BOTH}.weights": "2,1", f"{BOTH}.claude.reask": "0"}
    config = configure(BOTH, "expert", teacher_args=args)
    assert config.options_of("gemini") == {"shots": "1"}
    assert config.options_of("claude") == {"reask": "0"}
    assert config.options_of("expert") == {}
    assert config.options_of(BOTH) == {"weights": "2,1", "gemini.shots": "1", "claude.reask": "0"}
    named = configure(BOTH, "gemini", teacher_args={"gemini.shots": "1"})
    assert named.options_of("gemini") == {"shots": "1"}
    assert named.options_of(BOTH) == {"gemini.shots": "1"}
    shared = configure(BOTH, shots=2)
    assert shared.options_of("claude") == {"shots": 2}
    shared.check_options()
    with pytest.raises(ValueError, match="'qwen' is not among the teachers"):
        configure(BOTH, teacher_args={"qwen.shots": "1"})


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("evaluate", "--teacher", "ensemble:expert,random", "--env", DOOR, "--states", "8",
             "--episodes", "1", "--probes", "2", "--store", tmp_path, "--json")  # fmt: skip
    assert run(*asked, "-T", "expert.confidence=0.6", "-T", "weights=3,1") == 0
    rows = last_json(capsys.readouterr().out)["results"]
    assert isinstance(rows, list)
    assert [row["teacher"] for row in rows] == ["expert", "random", "ensemble:expert,random"]
    by_name = {row["teacher"]: row["mass"]["value"] for row in rows}
    pool = 0.75 * by_name["expert"] + 0.25 * by_name["random"]
    assert by_name["ensemble:expert,random"] == pytest.approx(pool)


def test_states_are_asked_once_and_the_forecast_counts_them_once(tmp_path: Path) -> None:
    members = {name: member(name, ["refusal"] * 4) for name in ("a", "b")}
    for one in members.values():
        one._answer = lambda view, teacher: teacher.label_for(view)
    whole = ensemble(list(members.values()))
    cases = draw_states(DOOR, 6, 0)
    spec = EvalSpec(DOOR, cases, 0, 0, 0)
    alone = forecast(Candidate("ensemble:a,b", whole), spec)
    assert (alone.states, alone.calls) == (6, 12)
    beside = forecast(Candidate("ensemble:a,b", whole, members=("a", "b")), spec)
    assert (beside.states, beside.calls) == (0, 0)

    with LabelStore(tmp_path) as store:

        def load(name: str, sample: int = 0) -> Teacher:
            if name.startswith("ensemble"):
                return ensemble(list(members.values()), store)
            return StoredTeacher(members[name], store)

        config = configure("ensemble:a,b", "a", states=6, episodes=0, probes=0)
        report = evaluate(config, load, lambda what, done, total: None)
    assert [row.teacher for row in report.results.results] == ["a", "b", "ensemble:a,b"]
    assert [len(one.asked) for one in members.values()] == [6, 6]
