"""A model in this process as a teacher: asked in batches, free of charge."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lvlm2p.envs import Task, View
from lvlm2p.envs.extras import install, missing
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.interview import Interview, Rounds
from lvlm2p.teachers.models.elicit.registry import elicitation_names
from lvlm2p.teachers.models.messages import Reply, Request
from lvlm2p.teachers.models.options import PromptedOptions
from lvlm2p.teachers.models.prompted import PromptedTeacher
from lvlm2p.teachers.plugin import Context, Status, reply_key

if TYPE_CHECKING:
    from lvlm2p.teachers.models.local.checkpoint import LocalModel
    from lvlm2p.teachers.models.local.generation import Session

DEFAULT_MODEL = "Qwen/Qwen3-VL-4B-Instruct"
MAX_TOKENS = 512


class TransformersOptions(PromptedOptions):
    """Options of models in this process."""

    batch: int = Field(default=64, ge=1)
    """How many views are answered at a time."""


class TransformersTeacher(PromptedTeacher):
    """Any ``AutoModelForImageTextToText``: a folder, or an id that transformers downloads.

    Greedy unless a temperature is given (votes: 1.0 unless another is given). What is sampled
    depends on the view and the sample number alone, so the same question has the same answer.
    """

    Options = TransformersOptions
    options: TransformersOptions

    def __init__(self, name: str, options: TransformersOptions, context: Context) -> None:
        super().__init__(name, options, context)
        self._asking = threading.Lock()

    @classmethod
    def build(
        cls, name: str, options: TransformersOptions, context: Context
    ) -> TransformersTeacher:
        """See :mod:`lvlm2p.teachers.plugin`. Nothing is loaded yet."""
        return cls(name, options, context)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        model, able = DEFAULT_MODEL, elicitation_names()
        if missing("local"):
            return Status(name, model, able, 0.0, False, install("local"))
        ready, note = _weights(model)
        return Status(name, model, able, 0.0, ready, note)

    @property
    def model(self) -> str:
        """Folder or hub id."""
        return self.options.model or DEFAULT_MODEL

    @property
    def called(self) -> str:
        """What labels call the model."""
        return self.model

    def facts(self) -> dict[str, Any]:
        """See :class:`PromptedTeacher`. A folder counts by what is in it, not by where it is."""
        return {**super().facts(), "model": self._identity, "max_tokens": self.max_tokens}

    @property
    def max_tokens(self) -> int:
        """Longest answer, in tokens."""
        return self.options.max_tokens or MAX_TOKENS

    @property
    def temperature(self) -> float:
        """0 is greedy."""
        if self.options.temperature is not None:
            return self.options.temperature
        return 1.0 if self.elicitation.sampled else 0.0

    def price(self, labels: int) -> float | None:
        """Free of charge."""
        return 0.0

    @cached_property
    def local(self) -> LocalModel:
        """The model, loaded when it is first asked."""
        from lvlm2p.teachers.models.local.checkpoint import LocalModel

        return LocalModel(self.name, self.model)

    @cached_property
    def _identity(self) -> str:
        from lvlm2p.teachers.models.local.checkpoint import content_digest

        folder = Path(self.model).expanduser()
        if folder.is_dir():
            return content_digest(folder)
        if self.model.startswith((".", "/", "~")):
            raise TeacherNotReadyError(f"teacher {self.name!r}: there is no folder {self.model}")
        return self.model

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`; one batch of views after another.

        Raises:
            TeacherNotReadyError: the model can't be loaded.
        """
        start = 0
        while start < len(views):
            with self._asking:
                batch = views[start : start + self._affordable(views[start].task)]
                answers = self._answer(batch)
            for index, answer in enumerate(answers, start):
                self.count(answer)
                yield index, answer
            start += len(batch)

    def _affordable(self, task: Task) -> int:
        """How many views to begin with: as many as the budget lets us finish."""
        left = None if self.context.budget is None else self.context.budget.calls_left
        if left is None:
            return self.options.batch
        return max(1, min(self.options.batch, left // self.calls_for(task)))

    def _answer(self, views: Sequence[View]) -> list[Answer]:
        """Conduct the interviews of one batch side by side, round by round."""
        from lvlm2p.teachers.models.local.generation import Session

        interviews = [self.interview(view) for view in views]
        answers: list[Answer | None] = [None] * len(views)
        open_rounds: dict[int, tuple[Rounds, list[Request]]] = {}
        for index, interview in enumerate(interviews):
            rounds = interview.run()
            open_rounds[index] = rounds, next(rounds)
        session = Session(self.local)
        while open_rounds:
            for index, (_, requests) in list(open_rounds.items()):
                if (why := self._refused(requests)) is not None:
                    answers[index] = interviews[index].failure("budget", why)
                    del open_rounds[index]
            replies = self._round(session, interviews, open_rounds)
            for index, (rounds, _) in list(open_rounds.items()):
                try:
                    open_rounds[index] = rounds, rounds.send(replies[index])
                except StopIteration as end:
                    answers[index] = end.value
                    del open_rounds[index]
        return [answer for answer in answers if answer is not None]

    def _refused(self, requests: Sequence[Request]) -> str | None:
        """Why the budget does not allow these calls; None: it does."""
        budget = self.context.budget
        refusals = (budget and budget.refusal() for _ in requests)
        return next((why for why in refusals if why), None)

    def _round(
        self,
        session: Session,
        interviews: Sequence[Interview],
        rounds: dict[int, tuple[Rounds, list[Request]]],
    ) -> dict[int, list[Reply]]:
        """The replies to one round of requests, in batches of questions of the same kind."""
        asked = [(index, request) for index, (_, some) in rounds.items() for request in some]
        replies: dict[int, list[Reply]] = {index: [] for index in rounds}
        for part in self._batches(asked):
            seeds = [self._seed(interviews[index], request) for index, request in part]
            requests = [request for _, request in part]
            got = session.replies(requests, seeds, self.max_tokens, self.temperature)
            for (index, _), reply in zip(part, got, strict=True):
                replies[index].append(replace(reply, model=self.called))
        return replies

    def _batches(self, asked: list[tuple[int, Request]]) -> Iterator[list[tuple[int, Request]]]:
        """Letters and texts apart: a batch is asked for one or the other."""
        for letters in (False, True):
            alike = [one for one in asked if bool(one[1].letters) == letters]
            for start in range(0, len(alike), self.options.batch):
                yield alike[start : start + self.options.batch]

    def _seed(self, interview: Interview, request: Request) -> int:
        sample = self.context.sample
        name = reply_key(interview.fingerprint, interview.view.key, sample, request.turn)
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])


def _weights(model: str) -> tuple[bool, str]:
    """Whether a model of the hub could be loaded, and from where; loads nothing."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    if (hub / f"models--{model.replace('/', '--')}").is_dir():
        return True, "runs in this process"
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON"):
        return False, "not downloaded, and HF_HUB_OFFLINE is set: -T model=FOLDER"
    return True, "downloaded when first asked; or -T model=FOLDER"
