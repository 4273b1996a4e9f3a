"""The providers' protocols: where each is asked, and a good answer of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.teachers import Teacher, load_teacher
from tests.support.chat import KEY, STATED, anthropic_body, gemini_body, openai_body

VLLM = "litellm:hosted_vllm/some-vl"
"""What qwen-vl-local asks without litellm, asked through it."""


@dataclass(frozen=True)
class Protocol:
    """``list``: the name of its list of finish reasons; ``good``: the reason of a good answer."""

    path: Any
    suffix: str
    body: Callable[..., dict[str, Any]]
    good: str
    list: str

    def answer(self, text: str | None = STATED, reason: Any = None) -> dict[str, Any]:
        return self.body(text, reason or self.good)


OPENAI = Protocol("/v1/chat/completions", "/v1", openai_body, "stop", "OpenAI, vLLM")
PROTOCOLS = {
    "gpt-4v": OPENAI,
    "qwen-vl-local": OPENAI,
    VLLM: OPENAI,
    "claude": Protocol("/v1/messages", "", anthropic_body, "end_turn", "Anthropic"),
    "gemini": Protocol(re.compile("/v1beta/models/.*"), "/v1beta", gemini_body, "STOP", "Gemini"),
}
"""Teacher -> what it speaks."""

KEYED = ("gpt-4v", "claude", "gemini")
"""Those that are asked with a key from the environment."""


def set_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, KEY)


def teacher_at(name: str, url: str, **options: Any) -> Teacher:
    """The teacher ``name``, that asks the server at ``url`` in one turn, without examples."""
    store, budget = options.pop("store", None), options.pop("budget", None)
    base = url.rstrip("/") + PROTOCOLS[name].suffix
    given = {"api_base": base, "prompt": "direct", "shots": 0, "retries": 0, **options}
    return load_teacher(name, options=given, store=store, budget=budget)


def serves_models(server: HTTPServer) -> None:
    server.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
