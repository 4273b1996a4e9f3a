"""The page: one file that needs no network, safe to open whatever the models wrote.

Three things keep model text from becoming markup: jinja2 escapes all that it inserts, the gallery's
data are JSON without ``<``, ``>`` or ``&`` and are shown through ``textContent``, and the page's
content security policy runs this one script, by its digest, and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from lvlm2p.teachers.evaluation.cheapest import by_environment, cheapest
from lvlm2p.teachers.evaluation.report.gallery import gallery
from lvlm2p.teachers.evaluation.report.plots import (
    confusion_plot,
    distance_plot,
    pareto_plot,
    reliability_plot,
)
from lvlm2p.teachers.evaluation.report.report import Report
from lvlm2p.teachers.evaluation.report.texts import visible
from lvlm2p.teachers.evaluation.results import Evaluation, Results
from lvlm2p.teachers.evaluation.wording import dollars, percent, short

COLUMNS = (
    ("teacher", ""),
    ("environment", ""),
    ("top-1", "share whose most probable action is optimal"),
    ("mass", "mean probability on the optimal actions"),
    ("success", "share of episodes won by its most probable action"),
    ("sampled", "share of episodes won by drawing from its probabilities"),
    ("return", "mean return of its episodes"),
    ("NLL", "mean of -log(mass on the optimal actions)"),
    ("Brier", "squared distance to the nearest optimal distribution"),
    ("ECE", "expected calibration error"),
    ("valid", "share of the states that got a label"),
    ("scene", "share of descriptions with agent and target right"),
    ("$ / 1,000", "dollars per 1,000 labels"),
    ("latency", "median time to a label"),
)


def page(report: Report) -> str:
    """The whole of index.html."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    templates = files("lvlm2p.teachers.evaluation.report") / "templates"
    style, script, source = (
        (templates / name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js", "index.html.jinja")
    )
    jinja = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jinja.filters.update(fmt=_format, dollars=dollars, short=short, visible=visible)
    results = report.results
    return jinja.from_string(source).render(
        teachers=list(dict.fromkeys(row.teacher for row in results.results)),
        lead=_lead(results),
        columns=COLUMNS,
        rows=results.by_environment(),
        is_baseline=results.is_baseline,
        by_teacher=_by_teacher(results.results),
        plots={key: _marked(plots, Markup) for key, plots in _plots(results.results).items()},
        choices=_choices(results, Markup),
        agreement=results.agreement,
        unusable=results.unusable,
        notes=results.notes,
        style=Markup(style),
        script=Markup(script),
        script_digest=Markup(_digest(script)),
        data=Markup(_script_safe(gallery(report))),
    )


def _choices(results: Results, markup: type[str]) -> list[dict[str, Any]]:
    """For each environment: what its teachers offer for which price, the cheapest that is good
    enough, and a plot where there is a choice."""
    return [
        {
            "env": env,
            "offers": found,
            "cheapest": cheapest(found),
            "plot": markup(pareto_plot(found, f"pareto-{n}")) if len(found) > 1 else None,
        }
        for n, (env, found) in enumerate(by_environment(results))
        if found
    ]


def _lead(results: Results) -> str:
    rows = results.results
    teachers = len({row.teacher for row in rows})
    envs = len({row.env for row in rows})
    states = max(row.states for row in rows)
    episodes = max((row.acting.success.n if row.acting else 0) for row in rows)
    played = f" and {episodes} episodes each" if episodes else ""
    return (
        f"{_many(teachers, 'teacher')} on {_many(envs, 'environment')}, asked about the same "
        f"{_many(states, 'state')}{played}. Measured on {results.created[:10]} "
        f"with lvlm2p {results.tool}, seed {results.seed}."
    )


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _by_teacher(rows: Sequence[Evaluation]) -> list[tuple[str, list[Evaluation]]]:
    teachers = dict.fromkeys(row.teacher for row in rows)
    return [(name, [row for row in rows if row.teacher == name]) for name in teachers]


def _plots(rows: Sequence[Evaluation]) -> dict[str, dict[str, str]]:
    """``number/teacher`` -> its plots, by name; a plot without data is left out."""
    found: dict[str, dict[str, str]] = {}
    for teacher, (name, own) in enumerate(_by_teacher(rows)):
        for number, row in enumerate(own):
            unique = f"plot-{teacher}-{number}"
            plots = found[f"{number}/{name}"] = {}
            if row.reliability:
                plots["reliability"] = reliability_plot(row.reliability, f"{unique}-r")
            if row.confusion and row.labelled:
                plots["confusion"] = confusion_plot(row.confusion, f"{unique}-c")
            if sum(s.distance is not None for s in row.by_distance) > 1:
                plots["distance"] = distance_plot(row.by_distance, f"{unique}-d")
    return found


def _marked(plots: dict[str, str], markup: type[str]) -> dict[str, str | None]:
    """Our own SVG, not to be escaped. The names in it are a task's actions, escaped by the plot."""
    return {
        name: markup(plots[name]) if name in plots else None
        for name in ("reliability", "confusion", "distance")
    }


def _digest(script: str) -> str:
    """The script as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _script_safe(data: dict[str, Any]) -> str:
    """JSON that can stand in a ``<script>`` element: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _format(value: float, kind: str) -> str:
    if kind == "share":
        return percent(value)
    if kind == "seconds":
        return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"
    return f"{value:,.0f}" if kind == "count" else f"{value:.2f}"
