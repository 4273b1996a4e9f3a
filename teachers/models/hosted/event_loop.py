"""The event loop in which everything is asked: one thread for the whole process.

One, because litellm keeps its connections for the process and they belong to a loop.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from lvlm2p.teachers.progress import say

T = TypeVar("T")

ASKING, CALL = "lvlm2p asking", "lvlm2p call"
"""Names of tasks: interviews, and single calls in flight."""

THREAD = "lvlm2p-asking"

DRAIN_S = 20.0
"""How long in-flight calls are waited for, once their replies are not needed, and at exit."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_owner = 0


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run ``work`` in the background; the future can be waited for and cancelled."""
    return asyncio.run_coroutine_threadsafe(work, _running_loop())


def drain(settling: Coroutine[Any, Any, None]) -> None:
    """Wait until in-flight calls have ended: what was sent is billed, and is to be kept. Whoever
    wants it now would otherwise ask, and pay, again."""
    loop = _loop
    if loop is None or not loop.is_running() or threading.current_thread().name == THREAD:
        settling.close()  # the process is ending, or it is the calls' own thread that cleans up
        return
    ended = submit(settling)
    try:
        ended.result(1.0)
    except TimeoutError:
        say("waiting for in-flight requests")
        with contextlib.suppress(TimeoutError):
            ended.result(DRAIN_S)
    finally:
        ended.cancel()


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop, _owner
    with _lock:
        if _loop is None or _owner != os.getpid():  # a forked child has the loop, not the thread
            _loop = asyncio.new_event_loop()
            # litellm builds each request in a thread: one after another they cost less, and leave
            # one by one, than all at once
            _loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="lvlm2p-wording"))
            _owner = os.getpid()
            threading.Thread(target=_loop.run_forever, name=THREAD, daemon=True).start()
            atexit.register(_close, _loop, _owner)
        return _loop


def _close(loop: asyncio.AbstractEventLoop, owner: int) -> None:
    """Let go of connections when the process ends, so that nothing complains about them."""
    if owner != os.getpid() or not loop.is_running():
        return
    try:
        asyncio.run_coroutine_threadsafe(_disconnect(), loop).result(timeout=DRAIN_S + 2)
    except (Exception, KeyboardInterrupt):  # the process is ending: there is no caller left to tell
        return
    finally:
        loop.call_soon_threadsafe(loop.stop)


async def _disconnect() -> None:
    """Ask nothing more, wait for what was asked, then close.

    A call in flight will be billed; its reply goes to the journal.
    """
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        if task.get_name() == ASKING:
            task.cancel()
    calls = [task for task in tasks if task.get_name() == CALL]
    if calls:
        say(f"waiting for {len(calls)} in-flight requests")
        await asyncio.wait(calls, timeout=DRAIN_S)
    for task in tasks:
        task.cancel()
    wire = sys.modules.get("lvlm2p.teachers.models.hosted.wire")
    if wire is not None:
        await wire.close()
    litellm = sys.modules.get("litellm")
    if litellm is not None:
        await litellm.close_litellm_async_clients()
