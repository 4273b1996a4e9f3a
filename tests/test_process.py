"""What a scheduler, a closed terminal and another encoding do to a command. Real processes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from lvlm2p.teachers import LabelStore
from tests.teachers.models.test_chaos import ROOT, Provider, provider
from tests.teachers.models.test_interrupted import asked, asking, command, finished, wait_until


def one_fast(*numbers: signal.Signals) -> list[ParameterSet]:
    """The first in every test run, the others where minutes do not count."""
    first, *others = numbers
    return [pytest.param(first), *(pytest.param(n, marks=pytest.mark.slow) for n in others)]


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """As in a terminal: whoever runs these tests by nohup has all children ignore a hangup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def slow() -> Iterator[Provider]:
    """Answers half a second after each question."""
    with provider("--latency", "0.5") as server:
        yield server


def stopped(server: Provider, number: signal.Signals, *arguments: str, store: Path) -> str:
    """What a command says that gets the signal when some answers are there, others in flight."""
    process = command(*arguments, store=store)
    wait_until(lambda: len(asked(server)) >= 9, process)
    process.send_signal(number)
    code, out, said = finished(process)
    assert (code, out) == (130, "")
    server.set(latency=0)
    return said


def nothing_is_paid_twice(server: Provider, *arguments: str, store: Path) -> dict[str, object]:
    code, told, _ = finished(command(*arguments, store=store))
    assert code == 0 and set(asked(server).values()) == {1}
    result: dict[str, object] = json.loads(told.splitlines()[-1])
    return result


@pytest.mark.parametrize("number", one_fast(signal.SIGTERM, signal.SIGHUP))
def test_label_keeps_what_was_in_flight(
    slow: Provider, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "labels.parquet"
    label = ["label", *asking(slow), "--states", "24", "--out", str(out), "--json"]
    said = stopped(slow, number, *label, store=tmp_path / "store")
    assert "in the label store; the same command goes on from there" in said
    assert not out.exists()
    nothing_is_paid_twice(slow, *label, store=tmp_path / "store")


@pytest.mark.slow
def test_evaluate_keeps_what_was_in_flight(slow: Provider, tmp_path: Path) -> None:
    few = ["--states", "12", "--episodes", "0", "--probes", "0", "--json"]
    evaluate = ["evaluate", *asking(slow), *few]
    stopped(slow, signal.SIGTERM, *evaluate, store=tmp_path / "store")
    nothing_is_paid_twice(slow, *evaluate, store=tmp_path / "store")


@pytest.mark.parametrize("number", one_fast(signal.SIGHUP, signal.SIGTERM))
def test_train_leaves_a_checkpoint(slow: Provider, tmp_path: Path, number: signal.Signals) -> None:
    small = ["--n-envs", "2", "--n-steps", "16", "--frames", "96", "--final-episodes", "1"]
    folder = tmp_path / "run"
    train = ["train", *asking(slow), "--run-dir", str(folder), *small, "--no-progress"]
    said = stopped(slow, number, *train, store=tmp_path / "store")
    assert "--resume" in said and (folder / "checkpoint" / "state.json").is_file()
    resume = ["train", "--config", str(folder / "config.yaml"), "--resume", "--json"]
    assert nothing_is_paid_twice(slow, *resume, store=tmp_path / "store")["frames"] == 96


def in_a_terminal(
    server: Provider, *arguments: str, store: Path, prepare: Callable[[], object] | None = None
) -> subprocess.Popen[bytes]:
    """A command whose terminal is closed once some answers are there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lvlm2p", *arguments],
        cwd=ROOT,
        env={**os.environ, "LVLM2P_STORE": str(store), "TERM": "xterm"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        preexec_fn=prepare,
    )
    os.close(theirs)
    while len(asked(server)) < 4:
        os.read(ours, 65536)  # the bar, which must not fill the terminal's buffer
    os.close(ours)
    server.set(latency=0)
    return process


def test_a_terminal_that_goes_away_does_not_end_labelling(slow: Provider, tmp_path: Path) -> None:
    out = tmp_path / "labels.parquet"
    label = ["label", *asking(slow), "--states", "12", "--out", str(out), "--json"]

    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = in_a_terminal(slow, *label, store=tmp_path / "store", prepare=nohup)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and out.is_file()
    assert json.loads(told.splitlines()[-1])["labels"]["asked"] == 12


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["labels", "stats"]])
def test_an_encoding_without_our_characters(arguments: list[str], tmp_path: Path) -> None:
    LabelStore(tmp_path / "store").close()
    environment = {
        **os.environ,
        "PYTHONIOENCODING": "ascii",
        "LVLM2P_STORE": str(tmp_path / "store"),
    }
    command = [sys.executable, "-m", "lvlm2p", *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout and not done.stderr
