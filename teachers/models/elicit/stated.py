"""Stated probabilities: the model writes one for each action (``--elicit stated``).

Nothing is guessed. Whatever is not covered by a rule is an ``AnswerError``, whose sentence the
model may be shown when it is asked again. The rules, in the order in which they are tried:

========================  =====================================================================
what came                 what becomes of it
========================  =====================================================================
thinking aloud            left out (:mod:`lvlm2p.teachers.models.elicit.thoughts`); a block that
                          never ends hides the answer
prose, code fences        the last complete JSON object that names an action counts
wrapped or listed         ``{"probabilities": {...}}``, ``[{"action": "left", "p": 0.2}, ...]``
                          and ``{"left": {"probability": 0.2}}`` are the same as the plain object
a bare list               no such object: the last JSON list, or else the last line, if it is
                          exactly one number for each action, in their order (the paper's format)
lines, tables, bad JSON   none of these: ``name: number`` pairs, if every action is there
other spelling            by :mod:`lvlm2p.teachers.models.elicit.action_names`
numbers as text           "0.2", "20%", "0,2", "1/4" (:func:`read_number`)
percentages               all marked ``%``, or none and a sum between 90 and 110: divided by 100
stated twice              the same number: once; different numbers: an error
an action is missing      0 if a JSON object's others sum to 1 within 0.02, else an error
an unknown name           left out if it has no number, is 0 or speaks of the whole
                          (:data:`ASIDES`); else an error
sum between 0.9 and 1.1   divided by the sum; any other sum is an error
negative, NaN, infinite   an error
========================  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lvlm2p.envs import Task, View
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.label import SUM_TOLERANCE, check_probabilities
from lvlm2p.teachers.models.elicit.action_names import find_action
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation
from lvlm2p.teachers.models.elicit.text import (
    NUMBER,
    Number,
    Pairs,
    bare,
    read_number,
    readable,
    values,
)
from lvlm2p.teachers.models.messages import Reply

SUM_SLIP = 0.1
"""How far from 1 a model's probabilities may sum: one of them is off by a digit."""

ASIDES = frozenset({"total", "sum", "confidence"})
"""Keys beside the actions whose number speaks of the whole answer."""

_PROBABILITY_KEYS = ("probability", "prob", "p", "value", "score", "weight")
_ACTION_KEYS = ("action", "name", "move", "choice", "answer")
_DEPTH = 5

_SPACE = r"[^\S\n]"
_PAIR = re.compile(
    rf"(?:^|[{{,;:|(\n])(?:{_SPACE}|[\-*•\"'`_\\])*(?:\d{{1,2}}[.)]{_SPACE}*)?[\"'`*_\\]{{0,3}}"
    rf"([A-Za-z][A-Za-z _\-]{{0,40}}?)[\"'`*_\\]{{0,3}}{_SPACE}*(?::|=>?|->|→|\|)"
    rf"(?:{_SPACE}|[\"'`*\\]){{0,8}}({NUMBER}(?:[ \t]*/[ \t]*\d{{1,9}})?[ \t]*%?)"
    r"(?![\w/]|[.,]\d|[ \t]*[-–][ \t]*\d)"
)


class Stated(Elicitation):
    """The model writes a probability for each action (as in the paper)."""

    answer_format = FORMATS["stated"]

    def parse(self, reply: Reply, view: View) -> Distribution:
        """See :class:`Elicitation`."""
        return Distribution(parse_probabilities(reply.text, view.task))


def parse_probabilities(text: str, task: Task) -> dict[str, float]:
    """A probability for each action, in the task's order.

    Raises:
        AnswerError: no rule makes a distribution of ``text``.
    """
    text = readable(text)
    names = [action.name for action in task.actions]
    found = values(text)
    for value in reversed(found):
        stated = _statements(value, names, _DEPTH)
        if stated is not None:
            return _settle(stated, task, complete=True)
    listed = _listed(found, text, len(names))
    if listed is not None:
        return _settle(zip(names, listed, strict=True), task, complete=True)
    pairs = [(name, number) for name, number in _PAIR.findall(text) if find_action(name, names)]
    if pairs:
        return _settle(pairs, task, complete=False)
    raise AnswerError(f"no probabilities for {', '.join(names)} were found in the answer")


