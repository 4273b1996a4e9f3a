"""Plans of options, several times over (``--elicit plans``, as LLM4Teach does)."""

from __future__ import annotations

from lvlm2p.envs import View, source_of
from lvlm2p.prompts import PLANS
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation
from lvlm2p.teachers.models.messages import Reply
from lvlm2p.teachers.plans.answer import parse_plan
from lvlm2p.teachers.plans.mixture import planning_of
from lvlm2p.teachers.teacher import Teacher


class PlanElicitation(Elicitation):
    """Each of ``samples`` answers is a plan; together they are mixed by their votes.

    A sample is a question and a stored answer of its own, so it is asked once here.
    """

    answer_format = PLANS
    sampled = True

    @property
    def calls(self) -> int:
        """One: see the class."""
        return 1

    def around(self, teacher: Teacher) -> Teacher:
        """See :class:`Elicitation`."""
        from lvlm2p.teachers.wrappers.planned import PlannedTeacher

        return PlannedTeacher(teacher, self.options)

    def parse(self, reply: Reply, view: View) -> Distribution:
        """``view``: a question. The verb of the first option that the task offers."""
        planning = planning_of(source_of(view.task))
        first = next(filter(planning.offers, parse_plan(reply.text, planning)))
        return Distribution({name: float(name == first.verb) for name in view.task.action_names})
