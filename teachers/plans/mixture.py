"""What plans with their shares do in one state: the distribution over its next action."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lvlm2p.envs import NextStep, Option, Planning, Task, View
from lvlm2p.teachers.errors import ConfigError

Plan: TypeAlias = tuple[Option, ...]
"""Empty: nothing is done."""

Plans: TypeAlias = Sequence[tuple[float, Plan]]
"""Plans with their shares, which sum to 1."""


@dataclass(frozen=True)
class _Carried:
    """One plan in one state."""

    share: float
    plan: Plan
    step: NextStep | None
    absent: tuple[Option, ...]
    """Options before the one that is carried out that name what is not there, or are none that the
    task offers."""


@dataclass(frozen=True)
class Mixture:
    """What the plans do together.

    Attributes:
        probabilities: by action, in the task's order; None: not one plan can be carried out.
        account: for the label's ``analysis``: ``plans`` with their shares; ``option``, the one that
            most of the plans carry out; ``options``, how many were tried until one could be;
            ``absent``, how many of these name what is not there, and ``named_absent``, which;
            ``idle``, the share of the plans that can't be carried out.
    """

    probabilities: dict[str, float] | None
    account: dict[str, Any]

    @property
    def why(self) -> str:
        """Why there are no probabilities, in a sentence."""
        absent = self.account["named_absent"]
        named = f"; what they name is not there: {absent}" if absent else ""
        return f"no plan can be carried out here ({self.account['plans']}){named}"


def planning_of(task: Task) -> Planning[View]:
    """The options of ``task``.

    Raises:
        ConfigError: it offers none.
    """
    if task.planning is None:
        raise ConfigError(lacks_planning(task))
    return task.planning


def lacks_planning(task: Task) -> str:
    """That a task can't be planned for, in a sentence."""
    return f"task {task.name!r} offers no options to plan with (Task.planning)"


def mix(view: View, plans: Plans, executor: str) -> Mixture:
    """Let ``executor`` carry out each plan's first option that can be, and mix the actions.

    A plan of which nothing can be carried out is left out of the mixture with the usual executor,
    which refuses what would be in vain; any other one then does nothing (``Planning.idle``).
    """
    planning = planning_of(view.task)
    things = frozenset(planning.things(view))
    carried = [_carry_out(view, planning, things, share, plan, executor) for share, plan in plans]
    usual = executor == planning.executors[0]
    actions: defaultdict[str, float] = defaultdict(float)
    options: defaultdict[Option, float] = defaultdict(float)
    for one in carried:
        if one.step is not None:
            actions[one.step.action] += one.share
            options[one.step.option] += one.share
        elif not usual:
            actions[planning.idle] += one.share
    total = math.fsum(actions.values())
    absent = [option for one in carried for option in one.absent]
    account = {
        "plans": "; ".join(f"{one.share:.2f} {_words(one.plan)}" for one in carried),
        "option": str(max(options, key=options.__getitem__)) if options else None,
        "options": sum(len(one.absent) + (one.step is not None) for one in carried),
        "absent": len(absent),
        "named_absent": ", ".join(dict.fromkeys(map(str, absent))),
        "idle": math.fsum(one.share for one in carried if one.step is None),
    }
    if not total:
        return Mixture(None, account)
    return Mixture({name: actions[name] / total for name in view.task.action_names}, account)


def _carry_out(
    view: View,
    planning: Planning[View],
    things: frozenset[str],
    share: float,
    plan: Plan,
    executor: str,
) -> _Carried:
    step = planning.next_step(view, plan, executor)
    tried = plan if step is None else plan[: plan.index(step.option)]
    absent = [
        option
        for option in tried
        if not planning.offers(option) or (option.thing is not None and option.thing not in things)
    ]
    return _Carried(share, plan, step, tuple(absent))


def _words(plan: Plan) -> str:
    return ", ".join(map(str, plan)) or "(nothing)"
