"""A label store of a million labels: how long it takes to look things up, count and export them.

    python benchmarks/store.py                       # 1,000,000 labels in a temporary folder
    python benchmarks/store.py --labels 100000 --keep /tmp/big-store    # go on with what is there

Every label has a transcript of two turns, about 1 kB, and a price of its own. The measured figures
are in docs/labels.md.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from lvlm2p.envs import View, make_env, view_of
from lvlm2p.teachers import Label, LabelStore, StoredTeacher, Teacher, Turn, Usage
from lvlm2p.teachers.label import Entry
from lvlm2p.teachers.store.stats import sums

BATCH = 5_000
SAID = "The agent is in row 3, column 2, facing up. The red door is in row 0, column 4. " * 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="make the store here, or go on with the one here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = arguments.keep or Path(temporary) / "store"
        there = labels_in(path)
        if there < arguments.labels:
            what = f"write {arguments.labels - there:,} labels"
            report(what, lambda: fill(path, there, arguments.labels))
        measure(path, arguments.labels, Path(temporary))


def labels_in(path: Path) -> int:
    with LabelStore(path) as store:
        return sum(part.labels for part in sums(store))


def measure(path: Path, count: int, temporary: Path) -> None:
    rng = random.Random(0)
    known = [view(number) for number in rng.sample(range(count), min(10_000, count))]
    with LabelStore(path) as store:
        keys = [view.key for view in known]
        report("look up 10,000 known keys", lambda: check(store.get_many("f00d", keys), known))
        teacher = StoredTeacher(Nobody(), store, offline=True)
        batches = [known[start : start + 16] for start in range(0, len(known), 16)]
        report("the same, as a student asks: 16 at a time", lambda: ask(teacher, batches))
    out = temporary / "labels.parquet"
    for what, command in {
        "labels stats": ["labels", "stats"],
        "labels export": ["labels", "export", str(out)],
        "labels verify": ["labels", "verify"],
    }.items():
        report(what, lambda command=command: run(command, path))  # type: ignore[misc]
    print(f"{'size of the store':<44} {size(path) / 1e6:10,.0f} MB")
    print(f"{'size of the Parquet file':<44} {out.stat().st_size / 1e6:10,.0f} MB")


def report(what: str, work: Callable[[], float | None]) -> None:
    """Do the work and say how long it took; it may return how many MB of memory it needed."""
    began, used = time.perf_counter(), cpu()
    peak = work()
    seconds, used = time.perf_counter() - began, cpu() - used
    note = "" if peak is None else f"{peak:10,.0f} MB peak memory"
    print(f"{what:<44} {seconds:10.2f} s{used:10.2f} s CPU{note}", flush=True)


def cpu() -> float:
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def run(command: list[str], path: Path) -> float:
    """One command line in a process of its own; its peak memory, MB."""
    front = Path(__file__).parents[1] / "lvlm2p" / "__main__.py"
    arguments = [sys.executable, str(front), *command, "--store", str(path)]
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return usage.ru_maxrss / 1024


def fill(path: Path, there: int, count: int) -> None:
    with LabelStore(path) as store:
        for start in range(there, count, BATCH):
            store.put_entries(entries(start, min(start + BATCH, count)))


def entries(start: int, stop: int) -> Iterator[Entry]:
    for number in range(start, stop):
        yield Entry(view(number), label(number))


def view(number: int, base: list[View] = []) -> View:  # noqa: B006 (made once)
    """One of any number of distinct states."""
    if not base:
        env = make_env("MiniGrid-GoToDoor-6x6-v0")
        env.reset(seed=0)
        base.append(view_of(env))
    return replace(base[0], mission=f"go to the red door, for the {number}th time")


def label(number: int) -> Label:
    return Label(
        task="go-to-door",
        teacher="benchmark",
        fingerprint="f00d",
        model="model-1",
        prompt="12345678",
        transcript=(Turn(role="user", text="What do you see?"), Turn(role="assistant", text=SAID)),
        usage=Usage(calls=2, prompt_tokens=900 + number % 7, completion_tokens=80 + number % 50),
        cost_usd=0.001 + number * 1e-9,
        latency_s=0.5,
        probabilities={"left": 0.1, "right": 0.1, "forward": 0.7, "done": 0.1},
        elicitation="stated",
        analysis={"agent_row": 3, "agent_column": 2, "ahead": "empty"},
    )


class Nobody(Teacher):
    """The teacher whose labels these are; it is never asked."""

    def __init__(self) -> None:
        self.name = "benchmark"

    @property
    def fingerprint(self) -> str:
        return "f00d"

    def ask(self, views: object) -> Iterator[tuple[int, Label]]:
        raise AssertionError


def ask(teacher: Teacher, batches: list[list[View]]) -> None:
    for batch in batches:
        teacher.label(batch)


def check(found: Mapping[str, object], known: list[View]) -> None:
    assert len(found) == len(known)


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("cache.db*"))


if __name__ == "__main__":
    main()
