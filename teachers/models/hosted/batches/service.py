"""What the providers' batch APIs have in common: create one, find it again, look, fetch results.

The single requests are the very ones that litellm would send one by one, caught on their way to
the wire, and the single answers are read by litellm as if they had just come: a label is worth the
same either way. What is around them goes over the same wire, by the protocols that the providers
document: litellm's own calls for batches go around it, and know neither keys in turn nor limits.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lvlm2p.envs.untrusted import MalformedDataError, parse_json
from lvlm2p.teachers.models.hosted import addresses, outcomes, wire
from lvlm2p.teachers.models.hosted.api_keys import scrub
from lvlm2p.teachers.models.hosted.litellm_client import Client
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError, classify_error
from lvlm2p.teachers.models.messages import Reply, Request

MOST_REQUESTS = 1_000
"""In one batch. The providers allow more; the answers to so many fit into memory anywhere."""

LONGEST_CALL_S = 600.0
"""Seconds for sending a batch, or for fetching its answers."""

MOST_PAGES = 20
"""Of a provider's list of batches that are looked through."""

CLOCKS_S = 900.0
"""How far the provider's clock may be behind ours."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}(?:/[A-Za-z0-9_-]{1,200})?")
_SENT_ALONG = addresses.KEY_HEADERS | {
    "anthropic-version",
    "anthropic-beta",
    "openai-organization",
    "openai-project",
}


@dataclass(frozen=True)
class Worded:
    """One request as it would go over the wire."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class State(NamedTuple):
    """How far a batch is.

    ``failure``: why there will be no answers at all; None: there may be. ``later``: whether that
    passes once other batches have ended.
    """

    ended: bool
    done: int = 0
    failure: str | None = None
    later: bool = False


class Result(NamedTuple):
    """What became of one request: an HTTP status and a body, as if it had been sent alone.

    ``status`` 0: it was never answered, for the reason ``body``.
    """

    request_id: str
    status: int
    body: bytes


async def word(client: Client, request: Request, key: str | None) -> Worded:
    """``request`` as ``client`` would send it; nothing is sent.

    Raises:
        ProviderError: it can't be worded for this model.
    """
    caught: list[Worded] = []

    def catch(_: wire.Exchange, __: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        caught.append(Worded(url, dict(headers), body))
        raise ProviderError("rejected", "kept for a batch", scope="request")

    exchange = replace(client.exchange(), carry=catch)
    try:
        await client.call(request, key, exchange)
    except ProviderError as error:
        if not caught:
            raise error from None
    return caught[0]


async def read(client: Client, request: Request, key: str | None, result: Result) -> Reply:
    """The reply to ``request``, as ``client`` reads it; half of what litellm thinks it costs.

    Raises:
        ProviderError: it is none.
    """
    if not result.status:
        raise ProviderError("unavailable", f"{client.model}: {result.body.decode()}")

    def answer(exchange: wire.Exchange, *_: object) -> None:
        exchange.status, exchange.body = result.status, result.body
        exchange.headers = {"content-type": "application/json"}

    exchange = replace(client.exchange(), carry=answer)
    try:
        reply = await client.call(request, key, exchange)
    except ProviderError as error:
        error.cost_usd = _half(error.cost_usd)
        raise
    return replace(reply, cost_usd=_half(reply.cost_usd), latency_s=0.0)


def _half(usd: float | None) -> float | None:
    return None if usd is None else usd / 2


class BatchService(ABC):
    """The batch API of one provider.

    Attributes:
        most_bytes: of the requests in one batch.
    """

    most_bytes = 48 * 2**20

    def __init__(self, client: Client, worded: Worded) -> None:
        """``worded``: any request, whose address and headers say where and as whom to ask."""
        self.client = client
        self.url = worded.url
        self._headers = {
            name: value for name, value in worded.headers.items() if name.lower() in _SENT_ALONG
        }

    @abstractmethod
    async def create(self, nonce: str, ids: Sequence[str], bodies: Sequence[bytes]) -> str:
        """Send a batch of requests, ``ids`` being their names; its id.

        Raises:
            ProviderError: there is none, or, where it is transient, perhaps none.
        """

    @abstractmethod
    async def find(self, nonce: str, count: int, since: float, others: set[str]) -> str | None:
        """The id of a batch that was created, or was about to be; None: it was not.

        Args:
            count: of its requests.
            since: when, in seconds since 1970.
            others: ids of batches that it is not.
        """

    @abstractmethod
    async def look(self, batch: str) -> State:
        """How far a batch is."""

    @abstractmethod
    async def results(self, batch: str) -> list[Result]:
        """The answers of a batch that has ended, in whatever order."""

    async def send(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        content_type: str = "application/json",
        lines: bool = False,
    ) -> wire.Exchange:
        """One call, answered well.

        Raises:
            ProviderError: it was not.
        """
        client = self.client
        exchange = replace(client.exchange(), timeout=max(client.timeout, LONGEST_CALL_S))
        exchange.lines = lines
        sent = {**self._headers, "Content-Type": content_type} if body else self._headers
        await wire.send(exchange, method, url, sent, body)
        status = exchange.status or 0
        if 200 <= status < 300:
            return exchange
        said = scrub(outcomes.words(exchange.body), client.keys) or f"HTTP status {status}"
        raise classify_error(
            status, exchange.text[:20_000], exchange.headers, f"{client.model}, batch: {said}"
        )

    async def ask(self, method: str, url: str, body: bytes = b"") -> dict[str, Any]:
        """The JSON object that such a call brings."""
        answer = outcomes.parsed((await self.send(method, url, body)).body)
        if not isinstance(answer, dict):
            raise self.unreadable()
        return answer

    async def read_lines(self, url: str) -> list[dict[str, Any]]:
        """The JSON objects in a file of one a line; other lines are passed over."""
        exchange = await self.send("GET", url, lines=True)
        objects = (_object(line) for line in exchange.body.splitlines() if line.strip())
        return [one for one in objects if one is not None]

    def unreadable(self) -> ProviderError:
        """What came is in no known form."""
        return ProviderError(
            "unavailable", f"{self.client.model}, batch: the provider's answer can't be read"
        )

    def id_in(self, answer: Mapping[str, Any], name: str = "id") -> str:
        """An id that a provider has given, fit to be part of a URL."""
        found = answer.get(name)
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise self.unreadable()
        return found


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = parse_json(line.decode("utf-8", "replace"), half_characters=True)
    except MalformedDataError:
        return None
    return value if isinstance(value, dict) else None


def dicts(listed: Any) -> list[dict[str, Any]]:
    """The objects in what may be a list."""
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def fields(value: Any) -> dict[str, Any]:
    """What may be an object; {} where it is none."""
    return value if isinstance(value, dict) else {}


def count_in(value: Any, *names: str) -> int:
    """The sum of some counts in what may be an object. Google writes whole numbers as text."""
    listed = (str(fields(value).get(name)) for name in names)
    return sum(int(one) for one in listed if re.fullmatch(r"\d{1,12}", one))
