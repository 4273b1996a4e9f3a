"""From a name to a teacher: what ships here, and what others registered.

A third party adds a teacher with three lines in its own ``pyproject.toml``::

    [project.entry-points."lvlm2p.teachers"]
    my-teacher = "my_package:MyTeacher"

and a class as described in :mod:`lvlm2p.teachers.plugin`. Nothing is imported before it is used.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.blame import in_a_line, lacks
from lvlm2p.teachers.errors import (
    ConfigError,
    Lvlm2pError,
    TeacherError,
    TeacherNotReadyError,
    UnknownNameError,
)
from lvlm2p.teachers.numerals import numbers_in_digits
from lvlm2p.teachers.plugin import Context, Status

if TYPE_CHECKING:
    from rich.console import Group

    from lvlm2p.teachers.budget import Budget
    from lvlm2p.teachers.store.store import LabelStore
    from lvlm2p.teachers.teacher import Teacher

GROUP = "lvlm2p.teachers"
"""The entry-point group of third parties."""

BUILTIN: dict[str, tuple[str, str]] = {
    "expert": ("lvlm2p.teachers.expert", "ExpertTeacher"),
    "random": ("lvlm2p.teachers.expert", "RandomTeacher"),
    "plans": ("lvlm2p.teachers.plans.teacher", "PlanTableTeacher"),
    "tiny-vl": ("lvlm2p.teachers.models.local.tiny_vl", "TinyVLTeacher"),
    "gemini": ("lvlm2p.teachers.models.hosted.teacher", "ChatTeacher"),
    "gpt-4v": ("lvlm2p.teachers.models.hosted.teacher", "ChatTeacher"),
    "claude": ("lvlm2p.teachers.models.hosted.teacher", "ChatTeacher"),
    "qwen-vl-local": ("lvlm2p.teachers.models.hosted.teacher", "ChatTeacher"),
    "qwen-vl-hf": ("lvlm2p.teachers.models.local.teacher", "TransformersTeacher"),
    "litellm": ("lvlm2p.teachers.models.hosted.teacher", "ChatTeacher"),
}
"""Name -> (module, class)."""

TAKES_MORE: dict[str, str] = {
    "litellm": "a model: litellm:<provider/model>, e.g. litellm:xai/grok",
    "plans": "a table of plans: plans:original, plans:good or plans:FILE.yaml",
}
"""Names that are written ``name:something``, and what that is, in a sentence."""


VIEWS = ("image", "text", "both")
"""What a prompted teacher can be shown: after an @ behind its name."""


class NoOptions(BaseModel, extra="forbid"):
    """For a teacher class without ``Options``."""


def load_teacher(
    name: str,
    *,
    options: Mapping[str, object] | None = None,
    store: LabelStore | None = None,
    offline: bool = False,
    on_miss: Literal["fail", "skip"] = "fail",
    budget: Budget | None = None,
    symmetry: Literal["none", "canonical"] = "none",
    sample: int = 0,
    retry_failures: bool = False,
) -> Teacher:
    """The teacher called ``name``, wrapped in what was asked for.

    Args:
        name: see ``lvlm2p teachers``; ``litellm:<provider/model>`` for any other hosted model.
        options: the teacher's own options; strings, as ``-T key=value`` gives them, are converted.
        store: where answers are looked up first and kept; None: nothing is kept.
        offline: answer from ``store`` alone.
        on_miss: offline, what a state without a label does: raise, or be a Failure("missing").
        budget: how much may be asked.
        symmetry: "canonical" asks one question for all states that are the same by symmetry.
        sample: another number asks (and stores) a fresh, independent sample of every answer.
        retry_failures: ask again where a stored failure would otherwise be final.

    Raises:
        UnknownNameError: nobody registered ``name``; the sentence names the nearest.
        ConfigError: an option that this teacher does not have, or an unusable value.
        TeacherNotReadyError: a package that it needs is missing.
    """
    base, shown = _split_view(name)
    teacher_class = _find(base)
    options = {**shown, **(options or {})}
    if offline and store is None:
        raise ConfigError("offline answers come from a label store alone: give one with --store")
    checked = _options(name, teacher_class, options)
    asking: dict[str, Any] = {
        "offline": offline,
        "on_miss": on_miss,
        "sample": sample,
        "retry_failures": retry_failures,
        "budget": budget,
    }
    loader = partial(load_teacher, store=store, **asking)
    built = teacher = _build(teacher_class, base, checked, Context(store, budget, sample, loader))
    if store is not None:
        from lvlm2p.teachers.wrappers.stored import StoredTeacher

        teacher = StoredTeacher(teacher, store, **asking)
    teacher = built.around(teacher)
    if symmetry == "canonical":
        from lvlm2p.teachers.wrappers.symmetric import CanonicalTeacher

        teacher = CanonicalTeacher(teacher)
    return _renamed(teacher, name) if shown else teacher


def _split_view(name: str) -> tuple[str, dict[str, object]]:
    """``gemini@text`` is ``gemini`` with ``-T view=text``: another name in a report of several."""
    base, at, shown = name.rpartition("@")
    return (base, {"view": shown}) if at and shown in VIEWS else (name, {})


def _renamed(teacher: Teacher, name: str) -> Teacher:
    from lvlm2p.teachers.wrappers.base import TeacherWrapper

    renamed = TeacherWrapper(teacher)
    renamed.name = name
    return renamed


def _build(teacher_class: Any, name: str, options: BaseModel, context: Context) -> Teacher:
    from lvlm2p.teachers.teacher import Teacher

    try:
        teacher: Teacher = teacher_class.build(name, options, context)
    except RecursionError:
        raise ConfigError(f"teacher {name!r} can't be built: it is a member of itself") from None
    except (Lvlm2pError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        raise lacks(name, error) from error
    except BaseException as error:  # a plug-in may raise anything; the user must know whose
        raise TeacherError(f"teacher {name!r} can't be built: {in_a_line(error)}") from error
    if not isinstance(teacher, Teacher):
        raise TeacherError(f"teacher {name!r} can't be built: it is a {type(teacher).__name__}")
    return teacher


def available() -> list[Status]:
    """Every teacher there is, ready or not; nothing heavy is imported."""
    rows = [_status(name) for name in BUILTIN]
    return rows + [_status(name) for name in sorted(_third_parties()) if name not in BUILTIN]


class TeachersConfig(BaseModel, extra="forbid"):
    """Who can teach."""

    def run(self) -> Listing:
        """Look."""
        return Listing(available())


class Listing:
    """What `lvlm2p teachers` shows."""

    def __init__(self, rows: list[Status]) -> None:
        self.rows = rows

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"teachers": [asdict(row) for row in self.rows]}

    def summary(self) -> Group:
        """A table, and below it what each teacher lacks or says of itself."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None)
        for heading in ("teacher", "model", "elicits", "$/1,000 labels", "ready"):
            table.add_column(heading, overflow="fold", no_wrap=heading in ("teacher", "ready"))
        for row in self.rows:
            price = "unknown" if row.usd_per_1000 is None else f"{row.usd_per_1000:,.2f}"
            ready = "yes" if row.ready else "no"
            table.add_row(row.name, row.model, " ".join(row.elicitations), price, ready)
        notes = [Text(f"{row.name}: {row.note}") for row in self.rows if row.note]
        return Group(table, Text(), *notes)


