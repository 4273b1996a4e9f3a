"""A call to a server of the user's own (vLLM), without litellm.

There is nothing to translate: vLLM speaks the protocol that the messages are written in. litellm
would take 6 to 9 ms of CPU for each call, a limit of 150 labels a second; this takes one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp

from lvlm2p.teachers.models.hosted.api_keys import scrub
from lvlm2p.teachers.models.hosted.litellm_client import Client
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError, classify_error
from lvlm2p.teachers.models.messages import Request

_FOR_LITELLM = {"timeout", "num_retries", "max_retries", "api_base", "api_key"}
_IDLE_S = 4.0  # vLLM closes idle connections after 5 seconds
_SHOWN = 1000  # characters of an error that is no JSON

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


class DirectClient(Client):
    """A :class:`Client` for servers that speak OpenAI's protocol and charge nothing."""

    async def _send(self, request: Request, key: str | None) -> Any:
        arguments = self.arguments(request, key)
        body = {name: arguments[name] for name in arguments.keys() - _FOR_LITELLM}
        body["model"] = self.model.partition("/")[2]
        if request.schema is not None:
            schema = {"name": request.schema.__name__, "schema": request.schema.model_json_schema()}
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {**schema, "strict": True},
            }
        async with _session().post(
            f"{self.api_base}/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        ) as answer:
            text = await answer.text(encoding="utf-8", errors="replace")
        if answer.status != 200:
            raise self._refused(answer.status, text, answer.headers)
        return json.loads(text, object_hook=lambda fields: SimpleNamespace(**fields))

    def _refused(self, status: int, text: str, headers: Mapping[str, str]) -> ProviderError:
        lower = {name.lower(): value for name, value in headers.items()}
        message = f"{self.model}: {scrub(_said(text) or f'HTTP status {status}', self.keys)}"
        return classify_error(status, text, lower, message)

    def _error(self, error: Exception) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        if isinstance(error, TimeoutError):
            return self._timeout()
        raw = f"{type(error).__name__}: {error}"
        return classify_error(None, raw, {}, f"{self.model}: {scrub(raw, self.keys)}")


def _said(text: str) -> str:
    """The message in an error, wherever the server put it."""
    try:
        error = json.loads(text)
        return str(error.get("error", error)["message"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return text.strip()[:_SHOWN]


def _session() -> aiohttp.ClientSession:
    """The running loop's connections: as many as there are calls in flight."""
    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
        _sessions[loop] = aiohttp.ClientSession(connector=connector)
    return _sessions[loop]


async def close() -> None:
    """Close the running loop's connections."""
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.close()
