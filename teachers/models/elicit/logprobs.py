"""The probabilities of the actions' letters as the first token (``--elicit logprobs``)."""

from __future__ import annotations

from collections.abc import Mapping

from lvlm2p.envs import View
from lvlm2p.prompts import letters as letters_of
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation, ModelCapabilities
from lvlm2p.teachers.models.messages import Reply


class Logprobs(Elicitation):
    """The model answers with a letter; what counts is how probable each letter was."""

    answer_format = FORMATS["logprobs"]
    reports = 2  # 1: a token that was listed alone had all of the probability

    @classmethod
    def lacking(cls, model: ModelCapabilities) -> str | None:
        """See :class:`Elicitation`."""
        return None if model.logprobs else "does not return logprobs"

    def parse(self, reply: Reply, view: View) -> Distribution:
        """See :class:`Elicitation`."""
        return Distribution(*parse_letters(reply.alternatives, letters_of(view.task)))


def parse_letters(
    alternatives: Mapping[str, float], letters: Mapping[str, str]
) -> tuple[dict[str, float], float]:
    """Probabilities of the actions behind the ``letters``, renormalised, and the mass outside.

    Args:
        alternatives: token -> probability, for the first token of the answer. "A" and " A" and
            "(A" are all the letter A; what the provider left out of its list counts as 0.
            Where it lists one token alone, nobody knows what the rest of the probability is on:
            the token keeps its own, and the other letters share that rest equally.
        letters: letter -> action.

    Raises:
        AnswerError: the model gave more than half of its probability to something else.
    """
    mass = dict.fromkeys(letters, 0.0)
    for token, probability in alternatives.items():
        letter = token.strip(" \t\n▁Ġ\"'`*().:[]")
        if letter in mass:
            mass[letter] += probability
    inside = sum(mass.values())
    if not 0.5 <= inside <= 1.01:
        raise AnswerError(
            f"only {inside:.2f} of the probability is on the letters {', '.join(letters)}"
        )
    outside = max(0.0, 1.0 - inside)
    if len(alternatives) == 1 and len(letters) > 1:
        share = outside / (len(letters) - 1)
        mass = {letter: p or share for letter, p in mass.items()}
        inside = sum(mass.values())
    probabilities = {action: mass[letter] / inside for letter, action in letters.items()}
    return probabilities, outside