def _statements(value: Any, names: Sequence[str], depth: int) -> list[tuple[str, Any]] | None:
    """What a JSON value states of the actions, as (written name, written number) pairs."""
    if depth == 0 or not isinstance(value, list):
        return None
    if isinstance(value, Pairs):
        if any(find_action(key, names) for key, _ in value):
            return [(key, _inner_number(item)) for key, item in value]
        children: Iterable[Any] = [item for _, item in value]
    else:
        rows = [_row(item) for item in value]
        if rows and all(row and find_action(row[0], names) for row in rows):
            return [row for row in rows if row is not None]
        children = value
    stated = [_statements(child, names, depth - 1) for child in children]
    stated = [one for one in stated if one is not None]
    return stated[-1] if stated else None


def _inner_number(value: Any) -> Any:
    """``{"probability": 0.2, "why": "..."}`` -> 0.2; anything else is itself."""
    if isinstance(value, Pairs):
        numbers = [item for key, item in value if bare(key) in _PROBABILITY_KEYS]
        return numbers[0] if len(numbers) == 1 else value
    return value


def _row(value: Any) -> tuple[str, Any] | None:
    """``{"action": "left", "p": 0.2}`` -> ("left", 0.2)."""
    if not isinstance(value, Pairs):
        return None
    named = [item for key, item in value if bare(key) in _ACTION_KEYS]
    number = [item for key, item in value if bare(key) in _PROBABILITY_KEYS]
    if len(named) == 1 and len(number) == 1 and isinstance(named[0], str):
        return named[0], number[0]
    return None


def _listed(found: Sequence[Any], text: str, n: int) -> list[Any] | None:
    """One number for each action: the last JSON list, else the last line."""
    lists = [value for value in found if isinstance(value, list) and not isinstance(value, Pairs)]
    if lists and len(lists[-1]) == n and not any(isinstance(x, list) for x in lists[-1]):
        return list(lists[-1])
    parts = re.split(r"[,;|\s]+", _last_line(text).strip(" \t[](){}.`*|"))
    if len(parts) == n and all(re.fullmatch(rf"{NUMBER}%?", part) for part in parts):
        return parts
    return None


def _settle(stated: Iterable[tuple[str, Any]], task: Task, complete: bool) -> dict[str, float]:
    """Distribution from (written name, written number) pairs.

    ``complete``: the pairs are all that was stated, so that an action may be left out as 0.
    """
    names = [action.name for action in task.actions]
    numbers: dict[str, Number] = {}
    for written, value in stated:
        name = find_action(written, names)
        if name is None:
            _check_aside(written, value)
        elif value is not None:
            number = read_number(value, f"the probability of {name}")
            if numbers.setdefault(name, number) != number:
                raise AnswerError(f"{name} is stated twice, with different probabilities")
    probabilities = _without_percent(numbers)
    if complete and abs(sum(probabilities.values()) - 1) <= SUM_TOLERANCE:
        probabilities = {name: probabilities.get(name, 0.0) for name in names}
    return check_probabilities(task, probabilities, tolerance=SUM_SLIP + 1e-9)


def _check_aside(written: str, value: Any) -> None:
    """Let pass what is beside the actions and says nothing of their probabilities."""
    try:
        number = read_number(value, "this").value
    except AnswerError:
        return
    if number != 0 and bare(written) not in ASIDES:
        raise AnswerError(f"{written[:40]!r} is no action, but was given {number:.4g}")


def _without_percent(numbers: Mapping[str, Number]) -> dict[str, float]:
    marked = {number.percent for number in numbers.values() if number.value != 0}
    if len(marked) == 2:
        raise AnswerError("some probabilities are percentages and some are not")
    plain = {name: number.value for name, number in numbers.items()}
    if True in marked or (
        max(plain.values(), default=0) > 1.1 and 90 <= sum(plain.values()) <= 110
    ):
        return {name: value / 100 for name, value in plain.items()}
    return plain


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip(" \t`*_-")]
    return lines[-1].strip()[:1000] if lines else ""
