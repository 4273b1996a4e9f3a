"""The house keeps its floors, and the front door opens quickly."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("envs", "prompts", "teachers", "student", "cli")
# The commands of teachers/ that act in environments, not only look at views.
ACTING = ("teachers/evaluation", "teachers/labelling")
# What a student may know of teachers: the interface, never who answered.
INTERFACE = {"teachers.options", "teachers.errors", "teachers.label", "teachers.teacher"}
PUBLIC = {"Answer", "Counts", "Failure", "Label", "Prefetcher", "Teacher"}
# What a teacher may know of environments: never how to act in them.
VIEWED = {"Task", "View", "canonical", "task_named"}
# Import circles that are still to be broken: this list only ever gets shorter.
CIRCLES = [
    {"student/comparison/compare.py", "student/comparison/show.py"},
    {
        *("teachers/evaluation/report/gallery.py", "teachers/evaluation/report/page.py"),
        *("teachers/evaluation/report/write.py", "teachers/evaluation/run.py"),
    },
    {
        *("teachers/labelling/batches.py", "teachers/labelling/ray_actors.py"),
        "teachers/labelling/run.py",
    },
]
HEAVY = ("torch", "litellm", "transformers", "ray", "gymnasium", "minigrid", "matplotlib")


def sources() -> Iterator[Path]:
    for floor in FLOORS[:-1]:
        yield from (ROOT / floor).rglob("*.py")
    yield ROOT / "lvlm2p" / "cli.py"


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each ``(module, names)`` of ours that a file imports, wherever in the file; the module's name
    without ``lvlm2p.`` before it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("lvlm2p"), f"{path}: say from ... import"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            package, _, module = (node.module or "").partition(".")
            assert package not in FLOORS, f"{path}: {node.module} is lvlm2p.{node.module}"
            if package == "lvlm2p":
                yield module, tuple(alias.name for alias in node.names)


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_only_run_downwards() -> None:
    for path in sources():
        floor = FLOORS.index(
            place(path).removeprefix("lvlm2p/").partition("/")[0].removesuffix(".py")
        )
        for module, _ in imports(path):
            room = module.partition(".")[0]
            if room in FLOORS:
                assert FLOORS.index(room) <= floor, f"{place(path)} imports {module} from above"


def stub_of(package: Path) -> dict[str, str]:
    """Public name -> module that holds it, as ``__init__.pyi`` says."""
    stub = package / "__init__.pyi"
    if not stub.is_file():
        return {}
    nodes = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or alias.name for node in nodes for alias in node.names}


def files_of(module: str, names: tuple[str, ...]) -> Iterator[str]:
    """The files that ``from lvlm2p.module import names`` reads from."""
    path = ROOT / module.replace(".", "/")
    if path.with_suffix(".py").is_file():
        yield place(path.with_suffix(".py"))
        return
    public = stub_of(path)
    for name in names:
        file = path / (public.get(name, name).replace(".", "/") + ".py")
        yield place(file if file.is_file() else path / "__init__.py")


def circles() -> set[frozenset[str]]:
    """The sets of files that import each other, directly or by way of others (Tarjan)."""
    arrows = {
        place(path): {file for module, names in imports(path) for file in files_of(module, names)}
        for path in sources()
    }
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(file: str) -> None:
        order[file] = lowest[file] = len(order)
        stack.append(file)
        for other in arrows.get(file, ()):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[file] = min(lowest[file], lowest[other])
        if lowest[file] == order[file]:
            at = stack.index(file)
            circle = frozenset(stack[at:])
            del stack[at:]
            if len(circle) > 1 or file in arrows.get(file, ()):
                found.add(circle)

    for file in sorted(arrows):
        if file not in order:
            visit(file)
    return found


def test_there_is_no_import_circle() -> None:
    """Wherever in a file it is imported, and for types only too."""
    new = [sorted(circle) for circle in circles() if not any(circle <= old for old in CIRCLES)]
    assert not new


def test_a_teacher_sees_only_tasks_and_views() -> None:
    for path in sources():
        where = place(path)
        if not where.startswith("teachers/") or where.startswith(ACTING):
            continue
        for module, names in imports(path):
            if module == "envs":
                assert set(names) <= VIEWED, f"{where} sees {names} of envs"
            else:
                assert not module.startswith("envs.") or module == "envs.errors", where


def test_a_student_never_knows_who_answered() -> None:
    for path in sources():
        if place(path).startswith("student/"):
            for module, names in imports(path):
                if module == "teachers":
                    assert set(names) <= PUBLIC, path
                elif module.startswith("teachers."):
                    assert module in INTERFACE, f"{place(path)} imports {module}"


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


def test_no_source_file_is_long() -> None:
    long = {place(path): n for path in sources() if (n := len(path.read_text().splitlines())) > 400}
    assert not long


@pytest.mark.parametrize("package", FLOORS[:-1])
def test_what_is_exported_exists(package: str) -> None:
    module = importlib.import_module(f"lvlm2p.{package}")
    assert list(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        found = getattr(module, name)
        assert found is not None and not isinstance(found, ModuleType), f"{package}.{name}"
    with pytest.raises(AttributeError, match="Nobody"):
        _ = module.Nobody


def test_nothing_reads_pickles_or_evaluates_text() -> None:
    calls = {"eval", "exec", "pickle.load", "pickle.loads"}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in calls, f"{place(path)}: {name}"
                if name == "torch.load":
                    keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert keywords.get("weights_only") == "True", place(path)
