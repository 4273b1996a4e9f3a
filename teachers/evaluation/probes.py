"""What an answer depends on: the same states asked again in another form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvlm2p.envs import View
from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.measures import same_choice, total_variation
from lvlm2p.teachers.evaluation.questions import Questioner, Tick
from lvlm2p.teachers.evaluation.results import Probe, Probes
from lvlm2p.teachers.label import Answer, Label


@dataclass(frozen=True)
class _Twin:
    """A state, its image, and what each action of the state is called in the image."""

    view: View
    image: View
    actions: Mapping[str, str]


def probe(
    questioner: Questioner,
    again: Questioner | None,
    views: Sequence[View],
    tick: Tick | None = None,
) -> Probes:
    """All three probes on ``views``, which ``questioner`` was asked about before.

    Args:
        questioner: the teacher.
        again: the same teacher, made to give a fresh sample; None: not asked again.
        views: states of one task.
        tick: told of each answer.
    """
    looks = questioner.teacher.looks
    blank = [_blank(view) for view in views if looks and view.task.draw is not None]
    images = _symmetric_twins(views)
    same = [_Twin(view, view, {name: name for name in view.task.action_names}) for view in views]
    return Probes(
        blank=_compare(questioner, questioner, blank, tick),
        symmetry=_compare(questioner, questioner, images, tick),
        repeat=None if again is None else _compare(questioner, again, same, tick),
    )


def images_of(views: Sequence[View]) -> list[View]:
    """What the symmetry probe asks about."""
    return [twin.image for twin in _symmetric_twins(views)]


def _symmetric_twins(views: Sequence[View]) -> list[_Twin]:
    return [twin for view in views if (twin := _symmetric(view)) is not None]


def _blank(view: View) -> _Twin:
    names = {name: name for name in view.task.action_names}
    return _Twin(view, replace(view, blank=True), names)


def _symmetric(view: View) -> _Twin | None:
    """An image under one of the task's symmetries, a different one from state to state.

    Which one is decided by the key, so that it is the same for every teacher. None where every
    symmetry leaves the state as it is.
    """
    symmetries = view.task.symmetries
    for turn in range(len(symmetries)):
        symmetry = symmetries[(int(view.key[:8], 16) + turn) % len(symmetries)]
        image = symmetry.apply(view)
        if image.key != view.key:
            names = {name: symmetry.action(name) for name in view.task.action_names}
            return _Twin(view, image, names)
    return None


def _compare(
    before: Questioner, after: Questioner, twins: Sequence[_Twin], tick: Tick | None
) -> Probe | None:
    """How far the answers stayed, over the states that got a label both times."""
    old = before.ask([twin.view for twin in twins])
    new = after.ask([twin.image for twin in twins], tick)
    pairs = [
        pair
        for twin, first, second in zip(twins, old, new, strict=True)
        if (pair := _carried_back(twin, first, second)) is not None
    ]
    if not pairs:
        return None
    p, q = (np.array(side) for side in zip(*pairs, strict=True))
    same = intervals.proportion(same_choice(p, q))
    moved = intervals.mean(total_variation(p, q))
    assert same and moved
    return Probe(same=same, moved=moved)


def _carried_back(twin: _Twin, first: Answer, second: Answer) -> list[list[float]] | None:
    """Both distributions in the state's own action names."""
    if not isinstance(first, Label) or not isinstance(second, Label):
        return None
    names = twin.view.task.action_names
    return [
        [first.probabilities[name] for name in names],
        [second.probabilities[twin.actions[name]] for name in names],
    ]
