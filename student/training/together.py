"""Several runs that differ in their seeds alone, trained as one: in one process, networks stacked.

What each computes is what it would by itself, but for the order in which numbers are added up.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lvlm2p.envs.registry import told
from lvlm2p.student.learn.in_step import in_step
from lvlm2p.student.learn.stack import Stack
from lvlm2p.student.training.evaluation import Stopped
from lvlm2p.student.training.forecast import announce_all, goes_on
from lvlm2p.student.training.loop import carried_out
from lvlm2p.student.training.process import at_work
from lvlm2p.student.training.progress import Progress
from lvlm2p.student.training.result import TrainResult
from lvlm2p.student.training.run_dir import disk_explained, open_run_dir, run_dir_named
from lvlm2p.student.training.run_state import Run
from lvlm2p.student.training.train import check_usable
from lvlm2p.teachers.errors import Lvlm2pError, RunError
from lvlm2p.teachers.progress import say

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.seeds import TrainCommand
    from lvlm2p.teachers.spending import Approve


@dataclass(frozen=True)
class SeedsResult:
    """What the runs came to."""

    folder: Path
    done: Sequence[TrainResult]
    failed: Mapping[int, Lvlm2pError]
    """By seed, why there is no result."""

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p train --seeds ... --json``."""
        failed = {str(seed): str(error) for seed, error in self.failed.items()}
        return {"runs": [result.as_json() for result in self.done], "failed": failed}

    def summary(self) -> str:
        """The same in words."""
        lines = [result.summary() for result in self.done]
        lines += [f"seed {seed} failed: {error}" for seed, error in self.failed.items()]
        if len(self.done) > 1:
            successes = [result.evaluation.success for result in self.done]
            lines.append(
                f"{len(self.done)} seeds: success {np.mean(successes):.1%}, from "
                f"{min(successes):.1%} to {max(successes):.1%}. lvlm2p compare {self.folder}"
            )
        return "\n".join(lines)

    def trouble(self) -> str | None:
        """Why a run was in vain (:meth:`TrainResult.trouble`); None: none was."""
        found = (result.trouble() for result in self.done)
        return next((each for each in found if each is not None), None)

    def check(self) -> None:
        """Raise the first error of those that ended a run."""
        for error in self.failed.values():
            raise error


def train_seeds(command: TrainCommand, approve: Approve | None = None) -> SeedsResult:
    """Train a run for each of the seeds that ``command`` names.

    A run that fails is in the result, and the others go on. Ctrl-C saves a checkpoint of each, says
    how to go on, and raises KeyboardInterrupt.

    Args:
        approve: raises where asking the teacher would cost too much.

    Raises:
        UserError, TeacherError: as :func:`~lvlm2p.student.training.train.train`, before the first
            run has begun.
    """
    with told((command.env,), command.rules):
        if "run_dir" not in command.model_fields_set:
            with run_dir_named(command) as named:
                return _trained(command, named.run_dir, approve)
        return _trained(command, command.run_dir, approve)


def _trained(command: TrainCommand, folder: Path, approve: Approve | None) -> SeedsResult:
    configs = _begun_or_new(list(command.runs(folder)), folder)
    if approve is not None:
        announce_all([config for config in configs if not goes_on(config)], approve)
    with ExitStack() as opened:
        teachers = [
            opened.enter_context(closing(config.load_own_teacher()))
            if config.teacher != "none"
            else None
            for config in configs
        ]
        pairs = list(zip(configs, teachers, strict=True))
        # what is there already first: if it can't be used, no folder of another seed is made
        for config, teacher in sorted(pairs, key=lambda pair: not pair[0].run_dir.exists()):
            check_usable(config, teacher)
            opened.enter_context(open_run_dir(config, teacher))
        stop = opened.enter_context(at_work())
        runs = []
        for config, teacher in pairs:
            with disk_explained(config):
                runs.append(Run(config, teacher))
        stack = Stack([run.learner for run in runs])
        works: list[Coroutine[Any, Any, TrainResult]] = []
        for run, member in zip(runs, stack.members, strict=True):
            run.learner = member
            # one bar, since all are at the same frame, or near it
            shown = run.config.progress and not works
            bar = opened.enter_context(Progress(run.config.frames, shown))
            works.append(carried_out(run, bar, stop))
        came_to = in_step(works, stack.answers, (Lvlm2pError, Stopped))
    if any(isinstance(each, Stopped) for each in came_to):
        say("or with the same command and --resume: all seeds together")
        raise KeyboardInterrupt
    done = [each for each in came_to if isinstance(each, TrainResult)]
    failed = {
        config.seed: each
        for config, each in zip(configs, came_to, strict=True)
        if isinstance(each, Lvlm2pError)
    }
    return SeedsResult(folder, done, failed)


def _begun_or_new(configs: list[TrainConfig], folder: Path) -> list[TrainConfig]:
    """With ``resume`` a seed that is not there yet begins; not so if none is.

    Raises:
        RunError: none is.
    """
    resume = [config.resume and config.run_dir.exists() for config in configs]
    if configs[0].resume and not any(resume):
        raise RunError(f"there is nothing to resume: {folder} has no {configs[0].run_dir.name}")
    return [
        config.model_copy(update={"resume": begun})
        for config, begun in zip(configs, resume, strict=True)
    ]
