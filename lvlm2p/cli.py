"""The command line: each subcommand is a call into one of the four packages.

Progress goes to stderr and results to stdout; with ``--json`` the last line of stdout is one JSON
object. Exit codes: 0 done, 2 the input is wrong, 3 the teacher could not answer, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import itertools
import json as jsonlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from lvlm2p.envs.errors import Lvlm2pError, UnknownNameError
from lvlm2p.process import signals_as_ctrl_c, tolerate_streams

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")
Argv = Sequence[str]


# ---------------------------------------------------------------- the commands


def train(argv: Argv) -> None:
    """Train a PPO or A2C student, with a teacher or without one (--teacher none)."""
    from lvlm2p.student import TrainConfig

    config, json = parse("train", TrainConfig, argv)
    from lvlm2p.student import train as run  # after the help has been printed: this loads torch

    result = run(config)
    show(result.as_json(), result.summary(), json)


def evaluate(argv: Argv) -> None:
    """Measure how good teachers are on their own, and write a report; no student."""
    from lvlm2p.teachers.evaluation import EvaluateConfig

    config, json = parse("evaluate", EvaluateConfig, argv)
    from lvlm2p.teachers.evaluation import evaluate as run
    from lvlm2p.teachers.evaluation import write_report
    from lvlm2p.teachers.evaluation.report.terminal import summarise

    report = run(config, partial(config.load_teacher, budget=config.new_budget()))
    if report.out is not None:
        write_report(report, report.out)
    show(report.as_json(), summarise(report.results), json)


def label(argv: Argv) -> None:
    """Label states ahead of time, into the label store and a Parquet file."""
    from lvlm2p.teachers.labelling.config import LabelConfig

    config, json = parse("label", LabelConfig, argv)
    from lvlm2p.teachers.labelling.run import label_states

    result = label_states(config)
    show(result.as_json(), result.summary(), json)


def labels(argv: Argv) -> None:
    """The label store: stats, export, import, verify, prune, show."""
    from lvlm2p.teachers.store import commands

    options: dict[str, type[Any]] = {
        "stats": commands.StatsConfig,
        "export": commands.ExportConfig,
        "import": commands.ImportConfig,
        "verify": commands.VerifyConfig,
        "prune": commands.PruneConfig,
        "show": commands.ShowConfig,
    }
    command, rest = pick(
        "lvlm2p labels", {name: model.__doc__ for name, model in options.items()}, argv
    )
    config, json = parse(f"labels {command}", options[command], rest)
    result = config.run()
    show(result.as_json(), result.summary(), json)


def teachers(argv: Argv) -> None:
    """Who can teach: models, what they can elicit, prices, and what is missing."""
    from lvlm2p.teachers.registry import TeachersConfig

    config, json = parse("teachers", TeachersConfig, argv)
    result = config.run()
    show(result.as_json(), result.summary(), json)


def serve(argv: Argv) -> None:
    """Start vLLM with the right flags, on 127.0.0.1, and wait until it is healthy."""
    from lvlm2p.teachers.serving.serve import ServeConfig
    from lvlm2p.teachers.serving.serve import serve as run

    config, _ = parse("serve", ServeConfig, argv)
    raise SystemExit(run(config))


def play(argv: Argv) -> None:
    """Watch a student: an animated GIF of its episodes."""
    from lvlm2p.student import PlayConfig

    config, json = parse("play", PlayConfig, argv)
    from lvlm2p.student import play as run

    teacher = None if config.teacher == "none" else config.load_teacher(config.teacher)
    result = run(config, teacher)
    show(result.as_json(), result.summary(), json)


def compare(argv: Argv) -> None:
    """Learning curves of runs with confidence bands, and their sample efficiency."""
    from lvlm2p.student import CompareConfig

    config, json = parse("compare", CompareConfig, argv)
    from lvlm2p.student import compare as run
    from lvlm2p.student.comparison.show import table

    result = run(config)
    show(result.as_json(), table(result), json)


COMMANDS: dict[str, Callable[[Argv], None]] = {
    command.__name__: command
    for command in (train, evaluate, label, labels, teachers, serve, play, compare)
}


# ---------------------------------------------------------------- reading and showing


def show(data: Mapping[str, Any], text: Any, json: bool) -> None:
    """Print a result: ``text`` for people, or ``data`` as the one JSON line that scripts read."""
    if json:
        print(jsonlib.dumps(data, allow_nan=False), flush=True)
    else:
        from rich.console import Console

        Console(soft_wrap=isinstance(text, str)).print(text, markup=False, highlight=False)


def pick(prog: str, known: Mapping[str, str | None], argv: Argv) -> tuple[str, Argv]:
    """The subcommand that ``argv`` names and the rest; ``--help`` lists what there is."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: {prog} COMMAND [OPTIONS]\n")
        for name, doc in known.items():
            print(f"  {name:<10} {(doc or '').strip().splitlines()[0]}")
        print(f"\n{prog} COMMAND --help lists the options of one command.")
        raise SystemExit(0 if argv else 2)
    if argv[0] not in known:
        raise UnknownNameError("command", argv[0], known, f"{prog} --help lists them.")
    return argv[0], argv[1:]


def parse(command: str, model: type[Model], argv: Argv) -> tuple[Model, bool]:
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
    doc = COMMANDS[command].__doc__ if command in COMMANDS else model.__doc__
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


def main(argv: Argv | None = None) -> int:
    """Run one command; the value is the exit code."""
    tolerate_streams()
    try:
        command, rest = pick(
            "lvlm2p",
            {name: run.__doc__ for name, run in COMMANDS.items()},
            sys.argv[1:] if argv is None else argv,
        )
        with signals_as_ctrl_c():
            COMMANDS[command](rest)
    except Lvlm2pError as error:
        print(f"lvlm2p: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe left: not an error of ours
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
