"""A training return counts once 100 episodes have ended: in compare and in the benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.acceptance import frames_to_return
from lvlm2p.student.training.metrics import METRICS, read_metrics
from lvlm2p.student.window import Window, windowed
from tests.student.test_assembled import run
from tests.student.test_compare import compared, made

RETURN, EPISODES = "charts/episodic_return", "charts/episodes"

LUCKY = (
    {"frames": 256, RETURN: 0.95, EPISODES: 3, "charts/success": 1.0},
    {"frames": 512, RETURN: 0.40, EPISODES: 60, "charts/success": 0.5},
    {"frames": 768, RETURN: 0.70, EPISODES: 99, "charts/success": 0.9},
    {"frames": 1024, RETURN: 0.75, EPISODES: 100, "charts/success": 0.85},
    {"frames": 1280, RETURN: 0.85, EPISODES: 100, "charts/success": 0.95},
)
"""What a few short episodes say at the beginning, and what a hundred say in the end."""


def recorded(folder: Path, rows: Sequence[Mapping[str, float]], seed: int = 0) -> Path:
    made(folder, seed=seed)
    lines = [",".join(METRICS)]
    lines += [",".join(repr(row[m]) if m in row else "" for m in METRICS) for row in rows]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_handful_of_episodes_reaches_nothing(tmp_path: Path) -> None:
    lucky = recorded(tmp_path / "lucky", LUCKY)
    result = compared(tmp_path, lucky, metric=RETURN, thresholds=(0.5, 0.8, 0.9))
    assert [reach.frames for reach in result.rows[0].reaches] == [(1024,), (1280,), (None,)]
    assert result.rows[0].reaches[2].at_least == 1280
    result = compared(tmp_path, lucky, metric="charts/success", thresholds=(0.8, 0.9))
    assert [reach.frames for reach in result.rows[0].reaches] == [(1024,), (1280,)]
    assert any("once 100 episodes have ended" in note for note in result.notes)
    assert frames_to_return(lucky, 0.8) == 1280
    assert frames_to_return(lucky, 0.9) is None


def test_a_run_too_short_for_a_hundred_episodes_reaches_nothing_and_is_named(
    tmp_path: Path,
) -> None:
    short, whole = recorded(tmp_path / "short", LUCKY[:3]), recorded(tmp_path / "whole", LUCKY, 1)
    result = compared(tmp_path, short, whole, metric=RETURN, thresholds=(0.5,))
    (reach,) = result.rows[0].reaches
    assert reach.frames == (None, 1024) and reach.lasted == (768, 1280)
    (note,) = [note for note in result.notes if "fewer have ended" in note]
    assert str(short) in note and str(whole) not in note
    assert not any("estimated" in note for note in result.notes)


def test_an_evaluation_counts_at_once(tmp_path: Path) -> None:
    rows = [{"frames": 256, EPISODES: 3, RETURN: 0.1, "eval/success": 0.9}]
    result = compared(tmp_path, recorded(tmp_path / "run", rows), thresholds=(0.8,))
    assert result.metric == "eval/success" and result.rows[0].reaches[0].frames == (256,)
    assert not any("episodes have ended" in note for note in result.notes)
    assert windowed("charts/success") and not windowed("eval/return")


def test_of_a_run_recorded_without_the_count_it_is_estimated(tmp_path: Path) -> None:
    """4 environments, episodes of 10 steps: 104 of them are 1,040 frames."""
    rows = [
        {"frames": frames, RETURN: 0.9, "charts/episodic_length": 10.0}
        for frames in (256, 1039, 1040, 2000)
    ]
    assert Window.of(rows, n_envs=4) == Window(1040.0, estimated=True)
    assert Window.of(rows[:2], n_envs=4) == Window(float("inf"), estimated=True)
    assert Window.of([{"frames": 9.0}], n_envs=4) == Window(float("inf"), estimated=False)
    folder = recorded(tmp_path / "old", rows)
    about = json.loads((folder / "versions.json").read_text())
    about["config"]["n_envs"] = 4
    (folder / "versions.json").write_text(json.dumps(about))
    result = compared(tmp_path, folder, metric=RETURN, thresholds=(0.8,))
    assert result.rows[0].reaches[0].frames == (1040,)
    (note,) = [note for note in result.notes if "estimated" in note]
    assert str(folder) in note


def test_training_writes_how_many_episodes_its_charts_are_of(tmp_path: Path) -> None:
    run(tmp_path / "run", "none", frames=2048, eval_every=0)
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.csv") if RETURN in row]
    counts = [row[EPISODES] for row in rows]
    assert counts == sorted(counts) and 0 < counts[0] < 100 and counts[-1] <= 100
    for row in rows:
        if row[EPISODES] < 100:  # all that ended so far: they fit into the frames
            assert row[EPISODES] * row["charts/episodic_length"] <= row["frames"] + 1e-6
            assert row[EPISODES] * row["charts/success"] == pytest.approx(
                round(row[EPISODES] * row["charts/success"])
            )
