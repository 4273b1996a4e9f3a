"""The form of a prompt's last answer: its schema, and what an example's answer looks like.

The four that the shipped texts know are :data:`FORMATS`. Whoever adds another brings the texts
that ask for it (``form.md``, ``question.md``) along, since the shipped ones know these four only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import BaseModel

from lvlm2p.envs import Task
from lvlm2p.envs.errors import UnknownNameError
from lvlm2p.prompts.examples import Example
from lvlm2p.prompts.schema import (
    action_model,
    choice_json,
    choice_model,
    letters,
    probabilities_json,
)


@dataclass(frozen=True, eq=False)
class AnswerFormat:
    """What the last question of a prompt asks for.

    Attributes:
        elicit: its name in templates (``{% if elicit == "stated" %}``) and in ``prompt.yaml``.
        kind: the form of the answer, :attr:`Question.kind`; two names may share one.
        schema: the task's schema to send along; None: the answer is plain text.
        example: the answer that a few-shot example shows, exactly as it is asked for.
        by_letter: actions are answered by their letters.
        correction: what is asked for when an answer can't be used: "Answer again, with ... only".
        texts: templates by file name that take the place of the prompt's and the shared ones.
    """

    elicit: str
    kind: str
    schema: Callable[[Task], type[BaseModel] | None]
    example: Callable[[Example], str]
    by_letter: bool = False
    correction: str = "JSON in the format asked for"
    texts: Mapping[str, str] = field(default_factory=dict)


Elicit: TypeAlias = str | AnswerFormat
"""What :func:`lvlm2p.prompts.load_prompt` is asked for: one of :data:`FORMATS`, or one's own."""


def _choice(elicit: str) -> AnswerFormat:
    return AnswerFormat(elicit, "choice", choice_model, lambda shown: choice_json(shown.action))


def _letter_of_action(example: Example) -> str:
    named = {action: letter for letter, action in letters(example.view.task).items()}
    return named[example.action]


FORMATS: Mapping[str, AnswerFormat] = {
    answer.elicit: answer
    for answer in (
        AnswerFormat(
            "stated", "stated", action_model, lambda shown: probabilities_json(shown.probabilities)
        ),
        _choice("choice"),
        _choice("votes"),
        AnswerFormat(
            "logprobs",
            "letter",
            lambda task: None,
            _letter_of_action,
            by_letter=True,
            correction="one letter",
        ),
    )
}
"""By name: a probability for each action, one action (asked once or many times), one letter."""


def answer_format(elicit: Elicit) -> AnswerFormat:
    """The format that ``elicit`` names, or is.

    Raises:
        UnknownNameError: none of :data:`FORMATS` has that name.
    """
    if isinstance(elicit, AnswerFormat):
        return elicit
    if elicit not in FORMATS:
        raise UnknownNameError("elicitation", elicit, FORMATS)
    return FORMATS[elicit]
