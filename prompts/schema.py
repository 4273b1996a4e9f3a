"""The answer formats: pydantic models to send as a schema, and the exact JSON an example shows.

Schemas are flat (no ``$ref``, no unions, no bounds), because that is what every provider takes.
What is written here is compact JSON with the fields in the model's order: constrained decoding
without free whitespace produces the same bytes that the examples show.
"""

from __future__ import annotations

import json
import keyword
import math
from collections.abc import Mapping
from functools import cache
from string import ascii_uppercase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from lvlm2p.envs import Task
from lvlm2p.prompts.errors import PromptError

Direction = Literal["right", "down", "left", "up"]

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Analysis(BaseModel):
    """Where everything is. Rows are counted from the top and columns from the left, from 0."""

    model_config = _STRICT

    agent_row: int = Field(description="row of the agent")
    agent_column: int = Field(description="column of the agent")
    agent_direction: Direction = Field(description="where the agent's tip points")
    target_row: int = Field(description="row of the target")
    target_column: int = Field(description="column of the target")
    ahead: str = Field(
        description="what the cell directly in front of the agent holds: "
        "empty, wall, lava, goal, or colour and kind as in 'red door'"
    )


def action_model(task: Task) -> type[BaseModel]:
    """A probability for each of the task's actions; the same class every time it is asked for.

    Each action is a field under its own name. A name that is no Python identifier ("turn left")
    is the field's alias: validate as usual, dump with ``by_alias=True``.
    """
    return _action_model(tuple((action.name, action.meaning) for action in task.actions))


def choice_model(task: Task) -> type[BaseModel]:
    """One of the task's actions: ``{"action": "left"}``; the same class every time."""
    return _choice_model(tuple(action.name for action in task.actions))


def letters(task: Task) -> dict[str, str]:
    """A letter for each of the task's actions, in order: ``{"A": "left", "B": "right", ...}``.

    Raises:
        PromptError: there are more actions than letters.
    """
    names = task.action_names
    if len(names) > len(ascii_uppercase):
        raise PromptError(
            f"the task {task.name!r} has {len(names)} actions: at most 26 are asked for"
        )
    return dict(zip(ascii_uppercase, names, strict=False))


def analysis_json(analysis: Analysis) -> str:
    """The analysis exactly as a model is asked to write it."""
    return analysis.model_dump_json()


def choice_json(action: str) -> str:
    """The choice exactly as a model is asked to write it."""
    return json.dumps({"action": action}, separators=(",", ":"))


def probabilities_json(probabilities: Mapping[str, float]) -> str:
    """The distribution exactly as a model is asked to write it: two decimals that sum to 1.00.

    Raises:
        ValueError: rounded to two decimals they do not sum to 1.
    """
    cents = {name: round(100 * p) for name, p in probabilities.items()}
    if sum(cents.values()) != 100 or not all(math.isfinite(p) for p in probabilities.values()):
        raise ValueError(f"in two decimals these do not sum to 1: {dict(probabilities)}")
    fields = (f"{json.dumps(name)}:{cent // 100}.{cent % 100:02d}" for name, cent in cents.items())
    return "{" + ",".join(fields) + "}"


@cache
def _action_model(actions: tuple[tuple[str, str], ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for index, (name, meaning) in enumerate(actions):
        about = f"probability that this is the best action: {meaning}"
        if _usable_as_field(name):
            fields[name] = (float, Field(description=about))
        else:
            fields[f"action_{index}"] = (float, Field(alias=name, description=about))
    return create_model("Probabilities", __config__=_STRICT, **fields)


@cache
def _choice_model(names: tuple[str, ...]) -> type[BaseModel]:
    action: Any = Literal[names]
    return create_model(
        "Choice", __config__=_STRICT, action=(action, Field(description="the best action"))
    )


def _usable_as_field(name: str) -> bool:
    """Whether pydantic takes ``name`` as a field without renaming, shadowing or a warning."""
    taken = hasattr(BaseModel, name) or name.startswith(("_", "model_", "action_"))
    return name.isidentifier() and not keyword.iskeyword(name) and not taken
