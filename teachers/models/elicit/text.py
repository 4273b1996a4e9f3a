"""Reading what a model wrote: JSON with prose around it, numbers in any spelling, refusals.

Everything here takes bounded time, whatever the text. JSON objects come back as :class:`Pairs`, so
that a key that was written twice is still there twice. Numbers, NaN and Infinity in JSON come back
as floats (whole numbers of a sensible length as int).
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit.thoughts import without_thoughts

LONGEST = 200_000
"""Characters. What is longer is no answer."""

ATTEMPTS = 2_000
"""Opening brackets at which a value is looked for; more of them is no answer either."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: its keys and values in order, duplicates included."""


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 16 else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=Pairs, parse_int=_whole, strict=False)
_OPENING = re.compile(r"[{\[]")


def values(text: str) -> list[Any]:
    """Every outermost JSON object or array in ``text`` that is complete, in order of appearance.

    Prose and code fences around them don't matter; brackets that open nothing valid are skipped.
    Nothing is read from where a thousand of them are open at a time.
    """
    found: list[Any] = []
    position = 0
    for _ in range(ATTEMPTS):
        opening = _OPENING.search(text, position)
        if opening is None:
            break
        try:
            value, position = _DECODER.raw_decode(text, opening.start())
        except RecursionError:
            break
        except ValueError:
            position = opening.end()
            continue
        found.append(value)
    return found


def readable(text: str) -> str:
    """The part of ``text`` that counts as the answer.

    Raises:
        AnswerError: it is empty, or far too long.
    """
    if len(text) > LONGEST:
        raise AnswerError(f"the answer has {len(text):,} characters; at most {LONGEST:,} are read")
    text = without_thoughts(text)
    if not text.strip():
        raise AnswerError("the answer is empty")
    return text


def bare(key: str) -> str:
    """A key's letters and digits, in lower case: "Best_Action" and "best action" are the same."""
    return re.sub(r"[\W_]+", "", key[:60]).casefold()


NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40}|,\d{1,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?"
"""A number in plain text; a fraction is two of them. A comma is part of it between digits only."""

_WRITTEN = re.compile(rf"[~≈]?\s*({NUMBER})\s*(?:/\s*(\d{{1,9}}(?:\.\d{{1,9}})?))?\s*(%|percent)?")
_SPECIAL = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}


class Number(NamedTuple):
    """A value, and whether it was written as a percentage."""

    value: float
    percent: bool


def read_number(written: Any, what: str) -> Number:
    """The number ``written``, a JSON value; ``what`` names it in the error.

    Raises:
        AnswerError: it is no number.
    """
    if isinstance(written, int | float) and not isinstance(written, bool):
        return Number(float(written), percent=False)
    if isinstance(written, str):
        text = written.strip()
        if text.lower() in _SPECIAL:
            return Number(float(text), percent=False)
        match = _WRITTEN.fullmatch(text)
        if match is not None:
            return _value_of(match)
    raise AnswerError(f"{what} is {_short(written)}, which is not a number")


def _value_of(match: re.Match[str]) -> Number:
    digits, divisor, percent = match.groups()
    value = float(digits.replace(",", "."))
    if divisor is not None and float(divisor) != 0:
        value /= float(divisor)
    elif divisor is not None:
        value = float("nan")
    return Number(value, percent is not None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_LONGEST_REFUSAL = 600
"""Characters; longer answers that can't be read are invalid, whatever they begin with."""

_DECLINED = re.compile(
    r"^\W*(?:(?:i['’]?m|i am)\s+(?:very\s+)?(?:sorry|afraid|unable|not able)"
    r"|sorry\b|my apologies|i apologi[sz]e|unfortunately,?\s+i\b"
    r"|(?:i|we)\s+(?:can['’]?t|cannot|can not|won['’]?t|will not|must decline|decline)\b"
    r"|as an ai\b|this request (?:violates|goes against)"
    r"|i (?:don['’]?t|do not) (?:feel comfortable|see (?:an?|any) (?:image|picture)))",
    re.IGNORECASE,
)


def sounds_like_refusal(text: str) -> bool:
    """Whether a text that holds no answer is a refusal. Only asked once parsing has failed."""
    return len(text) <= _LONGEST_REFUSAL and _DECLINED.match(text) is not None
