"""The options of teachers that are asked by a prompt: the keys of ``-T key=value``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PromptedOptions(BaseModel):
    """What hosted models and models in this process have in common."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)

    model: str | None = None
    """Which model; None: the teacher's default."""
    elicit: str = "stated"
    """Where the probabilities come from: a name of the registry of elicitations."""
    prompt: str = "two-turn"
    """Name or folder of the prompt."""
    shots: int | None = Field(default=None, ge=0)
    """Few-shot examples; None: the prompt's default."""
    view: Literal["image", "text", "both"] = "image"
    """What the model gets of a state: the picture, words in its place, or both."""
    coordinates: bool = False
    """Whether the words say where everything is (view=text, view=both)."""
    samples: int = Field(default=5, ge=1, le=100)
    """How many answers are averaged (elicit=votes) or mixed (elicit=plans)."""
    executor: str | None = None
    """Who carries plans out (elicit=plans; DoorKey: careful, or blind to lava); None: the task's
    usual one."""
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Probability shared equally by all actions (elicit=choice)."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """None: the provider's default, for a model of your own 0 (votes: its own default). Several of
    the newest models take none."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest answer, in tokens; None: the model family's default."""
    reask: int = Field(default=1, ge=0, le=3)
    """How often an answer that can't be used is asked again, with what is wrong with it."""


class ChatOptions(PromptedOptions):
    """Options of hosted models and local servers."""

    api_base: str | None = None
    """The endpoint's URL; None: the provider's own."""
    insecure: bool = False
    """Whether an API key may be sent to another machine over plain http."""
    key_file: Path | None = None
    """File with API keys, one a line; None: the environment variable."""
    image_detail: Literal["low", "high"] | None = None
    """How closely the model looks at pictures, and what they cost (OpenAI); None: its default."""
    reasoning_effort: str | None = None
    """How much the model may think before it answers; None: its default."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds for one call."""
    retries: int = Field(default=6, ge=0)
    """How often a call that fails for a passing reason is repeated."""
    concurrency: int = Field(default=64, ge=1, le=1024)
    """Calls in flight at most; how many there really are adapts to the provider."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Limit of each key; None: the provider's 429s are heeded."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Limit of each key, on tokens in and out."""
