"""What scripts read: options in --help, --json objects, report.json, public names."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from lvlm2p.cli import main
from tests.golden.compare import FOLDER, shape
from tests.golden.questions import task_views

COMMANDS = (
    *("train", "evaluate", "label", "teachers", "serve", "play", "export", "compare", "sweep"),
    "reproduce",
)
ON_LABELS = ("stats", "export", "import", "verify", "prune", "show")

ENV = "MiniGrid-LavaGapS5-v0"
DOOR = "MiniGrid-GoToDoor-5x5-v0"
TRAIN = ("--env", ENV, "--frames", 200, "--n-envs", 4, "--n-steps", 16, "--seed", 1,
         "--eval-every", 100, "--final-episodes", 2, "--kl-minibatches", 2)  # fmt: skip

CERTAIN = frozenset({
    *("frames", "asked", "cached", "failed", "cost_usd", "labels", "failures", "elicitations"),
    *("teacher", "task", "prompt", "env", "states", "value", "teachers"),
    *("problems", "examples", "unknown_tasks", "fixed", "rejected", "clean", "answers", "images"),
    *("metric", "thresholds", "seeds", "baseline", "label_set", "rows", "added", "written"),
})  # fmt: skip
"""Keys below which the values must stay, not only their kinds."""


def run(*argv: object) -> tuple[int, str]:
    """A command's exit code and what it printed on stdout."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # --help draws its boxes in UTF-8
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main([str(arg) for arg in argv])
        except SystemExit as stop:  # --help
            code = int(stop.code or 0)
    out.seek(0)
    return code, out.read()


def silently(*argv: object) -> None:
    """Run a command that must succeed."""
    code, out = run(*argv)
    assert code == 0, (argv, out)


def said(*argv: object) -> Any:
    """The JSON object that a command prints."""
    code, out = run(*argv, "--json")
    assert code == 0, (argv, out)
    return json.loads(out.strip().splitlines()[-1])


# ---------------------------------------------------------------- --help


def helps() -> dict[str, Any]:
    """Every option of every command: its names, choices, the kind of value, and its default."""
    with mock.patch.dict(os.environ, {"COLUMNS": "250", "NO_COLOR": "1"}):
        found: dict[str, Any] = {name: options(run(name, "--help")[1]) for name in COMMANDS}
        for name in ON_LABELS:
            found[f"labels {name}"] = options(run("labels", name, "--help")[1])
        for words in (["--help"], ["labels", "--help"]):
            listed = re.findall(r"^  (\w+) ", run(*words)[1], re.MULTILINE)
            found[" ".join(["lvlm2p", *words])] = dict.fromkeys(listed, "command")
    return found


def options(text: str) -> dict[str, Any]:
    """What tyro's boxes list, by the longest name of each entry."""
    entries: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if not line.startswith("│"):
            continue
        content = line.strip("│").rstrip()[1:]
        if content[:1].strip():  # an entry begins at the left, its text is indented
            head, *rest = re.split(r"\s{2,}", content, maxsplit=1)
            entries.append((head, rest))
        elif content.strip():
            entries[-1][1].append(content.strip())
    return dict(entry(head, " ".join(text)) for head, text in entries)


def entry(head: str, text: str) -> tuple[str, dict[str, Any]]:
    """One entry: ``-T KEY=VALUE, --teacher-arg KEY=VALUE`` and what is said of it."""
    names = re.findall(r"(?<![\w-])--?\w[\w-]*", head)
    value = re.sub(r"(?<![\w-])--?\w[\w-]*,?", "", head)
    choices = [choice for group in re.findall(r"\{(.*?)\}", value) for choice in group.split(",")]
    kinds = sorted(set(re.sub(r"\{.*?\}|[|,.\[\]]", " ", value).split()))
    default = re.search(r"\((default: .*|required|repeatable)\)$", text)
    facts = {
        "names": dict.fromkeys(names, True),
        "choices": dict.fromkeys(choices, True),
        "value": kinds,
        "default": default[1] if default else None,
    }
    return max(names, key=len, default="positional"), facts


