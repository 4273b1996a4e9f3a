"""The user's messages about one view: its picture, words in its place, or both."""

from __future__ import annotations

from lvlm2p.envs import Shown, View, in_words
from lvlm2p.prompts.conversation import Message, user_message
from lvlm2p.prompts.templates import PICTURE, Templates


def words_of(view: View, shown: Shown, coordinates: bool) -> str | None:
    """What is said of ``view`` in the picture's place, or above it."""
    if shown != "image":
        words = in_words(view, coordinates)
        return f"{words}\n" if words else None
    return None if view.task.draw is not None else view.text


def turns_about(
    templates: Templates, n_turns: int, view: View, png: bytes | None, words: str | None
) -> tuple[Message, ...]:
    """The user's messages about ``view``; a task that draws nothing is described instead."""
    context = {
        "view": view,
        "mission": view.mission,
        "target": view.task.target(view.mission),
        "carrying": view.carrying,
        "picture": (words or "") + (PICTURE if png else ""),
    }
    first = "analysis.md" if n_turns == 2 else "direct.md"
    turns = [_with_picture(templates.render(first, context), png)]
    if n_turns == 2:
        turns.append(user_message([templates.render("action.md", context)]))
    return tuple(turns)


def _with_picture(text: str, png: bytes | None) -> Message:
    before, found, after = text.partition(PICTURE)
    if not found or png is None:
        return user_message([text])
    return user_message([part for part in (before, png, after) if part])
