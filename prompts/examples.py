"""Few-shot examples: real states of a task's environments, with what a perfect teacher says.

A pool is a folder ``examples/<task>/`` with ``examples.json`` and one PNG a state. The PNGs are
kept as files, not drawn again, so that the bytes a provider caches (and the prompt's fingerprint)
do not depend on the machine. ``tools/make_examples.py`` makes the pools of this package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lvlm2p.envs import ImageStyle, Task, UserError, View
from lvlm2p.envs.untrusted import MalformedDataError, first_problem, read_bytes, read_json
from lvlm2p.prompts.errors import PromptError
from lvlm2p.prompts.schema import Analysis, action_model, probabilities_json

PNG = b"\x89PNG\r\n\x1a\n"
"""How a PNG file begins."""

POOLS = Path(__file__).parent / "examples"
"""The pools that come with this package."""


class _ExampleRecord(BaseModel):
    """One example in ``examples.json``."""

    model_config = ConfigDict(extra="forbid")

    picture: str
    view: dict[str, Any]
    analysis: Analysis
    probabilities: dict[str, float]
    action: str


class _Pool(BaseModel):
    """A whole ``examples.json``."""

    model_config = ConfigDict(extra="forbid")

    about: str = ""
    """How the pool was made; for readers."""
    style: ImageStyle
    """How the pictures are drawn."""
    examples: list[_ExampleRecord]


@dataclass(frozen=True)
class Example:
    """A state and what a perfect teacher says about it.

    ``action`` is what it does where it may name one only: one of the best, so chosen among equals
    that no action is favoured over the pool.
    """

    view: View
    png: bytes
    analysis: Analysis
    probabilities: dict[str, float]
    action: str


def load_examples(
    task: Task, style: ImageStyle, n: int | None = None, folder: Path | None = None
) -> list[Example]:
    """The first ``n`` examples of the task's pool (all: None); an empty list if it has no pool.

    ``folder`` (a user's own prompt) may hold an ``examples/<task>/`` that takes the place of ours.
    A picture that the prompt wants in another style than the pool's is drawn from the state.

    Raises:
        PromptError: a pool that is broken; the sentence names the file.
    """
    path = _pool_file(task, folder)
    if path is None:
        return []
    try:
        pool = _Pool.model_validate(read_json(path))
        chosen = pool.examples[:n]
        return [_load(task, record, path, pool.style, style) for record in chosen]
    except ValidationError as error:
        raise PromptError(f"{path}: {first_problem(error)}") from error
    except (OSError, MalformedDataError) as error:
        raise PromptError(f"{path}: can't be read: {error}") from error


def _pool_file(task: Task, folder: Path | None) -> Path | None:
    places = [POOLS] if folder is None else [folder / "examples", POOLS]
    files = (place / task.name / "examples.json" for place in places)
    return next((file for file in files if file.is_file()), None)


def _load(
    task: Task, record: _ExampleRecord, path: Path, drawn: ImageStyle, wanted: ImageStyle
) -> Example:
    try:
        view = View.from_json(record.view)
    except UserError as error:
        raise PromptError(f"{path}: {record.picture}: not a view: {error}") from error
    if view.task.name != task.name or record.action not in record.probabilities:
        raise PromptError(f"{path}: {record.picture} is not an example of the task {task.name!r}")
    action_model(task).model_validate(record.probabilities)
    ordered = {action.name: record.probabilities[action.name] for action in task.actions}
    try:
        probabilities_json(ordered)
    except ValueError as error:
        raise PromptError(f"{path}: {record.picture}: {error}") from error
    picture = path.parent / record.picture
    try:
        png = _picture(path.parent, record.picture) if drawn == wanted else view.png(wanted)
    except (OSError, MalformedDataError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PromptError(f"{picture}: can't be read: {why}") from error
    return Example(view, png, record.analysis, ordered, record.action)


def _picture(folder: Path, name: str) -> bytes:
    """A PNG file of the pool's own: whatever else a pool names would go to the model's provider."""
    if Path(name).name != name:
        raise MalformedDataError("a picture lies beside its examples.json")
    png = read_bytes(folder / name)
    if not png.startswith(PNG):
        raise MalformedDataError("it is no PNG file")
    return png


def pool_json(about: str, style: ImageStyle, examples: list[Example], names: list[str]) -> str:
    """``examples.json`` for ``examples`` whose pictures are stored under ``names``."""
    records = [
        _ExampleRecord(
            picture=name,
            view=example.view.to_json(),
            analysis=example.analysis,
            probabilities=example.probabilities,
            action=example.action,
        )
        for name, example in zip(names, examples, strict=True)
    ]
    pool = _Pool(about=about, style=style, examples=records)
    return json.dumps(pool.model_dump(mode="json"), indent=1) + "\n"
