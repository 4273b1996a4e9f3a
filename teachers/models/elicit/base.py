"""The interface of an elicitation: a method of getting action probabilities from a model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from lvlm2p.envs import View
from lvlm2p.prompts import AnswerFormat
from lvlm2p.teachers.models.messages import Reply
from lvlm2p.teachers.models.options import PromptedOptions
from lvlm2p.teachers.teacher import Teacher


class Distribution(NamedTuple):
    """A probability for each action, in the task's order.

    ``outside``: what the model gave to anything but the actions, before renormalising; None where
    that is not known.
    """

    probabilities: dict[str, float]
    outside: float | None = None


class ModelCapabilities(Protocol):
    """What an elicitation may need of a model."""

    @property
    def logprobs(self) -> bool:
        """Whether the probabilities of alternative tokens are returned."""
        ...


class Elicitation(ABC):
    """A method of getting a probability for each action from a model: one value of ``--elicit``.

    Attributes:
        answer_format: what is asked for, the schema to send along, and an example's answer.
        sampled: whether the answer is the mean of ``samples`` independent ones. Then a model of
            the user's own is not asked greedily, and what can't be read is not asked again.
        fingerprinted: options that only matter to this elicitation; they enter the fingerprint.
        reports: version of the rules by which what a provider reports beside the text is read, for
            the fingerprints of hosted models; None: nothing is.
    """

    answer_format: ClassVar[AnswerFormat]
    sampled: ClassVar[bool] = False
    fingerprinted: ClassVar[tuple[str, ...]] = ()
    reports: ClassVar[int | None] = None

    def __init__(self, options: PromptedOptions) -> None:
        """Raises ValueError if ``options`` make no sense; the text says why."""
        self.options = options
        if self.sampled and options.temperature == 0:
            raise ValueError(
                f"{self.name} at temperature=0 are all the same: leave it out, or raise it"
            )

    @property
    def name(self) -> str:
        """As in ``--elicit`` and in the labels."""
        return self.answer_format.elicit

    @property
    def calls(self) -> int:
        """How often the last question is asked for one label."""
        return self.options.samples if self.sampled else 1

    @classmethod
    def lacking(cls, model: ModelCapabilities) -> str | None:
        """What is missing for ``model`` to be asked, to be read after "it"; None: nothing."""
        return None

    def around(self, teacher: Teacher) -> Teacher:
        """See :meth:`lvlm2p.teachers.Teacher.around`; ``teacher`` asks for this elicitation."""
        return teacher

    @abstractmethod
    def parse(self, reply: Reply, view: View) -> Distribution:
        """What one complete answer about ``view`` says.

        Raises:
            AnswerError: no rule makes a distribution of it; the model may be shown the sentence.
        """

    def combine(self, samples: Sequence[Distribution]) -> Distribution:
        """The mean of the samples that could be read, at least one (``sampled`` only)."""
        actions = samples[0].probabilities
        total = {name: math.fsum(one.probabilities[name] for one in samples) for name in actions}
        return Distribution({name: value / len(samples) for name, value in total.items()})
