"""One frame of the animation: the state at the left, probabilities and action at the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from lvlm2p.envs import View

PAPER, INK, QUIET, RAIL = "#ffffff", "#1b1f24", "#667078", "#eceff1"
STUDENT, TEACHER = "#0072b2", "#e69f00"  # Okabe and Ito: distinguishable with colour-blindness, too
GOOD, BAD = "#00795a", "#b3261e"

EDGE = 20
"""Empty pixels around and between the halves."""
PANEL = 400
"""Width of the right half."""
PICTURE = 400
"""Width of the left half."""
ROW = 46
"""Height of an action's two bars."""
NAME, NUMBER = 92, 46
"""Widths of the columns beside the bars."""


@dataclass(frozen=True)
class Frame:
    """What one frame shows. Without ``taken`` the episode is over and ``outcome`` says how."""

    view: View
    episode: str
    step: int
    student: Mapping[str, float]
    """Probability of each action, by name; what the task does not name is summed as other."""
    teacher: Mapping[str, float] | str | None = None
    """The same of the teacher; or in words why it has none; or None: there is no teacher."""
    taken: str | None = None
    success: bool = False
    outcome: str = ""


def draw_frames(frames: Sequence[Frame], env: str, teacher: str | None) -> list[Image.Image]:
    """An image for each frame, all of one size."""
    pictures = [picture_of(frame.view) for frame in frames]
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    rows = max(len(frame.student) for frame in frames)
    size = (width + PANEL + 3 * EDGE, max(height, 180 + rows * ROW) + 2 * EDGE)
    images = []
    for frame, picture in zip(frames, pictures, strict=True):
        image = Image.new("RGB", size, PAPER)
        image.paste(picture, (EDGE, EDGE))
        _Panel(image, width + 2 * EDGE).write(frame, env, teacher)
        images.append(image)
    return images


def picture_of(view: View) -> Image.Image:
    """The view's own picture, ``PICTURE`` pixels wide; its text where the task draws none."""
    if view.task.draw is None:
        picture = Image.new("RGB", (PICTURE, PICTURE), RAIL)
        text = _wrap(view.text or view.mission, _font(14), PICTURE - 2 * EDGE)
        ImageDraw.Draw(picture).multiline_text((EDGE, EDGE), text, INK, _font(14), spacing=6)
        return picture
    picture = Image.fromarray(view.image())
    scale = min(PICTURE / picture.width, 1.5 * PICTURE / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)  # MiniGrid itself takes long to draw


class _Panel:
    """The right half, written from top to bottom."""

    def __init__(self, image: Image.Image, left: int) -> None:
        self._pen = ImageDraw.Draw(image)
        self._left, self._y, self._bottom = left, EDGE, image.height - EDGE

    def write(self, frame: Frame, env: str, teacher: str | None) -> None:
        self._line(f"{env}  ·  {frame.episode}", 12, QUIET)
        self._y += 6
        self._line(_wrap(frame.view.mission, _font(20, bold=True), PANEL, lines=3), 20, INK, True)
        taken = f"  ·  takes {frame.taken}" if frame.taken else ""
        carried = f"  ·  carries {frame.view.carrying}" if frame.view.carrying else ""
        self._line(f"step {frame.step}{taken}{carried}", 14, QUIET)
        self._y += 10
        if frame.taken is None:
            self._outcome(frame)
        else:
            self._legend(frame, teacher)
            for name, p in frame.student.items():
                self._bars(name, p, frame)

    def _line(self, text: str, size: int, color: str, bold: bool = False) -> None:
        font = _font(size, bold)
        self._pen.multiline_text((self._left, self._y), text, color, font, spacing=5)
        self._y += (text.count("\n") + 1) * round(1.45 * size)

    def _legend(self, frame: Frame, teacher: str | None) -> None:
        x = self._left
        entries = [("student", STUDENT)]
        if teacher is not None:
            why = f": {frame.teacher}" if isinstance(frame.teacher, str) else ""
            entries.append((f"{teacher}{why}", TEACHER))
        for text, color in entries:
            self._pen.rounded_rectangle((x, self._y + 3, x + 11, self._y + 14), 2, color)
            text = _wrap(text, _font(13), self._left + PANEL - x - 18, lines=1)
            self._pen.text((x + 18, self._y), text, INK, _font(13))
            x += 18 + round(_font(13).getlength(text)) + 22
        self._y += 30

    def _bars(self, name: str, p: float, frame: Frame) -> None:
        """The name of an action, and beneath each other how likely it is to whom."""
        y, taken = self._y, frame.taken == name
        answers = [(p, STUDENT)]
        if frame.teacher is not None:
            told = frame.teacher if isinstance(frame.teacher, Mapping) else {}
            answers.append((told.get(name, 0.0), TEACHER))
        middle = y + ROW // 2 - 5
        if taken:
            box = (self._left - 8, y - 1, self._left + PANEL + 8, y + ROW - 9)
            self._pen.rounded_rectangle(box, 6, "#e3eff7")
        shown = _wrap(name, _font(14, taken), NAME - 8, lines=1)
        self._pen.text((self._left, middle), shown, INK, _font(14, taken), anchor="lm")
        left, right = self._left + NAME, self._left + PANEL - NUMBER
        thick = 14
        top = middle - (thick * len(answers) + 3 * (len(answers) - 1)) // 2
        for value, color in answers:
            self._pen.rounded_rectangle((left, top, right, top + thick - 1), 3, RAIL)
            if value > 0.004:
                end = left + max(3, round(value * (right - left)))
                self._pen.rounded_rectangle((left, top, end, top + thick - 1), 3, color)
            if color == STUDENT or isinstance(frame.teacher, Mapping):
                place = (self._left + PANEL, top + thick // 2)
                self._pen.text(place, percent(value), INK, _font(12), anchor="rm")
            top += thick + 3
        self._y += ROW

    def _outcome(self, frame: Frame) -> None:
        color = GOOD if frame.success else BAD
        box = (self._left, self._y, self._left + PANEL, self._y + 96)
        self._pen.rounded_rectangle(box, 10, color)
        word = "✓  success" if frame.success else "✗  no success"
        self._pen.text((self._left + 20, self._y + 34), word, PAPER, _font(26, True), anchor="lm")
        text = _wrap(frame.outcome, _font(14), PANEL - 40, lines=1)
        self._pen.text((self._left + 20, self._y + 70), text, PAPER, _font(14), anchor="lm")


def percent(p: float) -> str:
    """A probability in three or four characters; never 0% or 100% where it is not."""
    if 0 < p < 0.005:
        return "<1%"
    if 0.995 <= p < 1:
        return ">99%"
    return f"{p:.0%}"


@lru_cache(maxsize=16)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same on every machine."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int = 20) -> str:
    """``text`` in lines of at most ``width`` pixels; what does not fit ends in an ellipsis."""
    wrapped = [""]
    for word in text.split():
        longer = f"{wrapped[-1]} {word}".strip()
        if font.getlength(longer) <= width or not wrapped[-1]:
            wrapped[-1] = longer
        else:
            wrapped.append(word)
    cut = len(wrapped) > lines
    wrapped = wrapped[:lines]
    if cut or font.getlength(wrapped[-1]) > width:
        while wrapped[-1] and font.getlength(wrapped[-1] + "…") > width:
            wrapped[-1] = wrapped[-1][:-1]
        wrapped[-1] += "…"
    return "\n".join(wrapped)
