"""Every request to a model goes out here, whichever client words it, under the same rules:

- a redirect is never followed: a key would go along;
- a key is not sent in the clear to another machine, unless the user says so;
- what is sent goes to the endpoint that was named, and to no other;
- a proxy never stands before this machine's own addresses;
- an answer has at most :data:`LONGEST` bytes, unpacked, not too many parts, and the whole of it a
  time limit.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit
from weakref import WeakKeyDictionary

from lvlm2p.teachers.models.hosted import addresses
from lvlm2p.teachers.models.hosted.api_keys import scrub
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError, why_unreachable

if TYPE_CHECKING:
    import aiohttp

LONGEST = 16 * 2**20
"""Bytes of an answer. A label's has a few thousand."""

LONGEST_FILE = 128 * 2**20
"""Bytes of a file of answers, those of a whole batch."""

MOST_CONTAINERS, MOST_VALUES = 200_000, 1_000_000
"""Of a JSON answer. Empty lists take thirty times as much memory as on the wire."""

_IDLE_S = 4.0  # vLLM closes idle connections after 5 seconds
_OURS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


@dataclass
class Exchange:
    """One call on the wire: the rules for it, and what came back.

    Attributes:
        who: the model or server, for messages.
        endpoint: the URL that was named, where all of it goes; None: the provider's own.
        timeout: seconds from the first byte sent to the last one received.
        insecure: whether a key may be sent in the clear to another machine.
        keys: kept out of messages.
        status: of the last answer; None: none came.
        headers: of the last answer, names in lower case.
        body: of the last answer, unpacked.
        error: what went wrong on the wire, since the client above may hide it.
        carry: called instead of the network, with this exchange, method, URL, headers and body; it
            fills in the answer, or raises a ProviderError. None: the network.
        lines: whether the answer is a file of JSON values, one a line, each of which is checked
            when it is read.
    """

    who: str
    endpoint: str | None
    timeout: float
    insecure: bool = False
    keys: Sequence[str] = field(default=(), repr=False)
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: ProviderError | None = None
    carry: Callable[[Exchange, str, str, Mapping[str, str], bytes], None] | None = None
    lines: bool = False

    @property
    def text(self) -> str:
        """The body, whatever its encoding is said to be."""
        return self.body.decode("utf-8", "replace")


CURRENT: ContextVar[Exchange] = ContextVar("lvlm2p_exchange")
"""The call that is being made, for transports that litellm calls."""


async def send(
    exchange: Exchange,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    tls: ssl.SSLContext | bool = True,
) -> None:
    """Send one request and keep its answer, of whatever status, in ``exchange``.

    Raises:
        ProviderError: no answer came, or none that may be read; also in ``exchange.error``.
    """
    exchange.status, exchange.error, exchange.body = None, None, b""
    try:
        if exchange.endpoint is not None:
            url = addresses.with_query(url, urlsplit(exchange.endpoint).query)
        _check(exchange, url, headers)
        if exchange.carry is not None:
            exchange.carry(exchange, method, url, headers, body)
            return
        async with asyncio.timeout(exchange.timeout):
            await _exchange(exchange, method, url, headers, body, tls)
    except ProviderError as error:
        exchange.error = error
        raise
    except TimeoutError:
        exchange.error = no_answer(exchange.who, exchange.timeout)
        raise exchange.error from None
    except Exception as error:  # aiohttp's own, OSError, ValueError of a URL, zlib's
        message = f"{exchange.who}: {scrub(why_unreachable(error), exchange.keys)}"
        exchange.error = ProviderError("unavailable", message)
        raise exchange.error from None


def no_answer(who: str, timeout: float) -> ProviderError:
    """There was none in time."""
    return ProviderError("timeout", f"{who}: no answer within {timeout:g} seconds")


async def _exchange(
    exchange: Exchange,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    tls: ssl.SSLContext | bool,
) -> None:
    from yarl import URL

    sent = {name: value for name, value in headers.items() if name.lower() not in _OURS}
    async with _session().request(
        method,
        URL(url, encoded=True),
        data=body or None,
        headers={**sent, "Accept-Encoding": "gzip, deflate"},
        allow_redirects=False,
        proxy=_proxy(exchange, url),
        ssl=tls,
    ) as answer:
        try:
            _check_redirect(exchange, url, answer)
            exchange.body = await _read(exchange, answer)
            _check_values(exchange)
        except BaseException:
            answer.close()  # what is left of it is not waited for
            raise
        exchange.headers = {name.lower(): value for name, value in answer.headers.items()}
        exchange.status = answer.status


