"""One row of a label set: an answer and the state it is about, as Parquet columns and back.

The columns are documented in docs/labels.md. The way back is exact: the same Label, Failure and
View come out that went in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field, TypeAdapter, ValidationError

from lvlm2p.envs import View
from lvlm2p.envs.untrusted import first_problem, parse_json, shorten
from lvlm2p.teachers.errors import AnswerError, LabelFileError, Lvlm2pError
from lvlm2p.teachers.label import Answer, Entry, Failure, Label, check_probabilities

FORMAT_VERSION = 1
TURN = pa.struct([("role", pa.string()), ("text", pa.string())])
TOKENS = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("mission", pa.string(), nullable=False),
        ("carrying", pa.string()),
        pa.field("state", pa.binary(), nullable=False),
        ("blank", pa.bool_()),
        pa.field("teacher", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        ("model", pa.string()),
        ("prompt", pa.string()),
        ("elicitation", pa.string()),
        ("action", pa.string()),
        ("actions", pa.list_(pa.string())),
        ("probabilities", pa.list_(pa.float64())),
        ("outside", pa.float64()),
        ("weight", pa.float64()),
        ("failure", pa.string()),
        ("message", pa.string()),
        ("analysis", pa.string()),
        ("transcript", pa.list_(TURN)),
        *((name, pa.int64()) for name in TOKENS),
        ("cost_usd", pa.float64()),
        ("latency_s", pa.float64()),
        ("created", pa.string()),
        ("version", pa.string()),
    ]
)
IMAGE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))

REQUIRED = ("key", "kind", "task", "mission", "state", "teacher", "fingerprint")
"""Columns without which nothing can be made of a file. A column may be missing besides; its value
is then what a label has when nobody knows better."""

UNREADABLE = "unreadable"
"""In place of all columns: why a row can't be had."""

Sample = Annotated[int, Field(ge=0, lt=2**31)]
_SAMPLE = TypeAdapter(dict[str, Sample])

SHARED = ("task", "teacher", "fingerprint", "model", "prompt", "latency_s", "created", "version")


def schema(images: bool) -> pa.Schema:
    """The columns; with pictures, also what Hugging Face's ``datasets`` needs to decode them."""
    columns = SCHEMA
    metadata = {"lvlm2p": json.dumps({"format": "lvlm2p-labels", "version": FORMAT_VERSION})}
    if images:
        columns = columns.append(IMAGE)
        features = {field.name: _feature(field.type) for field in columns}
        features["image"] = {"_type": "Image"}
        metadata["huggingface"] = json.dumps({"info": {"features": features}})
    return columns.with_metadata(metadata)


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": "float64" if kind == pa.float64() else str(kind), "_type": "Value"}


def to_row(entry: Entry, images: bool = False) -> dict[str, Any]:
    """The columns of one answer."""
    view, answer, sample = entry
    row: dict[str, Any] = {name: getattr(answer, name) for name in (*SHARED, "cost_usd", "kind")}
    row |= {name: getattr(answer.usage, name) for name in TOKENS}
    row |= {"key": view.key, "sample": sample, "mission": view.mission}
    row |= {"carrying": view.carrying, "state": view.state, "blank": view.blank}
    row["transcript"] = [{"role": turn.role, "text": turn.text} for turn in answer.transcript]
    if isinstance(answer, Label):
        row["elicitation"] = answer.elicitation
        row["action"] = answer.action
        row["actions"] = list(answer.probabilities)
        row["probabilities"] = list(answer.probabilities.values())
        row["outside"] = answer.outside
        row["weight"] = None if answer.weight == 1.0 else answer.weight
        row["analysis"] = None if answer.analysis is None else json.dumps(answer.analysis)
    else:
        row["failure"], row["message"] = answer.failure, answer.message
    if images:
        row["image"] = {"bytes": view.png(), "path": f"{view.key}.png"}
    return row


def from_row(row: Mapping[str, Any]) -> Entry:
    """What a row holds, every part of it checked.

    Raises:
        LabelFileError: what is wrong with the row, in one sentence.
    """
    if UNREADABLE in row:
        raise LabelFileError(row[UNREADABLE])
    for name in REQUIRED:
        if row[name] is None:
            raise LabelFileError(f"{name} is empty")
    view = view_from_row(row)
    if view.key != row["key"]:
        raise LabelFileError(
            f"its state has the key {view.key}, not {shorten(str(row['key']))}: the row was "
            "altered, or written by a version that draws states differently"
        )
    try:
        answer = _answer(row)
        if isinstance(answer, Label):
            answer = _exact(view, answer)
        sample = _SAMPLE.validate_python({"sample": row.get("sample") or 0})["sample"]
    except ValidationError as error:
        raise LabelFileError(first_problem(error)) from error
    except (AnswerError, TypeError, ValueError) as error:
        raise LabelFileError(shorten(str(error))) from error
    return Entry(view, answer, sample)


def view_from_row(row: Mapping[str, Any]) -> View:
    """The state that a row is about; task, mission, carrying, blank and state are read.

    Raises:
        LabelFileError: they are no state of a task that is known here.
    """
    if UNREADABLE in row:
        raise LabelFileError(row[UNREADABLE])
    try:
        said = {name: row.get(name) for name in ("task", "mission", "carrying", "blank")}
        return View.from_json({**said, "state": base64.b64encode(row["state"]).decode()})
    except (Lvlm2pError, TypeError) as error:
        raise LabelFileError(str(error)) from error


def _answer(row: Mapping[str, Any]) -> Answer:
    facts: dict[str, Any] = {name: row[name] for name in SHARED if row.get(name) is not None}
    facts["version"] = row.get("version") or ""
    facts["cost_usd"] = row.get("cost_usd")
    facts["usage"] = {name: row.get(name) or 0 for name in TOKENS}
    facts["transcript"] = row.get("transcript") or []
    if row["kind"] == "failure":
        return Failure(**facts, failure=row.get("failure"), message=row.get("message") or "")
    if row["kind"] != "label":
        kind = shorten(str(row["kind"]), 60)
        raise LabelFileError(f"kind is {kind!r}: it must be label or failure")
    actions, probabilities = row.get("actions") or [], row.get("probabilities") or []
    if len(set(actions)) != len(actions) or len(actions) != len(probabilities):
        raise LabelFileError(f"{len(actions)} actions have {len(probabilities)} probabilities")
    analysis = row.get("analysis")
    return Label(
        **facts,
        probabilities=dict(zip(actions, probabilities, strict=True)),
        elicitation=row.get("elicitation"),
        analysis=None if analysis is None else parse_json(analysis),
        outside=row.get("outside"),
        weight=1.0 if row.get("weight") is None else row["weight"],
    )


def _exact(view: View, label: Label) -> Label:
    """The label with a distribution over its task's actions; untouched where it is one already."""
    checked = check_probabilities(view.task, label.probabilities)
    ordered = tuple(label.probabilities) == tuple(checked)
    if ordered and abs(sum(label.probabilities.values()) - 1) < 1e-9:
        return label
    return label.model_copy(update={"probabilities": checked})
