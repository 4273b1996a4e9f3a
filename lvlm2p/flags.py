"""Reading options: flags over a YAML file over defaults, each mistake one clear sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from lvlm2p.aliases import in_own_words, own_name
from lvlm2p.envs.errors import UnknownNameError
from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.numerals import numbers_in_digits

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")
Argv = Sequence[str]
Flag = tuple[Any, Any]
"""Of tyro's: an annotated type, and the dataclass field that holds the default."""

PAIRS = {
    "teacher_args": ("--teacher-arg", "-T", "a teacher's option"),
    "view_args": ("--view-arg", "--view-arg", "how states are put into words"),
    "env_args": ("--env-arg", "--env-arg", "an environment's argument"),
}
"""Options that are mappings -> their flag, how it is called for short, and what a pair of it is."""

WIDEST = 120
"""Columns of ``--help`` at most."""


def parse(command: str, model: type[Model], argv: Argv, doc: str | None) -> tuple[Model, bool]:
    """Flags over the values of ``--config FILE`` over the defaults; and whether to print JSON.

    tyro reads the flags into a bare copy of ``model``: every value, wherever it comes from, then
    meets the model's own validators, and every mistake gets the same kind of sentence.
    """
    import tyro

    source, data = config_file(argv, model)
    words = in_own_words(argv, model)
    shown = _preset(model, data | _texts_given(words)) | data
    copy = _grouped(_flags(model, shown, source), getattr(model, "help_groups", {}))
    with _readable_width():
        found = tyro.cli(copy, args=words, prog=f"lvlm2p {command}", description=doc)
    read: dict[str, Any] = {}
    for name, value in vars(found).items():
        read |= vars(value) if name in getattr(model, "help_groups", {}) else {name: value}
    json = read.pop("json")
    read.pop("config")
    for name in PAIRS.keys() & read.keys():
        read[name] = data.get(name, {}) | key_values(read[name], *PAIRS[name][1:])
    given = {word.partition("=")[0][2:].replace("-", "_") for word in words if word[:2] == "--"}
    bare = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    } | shown
    # What nobody gave is left to the model, which may want to know that.
    read = {
        key: value
        for key, value in read.items()
        if key in data or key in given or value != bare[key]
    }
    from_file = {key for key, value in data.items() if read.get(key) == value}
    return validated(model, read, from_file, source), json


