"""One real vLLM for each Qwen-VL family, started once, with a small random checkpoint."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from teachers.errors import TeacherNotReadyError
from teachers.serving import ServeConfig, Server, find_vllm, start

ROOT = Path(__file__).resolve().parents[2]


def make_checkpoint(family: str, folder: Path) -> Path:
    script = ROOT / "tools" / "vllm_cpu" / "random_checkpoint.py"
    subprocess.run([sys.executable, str(script), family, str(folder)], check=True)
    return folder


@pytest.fixture(scope="session", params=["qwen3-vl", "qwen2.5-vl"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(request.param, tmp_path_factory.mktemp("checkpoint") / request.param)


@pytest.fixture(scope="session")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        executable = find_vllm(ROOT / ".venv-vllm" / "bin" / "vllm")
    except TeacherNotReadyError as error:
        pytest.fail(f"{error}; make test-vllm builds a CPU version in .venv-vllm")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    config = ServeConfig(
        model=str(checkpoint), vllm=executable, port=port, device="cpu", log=log, timeout_s=300
    )
    with start(config) as running:
        yield running
