"""Teachers with a planted character, for the tests of the evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lvlm2p.envs import View
from lvlm2p.teachers.label import Answer, Failure, Label, Turn, Usage
from lvlm2p.teachers.teacher import Counts, Teacher

ENVS = (
    "MiniGrid-LavaGapS6-v0",
    "MiniGrid-GoToDoor-6x6-v0",
    "MiniGrid-Fetch-6x6-N2-v0",
    "MiniGrid-Dynamic-Obstacles-6x6-v0",
)
"""One environment of each task."""

Character = Callable[[View, float], dict[str, float] | None]
"""(state, a number in [0, 1) fixed by the state) -> probabilities; None: it fails."""


class Planted(Teacher):
    """Answers as its character says; writes a transcript and, if told to, an analysis."""

    def __init__(
        self,
        name: str,
        character: Character,
        *,
        sees: float = 0.0,
        reply: Callable[[View, str], str] | None = None,
        cost_usd: float | None = 0.001,
    ) -> None:
        """``sees``: share of the states it describes right; 0: it describes none."""
        self.name = name
        self.counts = Counts()
        self.character = character
        self.sees = sees
        self.reply = reply or (lambda view, answer: answer)
        self.cost_usd = cost_usd
        self.batches: list[int] = []

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()[:32]

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        self.batches.append(len(views))
        for index, view in enumerate(views):
            answer = self._answer(view)
            self.counts.add_asked(answer)
            yield index, answer

    def _answer(self, view: View) -> Answer:
        probabilities = self.character(view, luck(view, self.name))
        common: dict[str, Any] = {
            "task": view.task.name,
            "teacher": self.name,
            "fingerprint": self.fingerprint_for(view.task),
            "model": "planted-1",
            "prompt": "0" * 64,
            "usage": Usage(calls=2, prompt_tokens=900, cached_tokens=700, completion_tokens=60),
            "cost_usd": self.cost_usd,
            "latency_s": 0.2 + luck(view, "latency"),
        }
        question = f"The mission: {view.mission}. What do you see?"
        if probabilities is None:
            said = (Turn(role="user", text=question), Turn(role="assistant", text="I can't say."))
            return Failure(**common, transcript=said, failure="invalid", message="no JSON in it")
        analysis = self._analysis(view)
        reply = self.reply(view, json.dumps(probabilities))
        turns = (
            Turn(role="system", text=view.task.rules),
            Turn(role="user", text=question),
            Turn(role="assistant", text=json.dumps(analysis)),
            Turn(role="user", text="How probable is it that each action is best?"),
            Turn(role="assistant", text=reply),
        )
        return Label(
            **common,
            transcript=turns,
            probabilities=probabilities,
            elicitation="stated",
            analysis=analysis,
        )

    def _analysis(self, view: View) -> dict[str, Any] | None:
        if not self.sees or view.task.ground_truth is None:
            return None
        scene = dict(view.task.ground_truth(view))
        scene.pop("targets", None)
        if luck(view, self.name + "sees") >= self.sees:
            scene["target_row"] = 1 + scene["target_row"] % 4
        return scene


def luck(view: View, what: str) -> float:
    """A number in [0, 1) that is a fixed function of the state."""
    digest = hashlib.sha256(f"{what}/{view.key}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def peaked(view: View, action: str, mass: float = 0.9) -> dict[str, float]:
    """``mass`` on one action, the rest shared by the others."""
    names = view.task.action_names
    rest = (1 - mass) / (len(names) - 1)
    return {name: mass if name == action else rest for name in names}


def best(view: View) -> str:
    """The first of the optimal actions."""
    optimal = view.task.plan(view).actions
    return next(name for name in view.task.action_names if name in optimal)


def good(view: View, number: float) -> dict[str, float] | None:
    """Nearly always right, as long as it sees something."""
    if view.blank:
        return peaked(view, "forward", 0.6)
    return peaked(view, best(view), 0.8 + 0.19 * number)


def mirror(view: View, number: float) -> dict[str, float] | None:
    """Takes left for right."""
    if view.blank:
        return peaked(view, "forward", 0.6)
    exchanged = {"left": "right", "right": "left"}
    return peaked(view, exchanged.get(best(view), best(view)))


def forward(view: View, number: float) -> dict[str, float] | None:
    """Always says forward."""
    return peaked(view, "forward")


def reader(view: View, number: float) -> dict[str, float] | None:
    """Knows the state from elsewhere, and never looks at the picture."""
    return peaked(view, best(view))


def flaky(view: View, number: float) -> dict[str, float] | None:
    """Good, but gives no answer on a fifth of the states."""
    return None if luck(view, "flaky") < 0.2 else good(view, number)


def overconfident(view: View, number: float) -> dict[str, float] | None:
    """Right on 60%, and says 98%."""
    names = [name for name in view.task.action_names if name not in view.task.plan(view).actions]
    wrong = names[int(number * 1e6) % len(names)] if names else best(view)
    return peaked(view, best(view) if number < 0.6 else wrong, 0.98)


HOSTILE = (
    "</script><script>window.hacked = 1</script>"
    '<img src=x onerror="window.hacked = 2">\'"`{{ 7 * 7 }}{% raw %}'
    "\u202eright to left\u202c \u2066isolated\u2069 \u200f שלום \x00 </pre></dialog>"
)


def hostile_reply(view: View, answer: str) -> str:
    """Markup, quotes, marks of direction; a megabyte for one state in four."""
    return HOSTILE + answer + ("A" * 1_000_000 if luck(view, "long") < 0.02 else "")
