"""How fast labels come in: our asking beside a bare client that sends the same requests.

    python benchmarks/labelling.py [--states 600] [--only slow|instant|tiny]

slow      a server that takes 0.5 s, 64 calls at a time: ours / bare aiohttp (target 0.9, as far as
          litellm's own ceiling allows)
instant   a server that answers at once: ours / bare litellm (target 0.9)
tiny      labels a second of tiny-vl in this process (targets: logprobs, choice 100; stated 30)

"Bare" draws, encodes and words the same questions, sends them and reads nothing. Everything runs
on this machine, the server in a process of its own; run it when nothing else does.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from envs import View, make_env, view_of  # noqa: E402
from teachers import LabelStore, load_teacher  # noqa: E402
from teachers.chat import background  # noqa: E402
from teachers.chat.client import import_litellm  # noqa: E402
from teachers.chat.options import ChatOptions  # noqa: E402
from teachers.chat.teacher import ChatTeacher  # noqa: E402
from teachers.context import Context  # noqa: E402

PORT = 8799
URL = f"http://127.0.0.1:{PORT}/v1"
AT_A_TIME = 64
OPTIONS = {"prompt": "direct", "shots": 0, "elicit": "choice", "api_base": URL}


def some_views(n: int, env_id: str = "MiniGrid-GoToDoor-6x6-v0") -> list[View]:
    env, found, seed = make_env(env_id), dict[str, View](), 0
    while len(found) < n:
        env.reset(seed=seed)
        view = view_of(env)
        found.setdefault(view.key, view)
        seed += 1
    return list(found.values())


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


def rate(n: int, work: Callable[[], object]) -> tuple[float, float]:
    """Answers a second, and milliseconds of this process's CPU for each."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return n / (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu) / n


async def bounded(calls: Sequence[Callable[[], Coroutine[Any, Any, object]]]) -> None:
    todo = iter(calls)

    async def worker() -> None:
        for call in todo:
            await call()

    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))


def ours(views: Sequence[View]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "store")
        teacher = load_teacher("qwen-vl-local", options=OPTIONS, store=store)
        teacher.label(views[:AT_A_TIME])  # connections are open, the concurrency has adapted
        rest = views[AT_A_TIME:]
        result = rate(len(rest), lambda: teacher.label(rest))
        store.close()
    return result


def requests(views: Sequence[View]) -> Callable[[View], dict[str, Any]]:
    """What ours sends about a view, as litellm's arguments."""
    teacher = ChatTeacher.build("qwen-vl-local", ChatOptions(**OPTIONS), Context())
    client = teacher._connect().caller.send.__self__  # type: ignore[attr-defined]

    def request(view: View) -> dict[str, Any]:
        asked = next(teacher.asking(view).run())[0]
        arguments: dict[str, Any] = client.arguments(asked, None)
        return arguments

    return request


def bare_litellm(views: Sequence[View]) -> tuple[float, float]:
    litellm, request = import_litellm(), requests(views)

    def call(view: View) -> Callable[[], Coroutine[Any, Any, object]]:
        return lambda: litellm.acompletion(**request(view))

    background.submit(bounded([call(view) for view in views[:AT_A_TIME]])).result()
    rest = [call(view) for view in views[AT_A_TIME:]]
    return rate(len(rest), lambda: background.submit(bounded(rest)).result())


def bare_aiohttp(views: Sequence[View]) -> tuple[float, float]:
    import aiohttp

    request = requests(views)

    async def all_of_them(some: Sequence[View]) -> None:
        async with aiohttp.ClientSession() as session:

            def call(view: View) -> Callable[[], Coroutine[Any, Any, object]]:
                async def send() -> object:
                    body = {"model": "fake-vl", "messages": request(view)["messages"]}
                    async with session.post(f"{URL}/chat/completions", json=body) as answer:
                        return await answer.json()

                return send

            await bounded([call(view) for view in some])

    rest = views[AT_A_TIME:]
    return rate(len(rest), lambda: asyncio.run(all_of_them(rest)))


def compare(title: str, latency: float, n: int, runs: dict[str, Any]) -> None:
    views = some_views(n)
    server = serve(latency)
    try:
        print(f"\n{title}")
        for name, run in runs.items():
            per_second, cpu = run(views)
            print(f"  {name:14} {per_second:8.1f} answers/s {cpu:8.2f} ms CPU each", flush=True)
    finally:
        server.terminate()
        server.wait()


def tiny(n: int) -> None:
    import torch

    print(f"\ntiny-vl in process, 6x6, batches of 64, {torch.get_num_threads()} threads")
    views = some_views(n)
    for elicit in ("logprobs", "choice", "stated"):
        teacher = load_teacher("tiny-vl", options={"elicit": elicit})
        teacher.label(views[:AT_A_TIME])
        per_second, cpu = rate(n, lambda teacher=teacher: teacher.label(views))  # type: ignore[misc]
        print(f"  {elicit:14} {per_second:8.1f} labels/s  {cpu:8.2f} ms CPU each", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1200)
    parser.add_argument("--only", choices=["slow", "instant", "tiny"])
    args = parser.parse_args()
    both: dict[str, Any] = {"ours": ours, "bare litellm": bare_litellm}
    if args.only in (None, "slow"):
        runs = {**both, "bare aiohttp": bare_aiohttp}
        compare("0.5 s latency, 64 calls at a time", 0.5, args.states, runs)
    if args.only in (None, "instant"):
        compare("instant server", 0.0, args.states, both)
    if args.only in (None, "tiny"):
        tiny(args.states)


if __name__ == "__main__":
    main()
