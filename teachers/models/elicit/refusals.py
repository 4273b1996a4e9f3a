"""Refusals in words: a model that declines without its provider marking it as a refusal."""

from __future__ import annotations

import re

_LONGEST = 600
"""Characters; longer answers that can't be read are invalid, whatever they begin with."""

_OPENING = re.compile(
    r"^\W*(?:(?:i['’]?m|i am)\s+(?:very\s+)?(?:sorry|afraid|unable|not able)"
    r"|sorry\b|my apologies|i apologi[sz]e|unfortunately,?\s+i\b"
    r"|(?:i|we)\s+(?:can['’]?t|cannot|can not|won['’]?t|will not|must decline|decline)\b"
    r"|as an ai\b|this request (?:violates|goes against)"
    r"|i (?:don['’]?t|do not) (?:feel comfortable|see (?:an?|any) (?:image|picture)))",
    re.IGNORECASE,
)


def sounds_like_refusal(text: str) -> bool:
    """Whether a text that holds no answer is a refusal. Only asked once parsing has failed."""
    return len(text) <= _LONGEST and _OPENING.match(text) is not None
