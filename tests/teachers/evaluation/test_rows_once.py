"""A baseline that is named as a teacher, ties between two teachers, reports that are there."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lvlm2p.teachers.evaluation import EvaluateConfig, Report, evaluate
from lvlm2p.teachers.evaluation.report.markdown import markdown
from lvlm2p.teachers.evaluation.report.page import page
from lvlm2p.teachers.evaluation.report.terminal import summarise
from tests.support.evaluation import ENVS

DOOR = ENVS[1]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    config = EvaluateConfig(
        teacher=["expert", "random"],
        env=[DOOR],
        states=40,
        episodes=2,
        probes=0,
        store=tmp_path_factory.mktemp("store"),
    )
    return evaluate(config, partial(config.load_teacher, budget=config.new_budget()))


def test_a_baseline_named_as_a_teacher_is_one_row(report: Report) -> None:
    """The expert as a teacher is 90% sure, and the baseline is certain: two rows, two names."""
    rows = report.results.by_environment()
    assert [(row.teacher, row.baseline) for row in rows] == [
        ("expert", False),
        ("random", False),
        ("expert", True),
    ]
    assert [report.results.is_baseline(row) for row in rows] == [False, True, True]
    assert len(report.results.baselines) == 2  # report.json keeps all that was measured
    said = markdown(report.results)
    assert [line.split(" |")[0] for line in said.splitlines() if DOOR in line and "|" in line] == [
        *("| expert", "| *random* (baseline)", "| *expert* (baseline)"),
    ]
    shown = io.StringIO()
    Console(file=shown, width=100).print(summarise(report.results))
    first = [line.strip().split("  ")[0] for line in shown.getvalue().splitlines()]
    assert [
        name for name in first if name.startswith(("expert", "random")) and ":" not in name
    ] == [
        *("expert", "random (baseline)", "expert (baseline)"),
    ]
    assert page(report).count('<th scope="row" data-sort="random">') == 1


def test_ties_are_no_agreement(report: Report) -> None:
    """The planner's choice is shared out over its k best of n actions, the other's over all n:
    they have k/n in common, which is random's own top-1."""
    (agreement,) = report.results.agreement
    views = [case.view for case in report.cases[DOOR]]
    n = len(views[0].task.action_names)
    shares = [len(view.task.plan(view).actions) / n for view in views]
    assert agreement.same.value == pytest.approx(float(np.mean(shares)))
    uniform = report.results.results[1]
    assert uniform.top1 is not None
    assert agreement.same.value == pytest.approx(uniform.top1.value)
    assert agreement.same.value < 0.6
    html = page(report)
    assert "of equally probable actions each counts in part" in html


def test_the_same_teacher_twice_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="expert is named twice"):
        EvaluateConfig(teacher=["expert", "random", "expert"], env=[DOOR])


def lvlm2p(*argv: object) -> int:
    from lvlm2p import cli

    return cli.main([str(each) for each in argv])


def test_a_report_that_is_there_is_not_replaced_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    few = ("--env", DOOR, "--states", 4, "--episodes", 0, "--probes", 0, "--out", out)
    assert lvlm2p("evaluate", "--teacher", "random", *few, "--store", tmp_path / "a") == 0
    before = (out / "report.json").read_bytes()
    capsys.readouterr()
    again = ("evaluate", "--teacher", "expert", *few, "--store", tmp_path / "b", "--seed", 5)
    assert lvlm2p(*again) == 2
    said = capsys.readouterr().err
    assert f"there is a report in {out} already" in said and "--overwrite" in said
    assert (out / "report.json").read_bytes() == before
    assert not (tmp_path / "b").exists()  # nobody was asked
    assert lvlm2p(*again, "--overwrite") == 0
    assert (out / "report.json").read_bytes() != before
    assert not list(out.glob(".*"))


def test_a_folder_without_a_report_may_hold_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    few = ("--env", DOOR, "--states", 4, "--episodes", 0, "--probes", 0, "--out", tmp_path)
    assert lvlm2p("evaluate", "--teacher", "random", *few, "--store", tmp_path / "a") == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
