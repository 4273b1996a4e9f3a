"""A state in words: what stands in the picture's place, or above it."""

from __future__ import annotations

from lvlm2p.envs.task import View


def in_words(view: View, coordinates: bool = False) -> str | None:
    """What was seen and is held; None: the task has no words.

    Without ``coordinates`` in short, as far as the task can say it so.
    """
    task = view.task
    if not coordinates and task.planning is not None:
        return task.planning.sentence(view, False)
    if not coordinates and task.brief is not None:
        return task.brief(view)
    if task.describe is None and task.planning is not None:
        return task.planning.sentence(view, True)
    return view.text
