"""What the benchmarks of speed compare is comparable, and a profile's parts add up."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import efficiency_report, profile_ppo, throughput
from benchmarks.efficiency_record import ABOUT, Measured, measured, write_record
from benchmarks.peers import one_file, stable_baselines, task
from examples import cleanrl_ppo


def test_each_project_has_its_part() -> None:
    for part, _ in throughput.PPO.values():
        file, _, name = part.rpartition(".")
        held = importlib.import_module(f"benchmarks.peers.{file}") if file else throughput
        assert callable(getattr(held, name))
    for part in (*throughput.STEPPING.values(), *throughput.TEACHING.values()):
        assert callable(getattr(throughput, part))


def test_networks_are_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 50_000
    _, theirs = stable_baselines.stable_baselines(4, size)
    for name in ("Agent", "make"):  # set in the example, for a process of its own
        monkeypatch.setattr(cleanrl_ppo, name, getattr(cleanrl_ppo, name))
    _, one = one_file.one_file(4, size)
    assert theirs == one == pytest.approx(size, rel=0.02)


def test_the_flat_grid_holds_the_grid_and_the_mission() -> None:
    env = task.FlatGrid()
    seen, _ = env.reset(seed=1)
    assert seen.shape == (task.INPUTS,) and env.observation_space.contains(seen)
    mission = env.unwrapped.mission.split()  # type: ignore[attr-defined] # MiniGrid has it
    bag = seen[-len(task.WORDS) :]
    assert {word for word, there in zip(task.WORDS, bag, strict=True) if there} == set(mission)


def test_ratios_are_taken_within_a_round() -> None:
    rounds = throughput.Rounds.__new__(throughput.Rounds)
    rounds.found = {
        ("PPO", "a", 1): [{"speed": 4.0}, {"speed": 40.0}, {"speed": 9.0}],
        ("PPO", "b", 1): [{"speed": 2.0}, {"speed": 20.0}, {"speed": 1.0}],
    }
    assert rounds.ratio("PPO", "a", "b", 1) == 2 and rounds.median("PPO", "b", 1) == 2


def test_a_profile_charges_each_part_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "process_time", lambda: now)

    def spend(seconds: float) -> None:
        nonlocal now
        now += seconds

    clock = profile_ppo.Clock()
    inner = clock.watching("inner", spend)

    def items() -> Iterator[int]:
        for item in range(3):
            spend(10)
            yield item

    def outer() -> list[int]:
        spend(1)
        inner(5)
        found = []
        for item in clock.watching_each("items", items)():
            spend(0.5)
            found.append(item)
        return found

    assert clock.watching("outer", outer)() == [0, 1, 2]
    assert clock.seconds == {"rest of training": 0, "outer": 2.5, "inner": 5, "items": 30}


def run(row: str, seed: int, reached: int | None) -> Measured:
    about = dict.fromkeys(ABOUT, "") | {"task": "lava", "algo": "ppo", "row": row, "seed": seed}
    about |= {"quality": "" if row == "tuned-none" else "good", "cpu_seconds": 2.5}
    metrics = ("eval/return", "charts/episodic_return")
    frames = {(metric, level): reached for metric in metrics for level in (0.5, 0.8, 0.9)}
    return Measured(about, {64: 0.25, 128: 0.875}, frames, 2048, 0.98, 0.5, 17, 20)


def test_what_was_measured_elsewhere_stays_in_the_record(tmp_path: Path) -> None:
    runs = [run("tuned-none", 100, None), run("tuned-none", 101, 900), run("fast", 100, 100)]
    write_record(runs, tmp_path / "record.csv")
    assert measured(tmp_path / "no-runs-here", tmp_path / "record.csv") == runs
    assert measured(tmp_path, tmp_path / "no-record.csv") == []


def test_a_ratio_is_of_medians_and_never_is_more_than_any_frames() -> None:
    alone = [run("tuned-none", seed, frames) for seed, frames in enumerate([None, 900, 500])]
    taught = [run("fast", seed, frames) for seed, frames in enumerate([100, 120, 80])]
    lines = efficiency_report.table([*alone, *taught]).splitlines()
    assert "| 900 (1 of 3 never) |" in lines[2] and "| 9.0 |" in lines[3]
    never = [run("tuned-none", seed, None) for seed in range(3)]
    assert "| > 20 |" in efficiency_report.table([*never, *taught]).splitlines()[3]


def test_everything_that_is_profiled_is_there() -> None:
    for names in profile_ppo.WATCHED.values():
        assert all(callable(pkgutil.resolve_name(name)) for name in names)
