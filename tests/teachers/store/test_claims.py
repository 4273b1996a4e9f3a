"""Several real processes on one store: each state is asked once, and crashes cost nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from lvlm2p.teachers import LabelStore, StoredTeacher
from lvlm2p.teachers.store.verify import verify
from tests.support.labeller import ended, start
from tests.support.store import FakeTeacher, states


def read(log: Path) -> tuple[Counter[str], Counter[str], list[tuple[str, str]]]:
    """How often each state was asked and acknowledged, and all that in order."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    order = [(line[0], line[1]) for line in lines]
    asked = Counter(key for what, key in order if what == "asked")
    acknowledged = Counter(key for what, key in order if what == "acknowledged")
    return asked, acknowledged, order


def wait_until(log: Path, lines: int) -> None:
    deadline = time.monotonic() + 30
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < deadline, "the labeller does nothing"
        time.sleep(0.01)


def test_ten_processes_ask_each_state_once(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    LabelStore(store).close()
    running = [start(store, log, 200, 0.002, seed) for seed in range(10)]
    assert [ended(process) for process in running] == [0] * 10
    asked, acknowledged, _ = read(log)
    assert set(asked.values()) == {1} and len(asked) == 200
    assert set(acknowledged.values()) == {10}
    assert list((store / "owners").iterdir()) == []
    with LabelStore(store) as opened:
        assert opened.reader.keys("claim/") == []


def test_a_crash_of_the_asker_frees_the_others_within_seconds(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    asker = start(store, log, 16, 60, 0)
    wait_until(log, 1)  # it asks about the first state, and has claimed all sixteen
    began = time.monotonic()
    asker.kill()
    asker.join()
    with LabelStore(store) as opened:
        teacher = StoredTeacher(FakeTeacher(), opened)
        assert len(teacher.label(states(16))) == 16
        assert time.monotonic() - began < 3
        assert teacher.counts.asked == 16
        assert opened.reader.keys("claim/") == []


def test_who_is_only_slow_is_not_robbed(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    asker = start(store, log, 16, 0.05, 0)
    wait_until(log, 1)
    os.kill(asker.pid or 0, signal.SIGSTOP)
    waiting = start(store, log, 16, 0.05, 0)
    try:
        time.sleep(2)
        before, _, _ = read(log)
        assert sum(before.values()) <= 2 and waiting.is_alive()
    finally:
        os.kill(asker.pid or 0, signal.SIGCONT)
    assert ended(asker) == ended(waiting) == 0
    asked, _, _ = read(log)
    assert set(asked.values()) == {1} and len(asked) == 16


def test_a_forked_child_signs_for_itself(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        first, second = states(2)
        store.claim([f"fa4e/{first.key}"])
        child = os.fork()
        if child == 0:
            taken = store.claim([f"fa4e/{first.key}", f"fa4e/{second.key}"])
            os._exit(0 if taken == {f"fa4e/{second.key}"} else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert store.claim([f"fa4e/{second.key}"])  # the child is gone, and so is its claim
        assert store.claim([f"fa4e/{first.key}"])  # ours


def stress(tmp_path: Path, kills: int, count: int, seed: int) -> None:
    """Four processes label; one after the other is killed at a random moment and started again."""
    store, log = tmp_path / "store", tmp_path / "log"
    rng = random.Random(seed)
    running = [start(store, log, count, 0.004, number) for number in range(4)]
    for kill in range(kills):
        time.sleep(rng.uniform(0.05, 0.6))
        victim = rng.randrange(4)
        running[victim].kill()
        running[victim].join()
        running[victim] = start(store, log, count, 0.004, 4 + kill)
    assert [ended(process, 300) for process in running] == [0] * 4
    check(store, log, count, kills)


def check(store: Path, log: Path, count: int, kills: int) -> None:
    asked, acknowledged, order = read(log)
    assert len(acknowledged) == count
    done: set[str] = set()
    for what, key in order:
        assert not (what == "asked" and key in done), "asked although its answer was there"
        if what == "acknowledged":
            done.add(key)
    # An answer on its way when its process was killed is lost: at most one a kill.
    assert sum(asked.values()) - len(asked) <= kills
    with LabelStore(store) as opened:
        labels = opened.get_many("fa4e", [view.key for view in states(count)])
        assert set(labels) == set(acknowledged)
        assert opened.reader.keys("claim/") == []
        assert verify(opened).as_json()["clean"]


def test_kill_9_loses_nothing_and_asks_nothing_twice(tmp_path: Path) -> None:
    stress(tmp_path, kills=10, count=1000, seed=0)


@pytest.mark.slow
def test_kill_9_at_fifty_random_moments(tmp_path: Path) -> None:
    stress(tmp_path, kills=50, count=6000, seed=1)
