"""How many questions a run will ask, from a short play: before any is paid for.

The states that a short play finds are counted, after half of it and after all of it; how their
number has grown says how it will go on. A learning student meets other states than that play does,
so this is right to a factor of about two.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from lvlm2p.envs import UserError, VectorEnv, task_for
from lvlm2p.envs.sampling import is_quickly_listed, reachable_states
from lvlm2p.envs.untrusted import read_yaml
from lvlm2p.student.config import TrainConfig
from lvlm2p.student.learn.ask import parse_ask
from lvlm2p.teachers.errors import TeacherError
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.spending import Expense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lvlm2p.envs import View
    from lvlm2p.teachers import Teacher
    from lvlm2p.teachers.spending import Approve
    from lvlm2p.teachers.teacher import CostEstimate

PLAYED = 2_000
"""Frames of the play: a fraction of a second."""

SKILLED = 2
"""Of so many environments one is played by the planner, where there is one: a student that has
learned something meets more different states than one that knows nothing."""


def announce(config: TrainConfig, teacher: Teacher, approve: Approve) -> None:
    """Say what ``teacher`` will be asked, and have it approved; nothing of the sort where nobody is
    asked, or where a run goes on that was approved when it began."""
    if not will_ask(config, teacher) or goes_on(config):
        return
    expense = Expense(teacher, forecast(config, teacher))
    if expense.billed:
        teacher.check_ready()  # without its key the price does not matter
    say(f"{teacher.name}: {expense.estimate}")
    approve([expense])


def will_ask(config: TrainConfig, teacher: Teacher) -> bool:
    """Whether the run that ``config`` names asks ``teacher`` anything that takes time or money."""
    nobody = teacher.instant or config.offline or config.labels is not None
    return not nobody and teacher.supports(task_for(config.env)) is None


def goes_on(config: TrainConfig) -> bool:
    """Whether the run is resumed, for no more frames than it was begun with."""
    if not config.resume:
        return False
    try:
        return config.frames <= int(read_yaml(config.run_dir / "config.yaml")["frames"])
    except (OSError, ValueError, TypeError, LookupError, OverflowError):
        return False


def forecast(config: TrainConfig, teacher: Teacher) -> CostEstimate:
    """What ``teacher`` will be asked in the run that ``config`` names. What is stored does not
    count, and of states that are the same by symmetry one does."""
    views = played(config)
    half = teacher.estimate(views[: len(views) // 2]).states
    estimate = teacher.estimate(views)
    new = grown(half, estimate.states, config.frames / len(views))
    if new > estimate.states and estimate.paid and is_quickly_listed(config.env):
        new = min(new, _all_there_are(config.env, teacher, new))
    return estimate.scaled(asked_about(config.ask, new))


def forecast_together(configs: Sequence[TrainConfig], teacher: Teacher) -> CostEstimate:
    """The same for several runs in one environment that share a store, and so the answers: of what
    differs between them, seeds above all, new states come as in one run of all their frames."""
    whole = configs[0].model_copy(update={"frames": sum(config.frames for config in configs)})
    kind, amount = parse_ask(whole.ask)
    if kind == "budget":
        whole = whole.model_copy(update={"ask": f"budget:{int(amount) * len(configs)}"})
    return forecast(whole, teacher)


def played(config: TrainConfig) -> list[View]:
    """Every state of a short play, mostly by random actions, in order."""
    env = VectorEnv(config.env, config.n_envs, config.seed)
    rng = np.random.default_rng(config.seed)
    views: list[View] = []
    env.reset()
    while len(views) < min(PLAYED, config.frames):
        seen = env.views()
        views += seen
        skilled = [
            i % SKILLED == 1 and view.task.planner is not None for i, view in enumerate(seen)
        ]
        env.step([_action(view, rng, *best) for view, *best in zip(seen, skilled, strict=True)])
    env.close()
    return views[: min(PLAYED, config.frames)]


def _action(view: View, rng: np.random.Generator, skilled: bool) -> int:
    task = view.task
    names = (sorted(task.plan(view).actions) if skilled else []) or task.action_names
    return int(task.action_named(names[rng.integers(len(names))]).index)


def grown(half: int, whole: int, times: float) -> int:
    """Distinct states in ``times`` as many frames as those in which ``whole`` were found, ``half``
    of the frames having given ``half``: their number grows by a power of the frames."""
    if times <= 1 or whole <= half:
        return whole
    power = min(1.0, math.log2(whole / half)) if half else 1.0
    return round(whole * math.pow(times, power))


def _all_there_are(env_id: str, teacher: Teacher, otherwise: int) -> int:
    """Questions about every state of a small task."""
    try:
        return teacher.estimate(reachable_states(env_id)).states
    except UserError:  # it moves by itself, or has too many
        return otherwise


def asked_about(rule: str, new: int) -> int:
    """Of so many new states, those that ``--ask`` chooses."""
    kind, amount = parse_ask(rule)
    if kind == "budget":
        return min(new, int(amount))
    return math.ceil(new * amount)


# ---------------------------------------------------------------- of many runs


def announce_all(configs: Sequence[TrainConfig], approve: Approve) -> None:
    """Say what the teachers of these runs will be asked, and have it approved once for all.

    Raises:
        UserError: a teacher or an option of one is unknown, or nobody agrees to the price.
        TeacherError: one that sends bills has no key.
    """
    loaded: dict[str, Teacher] = {}
    groups: dict[tuple[str, str, str], list[TrainConfig]] = {}
    expenses = []
    try:
        for config in configs:
            teacher = _teacher_of(config, loaded)
            if teacher is not None and will_ask(config, teacher):
                asked = teacher.fingerprint_for(task_for(config.env))
                groups.setdefault((asked, config.env, config.ask), []).append(config)
        for (_, env, _), group in groups.items():
            teacher = loaded[_asking(group[0])]
            expense = Expense(teacher, forecast_together(group, teacher))
            if expense.billed:
                teacher.check_ready()  # without its key the price does not matter
            say(f"{teacher.name} on {env}: {expense.estimate}")
            expenses.append(expense)
    finally:
        for teacher in loaded.values():
            teacher.close()
    approve(expenses)


def _teacher_of(config: TrainConfig, loaded: dict[str, Teacher]) -> Teacher | None:
    """Each teacher is loaded once; one that can't be is for its runs to say."""
    if config.teacher == "none":
        return None
    how = _asking(config)
    if how not in loaded:
        try:
            loaded[how] = config.load_own_teacher()
        except TeacherError:
            return None
    return loaded[how]


def _asking(config: TrainConfig) -> str:
    """All that decides which teacher is loaded."""
    of_a_run = set(TrainConfig.model_fields) - set(ASKING)
    return json.dumps(config.model_dump(mode="json", exclude=of_a_run), sort_keys=True)


ASKING = (
    *("teacher", "teacher_args", "elicit", "view", "view_args", "prompt", "shots"),
    *("symmetry", "retry_failures", "store", "labels", "offline", "on_miss", "calibrate"),
)
