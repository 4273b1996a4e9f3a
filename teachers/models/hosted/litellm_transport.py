"""What litellm sends goes out through :mod:`lvlm2p.teachers.models.hosted.wire`.

All of litellm's asynchronous clients, its own and OpenAI's, get their transport from one function;
:func:`install` puts ours in its place. litellm is otherwise as it was: calls that are not ours,
those of a user who imports litellm too, take litellm's own transport.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from lvlm2p.teachers.models.hosted import wire
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError

_UNPACKED = {b"content-encoding", b"content-length", b"transfer-encoding"}


class WireTransport(httpx.AsyncBaseTransport):
    """A transport that keeps to the rules of the wire while a call of ours is being made."""

    def __init__(self, tls: ssl.SSLContext | bool, own: httpx.AsyncBaseTransport | None) -> None:
        """``own``: litellm's, for calls of others; None: httpx' default."""
        self._tls = tls
        self._own = own

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        exchange = wire.CURRENT.get(None)
        if exchange is None:
            self._own = self._own or httpx.AsyncHTTPTransport()
            return await self._own.handle_async_request(request)
        body = await request.aread()
        try:
            await wire.send(
                exchange, request.method, str(request.url), request.headers, body, self._tls
            )
        except ProviderError as error:
            raise httpx.ReadError(str(error), request=request) from None
        assert exchange.status is not None
        headers = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in exchange.headers.items()
        ]
        return httpx.Response(
            exchange.status,
            headers=[(name, value) for name, value in headers if name not in _UNPACKED],
            content=exchange.body,
            request=request,
        )

    async def aclose(self) -> None:
        """See httpx."""
        if self._own is not None:
            await self._own.aclose()


def install(litellm: Any) -> None:
    """Let litellm's asynchronous clients, from now on, send through the wire."""
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    own = AsyncHTTPHandler.create_async_transport

    def create(
        ssl_context: ssl.SSLContext | None = None,
        ssl_verify: bool | None = None,
        shared_session: Any = None,
    ) -> WireTransport:
        tls = ssl_context if ssl_context is not None else ssl_verify is not False
        return WireTransport(tls, own(ssl_context, ssl_verify, shared_session))

    for name in ("create_async_transport", "_create_async_transport"):  # the second is an alias
        setattr(AsyncHTTPHandler, name, staticmethod(create))
    clients = getattr(litellm, "in_memory_llm_clients_cache", None)
    if clients is not None:  # made before now, if somebody has used litellm already
        clients.flush_cache()
