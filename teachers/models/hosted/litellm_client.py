"""One call to a hosted model or a local server, through litellm.

litellm translates OpenAI-style messages to each provider's own protocol. Everything around a
call is ours: retries, waiting, keys, budget (:mod:`lvlm2p.teachers.models.hosted.rate_limit`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lvlm2p.prompts import Message
from lvlm2p.teachers.label import FailureKind
from lvlm2p.teachers.models.hosted import addresses, outcomes, wire
from lvlm2p.teachers.models.hosted.api_keys import scrub
from lvlm2p.teachers.models.hosted.capabilities import Capabilities
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError, classify_error
from lvlm2p.teachers.models.hosted.responses import (
    alternatives_in,
    encodable,
    plain_answer,
    refusal_in,
    thoughts_in,
    usage_of,
)
from lvlm2p.teachers.models.messages import Finish, Reply, Request

_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it downloads a price list while it is imported
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # or it loads ./.env into the environment
    "AIOHTTP_KEEPALIVE_TIMEOUT": "4",  # vLLM closes idle connections after 5 seconds
}
_WRAPPING = re.compile(r"^(?:litellm\.)?\w+(?:Error|Exception)?: (?:\w+: )?(?:\w+Exception - )?")
_LETTER_TOKENS = 4
_TOP = 20
_GRACE = 5.0
_MOST_USD, _LONGEST_NAME = 1e6, 200  # of one call; more is a mistake
_READ = 20_000  # characters of an error that are looked at

_installed = False


@dataclass(frozen=True)
class Client:
    """How one model is called. Nothing of a call is kept.

    Attributes:
        model: litellm's ``provider/model``.
        keys: all of the provider's keys, to be kept out of messages.
        api_base: the endpoint that the user names; None: the provider's own, ``home``, which is
            None where it is not known here.
        timeout: seconds for one call.
        insecure: whether a key may be sent in the clear to another machine.
    """

    model: str
    capabilities: Capabilities
    api_base: str | None
    home: str | None
    max_tokens: int
    temperature: float | None
    reasoning_effort: str | None
    timeout: float
    insecure: bool = False
    keys: Sequence[str] = field(default=(), repr=False)
    image_detail: str | None = None

    async def call(
        self, request: Request, key: str | None, exchange: wire.Exchange | None = None
    ) -> Reply:
        """Send ``request`` once.

        Args:
            exchange: over which it goes; None: a new one.

        Raises:
            ProviderError: no answer came.
        """
        started = time.perf_counter()
        exchange = exchange or self.exchange()
        try:
            async with asyncio.timeout(self.timeout + _GRACE):
                response = await self._send(request, key, exchange)
            return self._reply(request, response, exchange, time.perf_counter() - started)
        except Exception as error:  # litellm raises its own, openai's, httpx's, ValueError ...
            raise self._error(error, exchange) from None

    def exchange(self) -> wire.Exchange:
        """A call to this model, under the rules of the wire."""
        return wire.Exchange(
            self.model, self.api_base or self.home, self.timeout, self.insecure, self.keys
        )

    async def _send(self, request: Request, key: str | None, exchange: wire.Exchange) -> Any:
        token = wire.CURRENT.set(exchange)
        try:
            return await import_litellm().acompletion(**self.arguments(request, key))
        except Exception:
            plain = plain_answer(exchange)
            if plain is None:
                raise
            return plain
        finally:
            wire.CURRENT.reset(token)

    def arguments(self, request: Request, key: str | None) -> dict[str, Any]:
        """What litellm is called with."""
        able = self.capabilities
        arguments: dict[str, Any] = {
            "model": self.model,
            "messages": looked_at(request.messages, self.image_detail),
            "max_tokens": self.max_tokens,
            "timeout": self.timeout,
            "num_retries": 0,
            "max_retries": 0,
        }
        optional = {
            "api_key": key,
            "api_base": self.api_base and addresses.without_query(self.api_base),
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

    def _reply(
        self, request: Request, response: Any, exchange: wire.Exchange, seconds: float
    ) -> Reply:
        finish = self._finish(response, exchange)
        try:
            message = response.choices[0].message
            content, refused, thoughts = message.content, refusal_in(message), thoughts_in(message)
            alternatives = alternatives_in(response.choices[0]) if request.letters else {}
        except (AttributeError, IndexError, TypeError, KeyError) as error:
            raise ProviderError("unavailable", "the provider's answer has no message") from error
        if alternatives and finish == "length":
            finish = "stop"  # one letter is all that was asked for
        if refused and not content:
            content, finish = refused, "refusal"
        text = content if isinstance(content, str) else ""
        asked_for_one = request.letters and (finish == "stop" or not self.capabilities.reasons)
        if asked_for_one and finish != "refusal" and text.strip() and not alternatives:
            raise ProviderError(
                "rejected",
                f"{self.model} returned no logprobs: choose another --elicit",
                scope="model",
            )
        if thoughts and not text.strip() and not alternatives and finish != "refusal":
            text, finish = thoughts, "thinking" if finish == "stop" else finish
        return Reply(
            text=encodable(text),
            finish=finish,
            model=encodable(str(getattr(response, "model", None) or self.model)[:_LONGEST_NAME]),
            usage=usage_of(getattr(response, "usage", None)),
            cost_usd=self._cost(response),
            latency_s=round(seconds, 4),
            alternatives=alternatives,
        )

    def _finish(self, response: Any, exchange: wire.Exchange) -> Finish:
        """How the answer ends.

        Raises:
            ProviderError: it was broken off, or is an error by another name.
        """
        answer = outcomes.parsed(exchange.body)
        if outcomes.error_in(answer) is not None:
            raise self._refused(exchange)
        found = outcomes.ending(answer)
        if found is None:  # another protocol, which litellm has translated
            choice = next(iter(getattr(response, "choices", None) or ()), None)
            found = outcomes.means(outcomes.OPENAI, getattr(choice, "finish_reason", None))
        reason, outcome = found
        if outcome == "again":
            why = f"the answer was broken off ({scrub(reason, self.keys)})"
            error = ProviderError("unavailable", f"{self.model}: {why}")
            error.billed, error.cost_usd = True, self._cost(response)
            raise error
        return outcome

    def _cost(self, response: Any) -> float | None:
        """Dollars; None where the price is not known: litellm says 0 for models new to it."""
        if not self.capabilities.paid:
            return 0.0
        cost = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
        if isinstance(cost, int | float) and 0 < cost <= _MOST_USD:
            return float(cost)
        return None

    def _error(self, error: Exception, exchange: wire.Exchange) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        if exchange.error is not None:  # which litellm has put in words of its own
            return exchange.error
        if isinstance(error, TimeoutError):
            return wire.no_answer(self.model, self.timeout)
        if exchange.status is not None:
            return self._refused(exchange)
        return self._unsent(error)

    def _refused(self, exchange: wire.Exchange) -> ProviderError:
        """What is wrong with an answer that is none, in the provider's own words."""
        assert exchange.status is not None
        status, answer = exchange.status, outcomes.parsed(exchange.body)
        said = scrub(outcomes.words(exchange.body), self.keys)
        if status >= 300:
            said = said or f"HTTP status {status}"
            return classify_error(
                status, exchange.text[:_READ], exchange.headers, f"{self.model}: {said}"
            )
        inner = outcomes.error_in(answer)
        if inner is not None:
            said = said or "an error without a word"
            return classify_error(
                inner, exchange.text[:_READ], exchange.headers, f"{self.model}: {said}"
            )
        ended = (outcomes.ending(answer) or ("", "stop"))[1]
        if ended in ("refusal", "length"):  # litellm could make nothing of what there was of it
            kind: FailureKind = "refusal" if ended == "refusal" else "truncated"
            return ProviderError(kind, f"{self.model}: the answer was broken off", scope="request")
        return ProviderError(
            "unavailable", f"{self.model}: the answer can't be read: {said or 'it is empty'}"
        )

    def _unsent(self, error: Exception) -> ProviderError:
        """What litellm finds wrong before it sends, or with what did not go over our wire."""
        litellm, raw = import_litellm(), str(error)
        message = f"{self.model}: {scrub(_WRAPPING.sub('', raw), self.keys)}"
        if isinstance(error, litellm.Timeout):
            return wire.no_answer(self.model, self.timeout)
        if isinstance(error, litellm.UnsupportedParamsError):
            return ProviderError("rejected", message, scope="model")
        status = getattr(error, "status_code", None)
        if isinstance(error, litellm.APIConnectionError):
            status = None  # litellm calls it 500
        return classify_error(status, raw, {}, message)


def import_litellm() -> Any:
    """litellm, imported on first use (four seconds) so that it touches neither network nor .env."""
    global _installed
    if _installed:
        return sys.modules["litellm"]
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import litellm

    from lvlm2p.teachers.models.hosted.litellm_transport import install

    install(litellm)
    _installed = True
    litellm.suppress_debug_info = True
    for logger in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    return litellm


def looked_at(messages: list[Message], detail: str | None) -> list[Message]:
    """``messages`` with how closely their pictures are to be looked at; None: as they are."""
    if detail is None:
        return messages
    return [
        message
        if isinstance(message["content"], str)
        else {**message, "content": [_detailed(part, detail) for part in message["content"]]}
        for message in messages
    ]


def _detailed(part: dict[str, Any], detail: str) -> dict[str, Any]:
    if part["type"] != "image_url":
        return part
    return {**part, "image_url": {**part["image_url"], "detail": detail}}


def register_free(model: str) -> None:
    """Tell litellm that ``model`` costs nothing. Otherwise it looks for a price, by hundreds of
    patterns, after every call to a server of the user's own: a tenth of the time that it takes."""
    free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
    provider = model.partition("/")[0]
    import_litellm().register_model({model: {"litellm_provider": provider, "mode": "chat", **free}})
