"""Gemini's batch mode: all requests in one call, the answers in the batch itself.

https://ai.google.dev/api/batch-api
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

_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_METHOD = ":generateContent"


class GeminiBatches(BatchService):
    """See the module."""

    most_bytes = 15 * 2**20
    """The provider takes 20 MB of requests in a call."""

    def _at(self, path: str, query: str = "") -> str:
        root, _, _ = self.url.partition("/models/")
        own = self.url.partition("?")[2]
        return addresses.with_query(addresses.with_query(f"{root}/{path}", own), query)

    async def create(self, nonce: str, ids: Sequence[str], bodies: Sequence[bytes]) -> str:
        """See :class:`BatchService`."""
        requests = [
            b'{"request": %s, "metadata": {"key": %s}}' % (body, json.dumps(name).encode())
            for name, body in zip(ids, bodies, strict=True)
        ]
        wanted = (
            b'{"batch": {"displayName": %s, "inputConfig": {"requests": {"requests": [%s]}}}}'
            % (json.dumps(_shown(nonce)).encode(), b", ".join(requests))
        )
        url = self.url.replace(_METHOD, ":batchGenerateContent")
        return self.id_in(await self.ask("POST", url, wanted), "name")

    async def find(self, nonce: str, count: int, since: float, others: set[str]) -> str | None:
        """See :class:`BatchService`: by the displayed name."""
        token = ""
        for _ in range(MOST_PAGES):
            page = await self.ask("GET", self._at("batches", f"pageSize=100{token}"))
            listed = dicts(page.get("operations")) or dicts(page.get("batches"))
            for one in listed:
                if _shown(nonce) in (
                    one.get("displayName"),
                    fields(one.get("metadata")).get("displayName"),
                ):
                    return self.id_in(one, "name")
            following = page.get("nextPageToken")
            old = any(_time(one) < since - CLOCKS_S for one in listed)
            if not following or not isinstance(following, str) or old:
                return None
            token = f"&pageToken={following}"
        return None

    async def look(self, batch: str) -> State:
        """See :class:`BatchService`."""
        answer = await self.ask("GET", self._at(batch))
        about = fields(answer.get("metadata"))
        stats = fields(about.get("batchStats"))
        done = count_in(stats, "successfulRequestCount", "failedRequestCount")
        state = str(about.get("state")).rpartition("STATE_")[2]
        if not answer.get("done") and state not in _ENDED:
            return State(False, done)
        error = answer.get("error")
        if state == "FAILED" or (error and state not in _ENDED):
            return State(True, done, outcomes.words(json.dumps({"error": error}).encode()))
        return State(True, done)

    async def results(self, batch: str) -> list[Result]:
        """See :class:`BatchService`. An answer that does not say what it answers has its
        request's place: they come in the order of the requests."""
        answer = await self.ask("GET", self._at(batch))
        output = fields(answer.get("response")) or fields(
            fields(answer.get("metadata")).get("output")
        )
        inlined = output.get("inlinedResponses")
        listed = fields(inlined).get("inlinedResponses") or inlined
        places = listed if isinstance(listed, list) else []
        return [_result(place, fields(one)) for place, one in enumerate(places)]


def _result(place: int, one: dict[str, Any]) -> Result:
    key = fields(one.get("metadata")).get("key")
    name = str(key) if key else f"-{place}"
    if "response" in one:
        return Result(name, 200, json.dumps(one["response"]).encode())
    error = {"error": one.get("error")}
    return Result(name, _status(fields(one.get("error"))), json.dumps(error).encode())


def _status(error: dict[str, Any]) -> int:
    """The HTTP status of a Google RPC status, whose codes are 1 to 16."""
    known = {3: 400, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 16: 401}
    code = error.get("code")
    if isinstance(code, int) and code >= 400:
        return code
    return known.get(code, 503) if isinstance(code, int) else 503


def _shown(nonce: str) -> str:
    return f"lvlm2p-{nonce}"


def _time(one: dict[str, Any]) -> float:
    said = one.get("createTime") or fields(one.get("metadata")).get("createTime")
    try:
        return datetime.fromisoformat(str(said)).timestamp()
    except (ValueError, OverflowError):
        return 1e12
