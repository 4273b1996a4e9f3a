"""What a planner is asked about a state: the sentence, the picture or both, without the rest.

States with the same sentence are one question, so that one answer serves them all. A question is a
View of a task of its own, ``<task> plans``, whose actions are the verbs of the options; so it can
be drawn, described, stored and read back like any other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.task import Action, ImageStyle, Task, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shown = Literal["image", "text", "both"]
"""What a teacher is shown of a state."""

SUFFIX = " plans"
"""Of the names of tasks whose views are questions."""

_SOURCES: dict[str, Task] = {}


@cache
def question_task(task: Task) -> Task:
    """The task whose views are questions about ``task``.

    Raises:
        UserError: it offers no options.
    """
    planning = task.planning
    if planning is None:
        raise UserError(f"task {task.name!r} offers no options to plan with (Task.planning).")
    verbs = (
        Action(verb.name, number, verb.meaning + (f"; written {form}" if verb.takes else ""))
        for number, (verb, form) in enumerate(zip(planning.verbs, planning.forms, strict=True))
    )
    asked = Task(
        name=f"{task.name}{SUFFIX}",
        env_ids=(),
        actions=tuple(verbs),
        rules=planning.rules,
        draw=None if task.draw is None else _draw,
        describe=lambda view: _parts(view.state)[0],
        check_state=_parts,
    )
    _SOURCES[asked.name] = task
    return asked


def source_of(asked: Task) -> Task:
    """The task that a :func:`question_task` is about."""
    return _SOURCES[asked.name]


def question(view: View, shown: Shown, coordinates: bool, sample: int) -> View:
    """The question about ``view``; one for each ``sample``, since each is answered by itself.

    Raises:
        UserError: its task offers no options.
    """
    asked = question_task(view.task)
    assert view.task.planning is not None
    said = "" if shown == "image" else view.task.planning.sentence(view, coordinates)
    pictured = shown != "text" and view.task.draw is not None
    state = f"{sample}\n{said}\n".encode() + (view.state if pictured else b"")
    if not pictured:
        return View(asked, state, view.mission)
    return View(asked, state, view.mission, view.carrying, view.blank)


def _parts(state: bytes) -> tuple[str, bytes]:
    """The sentence and the state of the picture."""
    try:
        number, said, pictured = state.split(b"\n", 2)
        int(number)
        return said.decode(), pictured
    except ValueError:
        raise UserError("this view's state is no question about a plan.") from None


def _draw(view: View, style: ImageStyle) -> NDArray[np.uint8]:
    task = source_of(view.task)
    assert task.draw is not None
    return task.draw(replace(view, task=task, state=_parts(view.state)[1]), style)
