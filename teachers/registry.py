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
from lvlm2p.teachers.named_view import renamed, split_view
from lvlm2p.teachers.numerals import numbers_in_digits
from lvlm2p.teachers.plugin import Context, Status

if TYPE_CHECKING:
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
    "ensemble": ("lvlm2p.teachers.composed.ensemble", "EnsembleTeacher"),
    "cascade": ("lvlm2p.teachers.composed.cascade", "CascadeTeacher"),
}
"""Name -> (module, class)."""

TAKES_MORE: dict[str, str] = {
    "litellm": "a model: litellm:<provider/model>, e.g. litellm:xai/grok",
    "plans": "a table of plans: plans:original, plans:good or plans:FILE.yaml",
    "ensemble": "members: ensemble:gemini,claude",
    "cascade": "members, the cheapest first: cascade:tiny-vl,gemini",
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
    by_batch: bool = False,
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
        by_batch: ask through the provider's batch API, at half the price and within a day.

    Raises:
        UnknownNameError: nobody registered ``name``; the sentence names the nearest.
        ConfigError: an option that this teacher does not have, or an unusable value.
        TeacherNotReadyError: a package that it needs is missing.
    """
    base, shown = split_view(name)
    teacher_class = _find(base)
    options = {**shown, **(options or {})}
    if offline and store is None:
        raise ConfigError("offline answers come from a label store alone: give one with --store")
    own, members = _split_options(name, teacher_class, options)
    checked = _options(name, teacher_class, own)
    asking: dict[str, Any] = {
        "offline": offline,
        "on_miss": on_miss,
        "sample": sample,
        "retry_failures": retry_failures,
        "budget": budget,
    }
    loader = partial(load_teacher, store=store, by_batch=by_batch, **asking)
    context = Context(store, budget, sample, loader, members, by_batch)
    teacher = _around(_build(teacher_class, base, checked, context), store, asking)
    if symmetry == "canonical":
        from lvlm2p.teachers.wrappers.symmetric import CanonicalTeacher

        teacher = CanonicalTeacher(teacher)
    return renamed(teacher, name) if shown else teacher


def _around(built: Teacher, store: LabelStore | None, asking: Mapping[str, Any]) -> Teacher:
    """The teacher behind the store, if there is one, in what it wraps around itself."""
    if store is None or built.composed:
        return built.around(built)
    from lvlm2p.teachers.wrappers.stored import StoredTeacher

    return built.around(StoredTeacher(built, store, **asking))


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
    if context.by_batch and not teacher.by_batch:
        raise ConfigError(
            f"--batch asks through a provider's batch API, and {name!r} has none: it goes with "
            "gemini, gpt-4v, claude, and litellm: with openai/, anthropic/ or gemini/"
        )
    return teacher


def known_names() -> list[str]:
    """The teachers that ship here, then those of third parties."""
    return [*BUILTIN, *(name for name in sorted(_third_parties()) if name not in BUILTIN)]


def status_of(name: str) -> Status:
    """What the teacher ``name`` says of itself, or why it can't be loaded."""
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
    name, _ = split_view(name)
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
    found = _find(name)
    own, members = _split_options(name, found, dict.fromkeys(given))
    _check_keys(name, getattr(found, "Options", NoOptions), own)
    for member, keys in members.items():
        check_keys(member, keys)


def members_of(name: str) -> tuple[str, ...]:
    """The teachers that ``name`` is made of, by their names; none where it is a single one, or
    can't be used."""
    try:
        return _members(name, _find(name))
    except Lvlm2pError:
        return ()


def options_of_members(name: str, given: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """What each member of ``name`` gets of the options ``given``.

    Raises:
        UserError: see :func:`load_teacher`.
    """
    return _split_options(name, _find(name), given)[1]


def _members(name: str, teacher_class: Any) -> tuple[str, ...]:
    found = getattr(teacher_class, "members_in", None)
    return () if found is None else tuple(found(name))


def _split_options(
    name: str, teacher_class: Any, given: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """The teacher's own options, and those of each member."""
    from lvlm2p.teachers.composed.members import split_options

    members = _members(name, teacher_class)
    known = {member: _fields(_find(member)) for member in members}
    return split_options(given, _fields(teacher_class), members, lambda one, key: key in known[one])


def _fields(teacher_class: Any) -> set[str]:
    model: type[BaseModel] = getattr(teacher_class, "Options", NoOptions)
    return set(model.model_fields)


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
