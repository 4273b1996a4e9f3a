"""Consoles for people: colours and bars are rich's own, and no foreign text is ever obeyed.

A mission, a model's answer, a provider's message or a file's name may hold what a terminal obeys.
Everything that this project prints goes through :func:`console` or through
:func:`lvlm2p.teachers.progress.say`, so nobody need remember to escape it.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text


def console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console on stdout or stderr that escapes whatever a terminal would obey in a text, and
    takes no text for markup.

    It writes around the filter of :func:`lvlm2p.process.tolerate_streams`, which would take its
    colours and cursor movements for foreign ones.
    """
    stream = sys.stderr if stderr else sys.stdout
    file = getattr(stream, "unfiltered", stream)
    found: Console = _class()(
        file=file, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False
    )
    return found


@cache
def _class() -> Any:
    """Built when first used: importing rich takes a tenth of a second."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            """Before anything is measured or laid out."""
            return super().render_str(plain(text), **options)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            """What came as rich's own Text, and links, which only such a text can have."""
            for segment in super().render(renderable, options):
                text, style, control = segment
                if control is None:
                    if style is not None and style.link:
                        style = style.update_link(None)
                    segment = Segment(plain(text), style)
                yield segment

    return PlainConsole
