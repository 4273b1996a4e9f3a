"""Several seeds trained together come to what each comes to by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx
from safetensors.torch import load_file

from lvlm2p.cli import main
from lvlm2p.student import TrainCommand, TrainConfig, load_student, train, train_seeds
from lvlm2p.student.comparison.runs import read_runs
from lvlm2p.student.models.inputs import Inputs
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.models.stacked import StackedPolicies, stacked_inputs
from lvlm2p.student.training.evaluation import evaluation_of
from lvlm2p.student.training.metrics import read_metrics
from lvlm2p.teachers.errors import RunError

DOOR = "MiniGrid-GoToDoor-5x5-v0"
SEEDS = (5, 2, 9)
SMALL: dict[str, Any] = {
    "env": "MiniGrid-LavaGapS5-v0",
    "frames": 400,
    "n_envs": 4,
    "batch_size": 32,
    "kl_minibatches": 3,
    "eval_every": 100,
    "eval_episodes": 4,
    "final_episodes": 4,
    "progress": False,
}


@pytest.fixture
def precise() -> Iterator[None]:
    """Numbers of 64 bits: a run is chaotic, and what rounding does to 32 of them is soon large."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def alone(folder: Path, seed: int, **options: Any) -> None:
    train(TrainConfig.model_validate({**SMALL, "run_dir": folder, "seed": seed, **options}))


def command(folder: Path, **options: Any) -> TrainCommand:
    return TrainCommand.model_validate({**SMALL, "run_dir": folder, "seeds": SEEDS, **options})


