"""`compare runs/`: all runs in a folder, less those that can't be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvlm2p.student.comparison.runs import read_runs
from lvlm2p.teachers.errors import RunError
from tests.student.test_compare import compared, made

METRICS = ("charts/episodic_return", "eval/success")


def test_a_folder_of_runs_is_all_of_them_in_their_order(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, seed in (("train-10", 3), ("train-2", 2), ("train", 1), ("more/a", 4)):
        made(runs / name, seed=seed)
    found, left_out = read_runs([runs], METRICS, None)
    assert [run.folder.relative_to(runs).as_posix() for run in found] == [
        *("more/a", "train", "train-2", "train-10"),
    ]
    assert left_out == []
    twice, _ = read_runs([runs / "train", runs], METRICS, None)
    assert len(twice) == 4
    (group,) = compared(tmp_path, runs).rows
    assert [run.seed for run in group.group.runs] == [4, 1, 2, 3]


def test_what_can_not_be_compared_is_left_out_and_named(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    made(runs / "a", seed=1)
    made(runs / "b", seed=1)
    made(runs / "c", seed=2)
    (runs / "c" / "metrics.csv").write_text("frames,eval/success\n")
    made(runs / "d", [None, None], seed=3)
    found, left_out = read_runs([runs], METRICS, "eval/success")
    assert [run.folder.name for run in found] == ["a"]
    for text, says in zip(left_out, ("same run", "no values yet", "no values of"), strict=True):
        assert text.startswith("Left out: ") and says in text
    result = compared(tmp_path, runs, metric="eval/success")
    assert set(left_out) <= set(result.as_json()["notes"])


def test_what_is_named_itself_is_not_left_out(tmp_path: Path) -> None:
    empty = made(tmp_path / "runs" / "a")
    (empty / "metrics.csv").write_text("frames,eval/success\n")
    with pytest.raises(RunError, match="no values yet"):
        read_runs([empty], METRICS, None)
    with pytest.raises(RunError, match=r"nothing to compare: Left out: .*no values yet"):
        read_runs([tmp_path / "runs"], METRICS, None)
    with pytest.raises(RunError, match="there is no run in"):
        read_runs([tmp_path / "elsewhere"], METRICS, None)
