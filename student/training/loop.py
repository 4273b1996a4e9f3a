"""The loop of a training run: a coroutine; ``learn/learner.py`` says what it awaits, and why."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from lvlm2p.student.learn import a2c, ppo
from lvlm2p.student.learn.collect import collect
from lvlm2p.student.learn.schedule import kl_weight
from lvlm2p.student.training.evaluation import (
    FINAL_SEED,
    PERIODIC_SEED,
    Advised,
    Stopped,
    evaluate,
    evaluation_of,
    learner_alone,
)
from lvlm2p.student.training.metrics import Metrics
from lvlm2p.student.training.pictures import show_result
from lvlm2p.student.training.progress import Progress
from lvlm2p.student.training.result import TrainResult
from lvlm2p.student.training.row import described
from lvlm2p.student.training.run_dir import disk_explained
from lvlm2p.student.training.run_state import Run
from lvlm2p.student.training.trackers import tracking
from lvlm2p.student.training.trained import Student
from lvlm2p.teachers.errors import TeacherError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.rollout import Rollout

TEACHER_EPISODES = 20
"""In which the teacher acts, to know its return for --kl-schedule caught-up."""

NEARLY = 0.01
"""A student whose return is this near to the teacher's, as a share of it, has caught up."""


async def carried_out(run: Run, bar: Progress, stop: threading.Event) -> TrainResult:
    """From the beginning or the last checkpoint to the result; what is interrupted is saved.

    Raises:
        Stopped: ``stop`` was set.
        RunError, CheckpointError: the run's folder can't be used.
        TeacherError: the teacher could not answer.
    """
    config = run.config
    bar.watch(run)
    try:
        with disk_explained(config), closing(run):
            return await _whole(run, bar, stop)
    except TeacherError:
        if not (run.frames or config.resume):
            # no key, say: once there is one, the same command must do
            shutil.rmtree(config.run_dir, ignore_errors=True)
        raise


async def _whole(run: Run, bar: Progress, stop: threading.Event) -> TrainResult:
    config = run.config
    if config.resume:
        run.restore()
        if not run.frames:
            bar.say(f"{config.run_dir} has no checkpoint with frames in it: from the start")
    with (
        tracking(config, bar.say) as tracker,
        closing(Metrics(config.run_dir, run.sizes, run.frames, tracker)) as metrics,
    ):
        try:
            await _train(run, metrics, bar, stop)
            result = await _finish(run, stop)
            if tracker is not None:
                show_result(tracker, result)
            return result
        except (Stopped, TeacherError) as error:
            if run.frames or config.resume or isinstance(error, Stopped):
                run.save(metrics)
                saved = shlex.quote(str(config.run_dir / "config.yaml"))
                bar.say(
                    f"saved after {run.boundary['frames']:,} frames; go on with: "
                    f"lvlm2p train --config {saved} --resume"
                )
            raise


async def _train(run: Run, metrics: Metrics, bar: Progress, stop: threading.Event) -> None:
    """The loop: collect, learn, write down, look how good it is, save."""
    config = run.config
    update = {"ppo": ppo.update, "a2c": a2c.update}[config.algo]
    run.mark()
    _measure_teacher(run, bar, stop)
    run.mark()
    unguided = False
    next_save, started = run.frames + config.checkpoint_every, time.monotonic() - run.seconds
    while run.frames < config.frames:
        steps = min(_steps(run), math.ceil((config.frames - run.frames) / config.n_envs))
        begun = time.monotonic()
        rollout = await _collected(run, steps, stop)
        weight = 0.0
        if run.labels is not None:
            weight = kl_weight(config, run.frames, run.updates, run.caught_up_at)
        losses = await update(run.learner, rollout, run.labels, weight, run.generator)

        before, run.frames = run.frames, run.frames + len(rollout.actions)
        run.updates += 1
        run.position = rollout.end
        run.episodes.extend(
            zip(
                rollout.episode_returns,
                rollout.episode_lengths,
                rollout.episode_successes,
                strict=True,
            )
        )
        run.seconds = time.monotonic() - started
        row = {"frames": run.frames, "distill/lambda": weight, **losses, **described(run)}
        row["timing/frames_per_second"] = (run.frames - before) / (time.monotonic() - begun)
        if _due(config.eval_every, before, run.frames):
            row |= await _evaluated(run)
        metrics.write(row)
        if run.labels is not None and run.labels.spent is not None and not unguided:
            unguided = True
            bar.say(f"{run.labels.spent}: continuing without distillation on unlabelled states")
        bar.update(row)
        run.mark()
        if config.checkpoint_every and run.frames >= next_save:
            run.save(metrics)
            next_save = run.frames + config.checkpoint_every
        if stop.is_set():
            raise Stopped
    run.save(metrics)


def _steps(run: Run) -> int:
    """How long a rollout is: a student that acts well learns more from longer ones."""
    n_steps, later = run.config.n_steps, run.config.n_steps_later
    assert n_steps is not None
    caught_up = run.caught_up_at is not None and run.config.kl_schedule == "caught-up"
    return max(n_steps, later) if caught_up and later is not None else n_steps


async def _collected(run: Run, steps: int, stop: threading.Event) -> Rollout:
    """The next rollout; it is kept for replay."""
    config = run.config
    rollout = await collect(
        run.env,
        run.position,
        run.learner,
        run.encoder,
        run.labels,
        steps=steps,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        generator=run.generator,
        stop=stop,
        seen=run.visited,
    )
    if rollout is None:
        raise Stopped
    if run.labels is not None:
        run.labels.keep(rollout)
    return rollout


def _due(every: int, before: int, after: int) -> bool:
    return every > 0 and before // every < after // every


async def _evaluated(run: Run) -> dict[str, Any]:
    """Look at the student alone; remember when it caught up with the teacher."""
    config = run.config
    act = learner_alone(run.learner, run.encoder, config.deterministic)
    result = await evaluation_of(act, config.env, config.eval_episodes, PERIODIC_SEED)
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
            f"{policy.failed} of the {policy.asked} states in which the teacher was measured have "
            f"no label ({policy.why}), so the teacher's return is unknown: "
            "lambda stays constant"
        )
        run.teacher_return = float("inf")
    else:
        run.teacher_return = result.mean_return


def _teacher_episodes(config: TrainConfig) -> int:
    return min(TEACHER_EPISODES, config.eval_episodes)


async def _finish(run: Run, stop: threading.Event) -> TrainResult:
    config = run.config
    act = learner_alone(run.learner, run.encoder, config.deterministic)
    seed = FINAL_SEED + config.seed
    evaluation = await evaluation_of(act, config.env, config.final_episodes, seed, stop)
    Student(config.env, run.policy, run.encoder).save(config.run_dir)
    used = None
    if run.labels is not None:
        used = {"fingerprint": run.labels.fingerprint(), "prompts": sorted(run.labels.prompts)}
    result = TrainResult(config.run_dir, run.frames, evaluation, run.counts, run.seconds, used)
    text = json.dumps(result.as_json(), indent=2)
    write_atomically(config.run_dir / "result.json", text)
    return result
