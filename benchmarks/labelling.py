"""How fast labels come in: our asking beside a bare client that sends the same requests.

    python benchmarks/labelling.py [--only slow|instant|tiny] [--rounds 5] [--states 320]

slow      a server that takes 0.5 s, 64 calls at a time and 16: ours / bare aiohttp (target 0.9)
instant   a server that answers at once: ours through litellm / bare litellm (target 0.9)
tiny      labels a second of tiny-vl in this process (targets: logprobs, choice 100; stated 30)

"Ours" is qwen-vl-local, which needs no litellm; "ours, litellm" asks the same server as it would
ask a hosted model. "Bare" draws, encodes and words the same questions, sends them and reads
nothing. The server is a process of its own on the same machine; its share of the CPU is shown. The
clients take turns, round after round, so that a busy machine is as bad for one as for the other;
medians are shown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lvlm2p.envs import View, sample_states
from lvlm2p.teachers import LabelStore, load_teacher
from lvlm2p.teachers.models.hosted import event_loop
from lvlm2p.teachers.models.hosted.litellm_client import import_litellm
from lvlm2p.teachers.models.hosted.teacher import ChatTeacher
from lvlm2p.teachers.models.options import ChatOptions
from lvlm2p.teachers.plugin import Context

ROOT = Path(__file__).resolve().parent.parent
ENV = "MiniGrid-GoToDoor-6x6-v0"
PORT = 8799
URL = f"http://127.0.0.1:{PORT}/v1"
OPTIONS = {"prompt": "direct", "shots": 0, "elicit": "choice", "api_base": URL}
THROUGH_LITELLM = "litellm:hosted_vllm/fake-vl"


def serve(latency: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.chat_server", "--port", str(PORT)]
    process = subprocess.Popen([*command, "--latency", str(latency)], cwd=ROOT)
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{URL}/models", timeout=5).close()
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


Measured = tuple[float, float]
"""Answers a second, and milliseconds of the client's CPU for each."""
Client = Callable[[Sequence[View], int], Measured]
"""Asks about the views, so many at a time; the first so many are not measured."""


def rate(n: int, work: Callable[[], object]) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return n / (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu) / n


async def bounded(
    calls: Sequence[Callable[[], Coroutine[Any, Any, object]]], at_a_time: int
) -> None:
    todo = iter(calls)

    async def worker() -> None:
        for call in todo:
            await call()

    await asyncio.gather(*(worker() for _ in range(at_a_time)))


def ours(views: Sequence[View], at_a_time: int, name: str = "qwen-vl-local") -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "store")
        options = {**OPTIONS, "concurrency": at_a_time}
        teacher = load_teacher(name, options=options, store=store)
        teacher.label(views[:at_a_time])  # connections are open, the concurrency has adapted
        rest = views[at_a_time:]
        result = rate(len(rest), lambda: teacher.label(rest))
        store.close()
    return result


def ours_litellm(views: Sequence[View], at_a_time: int) -> Measured:
    return ours(views, at_a_time, THROUGH_LITELLM)


def requests() -> Callable[[View], dict[str, Any]]:
    """What ours sends about a view, as litellm's arguments."""
    teacher = ChatTeacher.build(THROUGH_LITELLM, ChatOptions(**OPTIONS), Context())
    # the very client that ours sends through, so that only what is around it is compared
    conductor: Any = teacher._connect()
    client = conductor.caller.send.__self__  # a bound method's

    def request(view: View) -> dict[str, Any]:
        asked = next(teacher.interview(view).run())[0]
        # another model's name: litellm is not told that it is free, as ours is
        return {**client.arguments(asked, None), "model": "hosted_vllm/some-vl"}

    return request


