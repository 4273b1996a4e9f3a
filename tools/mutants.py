"""Break the code one line at a time and see whether a test notices.

tools/mutants.yaml lists the mutations: a file, a text that occurs in it exactly once, what takes
its place, and the tests that should fail. Each is tried in a copy of the tracked files; the working
tree is never touched. The exit status is 0 where every text was found, at least 90% of the mutants
were caught and every required one was.

    python tools/mutants.py [--list] [--only NAME ...] [--jobs N]
"""

from __future__ import annotations

import argparse
import compileall
import multiprocessing
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")
ENOUGH = 0.9
"""The share of mutants that must be caught."""

TIMEOUT_S = 600
"""Of the tests of one mutant. One that makes them hang is caught."""

PASSED, FAILED, INTERRUPTED = 0, 1, 2
"""Exit statuses of pytest. Interrupted: a test file can't even be imported."""


MAKER = multiprocessing.get_context("forkserver")
MAKER.set_forkserver_preload(
    ["torch._dynamo", "gymnasium", "minigrid.minigrid_env", "pydantic", "pytest"]
)
"""Each run of pytest is forked off a process that has imported what takes seconds to import."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    name: str
    file: str
    text: str
    becomes: str
    tests: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a mutant."""

    mutant: Mutant
    caught: bool
    how: str
    """The first test that failed, or why there is none."""
    seconds: float


def load(path: Path = LIST) -> list[Mutant]:
    """The mutants of a list."""
    found = []
    for file, part in yaml.safe_load(path.read_text("utf-8")).items():
        for name, entry in part["mutants"].items():
            tests = tuple(entry.get("tests", part["tests"]))
            required = entry.get("required", False)
            found.append(Mutant(name, file, entry["text"], entry["becomes"], tests, required))
    return found


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """The file's text after the mutation.

    Raises:
        ValueError: the text is not there exactly once, or what comes out is no Python.
    """
    path = root / mutant.file
    if not path.is_file():
        raise ValueError(f"{mutant.name}: there is no {mutant.file}")
    source = path.read_text("utf-8")
    count = source.count(mutant.text)
    if count != 1:
        raise ValueError(f"{mutant.name}: {mutant.text!r} is {count} times in {mutant.file}")
    changed = source.replace(mutant.text, mutant.becomes)
    try:
        compile(changed, mutant.file, "exec")
    except SyntaxError as error:
        raise ValueError(f"{mutant.name}: {mutant.becomes!r} is no Python: {error}") from None
    return changed


def problems(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """What is wrong with the list, in a sentence each."""
    found = []
    for mutant in mutants:
        try:
            mutated(mutant, root)
        except ValueError as error:
            found.append(str(error))
        found += [
            f"{mutant.name}: there is no {test}"
            for test in mutant.tests
            if not (root / test.partition("::")[0]).is_file()
        ]
    return found


def copy_of_tree(folder: Path) -> Path:
    """The tracked files as they are now, links as links."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    compileall.compile_dir(folder, quiet=2)  # a mutated file is newer than what this wrote
    return folder


def _pytest(tree: Path, arguments: Sequence[str], printed: Path) -> None:
    """In a process of its own: the tests of a copy, in which nothing of ours is imported yet."""
    descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = sys.path[0] = str(tree)
    sys.dont_write_bytecode = True  # so that no stale bytecode hides a mutation
    import pytest

    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments]))


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """pytest's exit status (None: it hung) and what it printed."""
    printed = tree.with_suffix(".txt")
    process = MAKER.Process(target=_pytest, args=(tree, tests, printed))
    process.start()
    process.join(TIMEOUT_S)
    hung = process.is_alive()
    if hung:
        process.kill()
        process.join()
    return None if hung else process.exitcode, printed.read_text("utf-8", "replace")


@contextmanager
def applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    """The mutation in a copy, undone afterwards."""
    path = tree / mutant.file
    before = path.read_text("utf-8")
    path.write_text(mutated(mutant, tree), "utf-8")
    try:
        yield
    finally:
        path.write_text(before, "utf-8")


def attempt(mutant: Mutant, trees: queue.Queue[Path]) -> Outcome:
    """Run a mutant's tests in a copy that nobody else is using."""
    tree, begun = trees.get(), time.monotonic()
    try:
        with applied(mutant, tree):
            status, printed = run_tests(tree, mutant.tests)
    finally:
        trees.put(tree)
    if status not in (None, PASSED, FAILED, INTERRUPTED):
        raise SystemExit(f"{mutant.name}: pytest ended with {status}:\n{printed}")
    caught = status != PASSED
    how = "the tests hang" if status is None else _first_failure(printed) if caught else "survived"
    return Outcome(mutant, caught, how, time.monotonic() - begun)


def _first_failure(printed: str) -> str:
    for line in printed.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" - ")[0].split(" ", 1)[1]
    return "pytest failed"


def check_unbroken(test: str, trees: queue.Queue[Path]) -> None:
    """A test that fails anyway catches nothing.

    Raises:
        SystemExit: it does.
    """
    tree = trees.get()
    try:
        status, printed = run_tests(tree, [test])
    finally:
        trees.put(tree)
    if status != PASSED:
        raise SystemExit(f"without any mutation {test} fails:\n{printed[-3000:]}")


def try_all(mutants: Sequence[Mutant], jobs: int) -> list[Outcome]:
    """Every outcome, each printed as it comes."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(jobs):
            trees.put(copy_of_tree(Path(folder) / str(number)))
        with ThreadPoolExecutor(jobs) as pool:
            tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
            list(pool.map(check_unbroken, tests, [trees] * len(tests)))
            print(f"unbroken, all {len(tests)} test files pass", flush=True)
            waiting = [pool.submit(attempt, mutant, trees) for mutant in mutants]
            for done in as_completed(waiting):
                outcome = done.result()
                outcomes.append(outcome)
                word = "caught  " if outcome.caught else "SURVIVED"
                print(f"{word} {outcome.mutant.name:44} {outcome.seconds:5.1f} s  {outcome.how}")
                sys.stdout.flush()
    return outcomes


def verdict(outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    """Whether enough was caught, and a summary."""
    survivors = sorted(o.mutant.name for o in outcomes if not o.caught)
    missed = [o.mutant.name for o in outcomes if o.mutant.required and not o.caught]
    caught = len(outcomes) - len(survivors)
    lines = [f"{caught} of {len(outcomes)} mutants caught ({caught / len(outcomes):.0%})"]
    if survivors:
        lines.append(f"survived: {', '.join(survivors)}")
    if missed:
        lines.append(f"required and not caught: {', '.join(sorted(missed))}")
    return caught >= ENOUGH * len(outcomes) and not missed, "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Break the code one line at a time.")
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these (* and ? are patterns)")
    parser.add_argument("--jobs", type=int, default=2, help="copies side by side (default: 2)")
    arguments = parser.parse_args()
    mutants = load()
    if arguments.only:
        mutants = [m for m in mutants if any(fnmatchcase(m.name, p) for p in arguments.only)]
    wrong = problems(mutants)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong or not mutants:
        return 2
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.name:44} {mutant.file}{'  required' if mutant.required else ''}")
        return 0
    good, summary = verdict(try_all(mutants, arguments.jobs))
    print(summary)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
