"""What each family of models takes, since sending the wrong thing is an error at some providers
and silently ignored at others. Verified against litellm's wire code; ``litellm_client``
sends nothing that is not allowed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from lvlm2p.envs.extras import install
from lvlm2p.envs.untrusted import MalformedDataError, read_json
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.elicit.registry import elicitation_class, elicitation_names

PRICES = "model_prices_and_context_window_backup.json"


@dataclass(frozen=True)
class Capabilities:
    """What a model can be sent.

    Attributes:
        paid: answers are billed, so that a price of 0 means that it is not known.
        temperature: whether one may be chosen.
        logprobs: whether it returns the alternatives of a token; ``logprobs_extra`` is what must be
            sent along to get them.
        schema: whether it takes ``response_format``.
        image_detail: whether it takes one.
        reasons: whether it may think, at the expense of ``max_tokens``, before it answers.
        cache: "marks": the end of the common prefix must be marked; "key": routed by a cache key;
            "auto": nothing to do.
        max_tokens: a default that leaves room for the model's hidden reasoning, where it has any.
    """

    paid: bool = True
    temperature: bool = True
    logprobs: bool = False
    logprobs_extra: Mapping[str, Any] = field(default_factory=dict)
    schema: bool = True
    image_detail: bool = False
    reasons: bool = False
    cache: Literal["marks", "key", "auto"] = "auto"
    max_tokens: int = 4096

    @property
    def elicitations(self) -> tuple[str, ...]:
        """What the model can be asked for: values of ``--elicit``."""
        names = elicitation_names()
        return tuple(name for name in names if elicitation_class(name).lacking(self) is None)


_NO_REASONING = {"reasoning_effort": "none"}
_OPENAI = Capabilities(cache="key", image_detail=True)

FAMILIES: tuple[tuple[str, Capabilities], ...] = (
    (r"hosted_vllm/", Capabilities(paid=False, logprobs=True, max_tokens=512)),
    (r"openai/gpt-(4o|4\.1)", replace(_OPENAI, logprobs=True, max_tokens=1024)),
    (r"openai/(o\d|gpt-5(-|$))", replace(_OPENAI, temperature=False)),
    (r"openai/gpt-5\.4", replace(_OPENAI, temperature=False, logprobs=True)),
    (
        r"openai/gpt-(5\.\d|6)",
        replace(_OPENAI, temperature=False, logprobs=True, logprobs_extra=_NO_REASONING),
    ),
    (r"openai/", Capabilities(logprobs=True)),
    (r"anthropic/", Capabilities(cache="marks")),
    (
        r"gemini/",
        Capabilities(logprobs=True, logprobs_extra={"allowed_openai_params": ["top_logprobs"]}),
    ),
)
"""The first pattern that a ``provider/model`` begins with counts. ``openai/`` alone: any other
server that speaks OpenAI's protocol."""


def capabilities_of(model: str) -> Capabilities:
    """What ``model`` (a litellm ``provider/model`` string) takes.

    Other providers are taken to do what litellm's price list says of the model.
    """
    entry = price_entry(model)
    other = Capabilities(schema=bool(entry.get("supports_response_schema")), logprobs=True)
    family = next((able for pattern, able in FAMILIES if re.match(pattern, model)), other)
    return replace(
        family,
        temperature=family.temperature and entry.get("supports_sampling_params") is not False,
        reasons=bool(entry.get("supports_reasoning")),
    )


def price_entry(model: str) -> Mapping[str, Any]:
    """What litellm's price list, as it is installed here, says of ``model``; empty: nothing."""
    prices = _prices()
    entry = prices.get(model) or prices.get(model.partition("/")[2]) or {}
    return entry if isinstance(entry, dict) else {}


@cache
def _prices() -> Mapping[str, Any]:
    """litellm's price list, read as a file: importing litellm takes four seconds."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:  # what it says of a model is in fingerprints
        raise TeacherNotReadyError(f"hosted models need the package litellm: {install('hosted')}")
    try:
        prices = read_json(Path(spec.origin).parent / PRICES)
    except (OSError, MalformedDataError):
        return {}
    return prices if isinstance(prices, dict) else {}
