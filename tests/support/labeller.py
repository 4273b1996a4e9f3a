"""A labelling process to be started many times, and killed. Its imports are paid for once."""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lvlm2p.teachers import LabelStore, StoredTeacher
from tests.support.store import FakeTeacher, note, states

MAKER = multiprocessing.get_context("forkserver")
MAKER.set_forkserver_preload([__name__])

states(1)  # imports the environments, here and in the server that all others fork from


def label(folder: Path, log: Path, count: int, delay_s: float, seed: int) -> None:
    """Label ``count`` states in batches of 16, in an order of its own."""
    views = list(states(count))
    random.Random(seed).shuffle(views)
    teacher = StoredTeacher(FakeTeacher(log=log, delay_s=delay_s), LabelStore(folder))
    for first in range(0, len(views), 16):
        batch = views[first : first + 16]
        for index, _ in teacher.ask(batch):
            note(log, f"acknowledged {batch[index].key}")


def start(store: Path, log: Path, count: int, delay_s: float, seed: int) -> ForkServerProcess:
    process = MAKER.Process(target=label, args=(store, log, count, delay_s, seed))
    process.start()
    return process


def ended(process: ForkServerProcess, timeout_s: float = 60) -> int | None:
    process.join(timeout_s)
    return process.exitcode
