"""``gemini@text``: a teacher's name with what it is shown, so that one report can compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvlm2p.teachers.teacher import Teacher

VIEWS = ("image", "text", "both")
"""What a prompted teacher can be shown: after an @ behind its name."""

COMPOSED = ("ensemble:", "cascade:")
"""In these names the @ is the last member's."""


def split_view(name: str) -> tuple[str, dict[str, object]]:
    """``gemini@text`` is ``gemini`` with ``-T view=text``: another name in a report of several."""
    base, at, shown = name.rpartition("@")
    if at and shown in VIEWS and not name.startswith(COMPOSED):
        return base, {"view": shown}
    return name, {}


def renamed(teacher: Teacher, name: str) -> Teacher:
    """The same teacher under another name."""
    from lvlm2p.teachers.wrappers.base import TeacherWrapper

    wrapper = TeacherWrapper(teacher)
    wrapper.name = name
    return wrapper
