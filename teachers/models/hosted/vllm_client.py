"""A call to a server of the user's own (vLLM), without litellm.

There is nothing to translate: vLLM speaks the protocol that the messages are written in. litellm
would take 6 to 9 ms of CPU for each call, a limit of 150 labels a second; this takes one.
"""

from __future__ import annotations

import json
from typing import Any

from lvlm2p.teachers.models.hosted import addresses, outcomes, wire
from lvlm2p.teachers.models.hosted.litellm_client import Client
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError
from lvlm2p.teachers.models.hosted.responses import as_object
from lvlm2p.teachers.models.messages import Request

_FOR_LITELLM = {"timeout", "num_retries", "max_retries", "api_base", "api_key"}


class DirectClient(Client):
    """A :class:`Client` for servers that speak OpenAI's protocol and charge nothing."""

    async def _send(self, request: Request, key: str | None, exchange: wire.Exchange) -> Any:
        arguments = self.arguments(request, key)
        body = {name: arguments[name] for name in arguments.keys() - _FOR_LITELLM}
        body["model"] = self.model.partition("/")[2]
        if request.schema is not None:
            schema = {"name": request.schema.__name__, "schema": request.schema.model_json_schema()}
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {**schema, "strict": True},
            }
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        assert self.api_base is not None
        url = addresses.join(self.api_base, "/chat/completions")
        await wire.send(exchange, "POST", url, headers, json.dumps(body).encode())
        if exchange.status != 200 or outcomes.ending(outcomes.parsed(exchange.body)) is None:
            raise self._refused(exchange)
        return as_object(exchange.body)

    def _unsent(self, error: Exception) -> ProviderError:
        return ProviderError("unavailable", f"{self.model}: {type(error).__name__}: {error}")
