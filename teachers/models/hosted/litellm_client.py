"""One call to a hosted model or a local server, through litellm.

litellm translates OpenAI-style messages to each provider's own protocol. Everything around a
call is ours: retries, waiting, keys, budget (:mod:`lvlm2p.teachers.models.hosted.rate_limit`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lvlm2p.teachers.label import Usage
from lvlm2p.teachers.models.hosted.api_keys import scrub
from lvlm2p.teachers.models.hosted.capabilities import Capabilities
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError, classify_error
from lvlm2p.teachers.models.messages import Finish, Reply, Request

_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it downloads a price list while it is imported
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # or it loads ./.env into the environment
    "AIOHTTP_KEEPALIVE_TIMEOUT": "4",  # vLLM closes idle connections after 5 seconds
}
_FINISH: dict[str, Finish] = {"length": "length", "content_filter": "refusal", "refusal": "refusal"}
_WRAPPING = re.compile(r"^(?:litellm\.)?\w+(?:Error|Exception)?: (?:\w+: )?(?:\w+Exception - )?")
_LETTER_TOKENS = 4
_TOP = 20
_GRACE = 5.0


@dataclass(frozen=True)
class Client:
    """How one model is called. Nothing of a call is kept.

    Attributes:
        model: litellm's ``provider/model``.
        keys: all of the provider's keys, to be kept out of messages.
        timeout: seconds for one call.
    """

    model: str
    capabilities: Capabilities
    api_base: str | None
    max_tokens: int
    temperature: float | None
    reasoning_effort: str | None
    timeout: float
    keys: Sequence[str] = field(default=(), repr=False)

    async def call(self, request: Request, key: str | None) -> Reply:
        """Send ``request`` once.

        Raises:
            ProviderError: no answer came.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.timeout + _GRACE):
                response = await self._send(request, key)
            return self._reply(request, response, time.perf_counter() - started)
        except Exception as error:  # litellm raises its own, openai's, httpx's, ValueError ...
            raise self._error(error) from None

    async def _send(self, request: Request, key: str | None) -> Any:
        return await import_litellm().acompletion(**self.arguments(request, key))

    def arguments(self, request: Request, key: str | None) -> dict[str, Any]:
        """What litellm is called with."""
        able = self.capabilities
        arguments: dict[str, Any] = {
            "model": self.model,
            "messages": request.messages,
            "max_tokens": self.max_tokens,
            "timeout": self.timeout,
            "num_retries": 0,
            "max_retries": 0,
        }
        optional = {
            "api_key": key,
            "api_base": self.api_base,
            "temperature": self.temperature,
            "reasoning_effort": self.reasoning_effort,
            "response_format": request.schema if able.schema else None,
        }
        arguments.update((name, value) for name, value in optional.items() if value is not None)
        if request.letters:
            arguments.update(able.logprobs_extra, logprobs=True, top_logprobs=_TOP)
            if not able.reasons:
                arguments["max_tokens"] = min(self.max_tokens, _LETTER_TOKENS)
        if request.cache_key and able.cache == "key":
            arguments["prompt_cache_key"] = request.cache_key
        if request.prefix and able.cache == "marks":
            arguments["cache_control_injection_points"] = [
                {"location": "message", "index": request.prefix - 1}
            ]
        return arguments

    def _reply(self, request: Request, response: Any, seconds: float) -> Reply:
        try:
            choice = response.choices[0]
            content, refused = choice.message.content, _refusal(choice.message)
            finish = _FINISH.get(choice.finish_reason or "", "stop")
            alternatives = _alternatives(choice) if request.letters else {}
        except (AttributeError, IndexError, TypeError, KeyError) as error:
            raise ProviderError("unavailable", "the provider's answer has no message") from error
        if alternatives and finish == "length":
            finish = "stop"  # one letter is all that was asked for
        if refused and not content:
            content, finish = refused, "refusal"
        text = content if isinstance(content, str) else ""
        if request.letters and finish == "stop" and text.strip() and not alternatives:
            raise ProviderError(
                "rejected",
                f"{self.model} returned no logprobs: choose another --elicit",
                scope="model",
            )
        return Reply(
            text=text.encode("utf-8", "replace").decode("utf-8"),
            finish=finish,
            model=str(getattr(response, "model", None) or self.model),
            usage=_usage(getattr(response, "usage", None)),
            cost_usd=self._cost(response),
            latency_s=round(seconds, 4),
            alternatives=alternatives,
        )

    def _cost(self, response: Any) -> float | None:
        """Dollars; None where the price is not known: litellm says 0 for models new to it."""
        if not self.capabilities.paid:
            return 0.0
        cost = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
        return float(cost) if isinstance(cost, int | float) and cost > 0 else None

    def _error(self, error: Exception) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        raw = str(error)
        message = f"{self.model}: {scrub(_WRAPPING.sub('', raw), self.keys)}"
        litellm = import_litellm()
        if isinstance(error, TimeoutError | litellm.Timeout):
            return self._timeout()
        if isinstance(error, litellm.UnsupportedParamsError):
            return ProviderError("rejected", message, scope="model")
        if isinstance(error, litellm.ContentPolicyViolationError):
            return ProviderError("refusal", message, scope="request")
        status = getattr(error, "status_code", None)
        if isinstance(error, litellm.APIConnectionError):
            status = None  # litellm calls it 500
        return classify_error(status, raw, _headers(error), message)

    def _timeout(self) -> ProviderError:
        return ProviderError("timeout", f"{self.model}: no answer within {self.timeout:g} seconds")


def import_litellm() -> Any:
    """litellm, imported on first use (four seconds) so that it touches neither network nor .env."""
    import sys

    if "litellm" in sys.modules:
        return sys.modules["litellm"]
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import litellm

    litellm.suppress_debug_info = True
    for logger in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    return litellm


def register_free(model: str) -> None:
    """Tell litellm that ``model`` costs nothing. Otherwise it looks for a price, by hundreds of
    patterns, after every call to a server of the user's own: a tenth of the time that it takes."""
    free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
    provider = model.partition("/")[0]
    import_litellm().register_model({model: {"litellm_provider": provider, "mode": "chat", **free}})


def _alternatives(choice: Any) -> Mapping[str, float]:
    """Token -> probability at the first token that is more than white space."""
    content = getattr(getattr(choice, "logprobs", None), "content", None) or []
    for position in content:
        if position.token.strip():
            listed = {top.token: top.logprob for top in position.top_logprobs or []}
            listed.setdefault(position.token, position.logprob)
            return {token: math.exp(min(logprob, 0.0)) for token, logprob in listed.items()}
    return {}


def _refusal(message: Any) -> str | None:
    """The text with which the model declined: OpenAI's field, which litellm puts elsewhere."""
    elsewhere = getattr(message, "provider_specific_fields", None)
    moved = elsewhere.get("refusal") if isinstance(elsewhere, dict) else None
    refused: str | None = getattr(message, "refusal", None) or moved
    return refused


def _usage(usage: Any) -> Usage:
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        calls=1,
        prompt_tokens=getattr(usage, "prompt_tokens", None) or 0,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
        completion_tokens=getattr(usage, "completion_tokens", None) or 0,
    )


def _headers(error: Exception) -> dict[str, Any]:
    """The answer's headers, wherever the exception carries them, keys in lower case."""
    own = getattr(error, "litellm_response_headers", None)
    response = getattr(getattr(error, "response", None), "headers", None)
    merged: dict[str, Any] = {}
    for headers in (response, own):
        merged.update((str(key).lower(), value) for key, value in dict(headers or {}).items())
    return merged
