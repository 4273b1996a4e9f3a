"""A baseline that is named as a teacher, ties between two teachers, reports that are there."""

from __future__ import annotations

import io
from functools import partial

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
