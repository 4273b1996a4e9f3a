"""`lvlm2p labels show KEY`: everything that is known about one state's labels, with its picture.

What a model wrote is hostile until shown otherwise: in the terminal no control character of it
comes through, in HTML everything is escaped.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs import View
from lvlm2p.envs.untrusted import plain
from lvlm2p.teachers.errors import LabelFileError, StoreError
from lvlm2p.teachers.label import Answer, Failure, Label
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.store.contents import beginnings
from lvlm2p.teachers.store.rows import misfit
from lvlm2p.teachers.store.store import LabelStore

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.text import Text

TERMINAL_CELL = 4
"""Character columns for a cell of the grid; two pixels above each other make one character."""

LONG = 4_000
"""Characters of a turn shown in a terminal; HTML has all of them."""


@dataclass(frozen=True)
class Shown:
    """A state and every answer about it."""

    view: View
    answers: list[tuple[str, Answer]]
    """(row key, answer)."""
    html: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "key": self.view.key,
            "view": self.view.to_json(),
            "answers": [{"row": k, **a.model_dump(mode="json")} for k, a in self.answers],
            "html": None if self.html is None else str(self.html),
        }

    def summary(self) -> Group:
        """For a terminal; the picture only where there are colours."""
        from rich.console import Group
        from rich.text import Text

        view = self.view
        head = [f"state {view.key}", f"task {view.task.name}", f"mission: {view.mission}"]
        if view.carrying:
            head.append(f"carrying: {view.carrying}")
        tail = [view.text] if view.text else []
        for key, answer in self.answers:
            tail += ["", *_lines(key, answer)]
        if self.html is not None:
            tail += ["", f"written to {self.html}"]
        above, below = plain("\n".join(head)), plain("\n".join(tail))
        return Group(Text(above), _Picture(view), Text(below))


class _Picture:
    """A view's picture in coloured half blocks, two pixels a character."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.color_system is not None and self.view.task.draw is not None:
            yield picture(self.view)


def show(
    store: LabelStore, key: str, teacher: str | None = None, html: Path | None = None
) -> Shown:
    """All answers about the state whose key begins with ``key``.

    Raises:
        StoreError: no such state, or more than one.
    """
    view = _find(store, key)
    answers: list[tuple[str, Answer]] = []
    bad: dict[str, str] = {}
    for fingerprint in sorted({tag.fingerprint for _, tag in beginnings(store)}):
        for kind in ("label", "failure"):
            name = f"{kind}/{fingerprint}/{view.key}"
            keys = [name, *store.reader.keys(f"{name}/")]
            for row_key, (answer, _) in sorted(store.reader.answers("", keys, bad).items()):
                wrong = misfit(view, answer, fingerprint)
                if wrong is not None:
                    bad[row_key] = f"the row {row_key} holds {wrong}"
                elif teacher in (None, answer.teacher):
                    answers.append((row_key, answer))
    for what in bad.values():
        say(f"not shown: {what}")
    shown = Shown(view, answers, html)
    if html is not None:
        _write_html(shown, html)
    return shown


def _find(store: LabelStore, key: str) -> View:
    key = key.lower()
    keys = store.reader.keys(f"view/{key}")
    if not keys:
        raise StoreError(f"the label store {store.path} holds no state whose key begins {key!r}")
    if len(keys) > 1:
        some = ", ".join(k.removeprefix("view/")[: len(key) + 4] for k in keys[:5])
        raise StoreError(f"{len(keys)} states have keys that begin {key!r} ({some}...): give more")
    view = store.view(keys[0].removeprefix("view/"))
    assert view is not None
    return view


def picture(view: View) -> Text:
    """The picture in coloured half blocks."""
    import numpy as np
    from PIL import Image
    from rich.text import Text

    full = Image.fromarray(view.image())
    width = max(1, full.width * TERMINAL_CELL // 32)
    height = max(2, full.height * TERMINAL_CELL // 32 // 2 * 2)
    pixels = np.asarray(full.resize((width, height), Image.Resampling.BOX))
    text = Text()
    for row in range(0, height, 2):
        for column in range(width):
            above, below = (",".join(map(str, pixels[row + half, column])) for half in (0, 1))
            style = f"rgb({above}) on rgb({below})"
            text.append("▀", style)
        text.append("\n")
    text.rstrip()
    return text


def _lines(key: str, answer: Answer) -> list[str]:
    usage = answer.usage
    cost = "price unknown" if answer.cost_usd is None else f"${answer.cost_usd:.6f}"
    lines = [f"{answer.teacher} ({answer.model or 'model not named'}), {answer.created}, {key}"]
    if isinstance(answer, Label):
        chosen = answer.action
        for name, p in answer.probabilities.items():
            mark = "<" if name == chosen else ""
            lines.append(f"  {name:<10} {p:6.3f} {'█' * round(p * 30)} {mark}".rstrip())
        lines.append(f"  {answer.elicitation}, analysis: {answer.analysis or 'none'}")
    else:
        lines.append(f"  {answer.failure}: {answer.message}")
    lines.append(
        f"  {usage.calls} calls, {usage.prompt_tokens} tokens in ({usage.cached_tokens} cached), "
        f"{usage.completion_tokens} out, {cost}, {answer.latency_s:.2f} s, "
        f"prompt {answer.prompt[:16] or 'none'}, lvlm2p {answer.version}"
    )
    for turn in answer.transcript:
        more = "" if len(turn.text) <= LONG else f" [... {len(turn.text):,} characters]"
        lines.append(f"  {turn.role}: {turn.text[:LONG]}{more}")
    return lines


def _write_html(shown: Shown, path: Path) -> None:
    import jinja2

    page = jinja2.Environment(
        loader=jinja2.PackageLoader("teachers", "labelset"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("label.html.jinja")
    drawn = shown.view.task.draw is not None
    png = base64.b64encode(shown.view.png()).decode() if drawn else None
    text = page.render(
        view=shown.view,
        png=png,
        answers=[(key, answer, isinstance(answer, Failure)) for key, answer in shown.answers],
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabelFileError(f"{path} can't be written: {error}") from error
