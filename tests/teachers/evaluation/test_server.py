"""Four teachers that are asked over the wire, on all four tasks (minutes: marked slow)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lvlm2p.teachers import LabelStore, load_teacher
from lvlm2p.teachers.evaluation import EvaluateConfig, evaluate
from lvlm2p.teachers.evaluation.report.page import page
from tests.support.evaluation import ENVS

PORT = 8391
TEACHERS = ("qwen-vl-local", "litellm:hosted_vllm/fake-vl", "gpt-4v", "litellm:openai/fake-vl")


@pytest.fixture
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.support.chat_server", "--port", str(PORT)]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(100):
            try:
                httpx.get(f"{url}/stats")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_four_teachers_four_tasks_200_states_over_the_wire(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local-test")
    store = LabelStore(tmp_path / "store")
    config = EvaluateConfig(
        teacher=list(TEACHERS), env=list(ENVS), states=200, episodes=0, probes=0
    )

    def load(name: str, sample: int = 0) -> object:
        options = {"api_base": server, "model": "fake-vl", "shots": 0}
        return load_teacher(name, options=options, store=store, sample=sample)

    report = evaluate(config, load, lambda *_: None)  # type: ignore[arg-type]
    assert [row.labelled for row in report.results.results] == [
        row.states for row in report.results.results
    ]
    started = time.process_time()
    text = page(report)
    assert time.process_time() - started < 30
    assert len(text.encode()) < 15_000_000
