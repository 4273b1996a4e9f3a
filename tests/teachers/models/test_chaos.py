"""A provider that misbehaves in every way, and processes that are killed: nothing is paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.teachers import Failure, Label, LabelStore, load_teacher
from tests.support.chat import some_views
from tests.support.chat_server import FAULTS, SPOILT

ROOT = Path(__file__).parents[3]


class Provider:
    """tests/support/chat_server.py in a process of its own."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def set(self, **changes: float) -> None:
        """Change ``latency`` or ``faults`` from now on."""
        request = urllib.request.Request(f"{self.url}/set", json.dumps(changes).encode())
        urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def provider(*flags: str) -> Iterator[Provider]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.support.chat_server", "--port", str(port), *flags]
    process = subprocess.Popen(command, cwd=ROOT)
    server = Provider(port)
    try:
        for _ in range(600):
            try:
                server.stats()
                break
            except OSError:
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


PAID = ("refusal", "truncated", "invalid")
"""Failures that an answer was paid for."""

LITELLM = "litellm:hosted_vllm/fake-vl"
"""The same server, asked through litellm."""


def chaos(n: int, folder: Path, name: str = "qwen-vl-local") -> None:
    views = some_views(n)
    store = LabelStore(folder / "store")
    options = {"prompt": "direct", "shots": 0, "elicit": "choice", "concurrency": 32}
    with provider("--faults", "0.3", "--spoilt", "--seed", "1") as server:
        teacher = load_teacher(
            name,
            options={**options, "api_base": server.url, "timeout": 10, "retries": 8},
            store=store,
        )
        answers = teacher.label(views)
        again = teacher.label(views)
        stats = server.stats()
    labels = [answer for answer in answers if isinstance(answer, Label)]
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert len(labels) + len(failures) == n
    kinds: Counter[str] = Counter(failure.failure for failure in failures)
    faulty = stats["faulty"]
    assert kinds["refusal"] == faulty["declined"] + faulty["filtered"], "never asked again"
    assert kinds["truncated"] == faulty["truncated"], "nor these"
    assert 0 <= faulty["prose"] - 2 * kinds["invalid"] <= faulty["prose"], "asked again, once"
    assert len(failures) - sum(kinds[paid] for paid in PAID) <= 0.01 * n
    assert set(stats["answered"].values()) == {1}, "nothing was paid for twice"
    assert sum(answer.usage.calls for answer in answers) == len(stats["answered"]), "all is stored"
    good = len(stats["answered"]) - sum(faulty[kind] for kind in SPOILT)
    assert len(labels) == good, "each label is one answer that was given"
    assert again == answers
    assert set(faulty) == {*FAULTS, *SPOILT}, "every kind of fault was met"
    assert 2 <= stats["most_running"] <= 32
    store.close()


@pytest.mark.parametrize("name", ["qwen-vl-local", LITELLM])
def test_every_state_is_labelled_and_paid_for_once(tmp_path: Path, name: str) -> None:
    chaos(150, tmp_path, name)


@pytest.mark.slow  # a minute of CPU, and several of waiting for calls that hang
@pytest.mark.parametrize("name", ["qwen-vl-local", LITELLM])
def test_two_thousand_states(tmp_path: Path, name: str) -> None:
    chaos(2_000, tmp_path, name)


LABELLING = """
import sys
from lvlm2p.teachers import LabelStore, load_teacher
from tests.support.chat import some_views

url, folder, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = dict(api_base=url, shots=0, elicit="choice", concurrency=8, retries=20, timeout=30)
store = LabelStore(folder)
teacher = load_teacher("qwen-vl-local", options=options, store=store)
for _ in teacher.ask(some_views(n)):
    print("answered", flush=True)
store.close()
"""


def labelling(server: Provider, folder: Path, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LABELLING, server.url, str(folder), str(n)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_and_started_again(n: int, kills: int, folder: Path) -> None:
    dice = random.Random(0)
    with provider("--latency", "0.02", "--faults", "0.1") as server:
        for _ in range(kills):
            with labelling(server, folder, n) as process:
                assert process.stdout is not None
                for _ in range(dice.randint(5, n // (2 * kills))):
                    process.stdout.readline()
                process.send_signal(signal.SIGKILL)
        last = labelling(server, folder, n)
        rest, _ = last.communicate(timeout=300)
        assert last.returncode == 0
        stats = server.stats()
    turns = stats["answered"]
    assert len(turns) == 2 * n, "each state was asked in two turns"
    twice = sum(times - 1 for times in turns.values())
    assert twice <= 8 * kills, "only what was on its way at the kill may be asked again"
    assert rest.count("answered") == n, "labels that were there are answered from the store"


def test_kill_9_and_start_again_asks_nothing_twice(tmp_path: Path) -> None:
    killed_and_started_again(40, 1, tmp_path / "store")


@pytest.mark.slow
def test_kill_9_three_times(tmp_path: Path) -> None:
    killed_and_started_again(300, 3, tmp_path / "store")