def bare_litellm(views: Sequence[View], at_a_time: int) -> Measured:
    litellm, request = import_litellm(), requests()

    def call(view: View) -> Callable[[], Coroutine[Any, Any, object]]:
        return lambda: litellm.acompletion(**request(view))

    first = [call(view) for view in views[:at_a_time]]
    event_loop.submit(bounded(first, at_a_time)).result()
    rest = [call(view) for view in views[at_a_time:]]
    return rate(len(rest), lambda: event_loop.submit(bounded(rest, at_a_time)).result())


def bare_aiohttp(views: Sequence[View], at_a_time: int) -> Measured:
    import aiohttp

    request = requests()

    async def measured() -> Measured:
        async with aiohttp.ClientSession() as session:

            def call(view: View) -> Callable[[], Coroutine[Any, Any, object]]:
                async def send() -> object:
                    body = {"model": "fake-vl", "messages": request(view)["messages"]}
                    async with session.post(f"{URL}/chat/completions", json=body) as answer:
                        return await answer.json()

                return send

            await bounded([call(view) for view in views[:at_a_time]], at_a_time)
            rest = [call(view) for view in views[at_a_time:]]
            wall, cpu = time.perf_counter(), time.process_time()
            await bounded(rest, at_a_time)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            return len(rest) / wall, 1e3 * cpu / len(rest)

    return asyncio.run(measured())


def seconds_used(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a running process (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(
    title: str, latency: float, at_a_time: int, n: int, rounds: int, clients: dict[str, Client]
) -> None:
    views = sample_states(ENV, n + at_a_time, seed=0)
    server = serve(latency)
    measured: dict[str, list[Measured]] = {name: [] for name in clients}
    try:
        wall, cpu = time.perf_counter(), seconds_used(server)
        for _ in range(rounds):
            for name, client in clients.items():
                measured[name].append(client(views, at_a_time))
        wall, cpu = time.perf_counter() - wall, seconds_used(server) - cpu
    finally:
        server.terminate()
        server.wait()
    print(f"\n{title}; {rounds} rounds of {n}")
    speed = {name: median(r for r, _ in results) for name, results in measured.items()}
    for name, results in measured.items():
        cost = median(c for _, c in results)
        ratios = "".join(
            f"   {mine} / this: {speed[mine] / speed[name]:.2f}"
            for mine in ("ours", "ours, litellm")
            if name.startswith("bare")
        )
        print(f"  {name:14} {speed[name]:8.1f} answers/s {cost:8.2f} ms CPU each{ratios}")
    each = 1e3 * cpu / (rounds * len(clients) * len(views))
    print(
        f"  {'the server':14} busy {cpu / wall:.0%} of the time, {each:.2f} ms CPU each", flush=True
    )


def tiny(n: int) -> None:
    import torch

    print(f"\ntiny-vl in process, 6x6, batches of 64, {torch.get_num_threads()} threads")
    views = sample_states(ENV, n, seed=0)
    for elicit in ("logprobs", "choice", "stated"):
        teacher = load_teacher("tiny-vl", options={"elicit": elicit})
        teacher.label(views[:64])
        per_second, cpu = rate(n, lambda teacher=teacher: teacher.label(views))  # type: ignore[misc]
        print(f"  {elicit:14} {per_second:8.1f} labels/s  {cpu:8.2f} ms CPU each", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=320, help="in each round, at 64 at a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["slow", "instant", "tiny"])
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} core{'s' * (cores > 1)}")
    clients: dict[str, Client] = {
        "ours": ours,
        "ours, litellm": ours_litellm,
        "bare litellm": bare_litellm,
        "bare aiohttp": bare_aiohttp,
    }
    if args.only in (None, "slow"):
        for at_a_time in (64, 16):
            title = f"0.5 s latency, {at_a_time} at a time: {2 * at_a_time} answers/s at most"
            compare(title, 0.5, at_a_time, args.states * at_a_time // 64, args.rounds, clients)
    if args.only in (None, "instant"):
        compare("instant server, 64 at a time", 0.0, 64, args.states, args.rounds, clients)
    if args.only in (None, "tiny"):
        tiny(args.states)


if __name__ == "__main__":
    main()
