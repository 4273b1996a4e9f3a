"""The structure of the code: layers, no import circle, one name for one thing, small files."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("envs", "prompts", "teachers", "student")
LAYERS = (*PACKAGES, "aliases", "flags", "output", "process", "cli", "__main__")
# The commands of teachers/ that act in environments, not only look at views.
ACTING = ("teachers/evaluation", "teachers/labelling")
# What a student may know of teachers: the interface, never who answered; and helpers that are
# about no teacher at all.
INTERFACE = {
    *("teachers.options", "teachers.errors", "teachers.label", "teachers.teacher"),
    "teachers.spending",
}
PUBLIC = {"Answer", "Counts", "Failure", "Label", "Prefetcher", "Teacher"}
HELPERS = {"teachers.progress", "teachers.files", "teachers.statistics", "teachers.numerals"}
# What a teacher may know of environments: never how to act in them.
VIEWED = {"Task", "View", "canonical", "task_named"}
VIEWED |= {"NextStep", "Option", "Planning", "Verb"}
VIEWED |= {"Shown", "question", "question_task", "source_of"}
BELOW_ALL = {"envs.errors", "envs.extras", "envs.options", "envs.untrusted"}  # of no environment
HEAVY = ("torch", "litellm", "transformers", "ray", "gymnasium", "minigrid", "matplotlib")


@cache
def sources() -> tuple[Path, ...]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return (*found, *(ROOT / "lvlm2p").glob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    """The module's name without ``lvlm2p.`` before it."""
    name = place(path).removeprefix("lvlm2p/").removesuffix(".py")
    return name.removesuffix("/__init__").replace("/", ".")


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each ``(module, names)`` of ours that a file imports, wherever in the file, for types too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("lvlm2p"), f"{path}: say from ... import"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            package, _, rest = (node.module or "").partition(".")
            assert package not in LAYERS, f"{path}: {node.module} is lvlm2p.{node.module}"
            if package == "lvlm2p":
                yield rest, tuple(alias.name for alias in node.names)


# ---------------------------------------------------------------- layers


def test_imports_only_run_downwards() -> None:
    for path in sources():
        layer = LAYERS.index(module(path).partition(".")[0]) if module(path) != "__init__" else 0
        for name, _ in imports(path):
            package = name.partition(".")[0]
            if package in LAYERS:
                assert LAYERS.index(package) <= layer, f"{place(path)} imports {name} from above"


def test_a_teacher_sees_only_tasks_and_views() -> None:
    for path in sources():
        where = place(path)
        if not where.startswith("teachers/") or where.startswith(ACTING):
            continue
        for name, names in imports(path):
            if name == "envs":
                assert set(names) <= VIEWED, f"{where} sees {names} of envs"
            else:
                assert not name.startswith("envs.") or name in BELOW_ALL, where


def test_a_student_never_knows_who_answered() -> None:
    for path in sources():
        if place(path).startswith("student/"):
            for name, names in imports(path):
                if name == "teachers":
                    assert set(names) <= PUBLIC, path
                elif name.startswith("teachers."):
                    assert name in INTERFACE | HELPERS, f"{place(path)} imports {name}"


def stubs() -> dict[str, dict[str, str]]:
    """Package -> the public names that its stub lists, each with the module that holds it."""
    found: dict[str, dict[str, str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.pyi"):
            name = module(path.with_suffix(".py"))
            for node in tree(path).body:
                if isinstance(node, ast.ImportFrom):
                    for alias in node.names:
                        found.setdefault(name, {})[alias.name] = f"{name}.{node.module}"
    return found


def graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports; a public name counts for the module that holds it."""
    modules, public = {module(path) for path in sources()}, stubs()

    def holder(name: str, imported: str) -> str:
        if f"{name}.{imported}" in modules:
            return f"{name}.{imported}"
        while imported in public.get(name, {}):
            name = public[name][imported]
        return name

    return {
        module(path): {
            holder(name, imported) for name, names in imports(path) for imported in names
        }
        for path in sources()
    }


def test_no_modules_import_each_other() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"an import circle: {' <- '.join(error.args[1])}")


def test_the_graph_sees_through_public_names() -> None:
    assert graph()["__main__"] == {"cli"}
    assert {"teachers.errors", "teachers.teacher"} <= graph()["student.training.train"]


# ---------------------------------------------------------------- names and sizes


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def test_no_class_name_stands_for_two_things() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        for node in definitions(path):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(place(path))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice


def test_files_have_at_most_300_lines() -> None:
    long = {place(path): n for path in sources() if (n := len(path.read_text().splitlines())) > 300}
    assert not long


def test_functions_have_at_most_60_lines() -> None:
    long = {}
    for path in sources():
        for node in definitions(path):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if not isinstance(node, ast.ClassDef) and lines > 60:
                long[f"{place(path)}: {node.name}"] = lines
    assert not long


def test_what_is_public_is_documented() -> None:
    for path in sources():
        assert ast.get_docstring(tree(path)), place(path)
        for node in definitions(path):
            if not node.name.startswith("_") and node in tree(path).body:
                assert ast.get_docstring(node), f"{place(path)}: {node.name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_exported_exists(package: str) -> None:
    exported = importlib.import_module(f"lvlm2p.{package}")
    assert list(exported.__all__) == sorted(set(exported.__all__))
    for name in exported.__all__:
        found = getattr(exported, name)
        assert found is not None and not isinstance(found, ModuleType), f"{package}.{name}"
    with pytest.raises(AttributeError, match="Nobody"):
        _ = exported.Nobody


# ---------------------------------------------------------------- what is loaded and run


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"], ["evaluate", "--help"]])
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys; from lvlm2p import cli\n"
        "try:\n"
        f"    cli.main({argv!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.strip().splitlines()[-1] == "[]", run.stderr
    assert "usage: lvlm2p" in run.stdout


def test_nothing_reads_pickles_or_evaluates_text() -> None:
    calls = {"eval", "exec", "pickle.load", "pickle.loads"}
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in calls, f"{place(path)}: {name}"
                if name == "torch.load":
                    keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert keywords.get("weights_only") == "True", place(path)
