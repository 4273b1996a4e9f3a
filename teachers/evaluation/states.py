"""The states that every teacher is asked about, and the file that keeps them.

A state set file is JSON lines, one ``{"env": id, "view": View.to_json()}`` each. What is optimal is
not in it: the planner says it anew, so that a better planner needs no new file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lvlm2p.envs import Plan, Task, UserError, View, covered_ids, sample_states, task_for
from lvlm2p.envs.untrusted import MalformedDataError, parse_json, read_text, shorten
from lvlm2p.teachers.errors import LabelFileError
from lvlm2p.teachers.evaluation.measures import Bools

MAX_STATE_SET_BYTES = 2**28
"""Some hundred thousand states."""


@dataclass(frozen=True)
class Case:
    """One state with what the planner knows of it."""

    view: View
    reference: Plan | None = None
    """What somebody else would do, in place of what the planner knows."""

    @cached_property
    def plan(self) -> Plan | None:
        """None where there is no reference and the task has no planner, or it has given up."""
        if self.reference is not None:
            return self.reference
        if self.view.task.planner is None:
            return None
        plan = self.view.task.plan(self.view)
        return None if plan.gave_up else plan

    @property
    def decides(self) -> bool:
        """Whether some action is better than another, so that an answer can be right or wrong."""
        return self.plan is None or len(self.plan.actions) < len(self.view.task.actions)


def optimal_sets(cases: Sequence[Case]) -> Bools:
    """(n, actions): which actions are optimal, in the task's order."""
    rows = [
        [name in case.plan.actions for name in case.view.task.action_names]
        for case in cases
        if case.plan is not None
    ]
    return np.array(rows, dtype=np.bool_)


def draw_states(env_id: str, n: int, seed: int) -> list[Case]:
    """Up to ``n`` states of mixed play, spread evenly over the distance to the goal.

    States where every action is optimal, or where the planner gives up, are left out: nothing can
    be measured on them. An
    environment that has fewer states gives those it has; a task without a planner is played at
    random, unstratified.
    """
    if task_for(env_id).planner is None:
        return [Case(view) for view in sample_states(env_id, n, seed, "random")]
    views = sample_states(env_id, n, seed, "mixed", stratified=True)
    return [case for view in views if (case := Case(view)).plan is not None and case.decides]


def save_states(path: Path, sets: Mapping[str, Sequence[Case]]) -> None:
    """Write a state set file: environment -> its states."""
    lines = [
        json.dumps({"env": env_id, "view": case.view.to_json()}, ensure_ascii=False)
        for env_id, cases in sets.items()
        for case in cases
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_states(path: Path, env_ids: Sequence[str]) -> dict[str, list[Case]]:
    """The states that a state set file holds for each of ``env_ids``.

    Raises:
        LabelFileError: it can't be read, a line is no state (the sentence names the line), or
            it has none for one of the environments.
    """
    try:
        lines = read_text(path, MAX_STATE_SET_BYTES).split("\n")
    except (OSError, MalformedDataError) as error:
        raise LabelFileError(f"can't read the state set {path}: {error}") from error
    sets: dict[str, dict[str, Case]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            env_id, case = _parse(line, f"{path}, line {number}")
            sets.setdefault(env_id, {}).setdefault(case.view.key, case)
    for env_id in env_ids:
        if env_id not in sets:
            has = ", ".join(sorted(sets)) or "none at all"
            raise LabelFileError(f"{path} has no states of {env_id}: it has {has}")
    return {env_id: list(sets[env_id].values()) for env_id in env_ids}


def _parse(line: str, where: str) -> tuple[str, Case]:
    try:
        row = parse_json(line)
        env_id, view = row["env"], View.from_json(row["view"])
        if task_for(env_id) is not view.task:
            raise UserError(f"{env_id} is not an environment of task {view.task.name}.")
        case = Case(view)
        case.plan  # noqa: B018 (decodes the state: a broken one is found here)
    except MalformedDataError as error:
        raise LabelFileError(f"{where} is not a state: {error}") from error
    except UserError as error:
        raise LabelFileError(f"{where}: {error}") from error
    except Exception as error:  # a foreign file can break a planner in any way
        raise LabelFileError(
            f'{where} is not a state ({{"env": ..., "view": ...}}): {_said(error)}'
        ) from error
    return env_id, case


def _said(error: Exception) -> str:
    return shorten(" ".join(f"{type(error).__name__}: {error}".split()))


def first_environment(task: Task) -> str:
    """The first registered environment of a task, in order of name.

    Raises:
        UserError: there is none.
    """
    mine = [env_id for env_id in covered_ids() if task_for(env_id) is task]
    if not mine:
        raise UserError(
            f"no registered environment belongs to task {task.name!r}: register one, or give "
            "evaluate_teacher the id of an environment."
        )
    return mine[0]
