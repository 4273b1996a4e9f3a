"""`lvlm2p sweep`: rows, failures, what is done already, one budget, and how it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.student import SweepConfig, TrainConfig, sweep
from lvlm2p.student.sweep import run as module
from lvlm2p.student.sweep.outcome import Assignment, RunOutcome, finished
from lvlm2p.student.training.forecast import announce_all
from lvlm2p.teachers.budget import Spent
from lvlm2p.teachers.errors import ConfigError, RunError, TeacherNotReadyError
from lvlm2p.teachers.options import TeacherOptions
from lvlm2p.teachers.spending import Expense, approval
from tests.test_cli import last_json, run

ENV = "MiniGrid-LavaGapS5-v0"
SMALL = f"""
env: {ENV}
frames: 128
n_envs: 4
n_steps: 16
eval_every: 64
eval_episodes: 2
final_episodes: 2
kl_schedule: constant
kl_minibatches: 2
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL + "teacher: [none, expert]\nseeds: [0, 1]\n")
    return path


# ---------------------------------------------------------------- in this process


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[Assignment]:
    """Runs are trained here, one after the other; the assignments so far."""
    carried: list[Assignment] = []

    def train_them(assignments: Any, workers: int) -> Any:
        for number, assignment in enumerate(assignments):
            carried.append(assignment)
            yield number, assignment.carry_out()

    monkeypatch.setattr(module, "train_here", train_them)
    return carried


