"""A training run from beginning to end, and the student that comes out of it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lvlm2p.envs import task_for
from lvlm2p.envs.registry import told
from lvlm2p.student.learn.learner import alone
from lvlm2p.student.models.device import torch_device
from lvlm2p.student.training.evaluation import Stopped
from lvlm2p.student.training.forecast import announce
from lvlm2p.student.training.loop import carried_out
from lvlm2p.student.training.process import at_work
from lvlm2p.student.training.progress import Progress
from lvlm2p.student.training.run_dir import disk_explained, open_run_dir, run_dir_named
from lvlm2p.student.training.run_state import Run
from lvlm2p.student.training.trackers import check_tracker
from lvlm2p.teachers import Teacher
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.training.result import TrainResult
    from lvlm2p.teachers.spending import Approve


def train(
    config: TrainConfig, teacher: Teacher | None = None, approve: Approve | None = None
) -> TrainResult:
    """Train a student as ``config`` says, with the advice of its teacher or without any.

    Ctrl-C saves a checkpoint, says how to go on, and raises KeyboardInterrupt.

    Args:
        teacher: who advises in place of the one that ``config`` names, which is loaded otherwise.

        approve: raises where asking the teacher that ``config`` names would cost too much.

    Raises:
        ConfigError: ``config`` says none, and there is a ``teacher``; or its own can't be loaded,
            or the device not be used.
        RunError, CheckpointError: the run's folder can't be used.
        TeacherError: the teacher can't advise on this environment, or could not answer.
    """
    with told((config.env,), config.rules):
        return _trained(config, teacher, approve)


def _trained(config: TrainConfig, teacher: Teacher | None, approve: Approve | None) -> TrainResult:
    if "run_dir" not in config.model_fields_set:
        with run_dir_named(config) as named:
            return train(named, teacher, approve)
    if teacher is None and config.teacher != "none":
        with closing(config.load_own_teacher()) as own:
            if approve is not None:
                announce(config, own, approve)
            return train(config, own)
    if teacher is not None and config.teacher == "none":
        raise ConfigError("the configuration says --teacher none, and a teacher was given")
    check_usable(config, teacher)
    with (
        open_run_dir(config, teacher),
        at_work() as stop,
        Progress(config.frames, config.progress) as bar,
    ):
        with disk_explained(config):
            run = Run(config, teacher)
        try:
            return alone(carried_out(run, bar, stop))
        except Stopped:
            raise KeyboardInterrupt from None


def check_usable(config: TrainConfig, teacher: Teacher | None) -> None:
    """Whether device, tracker and teacher can be used.

    Raises:
        ConfigError: the device or the tracker can't.
        TeacherNotReadyError: the teacher can't advise on this environment.
    """
    torch_device(config.device)
    check_tracker(config)
    reason = teacher.supports(task_for(config.env)) if teacher is not None else None
    if reason is not None:
        raise TeacherNotReadyError(reason)
