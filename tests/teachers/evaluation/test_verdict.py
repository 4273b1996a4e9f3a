"""A verdict quotes what the benchmark wrote, and only about teachers of the same level."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import acceptance
from lvlm2p.teachers.evaluation import benchmark as figures
from lvlm2p.teachers.evaluation.benchmark import Benchmark, Taught, benchmark
from lvlm2p.teachers.evaluation.verdict import ADVICE, advice


def measured(*taught: Taught) -> Benchmark:
    return Benchmark(
        command="x", date="x", env="x", frames=1, seeds=1, alone=(0.1, 0.1), taught=taught
    )


def test_the_figures_of_teachers_of_this_level_are_quoted() -> None:
    found = measured(
        Taught(teacher=0.97, students=(0.98, 1.0)),
        Taught(teacher=0.85, students=(0.9, 0.95)),
        Taught(teacher=0.84, students=(0.4, 0.4)),
    )
    assert advice("strong", found) == (
        "In our benchmark students of simulated teachers of 0.97 and 0.85, with independent "
        "errors, ended at 0.90 to 1.00, where students alone reach 0.10. "
        "Distil its most probable action."
    )
    assert "a simulated teacher of 0.84, with independent errors, ended at 0.40," in advice(
        "useful", found
    )
    assert advice("doubtful", found) == ADVICE["doubtful"]
    assert advice("no", found) == ADVICE["no"]


def test_the_benchmark_writes_what_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "benchmark.json")
    success = {name: [0.5, 1.0, 0.75] for name in acceptance.VERDICTS} | {"door-none": [0.1, 0.2]}
    acceptance.write_verdicts(success, {name: [0.25, 0.75] for name in acceptance.VERDICTS})
    written = Benchmark.model_validate_json((tmp_path / "benchmark.json").read_bytes())
    assert written.taught == (Taught(teacher=0.5, students=(0.5, 1.0)),) * 4
    assert (written.alone, written.seeds, written.frames) == ((0.1, 0.2), 2, 20_000)
    assert written.env == benchmark().env
