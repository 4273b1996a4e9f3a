"""Tables of plans: for each thing that can be seen and held, plans with their shares.

A table is a YAML file::

    executor: careful            # who carries the plans out; left out: the usual one
    tables:
    - tasks: [simple-door-key]   # what it is for
      situations:
        Agent sees <key>, holds <nothing>.:
        - {share: 0.9, plan: [go to key, pick up key]}
        - {share: 0.1, plan: [explore]}
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lvlm2p.envs import Option, Planning, View, task_named
from lvlm2p.envs.errors import UserError
from lvlm2p.envs.untrusted import MalformedDataError, first_problem, read_yaml
from lvlm2p.teachers.errors import ConfigError, UnknownNameError
from lvlm2p.teachers.plans.mixture import Plans, planning_of

SHIPPED = Path(__file__).parent
SUM_TOLERANCE = 0.005
"""How far from 1 the shares of a situation may sum."""

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Share(BaseModel):
    model_config = _STRICT

    share: float = Field(gt=0, le=1)
    plan: tuple[str, ...]


class _Tables(BaseModel):
    model_config = _STRICT

    tasks: tuple[str, ...] = Field(min_length=1)
    situations: dict[str, tuple[_Share, ...]] = Field(min_length=1)


class _PlanFile(BaseModel):
    model_config = _STRICT

    executor: str | None = None
    tables: tuple[_Tables, ...] = Field(min_length=1)


class PlanTable:
    """A table that was read and found sound.

    Attributes:
        name: as it was asked for.
        executor: who carries its plans out; None: the task's usual one.
        plans: task name -> sentence -> plans.

    Raises:
        UnknownNameError: none that is shipped, and no file, has this name.
        ConfigError: the file is no table, or a plan has no sense; the sentence names the place.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        path = _path(name)
        try:
            read = _PlanFile.model_validate(read_yaml(path))
        except (OSError, MalformedDataError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"the plan table {path} can't be read: {why}") from None
        except ValidationError as error:
            raise ConfigError(f"the plan table {path}: {first_problem(error)}") from None
        self.executor = read.executor
        self.plans: dict[str, Mapping[str, Plans]] = {}
        for table in read.tables:
            for task in table.tasks:
                if task in self.plans:
                    raise ConfigError(f"the plan table {path} has two tables for {task!r}")
                self.plans[task] = _situations(path, task, table)


def shipped_tables() -> list[str]:
    """Names of the tables that come with this package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _path(name: str) -> Path:
    if name in shipped_tables():
        return SHIPPED / f"{name}.yaml"
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    hint = "A YAML file of your own works too."
    raise UnknownNameError("plan table", name, shipped_tables(), hint)


def _situations(path: Path, task_name: str, table: _Tables) -> dict[str, Plans]:
    planning = planning_of(task_named(task_name))
    return {
        sentence: _plans(f"the plan table {path}, {sentence!r}", planning, sentence, shares)
        for sentence, shares in table.situations.items()
    }


def _plans(
    where: str, planning: Planning[View], sentence: str, shares: tuple[_Share, ...]
) -> Plans:
    total = math.fsum(one.share for one in shares)
    if abs(total - 1) > SUM_TOLERANCE:
        raise ConfigError(f"{where}: the shares sum to {total:.4g}, not 1")
    named = frozenset(re.findall(r"<([^<>]+)>", sentence))
    return tuple(
        (one.share / total, tuple(_option(where, planning, named, text) for text in one.plan))
        for one in shares
    )


def _option(where: str, planning: Planning[View], named: frozenset[str], text: str) -> Option:
    try:
        option = planning.parse(text)
    except UserError as error:
        raise ConfigError(f"{where}: {error}") from None
    if option.thing is not None and option.thing not in named:
        raise ConfigError(f"{where}: {option} names what the sentence does not")
    return option
