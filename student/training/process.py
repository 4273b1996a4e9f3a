"""What a training process does about threads, garbage and Ctrl-C."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks this small are fastest on one thread; and sums have one order, so one result."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def imports_uncollected() -> Iterator[None]:
    """Python's garbage collector would look through all of PyTorch, 0.2 s, again and again."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts at once."""
    stop = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def at_work() -> Iterator[threading.Event]:
    """All of these, while a process trains; the event is that of :func:`interruptible`."""
    with one_thread(), imports_uncollected(), interruptible() as stop:
        yield stop
