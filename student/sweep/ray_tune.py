"""`lvlm2p sweep --engine ray`: the runs as trials of Ray Tune (extra `ray`). All of Ray is here.

The folder of the sweep, the label store and the files that the runs name must be the same paths on
every node. A trial whose node dies is begun again elsewhere and goes on from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from lvlm2p.envs.extras import install
from lvlm2p.student.sweep.outcome import Assignment, RunOutcome
from lvlm2p.teachers.errors import TeacherNotReadyError

DEATHS = 2
"""How often a trial is begun again after its process or node has died."""

OUTCOME = "outcome"
"""What a trial reports: an RunOutcome as JSON."""

_ENDED: SimpleQueue[tuple[int, RunOutcome]] = SimpleQueue()


def _note(number: int, outcome: RunOutcome) -> None:
    """A function by name, since Tune pickles its callbacks, and a queue can't be."""
    _ENDED.put((number, outcome))


def train_on_ray(
    assignments: Sequence[Assignment], workers: int, address: str | None
) -> Generator[tuple[int, RunOutcome]]:
    """The number of each assignment with its outcome, as they come.

    Raises:
        TeacherNotReadyError: Ray is not installed, or no cluster answers.
        KeyboardInterrupt: Ctrl-C ended Tune; each run goes on from its last checkpoint.
    """
    ray = _connected(workers, address)
    folder = Path(tempfile.mkdtemp(prefix="lvlm2p-tune-"))
    try:
        from ray import tune

        class Ended(tune.Callback):
            def on_trial_result(
                self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
            ) -> None:
                if OUTCOME in result:
                    _note(trial.config["number"], RunOutcome.model_validate_json(result[OUTCOME]))

            def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
                said = f"its process or node died {DEATHS + 1} times in a row"
                _note(trial.config["number"], RunOutcome(error=said, exit_code=1))

        tuner = tune.Tuner(
            tune.with_resources(_trial(assignments, str(Path.cwd())), {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(len(assignments))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=workers),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(folder),
                verbose=0,
                callbacks=[Ended()],
                failure_config=tune.FailureConfig(max_failures=DEATHS),
            ),
        )
        yield from _outcomes(tuner.fit, len(assignments))
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _outcomes(fit: Callable[[], Any], expected: int) -> Generator[tuple[int, RunOutcome]]:
    """What ends while ``fit`` works in a thread, where no signal reaches it."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            fit()
        except BaseException as error:  # told to who waits
            failures.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    found = 0
    while found < expected:
        alive = thread.is_alive()
        try:
            yield _ENDED.get(timeout=0.5)
            found += 1
        except Empty:
            if not alive:
                break
    thread.join()
    if failures:
        raise failures[0]
    if found < expected:
        raise KeyboardInterrupt


def _trial(assignments: Sequence[Assignment], cwd: str) -> Callable[[dict[str, Any]], None]:
    """What Tune runs in a process of its own for each number of an assignment."""
    texts = [assignment.model_dump_json() for assignment in assignments]

    def trial(config: dict[str, Any]) -> None:
        from ray import tune

        from lvlm2p.student.sweep.outcome import Assignment

        os.chdir(cwd)
        outcome = Assignment.model_validate_json(texts[config["number"]]).carry_out()
        tune.report({OUTCOME: outcome.model_dump_json()})

    return trial


def _connected(workers: int, address: str | None) -> Any:
    """The package ``ray``, connected to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    try:
        import ray
        import ray.tune
    except ImportError as error:
        raise TeacherNotReadyError(
            f"--engine ray needs the extra `ray`: {install('ray')}"
        ) from error
    options: dict[str, Any] = {"address": address}
    if address is None:  # logical CPUs: one for each trial
        options = {"num_cpus": max(2, workers), "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().split("\n")[0]
        where = address or "on this machine"
        raise TeacherNotReadyError(f"no Ray cluster answers {where}: {said}") from error
    return ray
