"""What a real vLLM on CPU says to litellm's real code: the ground that our teacher stands on."""

from __future__ import annotations

import base64
import io
import json
import os
import urllib.request
from typing import Any

import psutil
import pytest
from PIL import Image
from pydantic import BaseModel, ConfigDict

from tests.vllm.conftest import Running

pytestmark = pytest.mark.vllm


class Stated(BaseModel):
    model_config = ConfigDict(extra="forbid")

    agent_x: int
    target: str
    left: float
    right: float


def picture(colour: str) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (192, 192), colour).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def ask(server: Running, **options: Any) -> Any:
    os.environ.update(
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_MODE="PRODUCTION",
        AIOHTTP_KEEPALIVE_TIMEOUT="4",
    )
    import litellm

    question = [picture("red"), {"type": "text", "text": "Where is the agent?"}]
    example = [picture("blue"), {"type": "text", "text": "Where is the agent?"}]
    messages = [
        {"role": "system", "content": "You advise an agent in a grid."},
        {"role": "user", "content": example},
        {"role": "assistant", "content": "At (1, 2)."},
        {"role": "user", "content": question},
    ]
    answer = litellm.completion(
        model=f"hosted_vllm/{server.model}",
        api_base=server.api_base,
        messages=messages,
        timeout=120,
        num_retries=0,
        **{"max_tokens": 400, **options},
    )
    return answer.choices[0]


def test_the_server_names_its_model(server: Running) -> None:
    with urllib.request.urlopen(f"{server.api_base}/models", timeout=10) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == [server.model]
    started = psutil.Process(server.pid).children(recursive=True)
    assert len(started) > 1, "the engine is a process of its own"


def test_an_answer_keeps_to_the_schema(server: Running) -> None:
    for _ in range(4):
        choice = ask(server, response_format=Stated)
        assert choice.finish_reason == "stop"
        Stated.model_validate_json(choice.message.content)


def test_letters_have_log_probabilities(server: Running) -> None:
    choice = ask(
        server,
        logprobs=True,
        top_logprobs=5,
        extra_body={"structured_outputs": {"choice": ["A", "B", "C"]}},
    )
    first = choice.logprobs.content[0].top_logprobs
    allowed = {entry.token for entry in first if entry.logprob > -9000}
    assert allowed == {"A", "B", "C"}


def test_the_few_shot_prefix_is_cached(server: Running) -> None:
    def hits() -> float:
        metrics = server.api_base.removesuffix("/v1") + "/metrics"
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("vllm:prefix_cache_hits_total")]
        return sum(float(line.split()[-1]) for line in counts)

    ask(server, max_tokens=4)
    before = hits()
    ask(server, max_tokens=4)
    assert hits() > before
