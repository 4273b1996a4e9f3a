"""OpenAI's batch API, and others' that speak its protocol: a file of requests, a file of answers.

https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lvlm2p.teachers.models.hosted import addresses
from lvlm2p.teachers.models.hosted.batches.service import (
    CLOCKS_S,
    MOST_PAGES,
    BatchService,
    Result,
    State,
    Worded,
    count_in,
    dicts,
    fields,
)
from lvlm2p.teachers.models.hosted.litellm_client import Client

_ENDED = {"completed", "failed", "expired", "cancelled"}
_MARK = "lvlm2p"
"""The key of a batch's metadata that holds our nonce."""

_FULL = "token_limit_exceeded"
"""So much is enqueued already that there is no room for this batch."""


class OpenAIBatches(BatchService):
    """See the module."""

    def __init__(self, client: Client, worded: Worded) -> None:
        super().__init__(client, worded)
        path = "/responses" if addresses.without_query(self.url).endswith("/responses") else None
        self._path = path or "/chat/completions"
        self._root = addresses.without_query(self.url).removesuffix(self._path)

    def _at(self, path: str, query: str = "") -> str:
        return addresses.with_query(self._root + path, query)

    async def create(self, nonce: str, ids: Sequence[str], bodies: Sequence[bytes]) -> str:
        """See :class:`BatchService`: the file, then the batch."""
        head = '{"custom_id": %s, "method": "POST", "url": %s, "body": '
        url = json.dumps("/v1" + self._path)
        lines = [
            (head % (json.dumps(name), url)).encode() + body + b"}\n"
            for name, body in zip(ids, bodies, strict=True)
        ]
        form, content_type = _form(nonce, b"".join(lines))
        uploaded = await self.send("POST", self._at("/files"), form, content_type)
        file = self.id_in(fields(_parsed(uploaded.body)))
        wanted = {
            "input_file_id": file,
            "endpoint": "/v1" + self._path,
            "completion_window": "24h",
            "metadata": {_MARK: nonce},
        }
        made = await self.ask("POST", self._at("/batches"), json.dumps(wanted).encode())
        return self.id_in(made)

    async def find(self, nonce: str, count: int, since: float, others: set[str]) -> str | None:
        """See :class:`BatchService`: by the metadata."""
        after = ""
        for _ in range(MOST_PAGES):
            page = await self.ask("GET", self._at("/batches", f"limit=100{after}"))
            listed = dicts(page.get("data"))
            for one in listed:
                if fields(one.get("metadata")).get(_MARK) == nonce:
                    return self.id_in(one)
            old = any(0 < count_in(one, "created_at") < since - CLOCKS_S for one in listed)
            if not listed or old or not page.get("has_more"):
                return None
            after = f"&after={self.id_in(listed[-1])}"
        return None

    async def look(self, batch: str) -> State:
        """See :class:`BatchService`."""
        answer = await self.ask("GET", self._at(f"/batches/{batch}"))
        done = count_in(answer.get("request_counts"), "completed", "failed")
        if answer.get("status") not in _ENDED:
            return State(False, done)
        if answer["status"] != "failed":
            return State(True, done)
        errors = dicts(fields(answer.get("errors")).get("data"))
        said = [str(error.get("message")) for error in errors[:1]] or ["the batch failed"]
        return State(True, done, said[0], any(error.get("code") == _FULL for error in errors))

    async def results(self, batch: str) -> list[Result]:
        """See :class:`BatchService`: those of the answers and of the errors."""
        answer = await self.ask("GET", self._at(f"/batches/{batch}"))
        found: list[Result] = []
        for name in ("output_file_id", "error_file_id"):
            if answer.get(name):
                file = self.id_in(answer, name)
                found += map(_result, await self.read_lines(self._at(f"/files/{file}/content")))
        return found


def _parsed(body: bytes) -> Any:
    from lvlm2p.teachers.models.hosted import outcomes

    return outcomes.parsed(body)


def _form(nonce: str, file: bytes) -> tuple[bytes, str]:
    """A form with the file, and its content type. The nonce can't be in base64 by chance."""
    boundary = f"lvlm2p-{nonce}-form"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="lvlm2p-{nonce}.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n'
    )
    body = head.encode() + file + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _result(line: dict[str, Any]) -> Result:
    name, response = str(line.get("custom_id")), fields(line.get("response"))
    status = response.get("status_code")
    if isinstance(status, int) and 100 <= status < 600:
        return Result(name, status, json.dumps(response.get("body")).encode())
    error = fields(line.get("error"))
    return Result(name, 0, f"not answered: {error.get('message') or error.get('code')}".encode())
