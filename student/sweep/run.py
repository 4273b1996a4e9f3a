"""A sweep from its file to its results.

Every run has a folder and is resumed there. The folder of the sweep holds them, ``sweep.json`` with
a row for each, and one ledger of what all of them have spent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.student.sweep.outcome import Assignment, RunOutcome, finished
from lvlm2p.student.sweep.plan import PlannedRun, read_plan
from lvlm2p.student.sweep.result import SweepResult, SweepRow
from lvlm2p.student.sweep.workers import train_here
from lvlm2p.student.training.forecast import announce_all
from lvlm2p.teachers.errors import RunError
from lvlm2p.teachers.files import write_atomically
from lvlm2p.teachers.progress import Bar, say

if TYPE_CHECKING:
    from lvlm2p.student.sweep.config import SweepConfig
    from lvlm2p.teachers.spending import Approve

LEDGER = "budget.json"
LOCK = "sweep.lock"

Engine = Callable[[Sequence[Assignment]], Generator[tuple[int, RunOutcome]]]
"""Carries out assignments; the number of each with its outcome, as they come."""


def sweep(config: SweepConfig, approve: Approve | None = None) -> SweepResult:
    """Train the runs that ``config.file`` names; those that are done already are not repeated.

    A run that fails is a row of the result. Ctrl-C saves what is under way, and passes on.

    Args:
        approve: raises, before anybody is asked, where it would cost too much.

    Raises:
        UserError: the file, an option or the folder can't be used.
        TeacherError: a teacher that sends bills has no key.
    """
    return carry_out(read_plan(config.file, config.folder), config, approve)


def carry_out(
    runs: Sequence[PlannedRun], config: SweepConfig, approve: Approve | None = None
) -> SweepResult:
    """The same for runs that are planned already; of ``config`` the file is not read."""
    out, began = config.folder, time.monotonic()
    with _folder(out):
        limits = {"budget_usd": config.budget_usd, "budget_calls": config.budget_calls}
        runs = [_limited(run, limits) for run in runs]
        rows = {run.name: _earlier(run) for run in runs}
        todo = [run for run in runs if rows[run.name].outcome is None]
        say(f"{len(runs):,} runs in {out}, {len(runs) - len(todo):,} of them done already")
        if approve is not None:
            announce_all([run.config for run in todo], approve)

        def so_far() -> SweepResult:
            return SweepResult(out, list(rows.values()), time.monotonic() - began)

        def note(number: int, outcome: RunOutcome) -> None:
            run = todo[number]
            rows[run.name] = SweepRow(run, outcome)
            _write(so_far())

        try:
            if todo:
                _train(todo, out / LEDGER, _engine(config), note)
        except KeyboardInterrupt:
            done = so_far().count("done")
            say(f"stopped: {done} of {len(runs)} runs are done, the same command goes on")
            raise
        finally:
            _write(so_far())
        return so_far()


def _limited(run: PlannedRun, limits: Mapping[str, Any]) -> PlannedRun:
    """The run with the sweep's budget, so that it notices when the sweep gets another."""
    return PlannedRun(run.name, run.chosen, run.config.model_copy(update=dict(limits)))


def _earlier(run: PlannedRun) -> SweepRow:
    result = finished(run.config)
    if result is None:
        return SweepRow(run, None)
    return SweepRow(run, RunOutcome(result=dict(result)), earlier=True)


def _train(
    todo: Sequence[PlannedRun],
    ledger: Path,
    engine: Engine,
    note: Callable[[int, RunOutcome], None],
) -> None:
    assignments = [Assignment.of(run.config, ledger) for run in todo]
    with Bar("runs", len(todo)) as bar, closing(engine(assignments)) as outcomes:
        for done, (number, outcome) in enumerate(outcomes, 1):
            note(number, outcome)
            bar.advance()
            say(f"{done}/{len(todo)} {todo[number].name}: {_in_words(outcome)}")


def _in_words(outcome: RunOutcome) -> str:
    if outcome.error is not None:
        return f"failed: {outcome.error}"
    assert outcome.result is not None
    return f"success {outcome.result['evaluation']['success']:.1%}"


def _engine(config: SweepConfig) -> Engine:
    if config.engine == "ray":
        from lvlm2p.student.sweep.ray_tune import train_on_ray

        return lambda assignments: train_on_ray(assignments, config.at_once, config.ray_address)
    return lambda assignments: train_here(assignments, config.at_once)


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """The folder, for this process alone.

    Raises:
        RunError: it can't be written, or another sweep is at work there.
    """
    from filelock import FileLock, Timeout

    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK).acquire(blocking=False)
    except Timeout:
        raise RunError(f"another sweep is at work in {out}: wait for it") from None
    except OSError as error:
        raise RunError(f"{out} can't be written: {error.strerror}") from None
    with lock:
        yield


def _write(result: SweepResult) -> None:
    text = json.dumps(result.as_json(), indent=1, allow_nan=False)
    write_atomically(result.out / "sweep.json", text + "\n")
