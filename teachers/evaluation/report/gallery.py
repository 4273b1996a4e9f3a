"""The data of the gallery: every state once, with every teacher's answer to it.

Kept as data in the page and drawn by its script a few at a time: 3,200 answers as elements would
make a phone stop.
"""

from __future__ import annotations

import base64
import io
from typing import Any

from lvlm2p.envs import ImageStyle, View
from lvlm2p.teachers.evaluation.analysis import judge
from lvlm2p.teachers.evaluation.measures import top1
from lvlm2p.teachers.evaluation.report.report import Report
from lvlm2p.teachers.evaluation.report.texts import TextPool, visible
from lvlm2p.teachers.evaluation.states import Case, optimal_sets
from lvlm2p.teachers.label import Answer, Label

STYLE = ImageStyle(tile=24)
COLOURS = 48


def gallery(report: Report) -> dict[str, Any]:
    """What the page's script reads; all texts are plain text, none is markup."""
    pool = TextPool()
    envs = list(report.cases)
    teachers = list(dict.fromkeys(name for _, name in report.measured))
    cases = []
    for env, states in enumerate(report.cases.values()):
        for index, case in enumerate(states):
            data = _case(case, env)
            data["answers"] = [
                _answer(case, report.measured[envs[env], name].answers[index], number, pool)
                for number, name in enumerate(teachers)
                if (envs[env], name) in report.measured
            ]
            cases.append(data)
    texts, limit = pool.cut()
    tasks = [states[0].view.task for states in report.cases.values()]
    return {
        "teachers": [visible(name) for name in teachers],
        "envs": envs,
        "tasks": [task.name for task in tasks],
        "actions": [task.action_names for task in tasks],
        "texts": texts,
        "limit": limit,
        "cases": cases,
    }


def _case(case: Case, env: int) -> dict[str, Any]:
    view = case.view
    data: dict[str, Any] = {"env": env, "mission": visible(view.mission), "key": view.key[:12]}
    if view.carrying:
        data["carrying"] = visible(view.carrying)
    if case.plan is not None:
        data["optimal"] = optimal_sets([case])[0].astype(int).tolist()
        data["distance"] = case.plan.distance
    if view.task.draw is not None:
        data.update(_picture(view))
    return data


def _picture(view: View) -> dict[str, Any]:
    """The picture as base64, and how many rows and columns of cells it has."""
    from PIL import Image

    pixels = view.image(STYLE)
    image = Image.fromarray(pixels).quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    file = io.BytesIO()
    image.save(file, "PNG")
    return {
        "picture": base64.b64encode(file.getvalue()).decode(),
        "rows": pixels.shape[0] / STYLE.tile,
        "columns": pixels.shape[1] / STYLE.tile,
    }


def _answer(case: Case, answer: Answer, teacher: int, pool: TextPool) -> dict[str, Any]:
    data: dict[str, Any] = {"teacher": teacher}
    turns = [(turn.role, pool.add(turn.text)) for turn in answer.transcript]
    if turns:
        data["turns"] = turns
    if not isinstance(answer, Label):
        failed = {"outcome": "failed", "failure": answer.failure}
        return {**data, **failed, "message": visible(answer.message[:500])}
    data["p"] = [round(p, 3) for p in answer.probabilities.values()]
    data["outcome"] = _outcome(case, answer)
    if answer.analysis is not None:
        data["analysis"] = {
            field: visible(str(value)) if isinstance(value, str) else value
            for field, value in answer.analysis.items()
        }
        if case.view.task.ground_truth is not None:
            data["told"] = judge(answer.analysis, case.view)
    return data


def _outcome(case: Case, label: Label) -> str:
    if case.plan is None:
        return "unjudged"
    import numpy as np

    p = np.array([list(label.probabilities.values())])
    return "right" if top1(p, optimal_sets([case]))[0] > 0.5 else "wrong"
