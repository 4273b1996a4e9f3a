"""Answers in the providers' own protocols, and views to ask about."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lvlm2p.envs import View, make_env, view_of
from lvlm2p.prompts import load_prompt
from lvlm2p.teachers import LabelStore, Teacher, load_teacher
from lvlm2p.teachers.models.messages import Request as Question

KEY = "sk-live-7f3e9a1c5b2d8e4f6a0b"
"""The API key of every test: nothing that a run writes may hold it."""

ANALYSIS = (
    '{"agent_row":3,"agent_column":2,"agent_direction":"up",'
    '"target_row":1,"target_column":4,"ahead":"empty"}'
)
STATED = '{"left":0.1,"right":0.1,"forward":0.7,"done":0.1}'
CHOICE = '{"action":"forward"}'


def some_views(n: int, env_id: str = "MiniGrid-GoToDoor-6x6-v0") -> list[View]:
    """``n`` distinct states."""
    env = make_env(env_id)
    found: dict[str, View] = {}
    seed = 0
    while len(found) < n:
        env.reset(seed=seed)
        view = view_of(env)
        found.setdefault(view.key, view)
        seed += 1
    return list(found.values())


def first_requests(
    views: Sequence[View],
    letters: tuple[str, ...] = (),
    *,
    prompt: str = "direct",
    shots: int | None = 1,
) -> list[Question]:
    """The first question about each view, as a model in this process is asked it."""
    words = load_prompt(prompt, views[0].task, shots=shots)
    return [Question("1", words.conversation(v).messages(), letters=letters) for v in views]


def openai_body(text: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """OpenAI's and vLLM's."""
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-as-served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 60},
        },
    }


def letters_body(listed: dict[str, float], first: str = "") -> dict[str, Any]:
    """OpenAI's, with the alternatives of each token; ``first``: a token before the letter."""
    body = openai_body("A", "length")

    def position(token: str, top: dict[str, float]) -> dict[str, Any]:
        alternatives = [{"token": t, "logprob": p, "bytes": None} for t, p in top.items()]
        return {"token": token, "logprob": top[token], "bytes": None, "top_logprobs": alternatives}

    content = [position(first, {first: 0.0})] if first else []
    content.append(position(next(iter(listed)), listed))
    body["choices"][0]["logprobs"] = {"content": content}
    return body


def anthropic_body(text: str, finish: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude-as-served",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": finish,
        "usage": {
            "input_tokens": 40,
            "output_tokens": 10,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 0,
        },
    }


def gemini_body(text: str | None, finish: str = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"finishReason": finish, "index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 100,
            "candidatesTokenCount": 10,
            "totalTokenCount": 110,
            "cachedContentTokenCount": 60,
        },
        "modelVersion": "gemini-as-served",
    }


class Script:
    """Serves answers in turn (the last one again and again) and keeps the requests."""

    def __init__(self, server: HTTPServer, path: Any, answers: Sequence[Any]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._answers = list(answers)
        server.expect_request(path, method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.requests.append(json.loads(request.data))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, Response):
            return answer
        if callable(answer):
            made: Callable[[], Response] = answer
            return made()
        return Response(json.dumps(answer), content_type="application/json")


OPENAI = "/v1/chat/completions"
GOOD = openai_body(STATED)


def gpt(
    server: HTTPServer, store: LabelStore | None = None, name: str = "gpt-4v", **options: Any
) -> Teacher:
    """A teacher that asks ``server`` in one turn, without examples."""
    budget = options.pop("budget", None)
    if name == "qwen-vl-local":
        server.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
    given = {"api_base": server.url_for("/v1"), "prompt": "direct", "shots": 0, **options}
    return load_teacher(name, options=given, store=store, budget=budget)


def failing(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as OpenAI words it."""
    body = {"error": {"message": message, "type": "error", "code": None}}
    return Response(json.dumps(body), status, headers or {}, content_type="application/json")
