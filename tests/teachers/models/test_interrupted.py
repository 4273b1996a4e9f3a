"""What a user meets around asking: estimates, no key, Ctrl-C. Real processes, a local server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.teachers import LabelStore, load_teacher
from tests.support.chat import KEY, some_views
from tests.teachers.models.test_chaos import ROOT, Provider, provider

ENV = "MiniGrid-GoToDoor-5x5-v0"
LOOK_S = 0.2


def command(*arguments: str, store: Path) -> subprocess.Popen[str]:
    """`lvlm2p` with these arguments; Ctrl-C reaches it even where a shell's `&` has it ignored."""
    secret = {"GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
    environment = {key: value for key, value in os.environ.items() if key not in secret}
    return subprocess.Popen(
        [sys.executable, "-m", "lvlm2p", *arguments],
        cwd=ROOT,
        env={**environment, "LVLM2P_STORE": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finished(process: subprocess.Popen[str], timeout: float = 300) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(round(240 / LOOK_S)):
        if true():
            return
        assert process.poll() is None, "ended too early"
        time.sleep(LOOK_S)
    raise AssertionError("it never came to that")


def asked(server: Provider) -> dict[str, int]:
    """How often each turn of each state was answered."""
    counts: dict[str, int] = server.stats()["answered"]
    return counts


def asking(server: Provider) -> list[str]:
    options = ["-T", f"api_base={server.url}", "-T", "concurrency=4", "--shots", "0"]
    return ["--teacher", "qwen-vl-local", "--env", ENV, *options]


def interrupted(server: Provider, *arguments: str, store: Path) -> str:
    """What `lvlm2p` says on Ctrl-C, when some answers are there and others in flight. From then
    on the server answers at once."""
    process = command(*arguments, store=store)
    wait_until(lambda: len(asked(server)) >= 9, process)
    process.send_signal(signal.SIGINT)
    code, out, said = finished(process)
    assert (code, out) == (130, "")
    server.set(latency=0)
    return said


def test_ctrl_c_while_labelling_and_again(tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "labels.parquet"
    with provider("--latency", "1") as server:
        label = ["label", *asking(server), "--states", "24", "--out", str(out)]
        said = interrupted(server, *label, store=store)
        assert "in the label store; the same command goes on from there" in said
        assert not out.exists(), "half a file would pass for a whole one"
        assert len(asked(server)) < 48
        code, told, _ = finished(command(*label, "--json", store=store))
        assert code == 0
        counts = json.loads(told.splitlines()[-1])["labels"]
        assert counts["asked"] + counts["cached"] == 24 and counts["cached"] >= 4
        turns = asked(server)
        assert len(turns) == 48, "24 states, two turns each"
        assert set(turns.values()) == {1}, "nothing was asked twice"


def test_ctrl_c_while_somebody_else_waits_for_the_same_answers(tmp_path: Path) -> None:
    """What is on its way is paid for: the other one gets it, and asks only about the rest."""
    store = tmp_path / "store"
    with provider("--latency", "4") as server:
        label = ["label", *asking(server), "--states", "12"]
        first = command(*label, "--out", str(tmp_path / "a.parquet"), store=store)
        wait_until(lambda: len(asked(server)) >= 1, first)
        second = command(*label, "--out", str(tmp_path / "b.parquet"), "--json", store=store)
        time.sleep(10)  # by now it waits
        first.send_signal(signal.SIGINT)
        code, _, said = finished(first)
        assert code == 130 and "in-flight requests" in said
        server.set(latency=0)
        code, told, _ = finished(second)
        assert code == 0 and json.loads(told.splitlines()[-1])["labels"]["failed"] == 0
        assert set(asked(server).values()) == {1}, "nothing was asked twice"


def test_ctrl_c_while_evaluating_and_again(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with provider("--latency", "1") as server:
        few = ["--states", "12", "--episodes", "0", "--probes", "0", "--json"]
        evaluate = ["evaluate", *asking(server), *few]
        said = interrupted(server, *evaluate, store=store)
        assert "in the label store; the same command goes on from there" in said
        code, _, _ = finished(command(*evaluate, store=store))
        assert code == 0
        assert set(asked(server).values()) == {1}, "nothing was asked twice"


def test_ctrl_c_while_training_and_resumed(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "run"
    small = ["--n-envs", "2", "--n-steps", "16", "--frames", "96", "--final-episodes", "1"]
    with provider("--latency", "0.5") as server:
        train = ["train", *asking(server), "--run-dir", str(folder), *small, "--no-progress"]
        said = interrupted(server, *train, store=store)
        resume = f"lvlm2p train --config {folder / 'config.yaml'} --resume"
        assert resume in " ".join(said.split())
        again = command(*resume.split()[1:], "--json", store=store)
        code, told, _ = finished(again)
        assert code == 0
        assert json.loads(told.splitlines()[-1])["frames"] == 96
        assert set(asked(server).values()) == {1}, "nothing was asked twice"


def test_a_spent_budget_is_said_and_training_goes_on(tmp_path: Path) -> None:
    small = ["--n-envs", "2", "--n-steps", "16", "--frames", "96", "--final-episodes", "1"]
    about = ["--run-dir", str(tmp_path / "run"), "--teacher-return", "0.9", *small]
    with provider() as server:
        train = ["train", *asking(server), *about, "--budget-calls", "9", "--no-progress", "--json"]
        code, told, said = finished(command(*train, store=tmp_path / "store"))
        assert code == 0 and sum(asked(server).values()) == 9
    said = " ".join(said.split())
    assert said.count("the budget of 9 calls is spent") == 1
    assert "continuing without distillation on unlabelled states" in said
    assert "frames/s" not in said
    labels = json.loads(told.splitlines()[-1])["labels"]
    assert labels["missing"] > 0 and 1 <= labels["asked"] <= 4


def test_without_a_key_nothing_is_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    about = ["--teacher", "gemini", "--env", ENV]
    process = command("train", *about, "--run-dir", str(folder), store=tmp_path / "store")
    code, out, said = finished(process)
    assert code == 3 and out == ""
    assert said.startswith("lvlm2p: teacher 'gemini' needs an API key: set GEMINI_API_KEY")
    assert said.count("\n") == 1, said
    assert not folder.exists(), "with a key, the same command must do"


def estimate(name: str, n: int = 10, store: LabelStore | None = None, **options: Any) -> Any:
    return load_teacher(name, options=options, store=store).estimate(some_views(n))


def test_estimates_count_calls_time_and_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stated = estimate("gpt-4v")
    assert (stated.states, stated.calls) == (10, 20)
    assert stated.usd == pytest.approx(10 * 1.54 / 1000, rel=0.02)
    assert 2 < stated.seconds < 10
    assert "10 states to ask, 20 calls, time " in str(stated) and "price $0.02" in str(stated)
    votes = estimate("gpt-4v", elicit="votes", samples=5)
    assert votes.calls == 60 and votes.usd > stated.usd
    direct = estimate("gpt-4v", prompt="direct")
    assert direct.calls == 10 and direct.usd < stated.usd
    many = estimate("gpt-4v", 200, concurrency=64)
    assert many.seconds == pytest.approx(estimate("gpt-4v", 200, concurrency=16).seconds / 4)
    assert estimate("gpt-4v", requests_per_minute=2).seconds == 600
    assert estimate("gpt-4v", tokens_per_minute=1000).seconds > 60


def test_estimates_of_what_nobody_knows() -> None:
    unknown = estimate("litellm:openai/some-vl", api_base="http://127.0.0.1:9/v1")
    assert unknown.usd is None and "price unknown" in str(unknown)
    local = estimate("qwen-vl-local", model="some-vl")
    assert local.usd == 0.0 and local.seconds is None and "time unknown" in str(local)
    views = some_views(3)
    same = load_teacher("qwen-vl-local", options={"model": "some-vl"})
    assert same.estimate([*views, *views]).states == 3, "a state is asked about once"


def test_what_is_stored_is_left_out_and_tells_the_time(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "store")
    options: dict[str, Any] = {"shots": 0, "concurrency": 2}
    with provider("--latency", "0.2") as server:
        options["api_base"] = server.url
        load_teacher("qwen-vl-local", options=options, store=store).label(some_views(6))
        rest = estimate("qwen-vl-local", 10, store, **options)
    assert (rest.states, rest.calls) == (4, 8)
    assert rest.seconds >= 2 * 2 * 0.2, "two turns each, two states at a time"
    assert rest.seconds < 60
    store.close()
