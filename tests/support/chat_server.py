"""A local server that answers in OpenAI's protocol, well or badly, in a process of its own.

    python -m tests.support.chat_server --port 8123 --latency 0.5 --faults 0.3 --seed 0

``GET /stats`` tells what it saw; a state is named by the SHA-256 of the message that shows it: two
states may look the same and differ in their mission.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiohttp import web

SPOILT = ("declined", "filtered", "truncated", "prose")
"""Answers that are billed and of no use."""

FAULTS = ("429", "429-now", "429-wait", "500", "503", "hang", "refused", "reset", "bad json", "cut")
"""``cut``: the connection ends in the middle of the body; ``refused``: before any byte."""


class Server:
    def __init__(self, latency: float, faults: float, seed: int, kinds: Sequence[str]) -> None:
        self.latency = latency
        self.kinds = kinds
        self.faults = faults
        self.random = random.Random(seed)
        self.answered: Counter[str] = Counter()
        self.faulty: Counter[str] = Counter()
        self.running = 0
        self.most_running = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._chat(request)
        finally:
            self.running -= 1

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        fault = self._fault()
        if fault:
            self.faulty[fault] += 1
        if fault and fault not in SPOILT:
            return await self._misbehave(fault, request)
        if self.latency:
            await asyncio.sleep(self.latency)
        response = web.json_response(spoilt(answer_to(asked), fault))
        await response.prepare(request)
        await response.write_eof()
        self.answered[name_of(asked)] += 1
        return response

    def _fault(self) -> str:
        if self.random.random() >= self.faults:
            return ""
        weights = [
            0.3 if fault == "hang" else 1.0 for fault in self.kinds
        ]  # it takes a whole timeout
        return self.random.choices(self.kinds, weights)[0]

    async def _misbehave(self, fault: str, request: web.Request) -> web.StreamResponse:
        error = {"error": {"message": f"planned: {fault}", "type": "planned", "code": None}}
        if fault.startswith("429"):
            wait = {"429": {}, "429-now": {"Retry-After": "0"}, "429-wait": {"Retry-After": "0.1"}}
            return web.json_response(error, status=429, headers=wait[fault])
        if fault in ("500", "503"):
            return web.json_response(error, status=int(fault))
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "bad json":
            return web.Response(text='{"choices": [{"mess', content_type="application/json")
        assert request.transport is not None
        if fault != "refused":
            response = web.StreamResponse(headers={"Content-Length": "5000"})
            await response.prepare(request)
            await response.write(b'{"id": "x", "choices": [')
        if fault == "reset":
            request.transport.abort()
        else:
            request.transport.close()
        raise ConnectionResetError

    async def stats(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "answered": dict(self.answered),
                "faulty": dict(self.faulty),
                "most_running": self.most_running,
            }
        )

    async def set(self, request: web.Request) -> web.Response:
        """Change ``latency`` or ``faults`` while running."""
        vars(self).update(await request.json())
        return web.json_response({})

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/v1/models", models)
        app.router.add_get("/stats", self.stats)
        app.router.add_post("/set", self.set)
        return app


async def models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "fake-vl", "object": "model"}]})


def name_of(asked: dict[str, Any]) -> str:
    """The state (picture and mission) and the turn that a request is about."""
    turn = 0
    for message in reversed(asked["messages"]):
        if message["role"] == "user":
            turn += 1
            if not isinstance(message["content"], str):
                shown = json.dumps(message["content"])
                return f"{hashlib.sha256(shown.encode()).hexdigest()}/{turn}"
    return "no picture"


def answer_to(asked: dict[str, Any]) -> dict[str, Any]:
    """A right answer in form: what the schema, or the wish for log-probabilities, calls for."""
    schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
    message: dict[str, Any] = {"role": "assistant", "content": "A"}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
    if schema is not None:
        message["content"] = json.dumps(filled(schema["properties"]))
    elif asked.get("logprobs"):
        top = [{"token": t, "logprob": p, "bytes": None} for t, p in LETTERS.items()]
        content = [{"token": "A", "logprob": LETTERS["A"], "bytes": None, "top_logprobs": top}]
        choice["logprobs"] = {"content": content}
        choice["finish_reason"] = "length"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020},
    }


def spoilt(answer: dict[str, Any], how: str) -> dict[str, Any]:
    """The same answer, but ...; ``how`` "": as it is."""
    (choice,) = answer["choices"]
    if how == "declined":
        choice["message"].update(content=None, refusal="I can't help with that.")
    elif how == "filtered":
        choice.update(finish_reason="content_filter")
        choice["message"]["content"] = ""
    elif how == "truncated":
        choice.update(finish_reason="length")
        choice["message"]["content"] = choice["message"]["content"][:5]
    elif how == "prose":
        choice["message"]["content"] = "The agent stands in a room."
    return answer


LETTERS = {"A": -0.5, "B": -1.2, " C": -2.5, "The": -3.5}


def filled(properties: dict[str, Any]) -> dict[str, Any]:
    numbers = [name for name, field in properties.items() if field.get("type") == "number"]
    values: dict[str, Any] = {}
    for name, field in properties.items():
        if "enum" in field:
            values[name] = field["enum"][0]
        elif "const" in field:
            values[name] = field["const"]
        elif field.get("type") == "number":
            values[name] = 1.0 if name == numbers[0] else 0.0
        else:
            values[name] = 2 if field.get("type") == "integer" else "empty"
    return values


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spoilt", action="store_true", help="of the faults, some are answers")
    args = parser.parse_args()
    logging.disable()  # the planned faults
    kinds = FAULTS + SPOILT if args.spoilt else FAULTS
    server = Server(args.latency, args.faults, args.seed, kinds)
    web.run_app(
        server.app(),
        host="127.0.0.1",
        port=args.port,
        print=None,
        access_log=None,
        shutdown_timeout=0.1,
    )


if __name__ == "__main__":
    main()
