"""The files in a run's folder that a comparison reads, each part of its own type."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from lvlm2p.envs.untrusted import (
    MalformedDataError,
    first_problem,
    read_json,
    read_text,
    shorten,
)
from lvlm2p.teachers.errors import RunError

RECORD = "versions.json"
"""In the folder of every run: how it was configured, and with which versions."""

MAX_METRICS_BYTES = 2**28

LARGEST = 1e15
"""Of a metric and of a number of frames; what is not smaller counts as empty, like what is not
finite."""

_FRAMES = TypeAdapter(Annotated[int, Field(ge=0, lt=LARGEST)])

Model = TypeVar("Model", bound=BaseModel)


class WhoTaught(BaseModel):
    """The teacher."""

    name: str
    fingerprint: str


class Configured(BaseModel, extra="allow"):
    """The options; those that are not named here as they are."""

    env: str
    seed: int
    algo: str
    teacher: str
    teacher_args: dict[str, Any]


class Record(BaseModel):
    """What is read of a run's :data:`RECORD`."""

    config: Configured
    teacher: WhoTaught | None


class _Evaluated(BaseModel):
    success: float = Field(ge=0, le=1)


class _Result(BaseModel):
    """What is read of a run's result.json."""

    evaluation: _Evaluated


def _read(model: type[Model], path: Path) -> Model:
    """The part of a JSON file that ``model`` says; the rest of it is passed over."""
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        raise RunError(f"{path} can't be read: {first_problem(error)}") from None
    except (OSError, MalformedDataError) as error:
        raise RunError(f"{path} can't be read: {error}") from None


def read_rows(path: Path, columns: Iterable[str]) -> list[dict[str, float]]:
    """The rows of a metrics.csv, each with ``frames`` and those of ``columns`` in which there is a
    finite number.

    Raises:
        RunError: it can't be read, or a line is no row.
    """
    try:
        text = read_text(path, MAX_METRICS_BYTES)
    except FileNotFoundError:
        raise RunError(f"there are no curves in {path.parent}: metrics.csv is missing") from None
    except (OSError, MalformedDataError) as error:
        raise RunError(f"{path} can't be read: {error}") from None
    whole = text[: text.rfind("\n") + 1]  # a run may be writing, or was killed at it
    table = csv.DictReader(whole.splitlines())
    rows = []
    try:
        for row in table:
            numbers = {"frames": float(_FRAMES.validate_python(row["frames"]))}
            numbers |= {name: float(row[name]) for name in columns if row.get(name)}
            rows.append({name: value for name, value in numbers.items() if abs(value) < LARGEST})
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        said = first_problem(error) if isinstance(error, ValidationError) else shorten(str(error))
        raise RunError(f"{path}, line {table.line_num}, is not a row of metrics: {said}") from None
    return rows


def read_record(path: Path) -> Record:
    """What a :data:`RECORD` says.

    Raises:
        RunError: it can't be read.
    """
    return _read(Record, path)


def final_success(path: Path) -> float | None:
    """What a result.json says; None: there is none.

    Raises:
        RunError: it can't be read.
    """
    return _read(_Result, path).evaluation.success if path.exists() else None
