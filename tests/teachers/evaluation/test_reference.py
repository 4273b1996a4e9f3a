"""`evaluate --reference`: accuracy against a student or a label set, where nobody knows better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.cli import main
from lvlm2p.teachers.evaluation.reference import likeliest
from lvlm2p.teachers.label import Label

POLE = "CartPole-v1"
FEW = ["--states", "12", "--episodes", "0", "--probes", "0", "--json"]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVLM2P_STORE", str(tmp_path / "store"))


def evaluated(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["evaluate", *words]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out.splitlines()[-1])["results"][0]


def test_the_likeliest_actions_are_the_reference() -> None:
    label = Label(
        task="t",
        teacher="t",
        fingerprint="f",
        model="m",
        probabilities={"a": 0.4, "b": 0.4, "c": 0.2},
        elicitation="exact",
    )
    assert likeliest(label) == {"a", "b"}


def test_a_student_as_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    words = ["--teacher", "none", "--frames", "64", "--n-envs", "2", "--n-steps", "16"]
    words += ["--final-episodes", "1", "--no-progress", "--run-dir", run]
    assert main(["train", "--env", POLE, *words]) == 0
    capsys.readouterr()
    out = str(tmp_path / "report")
    against = ["--env", POLE, "--teacher", "random", *FEW]
    found = evaluated(capsys, *against, "--reference", f"student:{run}", "--out", out)
    assert found["top1"]["value"] == 0.5  # a uniform answer agrees with one of two by half
    assert "agree with student:" in (tmp_path / "report" / "report.md").read_text()
    assert main(["evaluate", "--env", "Acrobot-v1", *against[2:], "--reference", f"student:{run}"])
    assert "has learned CartPole-v1" in capsys.readouterr().err


def test_a_label_set_as_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake, labels = "FrozenLake-v1?is_slippery=false", str(tmp_path / "l.parquet")
    words = ["--teacher", "expert", "-T", "error_rate=1", "--states", "8", "--out", labels]
    assert main(["label", "--env", lake, *words]) == 0
    capsys.readouterr()
    against = ["--env", lake, "--teacher", "expert", *FEW]
    assert evaluated(capsys, *against)["top1"]["value"] == 1
    found = evaluated(capsys, *against, "--reference", labels)
    assert found["states"] == 8
    assert found["top1"]["value"] < 0.2  # the reference is always wrong


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--env", POLE, "--teacher", "random", *FEW[:-1]]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "nobody knows the optimal actions" in said
    assert "a success is a return of at least 475" in said
