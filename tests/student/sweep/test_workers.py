"""Processes that train: one that dies is replaced, one whose sweep is gone saves and ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from lvlm2p.student.sweep import workers
from lvlm2p.student.sweep.outcome import Assignment
from lvlm2p.student.sweep.workers import ATTEMPTS, train_here

FAKE = """
import json, os, sys, time
from pathlib import Path
for line in sys.stdin:
    options = json.loads(line)["options"]
    log = Path(options["log"])
    begun = log.with_name(f"{log.name}-{options['n']}")
    times = len(begun.read_text()) if begun.exists() else 0
    begun.write_text("x" * (times + 1))
    if times < options["deaths"]:
        os._exit(7)
    if options.get("slow"):
        sys.stdin.read()
        log.with_name("saved").write_text("yes")
        break
    print(json.dumps({"result": {"n": options["n"], "pid": os.getpid()}}), flush=True)
"""


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "COMMAND", ("-c", FAKE))


def assigned(folder: Path, n: int, deaths: int = 0, slow: bool = False) -> Assignment:
    options = {"log": str(folder / "log"), "n": n, "deaths": deaths, "slow": slow}
    return Assignment(options=options, ledger=folder / "budget.json")


def test_each_run_is_trained_once_and_a_death_is_made_good(tmp_path: Path) -> None:
    deaths = [0, 1, ATTEMPTS, 0, ATTEMPTS - 1, 0]
    found = dict(train_here([assigned(tmp_path, n, d) for n, d in enumerate(deaths)], workers=2))
    assert sorted(found) == list(range(6))
    for n, died in enumerate(deaths):
        outcome = found[n]
        tries = len((tmp_path / f"log-{n}").read_text())
        if died < ATTEMPTS:
            assert outcome.result is not None and outcome.result["n"] == n
            assert tries == died + 1
        else:
            assert outcome.result is None and outcome.exit_code == 1
            assert outcome.error is not None and "ended with exit code 7, 3 times" in outcome.error
            assert tries == ATTEMPTS


def test_a_process_trains_one_run_after_another(tmp_path: Path) -> None:
    found = dict(train_here([assigned(tmp_path, n) for n in range(3)], workers=1))
    assert len({outcome.result["pid"] for outcome in found.values() if outcome.result}) == 1


def test_who_is_stopped_saves_first(tmp_path: Path) -> None:
    runs = [assigned(tmp_path, 0), assigned(tmp_path, 1, slow=True), assigned(tmp_path, 2)]
    with closing(train_here(runs, workers=1)) as outcomes:
        assert next(outcomes)[0] == 0
        while not (tmp_path / "log-1").exists():
            time.sleep(0.02)
    assert (tmp_path / "saved").exists(), "the second was told to save, and waited for"
    assert not (tmp_path / "log-2").exists(), "the third never began"


def test_a_worker_ends_with_its_sweep(tmp_path: Path) -> None:
    """The real one, without a run: it needs nothing but the end of its input."""
    worker = [sys.executable, "-m", "lvlm2p.student.sweep.worker"]
    done = subprocess.run(worker, input="", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    bad = json.dumps({"options": {"env": "NoSuch-v0"}, "ledger": str(tmp_path / "b.json")})
    done = subprocess.run(worker, input=bad + "\n", capture_output=True, text=True, timeout=60)
    if done.stdout:  # or its input had ended before it began
        assert "NoSuch-v0" in json.loads(done.stdout)["error"]