def test_rows_for_scripts_and_a_folder_for_compare(
    file: Path, tmp_path: Path, in_process: list[Assignment], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("sweep", file, "--out", out, "--json") == 0
    result = last_json(capsys.readouterr().out)
    assert result == {**result, "done": 4, "failed": 0, "open": 0, "cost_usd": 0.0}
    rows: Any = result["runs"]
    assert [row["options"]["seed"] for row in rows] == [0, 0, 1, 1]
    assert all(row["frames"] == 128 and row["status"] == "done" for row in rows)
    assert all(row["evaluation"]["episodes"] == 2 and row["error"] is None for row in rows)
    assert json.loads((out / "sweep.json").read_text())["runs"] == rows

    assert run("compare", out, "--out", tmp_path / "compare", "--json") == 0
    groups: Any = last_json(capsys.readouterr().out)["groups"]
    assert [group["seeds"] for group in groups] == [[0, 1], [0, 1]]

    in_process.clear()
    assert run("sweep", file, "--out", out) == 0
    shown = capsys.readouterr()
    assert not in_process, "what is done is not repeated"
    assert "4 of them done already" in shown.err and "4 of 4 runs are done" in shown.out

    file.write_text(file.read_text().replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert run("sweep", file, "--out", out, "--json") == 0
    assert [assigned.options["seed"] for assigned in in_process] == [2, 2]


def test_a_run_that_fails_is_a_row_and_the_others_go_on(
    file: Path,
    tmp_path: Path,
    in_process: list[Assignment],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file.write_text(SMALL + "offline: true\nteacher: [gpt-4v, none]\nstore: store\n")
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert run("sweep", file, "--out", out, "--json") == 3
    shown = capsys.readouterr()
    rows: Any = last_json(shown.out)["runs"]
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "1 of 2 runs have failed; the first: " in shown.err and "once more" in shown.err

    file.write_text(SMALL + "teacher: none\nlr: 0.5\n")
    assert run("sweep", file, "--out", out) == 2
    assert "was made with lr = 0.001, not 0.5" in capsys.readouterr().err


def test_a_mistake_of_ours_is_a_row_too(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(config: TrainConfig) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("lvlm2p.student.training.train.train", broken)
    config = TrainConfig(env=ENV, teacher="none", run_dir=tmp_path / "run")
    outcome = Assignment.of(config, tmp_path / "budget.json").carry_out()
    assert outcome.exit_code == 1 and outcome.result is None
    assert outcome.error == "an error that nobody expected: ZeroDivisionError: oh"
    assert "Traceback" in capsys.readouterr().err


def test_two_sweeps_never_share_a_folder(file: Path, tmp_path: Path) -> None:
    with module._folder(tmp_path / "out"), pytest.raises(RunError, match="another sweep is at"):
        sweep(SweepConfig(file=file, out=tmp_path / "out"))


def test_a_finished_run_is_one_with_these_options_and_frames(tmp_path: Path) -> None:
    config = TrainConfig(env=ENV, teacher="none", frames=100, run_dir=tmp_path)
    assert finished(config) is None
    (tmp_path / "result.json").write_text('{"frames": 100}')
    assert finished(config) is None
    (tmp_path / "versions.json").write_text(json.dumps({"config": config.what_counts()}))
    assert finished(config) == {"frames": 100}
    assert finished(config.model_copy(update={"frames": 101})) is None
    assert finished(config.model_copy(update={"lr": 0.5})) is None
    (tmp_path / "result.json").write_text("{")
    assert finished(config) is None


def test_a_run_that_went_wrong_counts_in_the_exit_code(tmp_path: Path) -> None:
    from lvlm2p.student.sweep.plan import plan
    from lvlm2p.student.sweep.result import SweepResult, SweepRow

    [planned] = plan({"env": ENV, "teacher": "none"}, [{}], tmp_path, "test")
    outcomes = [RunOutcome(error="a", exit_code=3), RunOutcome(error="b", exit_code=2)]
    rows = [SweepRow(planned, outcome) for outcome in [*outcomes, None]]
    codes = []
    for some in (rows[:1], rows[1:2], rows, rows[2:]):
        trouble = SweepResult(tmp_path, some, 0.0).trouble()
        codes.append(trouble.exit_code if trouble else 0)
    assert codes == [3, 2, 2, 0]
    assert rows[2].status == "open" and rows[2].as_json()["frames"] is None


# ---------------------------------------------------------------- money


def test_the_price_of_all_runs_is_approved_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(seed: int, env: str = ENV, **more: Any) -> TrainConfig:
        options = {"teacher": "gpt-4v", "store": tmp_path / "store", "frames": 300, **more}
        return TrainConfig(env=env, seed=seed, **options)

    asked: list[Expense] = []
    runs = [config(0), config(1), config(0, teacher="none"), config(0, teacher="expert")]
    with pytest.raises(TeacherNotReadyError, match="OPENAI_API_KEY"):
        announce_all(runs, asked.extend)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    announce_all(runs, asked.extend)
    [both] = asked
    assert both.billed and both.teacher.name == "gpt-4v"
    asked.clear()
    announce_all(runs[:1], asked.extend)
    assert asked[0].estimate.states < both.estimate.states < 2 * asked[0].estimate.states
    asked.clear()
    announce_all([*runs, config(0, env="MiniGrid-GoToDoor-5x5-v0")], asked.extend)
    assert len(asked) == 2, "one for each environment"
    with pytest.raises(ConfigError, match="no terminal to confirm it on"):
        announce_all([config(0, frames=2_000_000, env="MiniGrid-GoToDoor-8x8-v0")],
                     approval(TeacherOptions()))  # fmt: skip


def test_one_budget_for_all_processes(tmp_path: Path) -> None:
    ledger = tmp_path / "budget.json"
    first, second = (
        TeacherOptions(budget_calls=3, budget_usd=1).sharing_budget(ledger).new_budget()
        for _ in range(2)
    )
    assert first is not None and second is not None
    assert first.refusal() is None and second.refusal() is None
    first.charge(0.25)
    second.charge(0.25)
    assert first.spent is None and first.calls_left == second.calls_left == 1
    second.release()
    assert first.calls_left == 2
    assert first.refusal() is None and second.refusal() is None
    assert first.refusal() == second.refusal() == "the budget of 3 calls is spent"
    second.keep(2)
    found = Spent.model_validate_json(ledger.read_bytes())
    assert (found.calls, found.kept, found.usd, found.charged) == (3, 2, 0.5, True)
    more = TeacherOptions(budget_calls=4).sharing_budget(ledger).new_budget()
    assert more is not None and more.refusal() is None and more.calls_left == 0


def test_the_budget_is_the_sweeps(
    file: Path, tmp_path: Path, in_process: list[Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SMALL + "teacher: [tiny-vl]\nseeds: [0, 1]\nstore: store\n")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    result = sweep(SweepConfig(file=file, out=out, budget_calls=6))
    labels = [row.as_json()["labels"] for row in result.rows]
    assert sum(each["asked"] for each in labels) == 3, "two calls an answer"
    assert all(each["missing"] > 0 for each in labels)
    assert json.loads((out / "budget.json").read_bytes())["calls"] == 6
    assert not list(out.rglob("seed-*/budget.json"))


# ---------------------------------------------------------------- real processes


def started(file: Path, out: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "lvlm2p",
        "sweep",
        str(file),
        "--out",
        str(out),
        "--workers",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def rows_in(metrics: Path) -> int:
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_a_sweep_that_is_stopped_goes_on_with_the_same_result(
    tmp_path: Path, number: signal.Signals, in_process: list[Assignment]
) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(SMALL.replace("frames: 128", "frames: 20k") + "teacher: none\n")
    folder = tmp_path / "out" / ENV / "ppo_none" / "seed-0"
    process = started(file, tmp_path / "out")
    while rows_in(folder / "metrics.csv") < 5 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert process.returncode == 130, said
        assert "stopped: 0 of 1 runs are done, the same command goes on" in said
        assert (folder / "checkpoint" / "state.json").exists()
    frames = json.loads((folder / "checkpoint" / "state.json").read_text())["state"]["frames"] + 640
    file.write_text(file.read_text().replace("frames: 20k", f"frames: {frames}"))
    result = sweep(SweepConfig(file=file, out=tmp_path / "out"))  # waits for the worker's end
    assert result.count("done") == 1
    straight = sweep(SweepConfig(file=file, out=tmp_path / "straight"))
    assert straight.count("done") == 1 and len(in_process) == 2
    curves = [next((tmp_path / name).rglob("metrics.csv")).read_bytes() for name in
              ("out", "straight")]  # fmt: skip
    assert curves[0] == curves[1]
