"""Several independent choices, counted (``--elicit votes``, as LLM4Teach does)."""

from __future__ import annotations

from lvlm2p.envs import View
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation
from lvlm2p.teachers.models.elicit.choice import one_hot, parse_choice
from lvlm2p.teachers.models.messages import Reply


class Votes(Elicitation):
    """An action's probability is the share of the ``samples`` answers that name it."""

    answer_format = FORMATS["votes"]
    sampled = True
    fingerprinted = ("samples",)

    def parse(self, reply: Reply, view: View) -> Distribution:
        """See :class:`Elicitation`."""
        return one_hot(parse_choice(reply.text, view.task), view.task)
