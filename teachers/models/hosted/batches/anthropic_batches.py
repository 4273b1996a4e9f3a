"""Anthropic's Message Batches: all requests in one call, the answers in a file.

https://docs.anthropic.com/en/api/creating-message-batches
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lvlm2p.teachers.models.hosted import addresses, outcomes
from lvlm2p.teachers.models.hosted.batches.service import (
    CLOCKS_S,
    MOST_PAGES,
    BatchService,
    Result,
    State,
    count_in,
    dicts,
    fields,
)

_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class AnthropicBatches(BatchService):
    """See the module."""

    def _at(self, path: str = "", query: str = "") -> str:
        return addresses.with_query(addresses.without_query(self.url) + "/batches" + path, query)

    async def create(self, nonce: str, ids: Sequence[str], bodies: Sequence[bytes]) -> str:
        """See :class:`BatchService`."""
        requests = [
            b'{"custom_id": %s, "params": %s}' % (json.dumps(name).encode(), body)
            for name, body in zip(ids, bodies, strict=True)
        ]
        return self.id_in(
            await self.ask("POST", self._at(), b'{"requests": [%s]}' % b", ".join(requests))
        )

    async def find(self, nonce: str, count: int, since: float, others: set[str]) -> str | None:
        """See :class:`BatchService`. A batch bears no mark of ours but in its answers: one that is
        as large, not older, and not known to be another, is taken for it until its answers say."""
        after = ""
        for _ in range(MOST_PAGES):
            page = await self.ask("GET", self._at(query=f"limit=100{after}"))
            listed = dicts(page.get("data"))
            for one in listed:
                if await self._may_be(one, nonce, count, since, others):
                    return self.id_in(one)
            old = any(_time(one) < since - CLOCKS_S for one in listed)
            if not listed or old or not page.get("has_more"):
                return None
            after = f"&after_id={self.id_in(listed[-1])}"
        return None

    async def _may_be(
        self, one: dict[str, Any], nonce: str, count: int, since: float, others: set[str]
    ) -> bool:
        found = self.id_in(one)
        if found in others or _time(one) < since - CLOCKS_S:
            return False
        if count_in(one.get("request_counts"), *_COUNTS) != count:
            return False
        if one.get("processing_status") != "ended":
            return True
        answers = await self.results(found)
        return any(answer.request_id.startswith(nonce) for answer in answers)

    async def look(self, batch: str) -> State:
        """See :class:`BatchService`."""
        answer = await self.ask("GET", self._at(f"/{batch}"))
        done = count_in(answer.get("request_counts"), *_COUNTS[1:])
        return State(answer.get("processing_status") == "ended", done)

    async def results(self, batch: str) -> list[Result]:
        """See :class:`BatchService`. They are fetched where they are documented to be, whatever
        URL the provider's answer names: a key would go there."""
        return [_result(line) for line in await self.read_lines(self._at(f"/{batch}/results"))]


def _result(line: dict[str, Any]) -> Result:
    name, result = str(line.get("custom_id")), fields(line.get("result"))
    kind = result.get("type")
    if kind == "succeeded":
        return Result(name, 200, json.dumps(result.get("message")).encode())
    if kind == "errored":
        error = result.get("error")
        status = outcomes.error_in(error) or outcomes.error_in({"error": error}) or 503
        return Result(name, status, json.dumps(error).encode())
    return Result(name, 0, f"not answered: {str(kind)[:40]}".encode())


def _time(one: dict[str, Any]) -> float:
    """When a batch was created, in seconds since 1970; in the far future where it is not said."""
    try:
        return datetime.fromisoformat(str(one.get("created_at"))).timestamp()
    except (ValueError, OverflowError):
        return 1e12
