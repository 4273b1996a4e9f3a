"""One action that the model names (``--elicit choice``), in JSON or in prose.

========================  =====================================================================
what came                 what becomes of it
========================  =====================================================================
JSON                      the last object with an ``action`` (or :data:`CHOICE_KEYS`) counts
prose                     what is led in as the decision ("Answer: left", "the best move is to
                          ...", "I choose ..."), or an action alone on the last line. What is
                          merely mentioned is no choice
led in or alone, twice    the same action: once; different ones: an error
"if", "?", "wait"         a decision with a condition or a "not" is none, nor is a question; one
                          that is taken back afterwards is an error
a bare "done" or "right"  alone below other text, or after "is", they may be mere talk: they
                          count in quotes or bold only
========================  =====================================================================

The rules for prose are many, and no shipped provider needs them where it takes a schema. They stay
because 51 of the 140 choices in the tests' corpus are read by them and none wrongly: without them
each is asked again, and paid for again, and labels that were stored under these rules (``RULES``)
would no longer be what the same answer gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lvlm2p.envs import Task, View
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit.action_names import actions_mentioned, find_action, find_said
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation
from lvlm2p.teachers.models.elicit.text import Pairs, bare, readable, values
from lvlm2p.teachers.models.messages import Reply

CHOICE_KEYS = ("action", "choice", "answer", "move", "nextaction", "bestaction", "chosenaction")
"""Keys whose value is the choice."""

EVERYDAY = frozenset({"done", "right"})
"""Actions that are also said when no action is meant: "Done.", "I think that is right"."""

# What leads a decision in is listed, not guessed: "the worst action is" leads nothing in.
_BEST = r"(?:(?:best|next|final|chosen|optimal|correct|recommended|selected|safest)[\s_]+){0,3}"
_NOUN = r"(?:action|answer|choice|decision|move)"
_DECISION = rf"(?:(?:the|my|our)\s+)?{_BEST}{_NOUN}"
_HERE = r"(?:\s+(?:here|now|to\s+take|for\s+the\s+agent|in\s+this\s+(?:state|situation)))?"
_IS = r"\s+(?:is|will\s+be|would\s+be|should\s+be)\b"
_CHOOSE = r"(?:choose|select|decide|recommend|suggest|pick(?!\s+up\b))"
_ALSO = rf"(?:now|thus|therefore|{_CHOOSE}|go\s+with|to|on|the\s+action)"
_LEAD = re.compile(
    rf"[^\w\n]*+(?:{_DECISION}{_HERE}(?:{_IS})?[\s\"'`*_”’]*(?:[:=→]|->)"
    rf"|{_DECISION}{_HERE}(?P<is>{_IS})"
    rf"|(?:I|we)(?:['’](?:d|ll)|\s+(?:would|will|{_CHOOSE}))\b(?:\s+{_ALSO}\b){{0,4}})",
    re.IGNORECASE,
)
# What may stand before a lead: a reason, or other keys of an object that is no JSON.
_CLAUSE = re.compile(
    r"\b(?:so|thus|therefore|hence)\b,?|^\W*(?:since|because|given|as)\b[^,]*,"
    r"|[{,]\s*(?=[\"'][\w ]{1,40}[\"']\s*:)",
    re.IGNORECASE,
)
# Where a claim ends: reasons and other keys may name directions without choosing them.
_REASON = re.compile(r"\b(?:because|since)\b|,\s*[\"'][\w ]{1,40}[\"']\s*:", re.IGNORECASE)
_HEADING = re.compile(rf"[^\w\n]*+{_DECISION}(?:{_IS})?\W*", re.IGNORECASE)
_CONDITION = re.compile(
    r"\b(?:if|unless|until|when|whenever|once|after|then|later|otherwise|either|maybe|perhaps"
    r"|might|suppose|assuming|example)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|cannot|never|no|avoid|instead|rather|neither|nor|or)\b|n['’]t\b", re.IGNORECASE
)
_TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|correction|scratch|reconsider\w*|mistake\w*|wrong|instead|sorry"
    r"|on (?:second thought|reflection))\b|^\W*no\s*[,.!]",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?;])[\"'*_`)\]]*\s+")
_LONGEST_SENTENCE = 1_000  # bounds the time; leads are looked for from many places in a sentence
_CONTINUED = re.compile(r"[a-z](?!\w*\s*[:=])")  # not "confidence: high"
_TAG = re.compile(rf"<({_NOUN})>", re.IGNORECASE)
_END_TAG = re.compile(rf"</{_NOUN}>", re.IGNORECASE)
_MARKUP = re.compile(r"\\(?:boxed|text\w*)")
_WORDS = re.compile(r"[^\W_]")
_QUOTES = " \t\"'`*_)“”‘’"


class Choice(Elicitation):
    """The model names one action; ``smoothing`` of the probability is shared by all."""

    answer_format = FORMATS["choice"]
    fingerprinted = ("smoothing",)

    def parse(self, reply: Reply, view: View) -> Distribution:
        """See :class:`Elicitation`."""
        return one_hot(parse_choice(reply.text, view.task), view.task, self.options.smoothing)


def one_hot(chosen: str, task: Task, smoothing: float = 0.0) -> Distribution:
    """All of the probability on ``chosen``, but for ``smoothing``, which all actions share."""
    share = smoothing / len(task.actions)
    return Distribution(
        {name: (1 - smoothing) * (name == chosen) + share for name in task.action_names}
    )


def parse_choice(text: str, task: Task) -> str:
    """The one action that was chosen.

    Raises:
        AnswerError: none was, or it is not clear which.
    """
    text = readable(text)
    names = [action.name for action in task.actions]
    for value in reversed(values(text)):
        if isinstance(value, Pairs):
            written = [item for key, item in value if bare(key) in CHOICE_KEYS]
            if written:
                return _one_choice(written, names)
    decided = decision_in(text, names)
    if decided is None:
        raise AnswerError(f"no single choice out of {', '.join(names)} was found in the answer")
    return decided


def _one_choice(written: Sequence[Any], names: Sequence[str]) -> str:
    chosen = {find_action(item, names) if isinstance(item, str) else None for item in written}
    only = chosen.pop()
    if only is None or chosen:
        raise AnswerError(f"the action must be one of {', '.join(names)}")
    return only


def decision_in(text: str, names: Sequence[str]) -> str | None:
    """The action that ``text`` puts as its decision; None where that is none, or more than one."""
    lines = _lines(text)
    decided: set[str] = set()
    named = {action for line in lines if (action := _alone(line, names))}
    for sentence in (one for line in lines for one in _SENTENCE.split(line)):
        if decided and _TAKEN_BACK.search(sentence):
            return None
        for before, lead, rest in _led_in(sentence):
            claim = _REASON.split(rest, maxsplit=1)[0]
            named.update(actions_mentioned(claim, names))
            action = _claimed(claim, lead["is"] is not None, names)
            if action is not None and not _CONDITION.search(f"{before} {claim}"):
                decided.add(action)
    last = _last_word(lines, names)
    if last is not None:
        decided.add(last)
    return decided.pop() if len(decided) == 1 and named <= decided else None


def _last_word(lines: Sequence[str], names: Sequence[str]) -> str | None:
    """The action that stands alone on the last line, and is neither talk nor one of a list."""
    *above, last = lines or [""]
    if above and (_is_talk(last) or above[-1].rstrip(_QUOTES).endswith(":")):
        return None
    return _alone(last, names)


def _led_in(sentence: str) -> Iterable[tuple[str, re.Match[str], str]]:
    """(what is before it, the lead, what follows) wherever a decision is led in."""
    if len(sentence) > _LONGEST_SENTENCE or sentence.rstrip(_QUOTES).endswith("?"):
        return
    for start in (0, *(clause.end() for clause in _CLAUSE.finditer(sentence))):
        lead = _LEAD.match(sentence, start)
        if lead is not None:
            yield sentence[:start], lead, sentence[lead.end() :]


def _claimed(claim: str, spoken: bool, names: Sequence[str]) -> str | None:
    """The action that is all of ``claim`` up to a comma, bracket or dash; nothing takes it away."""
    head, *tail = re.split(r"[,;:(—–]|\s-+\s", claim.lstrip(" \t([{-—–:=>,"), maxsplit=1)
    if (spoken and _is_talk(head)) or (tail and _NEGATION.search(tail[0])):
        return None
    return find_said(head, names)


def _alone(line: str, names: Sequence[str]) -> str | None:
    """The action that is all of ``line``; "Left:" and "# Left" are headings."""
    heading = line.startswith("#") or line.rstrip(_QUOTES).endswith((":", "?"))
    return None if heading else find_said(line, names)


def _is_talk(written: str) -> bool:
    """Whether it is one of :data:`EVERYDAY` with nothing that marks it as a name."""
    return written.strip(" \t.!,").casefold() in EVERYDAY


def _lines(text: str) -> list[str]:
    """Lines with words; one that goes on in the next, or heads it ("Answer:"), is joined to it."""
    text = _MARKUP.sub(" ", _TAG.sub(r"\n\1: ", _END_TAG.sub("\n", text)))
    lines: list[list[str]] = []
    goes_on = heads = False
    for line in (line.strip() for line in text.splitlines()):
        if not _WORDS.search(line) or line.startswith("```"):
            goes_on = False
            continue
        if heads or (goes_on and _CONTINUED.match(line)):
            lines[-1].append(line)
        else:
            lines.append([line])
        heads = _HEADING.fullmatch(line) is not None
        goes_on = not line.rstrip(_QUOTES).endswith((".", "!", "?", ":", ";"))
        if heads:
            lines[-1][-1] = f"{line.strip(_QUOTES + '#:=')}:"
    return [" ".join(parts) for parts in lines]
