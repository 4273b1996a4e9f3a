"""Accuracy where nobody knows the optimal actions: agreement with a student or with a label set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lvlm2p.envs import Plan, View, task_for
from lvlm2p.teachers.errors import ConfigError, LabelFileError
from lvlm2p.teachers.evaluation.states import Case
from lvlm2p.teachers.label import Label

Reference = Callable[[str, int, int], list[tuple[View, frozenset[str]]]]
"""(environment, how many states, seed) -> states with what the reference chooses in them."""

TIE = 1e-6
"""Actions whose probabilities differ by less are chosen alike."""


def label_set_reference(path: str) -> Reference:
    """The states of a label set, and the most probable actions of its labels.

    Raises:
        ConfigError: ``path`` names a student, which the caller has to bring.
        LabelFileError: it is no label set.
    """
    if path.startswith("student:"):
        raise ConfigError("a student as reference is given to evaluate(reference=...)")
    from lvlm2p.teachers.labelling.states import states_in
    from lvlm2p.teachers.labelset.teacher import load_label_set

    teacher = load_label_set(Path(path), None, on_miss="skip")
    views = states_in(Path(path))

    def reference(env: str, n: int, seed: int) -> list[tuple[View, frozenset[str]]]:
        task = task_for(env)
        mine = [view for view in views if view.task is task]
        chosen = [
            (view, likeliest(answer))
            for view, answer in zip(mine, teacher.label(mine), strict=True)
            if isinstance(answer, Label)
        ]
        if not chosen:
            raise LabelFileError(f"{path} has no labels of {env}, so it can't be the reference")
        return chosen[:n]

    return reference


def referred(reference: Reference, env: str, n: int, seed: int) -> list[Case]:
    """States of ``env`` in which the reference knows what is right."""
    return [Case(view, Plan(names, None)) for view, names in reference(env, n, seed)]


def likeliest(label: Label) -> frozenset[str]:
    """The most probable actions of a label."""
    highest = max(label.probabilities.values())
    return frozenset(name for name, p in label.probabilities.items() if p > highest - TIE)


def notes(envs: Sequence[str], reference: str | None) -> Iterator[str]:
    """What the numbers of each environment mean, and which are left out."""
    for env in envs:
        task = task_for(env)
        if reference is not None:
            yield f"{env}: top-1 and mass say how far the answers agree with {reference}."
        elif task.planner is None:
            yield (
                f"{env}: nobody knows the optimal actions, so top-1, mass and calibration are left "
                "out; --reference student:RUN or a label set measures agreement instead."
            )
        yield f"{env}: a success is {task.success_words}."
