"""Reading options: flags over a YAML file over defaults, each mistake one clear sentence."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from lvlm2p.envs.errors import UnknownNameError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")
Argv = Sequence[str]


def parse(command: str, model: type[Model], argv: Argv, doc: str | None) -> tuple[Model, bool]:
    """Flags over the values of ``--config FILE`` over the defaults; and whether to print JSON.

    tyro reads the flags into a bare copy of ``model``: every value, wherever it comes from, then
    meets the model's own validators, and every mistake gets the same kind of sentence.
    """
    import tyro

    source, data = config_file(argv, model)
    fields: list[tuple[str, Any, Any]] = []

    def flag(name: str, kind: Any, doc: str | None, default: Any, *marks: Any) -> None:
        value: Any = dataclasses.field(default_factory=lambda: default, kw_only=True)
        if default is tyro.MISSING:
            value = dataclasses.field(kw_only=True)
        fields.append(
            (name, Annotated[(kind, tyro.conf.arg(help=doc or "", **dict(marks)))], value)
        )

    for name, field in model.model_fields.items():
        if name == "teacher_args":
            marks = {"name": "teacher-arg", "aliases": ("-T",), "metavar": "KEY=VALUE"}
            kind: Any = tyro.conf.UseAppendAction[tuple[str, ...]]
            flag(name, kind, field.description, (), *marks.items())
            continue
        default = (
            tyro.MISSING if field.is_required() else field.get_default(call_default_factory=True)
        )
        kind = (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )
        flag(name, kind, field.description, data.get(name, default))
    flag("json", tyro.conf.FlagCreatePairsOff[bool], "Print one JSON object, for scripts.", False)
    if "config" not in model.model_fields:
        flag("config", Path | None, "YAML file of options; flags win over it.", source)
    copy = dataclasses.make_dataclass("options", fields)
    read = dict(vars(tyro.cli(copy, args=argv, prog=f"lvlm2p {command}", description=doc)))
    json = read.pop("json")
    read.pop("config")
    if "teacher_args" in read:
        read["teacher_args"] = data.get("teacher_args", {}) | key_values(read["teacher_args"])
    from_file = {key for key, value in data.items() if read.get(key) == value}
    return validated(model, read, from_file, source), json


def config_file(argv: Argv, model: type[BaseModel]) -> tuple[Path | None, dict[str, Any]]:
    """The YAML file that ``--config`` names and its values.

    Raises:
        ConfigError: no such file, no mapping in it, or a key that ``model`` does not have.
    """
    named = [arg.partition("=")[2] for arg in argv if arg.startswith("--config=")]
    named += [value for arg, value in itertools.pairwise(argv) if arg == "--config"]
    if not named:
        return None, {}
    import yaml
    from pydantic import TypeAdapter, ValidationError

    from lvlm2p.teachers.errors import ConfigError

    path = Path(named[-1])
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path} can't be read: {error}") from None
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise ConfigError(f"--config {path} is not YAML: {where}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"--config {path} must hold one 'key: value' a line")
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


def key_values(pairs: Sequence[str]) -> dict[str, str]:
    """``["a=1", "b=x"]`` as a mapping."""
    from lvlm2p.teachers.errors import ConfigError

    for pair in pairs:
        if "=" not in pair or pair.startswith("="):
            raise ConfigError(f"-T {pair}: a teacher's option is written key=value")
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
        given = f"{where} {first['input']}: " if first["loc"] else ""
        if from_file.intersection(first["loc"]):
            given = f"{first['loc'][0]} in {file}: "
        raise ConfigError(f"{given}{reason(error)}") from None


def reason(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    message = error.errors(include_url=False)[0]["msg"]
    return message.removeprefix("Value error, ").replace("Input should", "it should")
