"""What a teacher says about one state: a :class:`Label`, or a typed :class:`Failure`.

Both are immutable, JSON-serialisable and complete: whoever reads one years later can see who
answered, to what, in which words and at what price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from lvlm2p.envs import Task, View
from lvlm2p.teachers.errors import AnswerError

FailureKind = Literal[
    "invalid",  # an answer came, and no rule makes a label of it
    "refusal",  # the model declined, or a content filter did
    "truncated",  # the answer hit the token limit
    "empty",  # an answer without text
    "disagreement",  # the members of an ensemble differ by more than was allowed
    "timeout",
    "rate_limited",
    "unavailable",  # 5xx, connection refused or reset, after all retries
    "rejected",  # the provider will never answer this: wrong key, no quota, unknown model
    "budget",  # not asked: the budget is spent
    "missing",  # not asked: offline, and not in the store
]

LASTING: frozenset[str] = frozenset({"invalid", "refusal", "truncated", "empty", "disagreement"})
"""Failures that were paid for and would come again: not asked twice unless the user says so."""

NOT_ASKED: frozenset[str] = frozenset({"budget", "missing"})
"""Failures that say nothing about the teacher: never stored, asked again as soon as possible."""

SUM_TOLERANCE = 0.02
"""How far from 1 stated probabilities may sum (they are then renormalised): models round."""


MAX_COUNT = 2**53
"""Of tokens or calls: far above any, and no file format loses one."""

MAX_USD = 1e9
"""Of the price of one label."""

LONGEST_FINGERPRINT = 1_000

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


@cache
def tool_version() -> str:
    """The installed version of lvlm2p; empty where it runs without being installed."""
    try:
        return metadata.version("lvlm2p")
    except metadata.PackageNotFoundError:
        return ""


def _fit_for_keys(fingerprint: str) -> str:
    """It is a part of the names of rows, which have slashes between their parts."""
    if not fingerprint or len(fingerprint) > LONGEST_FINGERPRINT:
        raise ValueError(f"it should have 1 to {LONGEST_FINGERPRINT:,} characters")
    if "/" in fingerprint or not fingerprint.isprintable():
        raise ValueError("it should have no slash and nothing that is not printed")
    return fingerprint


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Turn(_FrozenModel):
    """One message of a transcript. Images are named by their digest, never inlined."""

    role: Literal["system", "user", "assistant"]
    text: str


class Usage(_FrozenModel):
    """Tokens as the provider counted them, summed over the calls that one label took."""

    calls: Count = 0
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0

    def __add__(self, other: Usage) -> Usage:
        theirs = vars(other)
        return Usage(**{name: min(n + theirs[name], MAX_COUNT) for name, n in vars(self).items()})


class _Answer(_FrozenModel):
    """What a label and a failure have in common."""

    task: str
    teacher: str
    """The teacher's name on the command line."""
    fingerprint: Annotated[str, AfterValidator(_fit_for_keys)]
    """The teacher's fingerprint: everything that can change an answer."""
    model: str = ""
    """The model as the provider names it in its answer."""
    prompt: str = ""
    """The prompt's fingerprint; empty where nothing was asked in words."""
    transcript: tuple[Turn, ...] = ()
    """What was said, raw, in order: the query's turns (not the few-shot prefix) and the answers."""
    usage: Usage = Usage()
    cost_usd: Annotated[float, Field(ge=0, le=MAX_USD)] | None = None
    """None: the price is not known. 0.0: it is known to be free."""
    latency_s: float = Field(default=0.0, ge=0)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    version: str = Field(default_factory=tool_version)
    """The version of lvlm2p that wrote this."""


class Label(_Answer):
    """A probability for each of the task's actions, in the task's order; they sum to 1."""

    kind: Literal["label"] = "label"
    probabilities: Annotated[dict[str, float], Field(min_length=1)]
    elicitation: str
    """How the probabilities were obtained: a value of ``--elicit``, or "exact": computed."""
    analysis: dict[str, Any] | None = None
    """The scene as the teacher described it, before it chose (fields of ``prompts.Analysis``)."""
    outside: float | None = None
    """``logprobs``: probability of anything but the allowed letters, before renormalising."""
    weight: float = Field(default=1.0, ge=0, le=1)
    """What the label counts for in the distillation loss beside others; 0: nothing."""

    @model_serializer(mode="wrap")
    def _without_the_usual_weight(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A label of weight 1 is written as it was before there were weights."""
        data: dict[str, Any] = plain(self)
        if data.get("weight") == 1.0:
            del data["weight"]
        return data

    @property
    def action(self) -> str:
        """The most probable action (the first of the task's order among equals)."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


class Failure(_Answer):
    """Why there is no label for a state. It has weight 0 in the loss, never a made-up label."""

    kind: Literal["failure"] = "failure"
    failure: FailureKind
    message: str
    """One sentence for people."""

    @property
    def lasting(self) -> bool:
        """Whether asking again would be paid for and fail again."""
        return self.failure in LASTING

    @property
    def not_asked(self) -> bool:
        """Whether nobody was asked at all."""
        return self.failure in NOT_ASKED


Answer: TypeAlias = Label | Failure
StoredAnswer = Annotated[Label | Failure, Field(discriminator="kind")]


class Entry(NamedTuple):
    """An answer, the state it is about, and which sample of the teacher's answers it is."""

    view: View
    answer: Answer
    sample: int = 0


def add_usd(total: float | None, more: float | None) -> float | None:
    """The sum of two amounts; None, not known, where one of them is not known."""
    return None if total is None or more is None else total + more


def check_probabilities(
    task: Task, stated: Mapping[str, float], tolerance: float = SUM_TOLERANCE
) -> dict[str, float]:
    """Validated, renormalised probabilities in the order of ``task.actions``.

    Finite, non-negative, naming exactly the task's actions and summing to 1 within ``tolerance``.

    Raises:
        AnswerError: what is wrong, in one sentence that a model can be shown.
    """
    names = task.action_names
    if len(stated) != len(names) or any(name not in stated for name in names):
        missing = [name for name in names if name not in stated]
        extra = [name for name in stated if name not in names]
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unknown {', '.join(map(repr, extra))}"] if extra else []
        raise AnswerError(f"the actions are {', '.join(names)}: {'; '.join(parts)}")
    for name in names:
        p = stated[name]
        if not 0 <= p < math.inf:
            raise AnswerError(f"the probability of {name} is {p}: it must be finite and at least 0")
    total = math.fsum(stated[name] for name in names)
    if abs(total - 1) > tolerance:
        raise AnswerError(f"the probabilities sum to {total:.4g}, not 1")
    return {name: stated[name] / total for name in names}
