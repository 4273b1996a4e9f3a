"""The generated pages of the documentation site: command line, schemas, public names, source."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


# ---------------------------------------------------------------- the command line


def help_of(*command: str) -> str:
    """What ``lvlm2p COMMAND --help`` prints."""
    from lvlm2p.cli import main

    said = io.StringIO()
    before = os.environ.get("COLUMNS"), os.environ.get("NO_COLOR")
    os.environ.update(COLUMNS="84", NO_COLOR="1")
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main([*command, "--help"])
    finally:
        for name, value in zip(("COLUMNS", "NO_COLOR"), before, strict=True):
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    lines = (line.rstrip() for line in said.getvalue().splitlines())
    return "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines).strip()


def commands(*above: str) -> Iterator[tuple[str, ...]]:
    """Every command and subcommand, as the help lists them."""
    text = help_of(*above)
    if "COMMAND [OPTIONS]" not in text:
        return
    for name in re.findall(r"^  ([\w-]+) +\S", text, re.MULTILINE):
        yield (*above, name)
        yield from commands(*above, name)


def command_line() -> str:
    """Every command with its options, from the code that reads them."""
    parts = [
        "# Command line",
        "What each command prints with `--help`. Exit codes: 0 done, 2 the input is wrong, "
        "3 the teacher could not answer, 130 interrupted. With `--json` the last line of stdout "
        "is one JSON object.",
        f"```text\n{help_of()}\n```",
    ]
    for command in commands():
        parts += [f"## lvlm2p {' '.join(command)}", f"```text\n{help_of(*command)}\n```"]
    return "\n\n".join(parts) + "\n"


# ---------------------------------------------------------------- schemas


def schemas() -> str:
    """The fields of what is written to disk, from the models that check it."""
    from pydantic import TypeAdapter

    from lvlm2p.student import TrainConfig
    from lvlm2p.teachers.evaluation.results import Results
    from lvlm2p.teachers.label import Failure, Label

    parts = ["# Schemas", INTRODUCTION]
    for title, about, kind in (
        ("Label", "What a teacher answered: a row of the store, of a label set.", Label),
        ("Failure", "What it could not answer.", Failure),
        ("report.json", "What `lvlm2p evaluate --out` writes.", Results),
        ("config.yaml", "The options of a run; `train --config` takes it.", TrainConfig),
    ):
        parts += [f"## {title}", about, *_schema(TypeAdapter(kind).json_schema())]
    run = json.dumps(_a_result(), indent=1)
    parts += ["## result.json", "How a run ended, and what `train --json` prints.", _json(run)]
    return "\n\n".join(parts) + "\n"


def _a_result() -> dict[str, Any]:
    """The result of a run that did nothing."""
    from lvlm2p.student import TrainResult
    from lvlm2p.student.training.evaluation import PolicyEvaluation
    from lvlm2p.teachers import Counts

    nothing = PolicyEvaluation(success=1.0, mean_return=1.0, mean_length=1.0, returns=(1.0,))
    return TrainResult(Path("runs/x"), 0, nothing, Counts(), 0.0).as_json()


def _json(text: str) -> str:
    return f"```json\n{text}\n```"


INTRODUCTION = """\
Generated from the models that write and check these files. The columns of a label set in Parquet
are in [Labels](../labels.md#the-parquet-schema), and what the numbers of a report mean in
[Evaluation](../evaluation.md#the-measures)."""


def _schema(schema: dict[str, Any]) -> list[str]:
    parts = [_fields(schema)]
    for name, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            parts += [f"**{name}**: {_said(inner)}" if _said(inner) else f"**{name}**"]
            parts += [_fields(inner)]
    whole = json.dumps(schema, indent=1, ensure_ascii=False)
    inside = "\n".join(f"    {line}" for line in ["```json", *whole.splitlines(), "```"])
    return [*parts, f'??? note "As JSON schema"\n\n{inside}']


def _fields(schema: dict[str, Any]) -> str:
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = "" if name in required else _cell(json.dumps(field.get("default")))
        default = f"`{default}`" if default else ""
        rows.append(f"| `{name}` | {_cell(_type(field))} | {default} | {_cell(_said(field))} |")
    return "\n".join(rows)


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "enum" in field or "const" in field:
        return " ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "anything"))


def _said(field: dict[str, Any]) -> str:
    return " ".join(str(field.get("description", "")).split("\n\n")[0].split())


def _cell(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


# ---------------------------------------------------------------- code


def public_names(package: str) -> str:
    """The names that ``lvlm2p.<package>`` exports, each with its docstring."""
    import ast

    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    parts = [f"# lvlm2p.{package}", ast.get_docstring(ast.parse(_source(package))) or ""]
    parts[1] = re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", parts[1])
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                parts.append(f"::: lvlm2p.{package}.{node.module}.{alias.name}")
    return "\n\n".join(parts) + "\n"


def _source(package: str) -> str:
    return (ROOT / package / "__init__.py").read_text(encoding="utf-8")


def module_page(name: str) -> str:
    """The source of one file, for links to the code."""
    source = (ROOT / name).read_text(encoding="utf-8")
    return f"# {name}\n\n`lvlm2p.{name.removesuffix('.py').replace('/', '.')}`\n\n" + (
        f'```python linenums="1"\n{source}```\n'
    )


# ---------------------------------------------------------------- results


def results(folder: Path) -> str:
    """The pages and tables of docs/results, one after another, and where to find their files."""
    parts = ["# Results", RESULTS]
    for page in sorted(folder.rglob("*.md")):
        title = page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        parts.append(f"- [{title}]({page.relative_to(folder.parent).as_posix()})")
    return "\n\n".join(parts) + "\n"


RESULTS = """\
What was measured, with its command, seeds and date. [Performance](performance.md) has success,
sample efficiency and speed of the defaults; below is what lies in `docs/results`."""
