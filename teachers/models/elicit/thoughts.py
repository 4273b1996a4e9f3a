"""Leaving out what a model thinks aloud before it answers.

Reasoning models mark it in many ways: ``<think>``, ``[THINK]``, ``◁think▷``, ``<seed:think>``,
``<|START_THINKING|>``, ``<|channel|>analysis``, ... Whatever the mark, what is inside is no answer,
and where the end never comes no answer came after it either.
"""

from __future__ import annotations

import re

_NAME = (
    r"(?:\w{1,16}:)?(?:inner[_ ]?|internal[_ ]?|my[_ ]?)?"
    r"(?:think(?:ing)?|thoughts?(?:[_ ]?process)?|reason(?:ing)?|reflect(?:ion|ing)?"
    r"|deliberat(?:e|ion)|scratch[_ ]?pad|monologue|chain[_ ]of[_ ]thoughts?|cot)"
)
_MARK = re.compile(
    # a tag in any brackets, with attributes or without; <think/> is nothing
    r"[<\[◁]\s{0,3}\|?\s{0,3}"
    r"(?:(?P<end>[/\\]|end[_ ]?(?:of[_ ]?)?)|(?:start|begin)[_ ]?(?:of[_ ]?)?)?"
    rf"\s{{0,3}}(?P<name>{_NAME})(?:[\s|][^<>\[\]◁▷]{{0,300}})?(?<!/)[>\]▷]"
    # channels: gpt-oss', whole or without its special tokens, and Gemma's
    r"|(?P<answer><\|channel\|>\s{0,3}final\b(?:<\|message\|>)?|assistantfinal|<unused95>)"
    r"|(?P<channel><\|channel\|>\s{0,3}\w|(?-i:\A\s{0,20}analysis(?=[A-Z]))|<unused94>)"
    r"|(?P<over><\|(?:end|return|call)\|>)",
    re.IGNORECASE,
)
_CHANNEL = "channel"


def without_thoughts(text: str) -> str:
    """``text`` without the blocks in which reasoning models think aloud.

    A block that is never closed takes the rest of the text with it. One that is closed without
    having been opened takes all before it: some chat templates write the opening mark themselves.
    Blocks may be nested; what closes an outer one closes those in it.
    """
    kept: list[str] = []
    inside: list[str] = []
    position = 0
    for mark in _MARK.finditer(text):
        if not inside:
            kept.append(text[position : mark.start()])
        position = mark.end()
        if mark["answer"]:
            kept.clear()
            inside.clear()
        elif mark["over"]:
            _close(inside, _CHANNEL)
        elif mark["channel"] or not mark["end"]:
            inside.append(_CHANNEL if mark["channel"] else _plain(mark["name"]))
        elif inside:
            _close(inside, _plain(mark["name"])) or inside.pop()  # a slip of the tag's name
        else:
            kept.clear()
    if not inside:
        kept.append(text[position:])
    return "".join(kept)


def _close(inside: list[str], name: str) -> bool:
    """Close the innermost block of this name and those in it; whether there was one."""
    if name not in inside:
        return False
    while inside.pop() != name:
        pass
    return True


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
