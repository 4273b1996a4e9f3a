"""A verdict quotes what the benchmark wrote on its task, about teachers of the same level."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import acceptance
from lvlm2p.teachers.evaluation import benchmark as figures
from lvlm2p.teachers.evaluation.benchmark import (
    CAUTIOUS,
    Benchmark,
    Benchmarks,
    Taught,
    Thresholds,
    benchmark,
    benchmarks,
    thresholds_of,
)
from lvlm2p.teachers.evaluation.results import Acting, Interval
from lvlm2p.teachers.evaluation.verdict import ADVICE, advice, judge_teacher

MEASURED = ["go-to-door", "lava-gap", "fetch", "dynamic-obstacles"]


def taught(teacher: float, *students: float, top1: float = 0.9) -> Taught:
    return Taught(teacher=teacher, top1=top1, students=(students[0], students[-1]))


def measured(*rows: Taught, thresholds: Thresholds = CAUTIOUS) -> Benchmark:
    return Benchmark(
        task="t", env="T-v0", date="x", frames=1, seeds=1, alone=(0.1, 0.1), taught=rows,
        thresholds=thresholds,
    )  # fmt: skip


def test_the_figures_of_teachers_of_this_level_are_quoted() -> None:
    found = measured(taught(0.97, 0.98, 1.0), taught(0.85, 0.9, 0.95), taught(0.84, 0.4))
    assert advice("strong", found) == (
        "In our benchmark on T-v0 students of simulated teachers of 0.97 and 0.85, with "
        "independent errors, ended at 0.90 to 1.00, where students alone reach 0.10. "
        "Distil its most probable action."
    )
    assert "a simulated teacher of 0.84, with independent errors, ended at 0.40," in advice(
        "useful", found
    )
    assert advice("doubtful", found) == ADVICE["doubtful"]
    assert advice("no", found) == ADVICE["no"]
    assert advice("strong", None) == ADVICE["strong"], "no other task's figures"


def test_a_threshold_lies_between_what_was_enough_and_what_was_not() -> None:
    rows = (
        taught(1.0, 0.95, top1=0.99), taught(0.9, 0.94, 1.0, top1=0.97),
        taught(0.7, 0.3, top1=0.9), taught(0.6, 0.2, top1=0.8),
    )  # fmt: skip
    found = thresholds_of(rows, (0.0, 0.25))
    assert found == Thresholds(acting=(0.95, 0.65), top1=(0.98, 0.85))
    assert thresholds_of(rows[:1], (0.0, 0.25)) == CAUTIOUS, "never below what is cautious"
    low = thresholds_of((taught(0.9, 1.0), taught(0.2, 0.1, top1=0.3)), (0.0, 0.25))
    assert low == Thresholds(acting=(0.85, 0.55), top1=(0.95, 0.8))
    never = thresholds_of((taught(0.99, 0.2, top1=0.98), taught(0.9, 1.0)), (0.0, 0.25))
    assert never == Thresholds(acting=(0.99, 0.99), top1=(0.98, 0.98))
    alone = thresholds_of((taught(0.9, 1.0), taught(0.6, 0.9)), (0.9, 1.0))
    assert alone == Thresholds(acting=(0.85, 0.85), top1=(0.95, 0.9)), "alone it ends as well"


def test_the_same_teacher_is_judged_by_its_own_task() -> None:
    rate = Interval(value=0.9, low=0.88, high=0.92, n=500)
    acting = Acting(success=rate, episode_return=rate, length=rate, unanswered=0.0)

    def level(figures: Benchmark | None) -> str:
        return judge_teacher(9, rate, rate, acting, None, None, figures).level

    strict = Thresholds(acting=(0.95, 0.5), top1=(0.95, 0.8))
    assert level(None) == level(measured()) == "strong"
    assert level(measured(thresholds=strict)) == "useful"


def test_each_task_in_the_file_has_the_thresholds_of_its_figures() -> None:
    assert [found.task for found in benchmarks().tasks] == MEASURED
    for found in benchmarks().tasks:
        assert found.thresholds == thresholds_of(found.taught, found.alone), found.task
        assert benchmark(found.task) is found
    assert benchmark("door-key") is None


def test_the_benchmark_writes_what_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(figures.FILE, tmp_path / "benchmark.json")
    before = benchmarks().tasks
    monkeypatch.setattr(figures, "FILE", tmp_path / "benchmark.json")
    rows = [f"lava-{end}" for end in acceptance.TAUGHT]
    success = {name: [0.5, 1.0, 0.75] for name in rows} | {"lava-none": [0.1, 0.2]}
    acceptance.write_verdicts(success, {name: [0.25, 0.75] for name in rows})
    written = Benchmarks.model_validate_json((tmp_path / "benchmark.json").read_bytes()).tasks
    lava = written[1]
    assert [each.students for each in lava.taught] == [(0.5, 1.0)] * 4
    assert [each.teacher for each in lava.taught] == [0.5] * 4
    assert [each.top1 for each in lava.taught] == [0.995, 0.95, 0.9, 0.8]
    assert (lava.alone, lava.seeds, lava.frames) == ((0.1, 0.2), 2, 20_000)
    assert lava.env == "MiniGrid-LavaGapS6-v0"
    others = [found for found in written if found is not lava]
    assert others == [found for found in before if found.task != "lava-gap"]
