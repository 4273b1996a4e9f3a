"""Teachers and states for the tests of the label store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from lvlm2p.envs import View, make_env, view_of
from lvlm2p.teachers import Answer, Counts, Failure, Label, Teacher


@cache
def states(count: int, env_id: str = "MiniGrid-GoToDoor-6x6-v0") -> tuple[View, ...]:
    """Distinct states from random play; always the same."""
    env = make_env(env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    found: dict[str, View] = {}
    while len(found) < count:
        view = view_of(env)
        found.setdefault(view.key, view)
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return tuple(found.values())


class FakeTeacher(Teacher):
    """Answers as it is told, one state at a time, and remembers what it was asked."""

    def __init__(
        self,
        answer: Callable[[View, FakeTeacher], Answer] | None = None,
        fingerprint: str = "fa4e",
        log: Path | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.name = "fake"
        self.counts = Counts()
        self.asked: list[str] = []
        self._answer = answer or (lambda view, teacher: teacher.label_for(view))
        self._fingerprint = fingerprint
        self._log = log
        self._delay_s = delay_s

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        for index, view in enumerate(views):
            self.asked.append(view.key)
            if self._log is not None:
                note(self._log, f"asked {view.key}")
            if self._delay_s:
                time.sleep(self._delay_s)
            yield index, self._answer(view, self)

    def label_for(self, view: View, cost_usd: float | None = 0.001) -> Label:
        names = view.task.action_names
        best = int(view.key, 16) % len(names)
        return Label(
            task=view.task.name,
            teacher=self.name,
            fingerprint=self.fingerprint,
            probabilities={name: float(index == best) for index, name in enumerate(names)},
            elicitation="choice",
            cost_usd=cost_usd,
        )

    def failure_for(self, view: View, kind: str) -> Failure:
        return Failure.model_validate(
            {
                "task": view.task.name,
                "teacher": self.name,
                "fingerprint": self.fingerprint,
                "failure": kind,
                "message": f"it was {kind}",
                "cost_usd": 0.0,
            }
        )


def failing(kind: str) -> Callable[[View, FakeTeacher], Answer]:
    return lambda view, teacher: teacher.failure_for(view, kind)


def note(log: Path, line: str) -> None:
    """Append a line in one write: several processes may."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)
