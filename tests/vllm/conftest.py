"""Real vLLM servers, started once through the command line: random checkpoints, tiny-vl."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
VLLM = ROOT / ".venv-vllm" / "bin" / "vllm"


@dataclass(frozen=True)
class Running:
    """A server that `lvlm2p serve` started; `pid` is that command's."""

    pid: int
    api_base: str
    model: str


@pytest.fixture(scope="session", params=["qwen3-vl", "qwen2.5-vl"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / str(request.param)
    script = ROOT / "tools" / "vllm_cpu" / "random_checkpoint.py"
    subprocess.run([sys.executable, str(script), request.param, str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(["qwen-vl-local", "--model", str(checkpoint)], tmp_path_factory) as at:
        yield Running(*at, str(checkpoint))


@contextmanager
def serving(what: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """`lvlm2p serve WHAT`: its process id and its URL. Nothing of it may be left behind."""
    if not VLLM.exists():
        pytest.fail("there is no .venv-vllm here: make test-vllm builds it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    command = [sys.executable, "-m", "lvlm2p", "serve", *what]
    command += ["--vllm", str(VLLM), "--port", str(port), "--device", "cpu", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        api_base = f"http://127.0.0.1:{port}/v1"
        assert api_base in ready, "lvlm2p serve says why on stderr"
        started = psutil.Process(process.pid).children(recursive=True)
        yield process.pid, api_base
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert [child for child in started if child.is_running()] == [], "something was left behind"
