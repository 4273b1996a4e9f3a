"""The plan that a model wrote, in JSON or otherwise.

========================  =====================================================================
what came                 what becomes of it
========================  =====================================================================
JSON                      the last object with a ``plan`` (or :data:`PLAN_KEYS`), or the last list
the original's format     ``Action: {go to <key>, pick up <key>}``: the last one counts
a line                    ``Plan: go to key, pick up key``
a numbered list           the last one; ``- `` and ``* `` too
an option not offered     stays in the plan, is never carried out, and is counted
nothing of these          an error; so is a plan without one option that the task offers
========================  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from lvlm2p.envs import Option, Planning, View
from lvlm2p.envs.errors import UserError
from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit.text import Pairs, bare, readable, values
from lvlm2p.teachers.plans.mixture import Plan

PLAN_KEYS = ("plan", "plans", "options", "actions", "action")
"""Keys whose value is the plan."""
LONGEST = 20
"""Options of a plan."""

_BRACES = re.compile(r"\b(?:actions?|plan|options?)\W{0,4}[:=]\s*[{\[(]([^{}\[\]()]*)[}\])]", re.I)
_LINE = re.compile(r"^\W*(?:actions?|plan|options?)\W{0,3}:\s*(\S.*)$", re.I | re.M)
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(\S.*)$")


def _read_option(written: Any, info: ValidationInfo) -> Option:
    """An option of the task; one that it does not offer under its own words."""
    planning: Planning[View] = (info.context or {})["planning"]
    text = " ".join(map(str, written)) if isinstance(written, list) else str(written)
    try:
        return planning.parse(text)
    except UserError:
        return Option(shorten(" ".join(text.split())))


class _OfferedPlan(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: tuple[Annotated[Option, BeforeValidator(_read_option)], ...] = Field(max_length=LONGEST)


def parse_plan(text: str, planning: Planning[View]) -> Plan:
    """The plan that an answer holds; options that the task does not offer are kept as they are.

    Raises:
        AnswerError: it holds none, or none with an option that the task offers.
    """
    found = _listed(readable(text))
    if found is None:
        raise AnswerError("no plan was found in the answer: a list of options")
    try:
        plan = _OfferedPlan.model_validate({"plan": found}, context={"planning": planning}).plan
    except ValidationError:
        raise AnswerError(f"the plan has more than {LONGEST} options") from None
    if not any(map(planning.offers, plan)):
        raise AnswerError(f"the plan has no option of those that there are: {planning.listed}")
    return plan


def _listed(text: str) -> list[Any] | None:
    """The options as they are written."""
    for value in reversed(values(text)):
        if isinstance(value, Pairs):
            plans = [item for key, item in value if bare(key) in PLAN_KEYS]
            if plans:
                return list(plans[-1]) if _is_list(plans[-1]) else _split(str(plans[-1]))
        elif _is_list(value):
            return list(value)
    for pattern in (_BRACES, _LINE):
        if written := pattern.findall(text):
            return _split(written[-1])
    return _last_items(text.splitlines())


def _is_list(value: Any) -> bool:
    """A list of texts."""
    return (
        isinstance(value, list)
        and not isinstance(value, Pairs)
        and bool(value)
        and all(isinstance(item, str) for item in value)
    )


def _split(text: str) -> list[Any]:
    return [part.strip() for part in re.split(r"[,;]|->|\bthen\b", text) if part.strip()]


def _last_items(lines: Sequence[str]) -> list[Any] | None:
    """The last run of lines that are items of a list."""
    items: list[Any] = []
    for line in reversed(lines):
        if match := _ITEM.match(line):
            items.insert(0, match[1])
        elif items and line.strip():
            break
    return items or None
