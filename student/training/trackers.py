"""The four trackers; each package is imported when its tracker is made."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.extras import EXTRAS, MissingPackageError, install, missing
from lvlm2p.student.training.events import Events
from lvlm2p.student.training.tracking import (
    PROJECT,
    Guarded,
    Tracker,
    Value,
    hyper_parameters,
    remember,
    remembered,
)

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig


class TensorBoardTracker(Tracker):
    """Pictures and HParams among the events in the run's folder; the numbers are there anyway."""

    def __init__(self, run_dir: Path, parameters: Mapping[str, Value]) -> None:
        self._events, self._parameters = Events(run_dir), parameters

    def numbers(self, values: Mapping[str, float], frames: int) -> None:
        """Nothing: the run's own metrics write them."""

    def picture(self, name: str, path: Path, frames: int) -> None:
        """An image, which moves if it is a GIF."""
        from PIL import Image

        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            self._events.add_picture(name, data, image.size, frames)

    def result(self, values: Mapping[str, float]) -> None:
        """For TensorBoard's HParams tab."""
        self._events.add_parameters(self._parameters, values)

    def close(self, done: bool) -> None:
        """Close the file."""
        self._events.close()


class WandbTracker(Tracker):
    """Weights & Biases, in the run's folder; ``WANDB_MODE=offline`` sends nothing."""

    def __init__(self, run_dir: Path, parameters: Mapping[str, Value]) -> None:
        import wandb

        self._wandb: Any = wandb
        known = remembered(run_dir, "wandb")
        self._run = wandb.init(
            project=PROJECT,
            name=run_dir.name,
            dir=str(run_dir),
            id=known,
            resume="allow" if known else None,
            config=dict(parameters),
            # neither the command line, where -T options are, nor code nor what is printed
            settings=wandb.Settings(
                x_disable_meta=True, disable_git=True, save_code=False, console="off", silent=True
            ),
        )
        remember(run_dir, "wandb", self._run.id)

    def numbers(self, values: Mapping[str, float], frames: int) -> None:
        """One step of the run's history."""
        self._run.log(dict(values), step=frames)

    def picture(self, name: str, path: Path, frames: int) -> None:
        """A GIF is a video there."""
        moves = path.suffix == ".gif"
        kind = self._wandb.Video(str(path), format="gif") if moves else self._wandb.Image(str(path))
        self._run.log({name: kind}, step=frames)

    def result(self, values: Mapping[str, float]) -> None:
        """In the run's summary."""
        self._run.summary.update(dict(values))

    def close(self, done: bool) -> None:
        """Wait until everything is sent."""
        self._run.finish(exit_code=0 if done else 1)


class MlflowTracker(Tracker):
    """MLflow, at ``MLFLOW_TRACKING_URI``; where that is not set, in the run's folder."""

    def __init__(self, run_dir: Path, parameters: Mapping[str, Value]) -> None:
        import os

        from mlflow import MlflowClient

        where = os.environ.get("MLFLOW_TRACKING_URI")
        if not where:  # a folder, which MLflow 3 opens only where one insists on it
            where = (run_dir / "mlruns").absolute().as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client: Any = MlflowClient(where)
        known = remembered(run_dir, "mlflow")
        if known is None:
            found = self._client.get_experiment_by_name(PROJECT)
            parent = found.experiment_id if found else self._client.create_experiment(PROJECT)
            known = self._client.create_run(parent, run_name=run_dir.name).info.run_id
            for name, value in parameters.items():
                self._client.log_param(known, name, value)
            remember(run_dir, "mlflow", known)
        else:
            self._client.update_run(known, status="RUNNING")
        self._id = known

    def numbers(self, values: Mapping[str, float], frames: int) -> None:
        """One step of each metric."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._id, metrics=[Metric(name, value, now, frames) for name, value in values.items()]
        )

    def picture(self, name: str, path: Path, frames: int) -> None:
        """A file of the run."""
        self._client.log_artifact(self._id, str(path))

    def result(self, values: Mapping[str, float]) -> None:
        """Metrics without a step."""
        for name, value in values.items():
            self._client.log_metric(self._id, name, value)

    def close(self, done: bool) -> None:
        """Say how it ended."""
        self._client.set_terminated(self._id, "FINISHED" if done else "KILLED")


class AimTracker(Tracker):
    """Aim, in the run's folder."""

    def __init__(self, run_dir: Path, parameters: Mapping[str, Value]) -> None:
        self._aim: Any = import_module("aim")  # not among our constraints, so mypy can't know it
        self._run = self._aim.Run(
            run_hash=remembered(run_dir, "aim"),
            repo=str(run_dir),
            experiment=PROJECT,
            system_tracking_interval=None,
            log_system_params=False,  # the command line and the environment's variables
            capture_terminal_logs=False,
        )
        self._run.name = run_dir.name
        self._run["hparams"] = dict(parameters)
        remember(run_dir, "aim", self._run.hash)

    def numbers(self, values: Mapping[str, float], frames: int) -> None:
        """One step of each metric."""
        for name, value in values.items():
            self._run.track(value, name=name, step=frames)

    def picture(self, name: str, path: Path, frames: int) -> None:
        """An image, as it is in the file."""
        self._run.track(self._aim.Image(str(path)), name=name, step=frames)

    def result(self, values: Mapping[str, float]) -> None:
        """Beside the hyper-parameters."""
        self._run["result"] = dict(values)

    def close(self, done: bool) -> None:
        """Close the repository."""
        self._run.close()


TRACKERS: dict[str, Callable[[Path, Mapping[str, Value]], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "mlflow": MlflowTracker,
    "aim": AimTracker,
}
"""Value of ``--track`` -> what begins it, or goes on with it, in a run's folder."""


def check_tracker(config: TrainConfig) -> None:
    """Whether the tracker that ``config`` names is installed.

    Raises:
        MissingPackageError: it is not; the sentence names the extra.
    """
    if config.track in EXTRAS and missing(config.track):
        raise MissingPackageError(
            f"--track {config.track} needs the package {config.track}, which is not installed: "
            f"{install(config.track)}",
            name=config.track,
        )


@contextmanager
def tracking(config: TrainConfig, say: Callable[[str], None]) -> Iterator[Guarded | None]:
    """The tracker that ``config`` names, begun or gone on with, and closed at the end; None: it
    names none, or that one can't begin, which is said."""
    guarded = None
    if config.track != "none":
        try:
            tracker = TRACKERS[config.track](config.run_dir, hyper_parameters(config))
            guarded = Guarded(config.track, tracker, say)
        except Exception as error:  # no login, no network
            say(f"--track {config.track} can't begin, and the run goes on without: {error}")
    done = False
    try:
        yield guarded
        done = True
    finally:
        if guarded is not None:
            guarded(lambda tracker: tracker.close(done))
