"""One question to a model and its reply, whoever the provider is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lvlm2p.envs.untrusted import MalformedDataError, first_problem
from lvlm2p.prompts import Message
from lvlm2p.teachers.label import MAX_USD, Usage

Finish = Literal["stop", "length", "refusal", "thinking"]
"""``thinking``: the text is the model's reasoning, and no answer followed it."""


@dataclass(frozen=True)
class Request:
    """What is sent once.

    Attributes:
        turn: which reply of the state this is: "1", "2", "2/3" (vote 3), "1+" (asked again).
        messages: OpenAI-style, complete.
        prefix: how many leading messages are the same for every view (provider caches).
        cache_key: names those messages, for providers that route by such a name.
        schema: the answer's format; None where a letter is asked for.
        letters: the letters whose probabilities are wanted; empty: the text is.
    """

    turn: str
    messages: list[Message]
    prefix: int = 0
    cache_key: str = ""
    schema: type[BaseModel] | None = None
    letters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What came back. JSON-serialisable, for the journal.

    Attributes:
        alternatives: token -> probability, for the first token; only where letters were asked for.
        cost_usd: None: the price is not known.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", allow_inf_nan=False)

    text: str
    finish: Finish = "stop"
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_usd: Annotated[float, Field(ge=0, le=MAX_USD)] | None = None
    latency_s: Annotated[float, Field(ge=0)] = 0.0
    alternatives: Mapping[str, float] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """In and out, as they count against a limit per minute."""
        return self.usage.prompt_tokens + self.usage.completion_tokens

    def to_json(self) -> dict[str, Any]:
        """JSON values that :meth:`from_json` reads."""
        return {
            **vars(self),
            "usage": self.usage.model_dump(),
            "alternatives": dict(self.alternatives),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reply:
        """The reply that :meth:`to_json` wrote.

        Raises:
            MalformedDataError: it is none.
        """
        try:
            return _REPLY.validate_python(data)
        except ValidationError as error:
            raise MalformedDataError(f"it is no reply: {first_problem(error)}") from None


_REPLY = TypeAdapter(Reply)