def _check(exchange: Exchange, url: str, headers: Mapping[str, str]) -> None:
    """Whether this may be sent, before anything is."""
    named = exchange.endpoint
    if named is not None and addresses.origin(named) != addresses.origin(url):
        raise _never(
            exchange,
            f"the request would go to {addresses.shown_origin(url)}, not to "
            f"{addresses.shown_origin(named)}: something in the environment redirects it",
        )
    clear = urlsplit(url).scheme != "https" and not addresses.is_here(url)
    if clear and not exchange.insecure and addresses.holds_key(url, headers):
        raise _never(
            exchange,
            f"an API key is not sent in the clear to {addresses.shown_origin(url)}: use https, "
            "or say -T insecure=true if that network is yours",
        )


def _check_redirect(exchange: Exchange, url: str, answer: aiohttp.ClientResponse) -> None:
    target = answer.headers.get("Location")
    if not 300 <= answer.status < 400 or target is None:
        return
    try:
        shown = addresses.shown_origin(urljoin(url, target))
    except ValueError:
        shown = "what is no URL"
    raise _never(
        exchange,
        f"{addresses.shown_origin(url)} redirects to {scrub(shown, exchange.keys)}, which is "
        "not followed, since the key would go along: name the right endpoint with -T api_base=URL",
    )


def _proxy(exchange: Exchange, url: str) -> str | None:
    proxy = addresses.proxy_for(url)
    if proxy is not None and urlsplit(proxy).scheme not in ("http", "https"):
        raise _never(
            exchange,
            f"the proxy {addresses.shown_origin(proxy)} that the environment names is none for "
            "http or https",
        )
    return proxy


def _never(exchange: Exchange, why: str) -> ProviderError:
    """Nothing will be answered as long as that is so."""
    return ProviderError("rejected", f"{exchange.who}: {why}", scope="model")


async def _read(exchange: Exchange, answer: aiohttp.ClientResponse) -> bytes:
    """The whole body, unpacked.

    Raises:
        ProviderError: it is too long, packed or unpacked, or packed in a way nobody asked for.
    """
    longest = LONGEST_FILE if exchange.lines else LONGEST
    too_long = ProviderError(
        "unavailable",
        f"{exchange.who}: the answer has more than {longest >> 20} MB and was cut off",
    )
    if (answer.content_length or 0) > longest:
        raise too_long
    packed = answer.headers.get("Content-Encoding", "").strip().lower()
    if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise ProviderError(
            "unavailable", f"{exchange.who}: the answer is packed as {packed[:20]!r}, unasked"
        )
    unpacker = None if packed in ("", "identity") else _Unpacker()
    parts, received, length = [], 0, 0
    async for chunk in answer.content.iter_any():
        received += len(chunk)
        part = chunk if unpacker is None else unpacker.unpack(chunk, longest + 1 - length)
        length += len(part)
        if max(received, length) > longest:
            raise too_long
        parts.append(part)
    return b"".join(parts)


def _check_values(exchange: Exchange) -> None:
    body = exchange.body
    if exchange.lines:
        return
    if body.count(b"{") + body.count(b"[") > MOST_CONTAINERS or body.count(b",") > MOST_VALUES:
        exchange.body = b""
        raise ProviderError("unavailable", f"{exchange.who}: the answer has a million parts")


class _Unpacker:
    """gzip, and both things that are called deflate."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False

    def unpack(self, chunk: bytes, longest: int) -> bytes:
        """What ``chunk`` adds, at most ``longest`` bytes of it."""
        try:
            part = self._inflate.decompress(chunk, longest)
        except zlib.error:
            if self._begun:
                raise
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            part = self._inflate.decompress(chunk, longest)
        self._begun = True
        return part


def _session() -> aiohttp.ClientSession:
    """The running loop's connections: as many as there are calls in flight."""
    import aiohttp

    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        _sessions[loop] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # ours counts
            auto_decompress=False,
        )
    return _sessions[loop]


async def close() -> None:
    """Close the running loop's connections."""
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.close()