def check_same(one: Path, other: Path) -> None:
    """Two runs' weights, numbers and results, timing aside."""
    first, second = (load_file(folder / "student.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=1e-6)
    rows, others = (list(read_metrics(folder / "metrics.csv")) for folder in (one, other))
    assert len(rows) == len(others)
    for row, same in zip(rows, others, strict=True):
        assert same == approx(row, rel=1e-3, abs=1e-5)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for result in results:
        del result["run_dir"], result["seconds"]
        labels = result["labels"]  # who asked first depends on who else is there
        result["labels"] = labels["asked"] + labels["cached"]
        if result["label_set"] is not None:
            del result["label_set"]["fingerprint"]
    assert results[0] == results[1]


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("teacher", ["expert", "none"])
@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_each_seed_is_the_run_that_it_is_by_itself(
    tmp_path: Path, precise: None, algo: str, teacher: str
) -> None:
    options = {"algo": algo, "teacher": teacher}
    result = train_seeds(command(tmp_path / "together", **options))
    assert [run.run_dir.name for run in result.done] == ["seed-5", "seed-2", "seed-9"]
    for seed in SEEDS:
        alone(tmp_path / f"alone-{seed}", seed, **options)
        check_same(tmp_path / f"alone-{seed}", tmp_path / f"together/seed-{seed}")


def test_missions_differ_and_runs_get_apart(tmp_path: Path, precise: None) -> None:
    # whoever has caught up makes longer rollouts, and fewer replays after each
    options = {"env": DOOR, "n_steps": 4, "n_steps_later": 16, "kl_images": 2, "kl_frames": 100}
    options |= {"teacher_return": 0.8, "frames": 1_600, "ask": "entropy:0.5"}
    train_seeds(command(tmp_path / "together", **options))
    lengths = []
    for seed in SEEDS:
        alone(tmp_path / f"alone-{seed}", seed, **options)
        check_same(tmp_path / f"alone-{seed}", tmp_path / f"together/seed-{seed}")
        lengths.append(len(list(read_metrics(tmp_path / f"alone-{seed}/metrics.csv"))))
    assert len(set(lengths)) > 1


def test_networks_that_are_not_stacked(tmp_path: Path, precise: None) -> None:
    options = {"memory": "lstm", "frames": 256}
    train_seeds(command(tmp_path / "together", **options))
    for seed in SEEDS[:2]:
        alone(tmp_path / f"alone-{seed}", seed, **options)
        check_same(tmp_path / f"alone-{seed}", tmp_path / f"together/seed-{seed}")


def inputs_of(kind: str, missions: int) -> Inputs:
    seen = torch.randint(0, 512, (6, 9), dtype=torch.int16) if kind == "grid" else torch.randn(6, 9)
    tokens = torch.randint(0, 1000, (missions, 2 + missions))
    tokens[0, 1:] = 0  # a short mission
    return Inputs(seen, torch.randint(0, missions, (6,)), tokens)


@pytest.mark.parametrize("members", [[0, 1, 2], [2, 0]])
@pytest.mark.parametrize("kind", ["grid", "vector"])
def test_a_stack_has_the_values_and_gradients_of_its_policies(
    precise: None, kind: str, members: list[int]
) -> None:
    policies = [Policy(kind, (9,), 5, 8) for _ in range(3)]
    shown = [inputs_of(kind, 1 + number) for number in range(3)]
    state, start = torch.empty(6, 2, 0), torch.zeros(6, dtype=torch.bool)
    apart = [policies[i].evaluate(shown[i], state, start) for i in members]
    stack = StackedPolicies(policies)
    leaves = {name: each.requires_grad_() for name, each in stack.chosen(members).items()}
    together = stack.evaluate(leaves, stacked_inputs([shown[i] for i in members]), critic=True)
    sum(each.square().sum() for each in together).backward()  # type: ignore[union-attr]
    for row, (member, outputs) in enumerate(zip(members, apart, strict=True)):
        for one, stacked in zip(outputs, together, strict=True):
            torch.testing.assert_close(stacked[row], one)
        sum(each.square().sum() for each in outputs).backward()  # type: ignore[union-attr]
        for name, parameter in policies[member].named_parameters():
            if parameter.requires_grad:
                own, gradient = parameter.grad, leaves[name].grad
                assert own is not None and gradient is not None
                torch.testing.assert_close(gradient[row], own)


def test_policies_of_a_stack_share_its_memory() -> None:
    policies = [Policy("vector", (3,), 2, 4) for _ in range(2)]
    before = policies[1].value_head.weight.clone()
    stack = StackedPolicies(policies)
    assert torch.equal(policies[1].value_head.weight, before)
    with torch.no_grad():
        policies[1].value_head.weight.fill_(3.0)
    assert (stack.parameters["value_head.weight"][1] == 3.0).all()
    with pytest.raises(ValueError, match="no layers"):
        StackedPolicies([Policy("vector", (3,), 2, 4, "lstm")])


# ---------------------------------------------------------------- ordinary runs


def test_what_is_written_is_a_run_for_each_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs"
    options = [*("--env", DOOR, "--frames", "128", "--n-envs", "4", "--n-steps", "8")]
    options += ["--eval-every", "0", "--final-episodes", "2", "--kl-minibatches", "2"]
    argv = ["train", *options, "--run-dir", str(folder), "--seeds", "0", "7"]
    assert main([*argv, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [run["run_dir"] for run in said["runs"]] == [
        str(folder / "seed-0"),
        str(folder / "seed-7"),
    ]
    assert said["failed"] == {}
    assert {run.seed for run in read_runs([folder], ["losses/entropy"], None)[0]} == {0, 7}
    assert len(load_student(folder / "seed-7").policy.state_dict()) > 10
    # one of them goes on by itself, then all of them
    saved = str(folder / "seed-7/config.yaml")
    assert main(["train", "--config", saved, "--resume", "--frames", "192"]) == 0
    assert main([*argv, "--resume", "--frames", "256"]) == 0
    assert main([*argv, "9", "--resume", "--frames", "256"]) == 0  # a new seed begins
    for seed in (0, 7, 9):
        assert json.loads((folder / f"seed-{seed}/result.json").read_text())["frames"] == 256
    capsys.readouterr()
    assert main([*argv[:-2], "3", "0", "--frames", "256"]) == 2
    assert not (folder / "seed-3").exists()
    assert "seed-0 exists: choose another --run-dir" in capsys.readouterr().err


def test_interrupted_at_the_end_and_resumed(
    tmp_path: Path,
    precise: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(act: Any, env: str, episodes: int, seed: int, *more: Any) -> Any:
        if episodes == 1_000_000:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluation_of(act, env, episodes, seed, *more)

    monkeypatch.setattr("lvlm2p.student.training.loop.evaluation_of", interrupted)
    folder = tmp_path / "together"
    with pytest.raises(KeyboardInterrupt):
        train_seeds(command(folder, final_episodes=1_000_000))
    said = " ".join(capsys.readouterr().err.split())
    for seed in SEEDS:
        assert f"lvlm2p train --config {folder}/seed-{seed}/config.yaml --resume" in said
        assert not (folder / f"seed-{seed}/result.json").exists()
    train_seeds(command(folder, resume=True))
    alone(tmp_path / "alone", SEEDS[0])
    check_same(tmp_path / "alone", folder / f"seed-{SEEDS[0]}")


def test_a_terminated_process_leaves_runs_that_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    options = ["--env", SMALL["env"], "--n-envs", "4", "--n-steps", "16", "--eval-every", "0"]
    options += ["--final-episodes", "2", "--run-dir", str(folder), "--seeds", "0", "1"]
    program = [sys.executable, "-m", "lvlm2p", "train", *options]
    running = subprocess.Popen([*program, "--frames", "1M"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while time.monotonic() < until and running.poll() is None:
        if all((folder / f"seed-{seed}/metrics.csv").is_file() for seed in (0, 1)):
            break
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "or with the same command and --resume: all seeds together" in said
    done = json.loads((folder / "seed-1/checkpoint/state.json").read_text())["state"]["frames"]
    again = subprocess.run([*program, "--frames", str(done + 100), "--resume"], check=False)
    assert again.returncode == 0
    for seed in (0, 1):
        frames = [row["frames"] for row in read_metrics(folder / f"seed-{seed}/metrics.csv")]
        assert frames == sorted(set(frames)) and frames[-1] >= done + 100


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--seeds", "0", "0"), "--seeds has 0 2 times"),
        (("--seed", "1", "--seeds", "0", "1"), "there is a seed and there are seeds"),
        (("--seeds",), "--seeds needs a seed at least"),
        (("--seeds", "0", "-1"), "--seeds"),
        (("--seeds", "0", "x"), "--seeds"),
        (("--seeds", "0", "1", "--resume"), "there is nothing to resume"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], sentence: str
) -> None:
    argv = ["train", "--env", DOOR, "--run-dir", str(tmp_path / "runs"), *given]
    try:
        code = main(argv)
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    said = capsys.readouterr()
    assert sentence in said.err + said.out
    assert not (tmp_path / "runs").exists()


def test_a_seed_that_fails_lets_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lvlm2p.student.training.run_state import Run

    saved = Run.save

    def refused(self: Run, metrics: Any) -> None:
        if self.config.seed == 2:
            raise RunError("the second one")
        saved(self, metrics)

    monkeypatch.setattr(Run, "save", refused)
    result = train_seeds(command(tmp_path / "runs"))
    assert [run.run_dir.name for run in result.done] == ["seed-5", "seed-9"]
    assert {seed: str(error) for seed, error in result.failed.items()} == {2: "the second one"}
    assert result.as_json()["failed"] == {"2": "the second one"}
    assert "seed 2 failed: the second one" in result.summary()
    with pytest.raises(RunError, match="the second one"):
        result.check()


def test_one_budget_is_for_all(tmp_path: Path) -> None:
    configs = list(command(tmp_path, budget_usd=5.0).runs(tmp_path))
    (tmp_path / "budget.json").write_text('{"usd": 4.0, "calls": 3}')
    budgets = [config.new_budget() for config in configs]
    assert [config.seed for config in configs] == list(SEEDS)
    assert all(np.isclose(budget.spent_usd, 4.0) for budget in budgets if budget is not None)
    assert None not in budgets
