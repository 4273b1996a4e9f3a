"""The plots of the page, as SVG that takes the page's own colours and fonts.

Matplotlib draws in marker colours, which are then exchanged for CSS variables: the same picture
serves the light and the dark page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lvlm2p.teachers.evaluation.cheapest import Offer
from lvlm2p.teachers.evaluation.results import Bin, Confusion, Stratum
from lvlm2p.teachers.evaluation.wording import dollars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, ACCENT, FAINT = "#010203", "#040506", "#070809"
_CSS = {INK: "currentColor", ACCENT: "var(--accent)", FAINT: "var(--line)"}

_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "svg.hashsalt": "lvlm2p",
}

_FRAME = (0.24, 0.2, 0.69, 0.75)
"""Left, bottom, width, height of the axes: fixed, since fitting them takes longer than drawing."""


def reliability_plot(bins: tuple[Bin, ...], name: str) -> str:
    """Accuracy against confidence; the area of a dot is the share of the answers."""

    def draw(axes: Axes) -> None:
        total = sum(b.n for b in bins)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
        for b in bins:
            axes.plot([b.confidence] * 2, [b.confidence, b.accuracy], color=ACCENT, linewidth=1)
        axes.scatter(
            [b.confidence for b in bins],
            [b.accuracy for b in bins],
            s=[12 + 160 * b.n / total for b in bins],
            color=ACCENT,
            clip_on=False,
            zorder=3,
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="says", ylabel="is right", aspect="equal")
        axes.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
        axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])

    return _svg(draw, (2.8, 2.4), name)


def confusion_plot(confusion: Confusion, name: str) -> str:
    """Optimal by row, chosen by column; the shade is the share of the row."""

    def draw(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        n = len(confusion.actions)
        for row, counts in enumerate(confusion.counts):
            total = sum(counts) or 1.0
            for column, count in enumerate(counts):
                shade = 0.5 * count / total
                axes.add_patch(Rectangle((column, row), 1, 1, color=ACCENT, alpha=shade, lw=0))
                if count:
                    axes.text(column + 0.5, row + 0.5, f"{count:.3g}", ha="center", va="center")
        axes.set(xlim=(0, n), ylim=(n, 0), xlabel="chosen", ylabel="optimal", aspect="equal")
        ticks = [index + 0.5 for index in range(n)]
        axes.set_xticks(ticks, confusion.actions)
        axes.set_yticks(ticks, confusion.actions)

    return _svg(draw, (2.8, 2.4), name)


def distance_plot(strata: tuple[Stratum, ...], name: str) -> str:
    """Top-1 against the distance to the goal, with intervals."""

    from matplotlib.ticker import MaxNLocator

    def draw(axes: Axes) -> None:
        known = [(s.distance, s.top1) for s in strata if s.distance is not None and s.top1]
        for distance, top1 in known:
            axes.plot([distance] * 2, [top1.low, top1.high], color=FAINT, linewidth=3)
        axes.plot(
            [distance for distance, _ in known],
            [top1.value for _, top1 in known],
            color=ACCENT,
            marker="o",
            markersize=3.5,
            linewidth=1,
            clip_on=False,
        )
        axes.set(ylim=(0, 1), xlabel="steps to success", ylabel="top-1")
        axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return _svg(draw, (2.8, 2.4), name)


def pareto_plot(offers: Sequence[Offer], name: str) -> str:
    """Accuracy against price; filled: good enough; the line: nobody is better at both."""

    def draw(axes: Axes) -> None:
        most = max(offer.usd for offer in offers) or 1.0
        least = min((offer.usd for offer in offers if offer.usd), default=most)
        free = least / 10  # where a price of nothing stands on a logarithmic axis
        best = [(offer.usd or free, offer.top1) for offer in offers if offer.best]
        axes.plot(*zip(*best, strict=True), color=FAINT, linewidth=1, drawstyle="steps-post")
        for number, offer in enumerate(offers, start=1):
            at = (offer.usd or free, offer.top1)
            inside = ACCENT if offer.good else "none"
            axes.scatter(*at, s=36, color=inside, edgecolor=ACCENT, zorder=3, clip_on=False)
            axes.annotate(
                str(number), at, (5, -11), textcoords="offset points", annotation_clip=False
            )
        nearest = min(offer.usd or free for offer in offers)
        axes.set(xscale="log", xlim=(nearest / 2, most * 2), ylim=(0, 1))
        axes.set(xlabel="$ per 1,000 labels", ylabel="top-1")
        axes.minorticks_off()
        cheap, dear = min(o.usd for o in offers), max(o.usd for o in offers)
        shown = [cheap, dear] if dear > 4 * cheap else [dear]  # two would stand on each other
        axes.set_xticks([usd or free for usd in shown], [dollars(usd) for usd in shown])
        axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])

    return _svg(draw, (2.8, 2.4), name)


def _svg(draw: Callable[[Axes], None], size: tuple[float, float], name: str) -> str:
    """An ``<svg>`` element whose ids start with ``name``, which must be unique on the page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        draw(figure.add_axes(_FRAME))
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), name)


def _inline(text: str, name: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text)
    for marker, css in _CSS.items():
        text = text.replace(marker, css)
    return text
