"""Reading a response, litellm's or a plain one in OpenAI's protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from lvlm2p.envs.untrusted import parse_json
from lvlm2p.teachers.label import Usage
from lvlm2p.teachers.models.hosted import outcomes
from lvlm2p.teachers.models.hosted.wire import Exchange

MOST_TOKENS = 10**9
"""Of one call; more is a mistake."""


def alternatives_in(choice: Any) -> Mapping[str, float]:
    """Token -> probability at the first token that is more than white space; what the server
    reports and nothing else, so that there may be one alone."""
    content = getattr(getattr(choice, "logprobs", None), "content", None) or []
    for position in content:
        if position.token.strip():
            reported = [*(getattr(position, "top_logprobs", None) or ()), position]
            listed: dict[str, float] = {}
            for one in reported:
                logprob = getattr(one, "logprob", None)
                if isinstance(logprob, int | float):
                    listed.setdefault(one.token, math.exp(min(logprob, 0.0)))
            return listed
    return {}


def refusal_in(message: Any) -> str | None:
    """The text with which the model declined: OpenAI's field, which litellm puts elsewhere."""
    elsewhere = getattr(message, "provider_specific_fields", None)
    moved = elsewhere.get("refusal") if isinstance(elsewhere, dict) else None
    refused: str | None = getattr(message, "refusal", None) or moved
    return refused


def thoughts_in(message: Any) -> str:
    """What the model thought before it answered, where the server keeps that apart."""
    fields = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    return next((thought for thought in fields if thought and isinstance(thought, str)), "")


def plain_answer(exchange: Exchange) -> Any:
    """A complete answer in OpenAI's protocol, which litellm is too strict to read; None: none."""
    answer = outcomes.parsed(exchange.body) if exchange.status == 200 else None
    if outcomes.error_in(answer) is not None or not isinstance(answer, dict):
        return None
    if "choices" not in answer or (outcomes.ending(answer) or ("", "again"))[1] == "again":
        return None
    return as_object(exchange.body)


def as_object(body: bytes) -> Any:
    """A JSON value with its objects as attributes, as litellm's answers are."""
    return _attributes(parse_json(body, half_characters=True))


def _attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: _attributes(each) for key, each in value.items()})
    return [_attributes(each) for each in value] if isinstance(value, list) else value


def usage_of(usage: Any) -> Usage:
    """The tokens of one call as the provider counts them; what it does not say, or what can't be,
    is 0."""
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        calls=1,
        prompt_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=_count(details, "cached_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _count(of: Any, name: str) -> int:
    """What a provider counted; 0 where it says nothing, or what can't be."""
    count = getattr(of, name, None)
    return count if type(count) is int and 0 <= count <= MOST_TOKENS else 0


def encodable(text: str) -> str:
    """``text`` with a question mark for each half character (lone surrogate)."""
    return text.encode("utf-8", "replace").decode("utf-8")