def _status(name: str) -> Status:
    try:
        teacher_class = _find(f"{name}:..." if name in TAKES_MORE else name)
    except Lvlm2pError as error:
        return Status(name, "", (), None, ready=False, note=str(error))
    if not hasattr(teacher_class, "status"):
        return Status(name, "", (), None, ready=True, note="says nothing about itself")
    status: Status = teacher_class.status(name)
    return status


def _third_parties() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _find(name: str) -> Any:
    """The class behind ``name``."""
    base, colon, rest = name.partition(":")
    if base in TAKES_MORE and not rest:
        raise ConfigError(f"{base} needs {TAKES_MORE[base]}")
    if base in BUILTIN and (not colon or base in TAKES_MORE):
        module, attribute = BUILTIN[base]
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise lacks(name, error) from error
        except (ImportError, AttributeError) as error:
            raise TeacherNotReadyError(f"teacher {name!r} can't be loaded: {error}") from error
    others = _third_parties()
    if name in others:
        return _load_entry_point(name, others[name])
    known = [*(known for known in BUILTIN if known not in TAKES_MORE), *others]
    raise UnknownNameError(
        "teacher", name, known, hint="Any hosted model is litellm:<provider/model>."
    )


def _load_entry_point(name: str, point: EntryPoint) -> Any:
    try:
        found = point.load()
    except ModuleNotFoundError as error:
        raise lacks(name, error) from error
    except Exception as error:  # a plug-in's import may raise anything; the user must know whose
        raise ConfigError(
            f"teacher {name!r} ({point.value}) can't be loaded: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(found, "build"):
        raise ConfigError(f"teacher {name!r}: {point.value} has no classmethod build")
    return found


def check_keys(name: str, given: Iterable[str]) -> None:
    """Whether the teacher ``name`` has these options.

    Raises:
        ConfigError: it has not; the sentence names the nearest that it has.
        UnknownNameError, TeacherNotReadyError: see :func:`load_teacher`.
    """
    _check_keys(name, getattr(_find(_split_view(name)[0]), "Options", NoOptions), given)


def _check_keys(name: str, model: type[BaseModel], given: Iterable[str]) -> None:
    known = list(model.model_fields)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            guess = f"did you mean {near[0]!r}? " if near else ""
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"teacher {name!r} has no option {key!r}: {guess}{has}")


def _options(name: str, teacher_class: Any, given: Mapping[str, object]) -> BaseModel:
    model: type[BaseModel] = getattr(teacher_class, "Options", NoOptions)
    _check_keys(name, model, given)
    kinds = {key: field.annotation for key, field in model.model_fields.items()}
    try:
        return model.model_validate(numbers_in_digits(given, kinds))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "options"
        message = first["msg"].removeprefix("Value error, ")
        given_value = first["loc"] and first["type"] != "missing"
        value = f"={shorten(repr(first['input']))}" if given_value else ""
        raise ConfigError(f"teacher {name!r}, option {key}{value}: {shorten(message)}") from error
