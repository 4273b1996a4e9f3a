"""A training run from beginning to end, and the student that comes out of it."""

from __future__ import annotations

import json
import math
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from envs import VectorEnv, task_for
from student import a2c, checkpoint, ppo
from student.encoding import MISSION_LENGTH, Encoder
from student.evaluation import (
    FINAL_SEED,
    PERIODIC_SEED,
    Advised,
    Evaluation,
    Stopped,
    evaluate,
    greedy,
)
from student.labels import LabelBook
from student.metrics import Metrics
from student.network import Network
from student.optimise import make_optimizer
from student.progress import Progress
from student.rollout import collect
from student.run_dir import open_run_dir
from student.schedule import kl_weight
from student.trained import Student
from student.visited import Visited
from teachers import Counts, Teacher
from teachers.errors import CheckpointError, TeacherError, TeacherNotReadyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from student.config import TrainConfig

TEACHER_EPISODES = 20
"""In which the teacher acts, to know what there is to catch up with."""

NEARLY = 0.01
"""A student whose return is this near to the teacher's, as a share of it, has caught up."""

RECENT = 100
"""Episodes that the charts are means of."""


@dataclass(frozen=True)
class TrainResult:
    """What a run came to."""

    run_dir: Path
    frames: int
    evaluation: Evaluation
    labels: Counts
    seconds: float
    label_set: dict[str, Any] | None = None
    """What the labels were: a fingerprint of them all, and those of the prompts."""

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p train --json``."""
        labels = asdict(self.labels)
        return {
            "run_dir": str(self.run_dir),
            "frames": self.frames,
            "evaluation": self.evaluation.as_json(),
            "cost_usd": labels.pop("cost_usd"),
            "labels": labels,
            "label_set": self.label_set,
            "seconds": round(self.seconds, 3),
        }

    def summary(self) -> str:
        """The same in words."""
        e, n = self.evaluation, self.labels
        cost = "price unknown" if n.cost_usd is None else f"${n.cost_usd:.2f}"
        return (
            f"{self.frames:,} frames in {self.seconds:.0f} s. In {e.episodes} fresh episodes of "
            f"its own the student succeeds in {e.success:.1%} (mean return {e.mean_return:.3f}). "
            f"Labels: {n.asked} asked, {n.cached} cached, {n.failed} failed, {n.missing} missing; "
            f"{cost}. {self.run_dir}"
        )


class Run:
    """Everything that changes during a run. Between two updates it can be saved and restored."""

    def __init__(self, config: TrainConfig, teacher: Teacher | None) -> None:
        self.config, self.teacher = config, teacher
        self.env = VectorEnv(config.env, config.n_envs, config.seed)
        width, height, _ = self.env.grid_shape
        self.encoder = Encoder(width, height, centred=self.env.task.symbols is None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = Network(self.encoder.cells, self.env.n_actions, config.hidden)
        self.optimizer = make_optimizer(self.network, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.book: LabelBook | None = None
        self._counted = Counts()
        if teacher is not None:
            self.book = LabelBook(
                config, teacher, self.encoder.cells, MISSION_LENGTH, self.env.n_actions
            )
            self._counted = copy(teacher.counts)
        self.frames = 0
        self.seconds = 0.0
        self.episodes: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self.teacher_return = config.teacher_return
        self.caught_up_at: int | None = None
        self.earlier = Counts()
        self.observation = self.env.reset()
        self.visited = Visited(config.run_dir / "visited.jsonl") if config.save_visited else None
        self.sizes: dict[str, int] = {}
        self.boundary: dict[str, Any] = {}

    @property
    def counts(self) -> Counts:
        """What the teacher did for this run, before and after it was resumed."""
        total = copy(self.earlier)
        if self.teacher is not None:
            for name, now in asdict(self.teacher.counts).items():
                then, sofar = getattr(self._counted, name), getattr(total, name)
                unknown = now is None or then is None or sofar is None
                setattr(total, name, None if unknown else sofar + now - then)
        return total

    def mark(self) -> None:
        """Remember this moment, between two updates, as the one to save."""
        self.boundary = {
            "frames": self.frames,
            "seconds": self.seconds,
            "episodes": list(self.episodes),
            "teacher_return": self.teacher_return,
            "caught_up_at": self.caught_up_at,
            "counts": asdict(self.counts),
            "env": self.env.state(),
            "generator": self.generator.get_state(),
            "visited": self.visited.size() if self.visited else 0,
            "prompts": sorted(self.book.prompts) if self.book else [],
        }

    def save(self, metrics: Metrics) -> None:
        """Write the last marked moment as the checkpoint."""
        state = dict(self.boundary)
        tensors = {"generator": state.pop("generator")}
        tensors |= {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= checkpoint.to_flat(self.optimizer.state_dict()["state"])
        if self.book is not None:
            tensors |= {f"book.{k}": v for k, v in self.book.tensors().items()}
        state["sizes"] = metrics.sizes()
        checkpoint.save(self.config.run_dir / "checkpoint", tensors, state)

    def restore(self) -> None:
        """Come back to the last checkpoint, if there is one.

        Raises:
            CheckpointError: it can't be used.
        """
        loaded = checkpoint.load(self.config.run_dir / "checkpoint")
        if loaded is None:
            if self.visited is not None:
                self.visited.cut(0)
            return
        tensors, state = loaded
        try:
            self._take(tensors, state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"the checkpoint in {self.config.run_dir} does not fit this run: "
                f"{type(error).__name__}: {error}"
            ) from None

    def _take(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        self.network.load_state_dict(_below("network.", tensors))
        slots = {**self.optimizer.state_dict(), "state": checkpoint.from_flat(tensors)}
        self.optimizer.load_state_dict(slots)
        self.generator.set_state(tensors["generator"])
        if self.book is not None:
            self.book.restore(_below("book.", tensors))
            self.book.prompts = set(state["prompts"])
        self.frames, self.seconds = state["frames"], state["seconds"]
        self.episodes.extend((total, length) for total, length in state["episodes"])
        self.teacher_return, self.caught_up_at = state["teacher_return"], state["caught_up_at"]
        self.earlier = Counts(**state["counts"])
        self.observation = self.env.restore(state["env"])
        self.sizes = state["sizes"]
        if self.visited is not None:
            self.visited.cut(state["visited"])


def train(config: TrainConfig, teacher: Teacher | None = None) -> TrainResult:
    """Train a student as ``config`` says, with the advice of ``teacher`` or without any.

    Ctrl-C saves a checkpoint, says how to go on, and raises KeyboardInterrupt.

    Raises:
        RunError, CheckpointError: the run's folder can't be used.
        TeacherError: the teacher can't advise on this environment, or could not answer.
    """
    reason = teacher.supports(task_for(config.env)) if teacher is not None else None
    if reason is not None:
        raise TeacherNotReadyError(reason)
    with (
        open_run_dir(config, teacher),
        _one_thread(),
        _interruptible() as stop,
        Progress(config.frames, config.progress) as bar,
    ):
        run = Run(config, teacher)
        never_began = False
        try:
            if config.resume:
                run.restore()
            metrics = Metrics(config.run_dir, run.sizes, run.frames)
            try:
                _train(run, metrics, bar, stop)
            except (Stopped, TeacherError) as error:
                never_began = not (run.frames or config.resume or isinstance(error, Stopped))
                if never_began:
                    raise  # no key, say: once there is one, the same command must do
                run.save(metrics)
                bar.say(
                    f"saved after {run.boundary['frames']:,} frames; go on with: "
                    f"lvlm2p train --config {config.run_dir / 'config.yaml'} --resume"
                )
                if isinstance(error, Stopped):
                    raise KeyboardInterrupt from None
                raise
            finally:
                metrics.close()
            return _finish(run)
        finally:
            if run.book is not None:
                run.book.close()
            if run.visited is not None:
                run.visited.close()
            run.env.close()
            if never_began:
                shutil.rmtree(config.run_dir, ignore_errors=True)


def _train(run: Run, metrics: Metrics, bar: Progress, stop: threading.Event) -> None:
    """The loop: collect, learn, write down, look how good it is, save."""
    config = run.config
    update = {"ppo": ppo.update, "a2c": a2c.update}[config.algo]
    assert config.n_steps is not None
    run.mark()
    _measure_teacher(run, bar, stop)
    run.mark()
    unguided = False
    next_save, started = run.frames + config.checkpoint_every, time.monotonic() - run.seconds
    while run.frames < config.frames:
        steps = min(config.n_steps, math.ceil((config.frames - run.frames) / config.n_envs))
        begun = time.monotonic()
        rollout = collect(
            run.env,
            run.observation,
            run.network,
            run.encoder,
            run.book,
            steps=steps,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            generator=run.generator,
            stop=stop,
            seen=run.visited,
        )
        if rollout is None:
            raise Stopped
        weight = kl_weight(config, run.frames, run.caught_up_at) if run.book is not None else 0.0
        losses = update(
            run.network, run.optimizer, rollout, run.book, weight, config, run.generator
        )

        before, run.frames = run.frames, run.frames + len(rollout.actions)
        run.observation = rollout.observation
        run.episodes.extend(zip(rollout.episode_returns, rollout.episode_lengths, strict=True))
        run.seconds = time.monotonic() - started
        row = {"frames": run.frames, "distill/lambda": weight, **losses, **_described(run)}
        row["timing/frames_per_second"] = (run.frames - before) / (time.monotonic() - begun)
        if _due(config.eval_every, before, run.frames):
            row |= _evaluated(run)
        metrics.write(row)
        if run.book is not None and run.book.spent is not None and not unguided:
            unguided = True
            bar.say(f"{run.book.spent}: where there is no label yet, the run goes on unguided")
        bar.update(row, run.counts if run.teacher is not None else None)
        run.mark()
        if config.checkpoint_every and run.frames >= next_save:
            run.save(metrics)
            next_save = run.frames + config.checkpoint_every
        if stop.is_set():
            raise Stopped
    run.save(metrics)


def _due(every: int, before: int, after: int) -> bool:
    return every > 0 and before // every < after // every


def _described(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {"timing/seconds": run.seconds}
    if run.episodes:
        returns, lengths = np.array(run.episodes).T
        row |= {
            "charts/episodic_return": float(returns.mean()),
            "charts/episodic_length": float(lengths.mean()),
            "charts/success": float((returns > 0).mean()),
        }
    if run.book is not None:
        labelled = run.book.states["labelled"]
        row |= {
            "labels/states": len(labelled),
            "labels/labelled": int(labelled.sum()),
            "labels/failed": int((~labelled).sum()),
            "timing/asked": run.counts.asked,
            "timing/cached": run.counts.cached,
            "timing/cost_usd": run.counts.cost_usd,
        }
    return row


def _evaluated(run: Run) -> dict[str, Any]:
    """Look at the student alone; remember when it caught up with the teacher."""
    config = run.config
    policy = greedy(run.network, run.encoder)
    result = evaluate(policy, config.env, config.eval_episodes, PERIODIC_SEED)
    goal = run.teacher_return
    if run.caught_up_at is None and goal is not None:
        # on the teacher's own episodes, or a lucky draw of them would be out of reach
        mine = float(np.mean(result.returns[: _teacher_episodes(config)]))
        if mine >= goal - NEARLY * abs(goal):
            run.caught_up_at = run.frames
    return {
        "eval/success": result.success,
        "eval/return": result.mean_return,
        "eval/length": result.mean_length,
    }


def _measure_teacher(run: Run, bar: Progress, stop: threading.Event) -> None:
    """How good the teacher is at acting, where lambda depends on it and nobody said."""
    config = run.config
    if run.teacher is None or config.kl_schedule != "caught-up" or run.teacher_return is not None:
        return
    policy = Advised(run.teacher, config.seed, stop)
    result = evaluate(policy, config.env, _teacher_episodes(config), PERIODIC_SEED)
    if policy.failed > 0.1 * policy.asked:
        bar.say(
            f"{policy.failed} of the teacher's {policy.asked} answers failed while it was "
            "measured, so nobody knows what there is to catch up with: lambda stays constant"
        )
        run.teacher_return = float("inf")
    else:
        run.teacher_return = result.mean_return


def _teacher_episodes(config: TrainConfig) -> int:
    return min(TEACHER_EPISODES, config.eval_episodes)


def _finish(run: Run) -> TrainResult:
    config = run.config
    policy = greedy(run.network, run.encoder)
    seed = FINAL_SEED + config.seed
    evaluation = evaluate(policy, config.env, config.final_episodes, seed)
    Student(config.env, run.network, run.encoder).save(config.run_dir)
    used = None
    if run.book is not None:
        used = {"fingerprint": run.book.fingerprint(), "prompts": sorted(run.book.prompts)}
    result = TrainResult(config.run_dir, run.frames, evaluation, run.counts, run.seconds, used)
    text = json.dumps(result.as_json(), indent=2)
    checkpoint.write_atomically(config.run_dir / "result.json", text.encode())
    return result


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Networks this small are fastest on one thread; and sums have one order, so one result."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts at once."""
    stop = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