def _preset(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that other options choose, such as a recipe's."""
    preset: Callable[[Mapping[str, Any]], dict[str, Any]] | None = getattr(model, "preset", None)
    return preset(given) if preset is not None else {}


def _texts_given(words: Argv) -> dict[str, str]:
    """The flags in ``words`` that have a value, as texts."""
    found = {flag: value for flag, value in itertools.pairwise(words) if flag.startswith("--")}
    found |= {flag: value for flag, _, value in (word.partition("=") for word in words) if value}
    return {flag[2:].replace("-", "_"): value for flag, value in found.items() if flag[:2] == "--"}


@contextlib.contextmanager
def _readable_width() -> Iterator[None]:
    """Help in one column, in lines that can be read, however wide the terminal is."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(min(shutil.get_terminal_size().columns, WIDEST))
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _flags(model: type[BaseModel], data: Mapping[str, Any], source: Path | None) -> dict[str, Flag]:
    """A flag for each option, and two that every command has; ``data`` are the file's values."""
    import tyro

    flags: dict[str, Flag] = {}
    alone = tyro.conf.FlagCreatePairsOff[bool]  # without its --no-...

    def add(name: str, kind: Any, doc: str | None, default: Any, marks: Mapping[str, Any]) -> None:
        value: Any = dataclasses.field(default_factory=lambda: default, kw_only=True)
        if default is tyro.MISSING:
            value = dataclasses.field(kw_only=True)
        flags[name] = (Annotated[(kind, tyro.conf.arg(help=doc or "", **marks))], value)

    for name, field in model.model_fields.items():
        if name in PAIRS:
            kind: Any = tyro.conf.UseAppendAction[tuple[str, ...]]
            flag, short, _ = PAIRS[name]
            aliases = {"aliases": (short,)} if short != flag else {}
            marks = {"name": flag.removeprefix("--"), "metavar": "KEY=VALUE", **aliases}
            add(name, kind, field.description, (), marks)
            continue
        default = (
            tyro.MISSING if field.is_required() else field.get_default(call_default_factory=True)
        )
        kind = (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )
        kind = alone if name == "yes" else kind
        add(name, kind, field.description, data.get(name, default), {})
    add("json", alone, "Print one JSON object, for scripts.", False, {})
    if "config" not in model.model_fields:
        add("config", Path | None, "YAML file of options; flags win over it.", source, {})
    return flags


def _grouped(flags: Mapping[str, Flag], groups: Mapping[str, Sequence[str]]) -> type[Any]:
    """The flags as a class for tyro: a box of ``--help`` for each group, in this order."""
    import tyro

    where = {name: group for group, names in groups.items() for name in names}
    members: dict[str, list[tuple[str, Any, Any]]] = {group: [] for group in groups}
    fields: list[tuple[str, Any, Any]] = []
    others = [name for name in flags if name not in where]
    for name in [*filter(flags.__contains__, where), *others]:
        members.get(where.get(name, ""), fields).append((name, *flags[name]))
    for group, inside in members.items():
        box: Any = dataclasses.make_dataclass(group, inside)
        marked = Annotated[(box, tyro.conf.arg(help=""), tyro.conf.OmitArgPrefixes)]
        fields.append((group, marked, dataclasses.field(kw_only=True)))
    return dataclasses.make_dataclass("options", fields)


def config_file(argv: Argv, model: type[BaseModel]) -> tuple[Path | None, dict[str, Any]]:
    """The YAML file that ``--config`` names and its values.

    Raises:
        ConfigError: no such file, no mapping in it, or a key that ``model`` does not have.
    """
    named = [arg.partition("=")[2] for arg in argv if arg.startswith("--config=")]
    named += [value for arg, value in itertools.pairwise(argv) if arg == "--config"]
    if not named:
        return None, {}
    from pydantic import TypeAdapter, ValidationError

    from lvlm2p.envs.untrusted import MalformedDataError, read_yaml
    from lvlm2p.teachers.errors import ConfigError

    path = Path(named[-1])
    try:
        data = read_yaml(path) or {}
    except (OSError, MalformedDataError) as error:
        raise ConfigError(f"--config {path} can't be read: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"--config {path} must hold one 'key: value' a line")
    data = _by_own_names(path, data, model)
    for key, value in data.items():
        if key not in model.model_fields:
            raise UnknownNameError(f"option in {path}:", str(key), model.model_fields)
        try:  # tyro wants defaults of the option's own type: a Path, not its name
            kind: Any = model.model_fields[key].annotation
            lone_bool = isinstance(value, bool) or None  # else true would do for 1
            data[key] = TypeAdapter(kind).validate_python(value, strict=lone_bool)
        except ValidationError as error:
            raise ConfigError(f"{key} in {path}: {reason(error)}") from None
    return path, data


def _by_own_names(path: Path, data: dict[Any, Any], model: type[BaseModel]) -> dict[Any, Any]:
    """``data`` with our options' names, and with integers in digits."""
    from lvlm2p.teachers.errors import ConfigError

    named: dict[Any, Any] = {}
    for key, value in data.items():
        name = own_name(str(key), model)
        if name in named:
            raise ConfigError(f"{path} says {name} twice: leave out {key}")
        named[name] = value
    return numbers_in_digits(
        named, {name: field.annotation for name, field in model.model_fields.items()}
    )


def key_values(
    pairs: Sequence[str], flag: str = "-T", what: str = "a teacher's option"
) -> dict[str, str]:
    """``["a=1", "b=x"]`` as a mapping."""
    from lvlm2p.teachers.errors import ConfigError

    for pair in pairs:
        if "=" not in pair or pair.startswith("="):
            raise ConfigError(f"{flag} {pair}: {what} is written key=value")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def validated(
    model: type[Model], data: Mapping[str, Any], from_file: set[str], file: Path | None
) -> Model:
    """``data`` as a ``model``; a value that it refuses becomes one sentence.

    Raises:
        ConfigError: names the option, the value, where it comes from and what is allowed.
    """
    from pydantic import ValidationError

    from lvlm2p.teachers.errors import ConfigError

    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "--" + "-".join(map(str, first["loc"])).replace("_", "-")
        given = f"{where} {shorten(str(first['input']))}: " if first["loc"] else ""
        if from_file.intersection(first["loc"]):
            given = f"{first['loc'][0]} in {file}: "
        raise ConfigError(f"{given}{reason(error)}") from None


def reason(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    message = error.errors(include_url=False)[0]["msg"]
    return shorten(
        message.removeprefix("Value error, ").replace("Input should", "it should"), 1_000
    )
