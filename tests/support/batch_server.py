"""Local servers that speak the three providers' batch protocols, well or badly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lvlm2p.teachers import LabelStore, Teacher, load_teacher
from tests.support.chat import ANALYSIS, STATED, anthropic_body, gemini_body, openai_body

NAMES = ("gpt-4v", "claude", "gemini")
SUFFIX = {"gpt-4v": "/v1", "claude": "", "gemini": "/v1beta"}
BODIES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "gpt-4v": openai_body,
    "claude": anthropic_body,
    "gemini": gemini_body,
}


@dataclass
class Sent:
    """A batch as the provider has it: its requests by name, and how often it was looked at."""

    id: str
    requests: dict[str, dict[str, Any]]
    mark: str = ""
    looks: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


Fault = Callable[[int, str], str]
"""(position in the batch, name) -> "", "expired", "500", "400" or "lost"."""


class BatchServer:
    """One provider.

    Attributes:
        pending: so many times a batch is said to be at work before it has ended.
        fault: what becomes of each request.
        fails: why every batch fails as a whole; "": it does not.
        lose_answers: so many batches are created, and the connection is lost before the answer.
        refuse: an HTTP status with which batches are refused; 0: none is.
    """

    def __init__(self, server: HTTPServer, name: str) -> None:
        self.server, self.name = server, name
        self.batches: list[Sent] = []
        self.files: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []
        self.pending = 1
        self.fault: Fault = lambda position, name: ""
        self.fails, self.fail_code = "", ""
        self.lose_answers = self.refuse = 0
        self.two_turns = False
        server.expect_request(re.compile(".*")).respond_with_handler(self._serve)

    def teacher(self, store: LabelStore, **options: Any) -> Teacher:
        """The teacher that asks it, with the key of the environment."""
        budget = options.pop("budget", None)
        self.two_turns = options.get("prompt") == "two-turn"
        base = self.server.url_for("").rstrip("/") + SUFFIX[self.name]
        given = {"api_base": base, "prompt": "direct", "shots": 0, "retries": 1, **options}
        return load_teacher(self.name, options=given, store=store, budget=budget, by_batch=True)

    @property
    def questions(self) -> int:
        """All that were ever sent."""
        return sum(len(batch.requests) for batch in self.batches)

    def _serve(self, request: Request) -> Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        serve = {"gpt-4v": self._openai, "claude": self._anthropic, "gemini": self._gemini}
        answer = serve[self.name](request)
        if isinstance(answer, Response):
            return answer
        return Response(json.dumps(answer), content_type="application/json")

    def _create(self, requests: dict[str, dict[str, Any]], mark: str = "") -> Sent | None:
        batch = Sent(f"batch_{len(self.batches) + 1}", requests, mark)
        self.batches.append(batch)
        if self.lose_answers:
            self.lose_answers -= 1
            return None
        return batch

    def _refusal(self) -> Response:
        error = {"error": {"message": "planned", "type": "planned", "code": None}}
        return Response(json.dumps(error), self.refuse or 503, content_type="application/json")

    def _find(self, batch: str) -> Sent:
        return next(one for one in self.batches if one.id == batch)

    def _ended(self, batch: Sent) -> bool:
        return batch.looks > self.pending

    def _answers(self, batch: Sent) -> list[tuple[str, str, dict[str, Any]]]:
        """(name, what went wrong, a good answer), in another order than that of the requests."""
        found = []
        for position, (name, asked) in enumerate(batch.requests.items()):
            said = json.dumps(asked)
            second = '"role": "assistant"' in said or '"role": "model"' in said
            text = STATED if second or not self.two_turns else ANALYSIS
            found.append((name, self.fault(position, name), BODIES[self.name](text)))
        return [one for one in reversed(found) if one[1] != "lost"]

    # OpenAI

    def _openai(self, request: Request) -> Any:
        path = request.path.removeprefix("/v1")
        if path == "/files":
            name = f"file_{len(self.files) + 1}"
            assert request.form["purpose"] == "batch"
            self.files[name] = request.files["file"].read()
            return {"id": name, "object": "file"}
        if path == "/batches" and request.method == "POST":
            return self._openai_create(json.loads(request.data))
        if path == "/batches":
            return {"data": [self._openai_batch(one) for one in reversed(self.batches)]}
        if path.startswith("/batches/"):
            batch = self._find(path.removeprefix("/batches/"))
            batch.looks += 1
            return self._openai_batch(batch)
        kind, _, name = path.removeprefix("/files/").removesuffix("/content").partition("-")
        return Response("".join(self._openai_lines(self._find(name), kind)))

    def _openai_create(self, wanted: dict[str, Any]) -> Any:
        if self.refuse:
            return self._refusal()
        assert wanted["endpoint"] == "/v1/chat/completions"
        lines = map(json.loads, self.files[wanted["input_file_id"]].decode().splitlines())
        requests = {}
        for line in lines:
            assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
            requests[line["custom_id"]] = line["body"]
        batch = self._create(requests, wanted["metadata"]["lvlm2p"])
        return self._refusal() if batch is None else self._openai_batch(batch)

    def _openai_batch(self, batch: Sent) -> dict[str, Any]:
        ended = self._ended(batch)
        errors = {"data": [{"message": self.fails, "code": self.fail_code}]}
        status = "failed" if self.fails else "completed"
        return {
            "id": batch.id,
            "status": status if ended else "in_progress",
            "created_at": int(batch.created.timestamp()),
            "metadata": {"lvlm2p": batch.mark},
            "errors": errors if self.fails and ended else None,
            "request_counts": {"total": len(batch.requests), "completed": 0, "failed": 0},
            "output_file_id": f"good-{batch.id}" if ended and not self.fails else None,
            "error_file_id": f"bad-{batch.id}" if ended and not self.fails else None,
        }

    def _openai_lines(self, batch: Sent, kind: str) -> list[str]:
        lines = []
        for name, fault, body in self._answers(batch):
            error: Any = None
            response: Any = {"status_code": 200, "body": body}
            if fault == "expired":
                error, response = {"code": "batch_expired", "message": "it expired"}, None
            elif fault:
                response = {"status_code": int(fault), "body": {"error": {"message": "planned"}}}
            if (kind == "bad") == bool(fault):
                lines.append(json.dumps({"custom_id": name, "response": response, "error": error}))
        return [f"{line}\n" for line in lines]

    # Anthropic

    def _anthropic(self, request: Request) -> Any:
        path = request.path.removeprefix("/v1/messages/batches")
        if not path and request.method == "POST":
            if self.refuse:
                return self._refusal()
            asked = json.loads(request.data)["requests"]
            batch = self._create({one["custom_id"]: one["params"] for one in asked})
            return self._refusal() if batch is None else self._anthropic_batch(batch)
        if not path:
            return {"data": [self._anthropic_batch(one) for one in reversed(self.batches)]}
        name, _, results = path.removeprefix("/").partition("/")
        batch = self._find(name)
        if results:
            return Response("".join(map(self._anthropic_line, self._answers(batch))))
        batch.looks += 1
        return self._anthropic_batch(batch)

    def _anthropic_batch(self, batch: Sent) -> dict[str, Any]:
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if self._ended(batch) else "in_progress",
            "created_at": batch.created.isoformat().replace("+00:00", "Z"),
            "request_counts": {"processing": len(batch.requests), "succeeded": 0},
            "results_url": "https://evil.example/results",
        }

    @staticmethod
    def _anthropic_line(answer: tuple[str, str, dict[str, Any]]) -> str:
        name, fault, body = answer
        result: dict[str, Any] = {"type": "succeeded", "message": body}
        if fault == "expired":
            result = {"type": "expired"}
        elif fault:
            kind = "api_error" if fault == "500" else "invalid_request_error"
            error = {"type": "error", "error": {"type": kind, "message": "planned"}}
            result = {"type": "errored", "error": error}
        return json.dumps({"custom_id": name, "result": result}) + "\n"

    # Gemini

    def _gemini(self, request: Request) -> Any:
        path = request.path.removeprefix("/v1beta/")
        if path.endswith(":batchGenerateContent"):
            if self.refuse:
                return self._refusal()
            wanted = json.loads(request.data)["batch"]
            asked = wanted["inputConfig"]["requests"]["requests"]
            requests = {one["metadata"]["key"]: one["request"] for one in asked}
            batch = self._create(requests, wanted["displayName"])
            return self._refusal() if batch is None else self._gemini_batch(batch)
        if path == "batches":
            return {"operations": [self._gemini_batch(one) for one in reversed(self.batches)]}
        batch = self._find(path.removeprefix("batches/"))
        batch.looks += 1
        return self._gemini_batch(batch)

    def _gemini_batch(self, batch: Sent) -> dict[str, Any]:
        ended = self._ended(batch)
        state = "BATCH_STATE_SUCCEEDED" if ended else "BATCH_STATE_RUNNING"
        created = (batch.created - timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
        found: dict[str, Any] = {
            "name": f"batches/{batch.id}",
            "metadata": {"state": state, "displayName": batch.mark, "createTime": created},
        }
        if ended:
            answers = [self._gemini_answer(*answer) for answer in self._answers(batch)]
            response = {"inlinedResponses": {"inlinedResponses": answers}}
            found.update(done=True, response=response)
        return found

    @staticmethod
    def _gemini_answer(name: str, fault: str, body: dict[str, Any]) -> dict[str, Any]:
        about = {"metadata": {"key": name}}
        if not fault:
            return {**about, "response": body}
        code = 3 if fault == "400" else 13
        return {**about, "error": {"code": code, "message": "planned"}}