# ---------------------------------------------------------------- --json


def answers(folder: Path) -> dict[str, Any]:
    """The --json object of every command."""
    from tests.golden.rows import copied  # which needs this module

    train = ("train", *TRAIN, "--store", folder / "store")
    old = ("--store", copied(folder))
    runs = [folder / "run-a", folder / "run-b"]
    found = {
        "train expert": said(*train, "--teacher", "expert", "--run-dir", runs[0]),
        "train none": said(*train, "--teacher", "none", "--run-dir", runs[1]),
        "evaluate": said("evaluate", "--teacher", "expert", "--env", ENV, "--store", folder / "a",
                         "--states", 12, "--episodes", 3, "--probes", 4),
        "label": said("label", "--teacher", "expert", "--env", ENV, "--store", folder / "b",
                      "--states", 9, "--out", folder / "labels.parquet"),
        "labels stats": said("labels", "stats", *old),
        "labels export": said("labels", "export", folder / "all.parquet", *old),
        "labels import": said("labels", "import", folder / "all.parquet",
                              "--store", folder / "imported"),
        "labels verify": said("labels", "verify", *old),
        "labels prune": said("labels", "prune", "--teacher", "gpt-4v", *old),
        "labels show": said("labels", "show", task_views("go-to-door")[0].key[:12], *old),
        "teachers": said("teachers"),
        "play": said("play", "--run", runs[0], "--out", folder / "a.gif", "--episodes", 1),
        "compare": said("compare", *runs, "--out", folder / "compare", "--resamples", 100),
    }  # fmt: skip
    for teacher in found["labels stats"]["teachers"].values():
        for part in teacher["parts"]:
            part.pop("hit_rate", None)  # a figure that may go
    found["teachers"] = {row["name"]: row for row in found["teachers"]["teachers"]}
    return {name: shape(value, CERTAIN - unsure(name)) for name, value in found.items()}


def unsure(command: str) -> frozenset[str]:
    """Keys whose values depend on what a student does, on this machine or on the folder."""
    if command.startswith("train"):
        return frozenset({"asked", "cached", "labels", "label_set"})
    if command == "play":
        return frozenset({"frames"})
    if command == "labels show":
        return frozenset({"answers"})
    return frozenset({"teachers"} if command == "labels stats" else ())


REPORTED = frozenset({
    *("format", "version", "teacher", "fingerprint", "prompt", "elicitation", "task", "env"),
    *("states", "labelled", "failures", "value", "counts", "code", "level", "usd_per_1000"),
})  # fmt: skip
"""Keys of report.json below which the values must stay."""


def report(folder: Path) -> Any:
    """report.json of a model whose answers, to some states, are in the old store; and that of a
    planner that errs, plays and is probed.
    """
    from tests.golden.rows import copied

    asked, played = folder / "asked", folder / "played"
    silently("evaluate", "--teacher", "gpt-4v", "-T", "api_base=http://127.0.0.1:8123/v1",
             "--env", DOOR, "--states-file", FOLDER / "states.jsonl", "--store", copied(folder),
             "--offline", "--on-miss", "skip", "--episodes", 0, "--probes", 0,
             "--out", asked)  # fmt: skip
    silently("evaluate", "--teacher", "expert", "-T", "error_rate=0.5", "--env", DOOR,
             "--states", 12, "--episodes", 3, "--probes", 4, "--store", folder / "new",
             "--out", played)  # fmt: skip
    data = [json.loads((out / "report.json").read_text()) for out in (asked, played)]
    return {
        "files": {path.name: "file" for path in sorted(asked.iterdir())},
        "asked": shape(data[0], REPORTED),
        "played": shape(data[1]),
    }


def public_names() -> dict[str, Any]:
    """What the four packages offer."""
    return {
        name: dict.fromkeys(sorted(import_module(f"lvlm2p.{name}").__all__), True)
        for name in ("envs", "prompts", "teachers", "student")
    }
