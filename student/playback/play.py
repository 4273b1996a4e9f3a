"""An animation of a trained student: what it sees, its action probabilities, what it does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from lvlm2p.teachers.errors import RunError, TeacherNotReadyError
from lvlm2p.teachers.options import TeacherOptions

if TYPE_CHECKING:
    from PIL import Image

    from lvlm2p.envs import Task, VectorEnv, View
    from lvlm2p.student.playback.frame import Frame
    from lvlm2p.student.training.trained import Student
    from lvlm2p.teachers import Teacher
    from lvlm2p.teachers.spending import Approve

OTHER = "other"
"""All actions of the environment that the task does not name."""

HOLD_MS = 2_500
"""How long the end of an episode stays."""


class PlayConfig(TeacherOptions):
    """Options of ``lvlm2p play``."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)

    run: Path
    """Folder of the run whose student plays."""

    out: Path = Path("episode.gif")
    """The GIF to write."""

    render: Literal["gif", "human"] = "gif"
    """gif: write --out; human: show the same pictures in a window, and write --out only where it
    is given."""

    teacher: str = "none"
    """Whose advice is shown beside the student's; it is only shown, never followed."""

    episodes: int = Field(default=3, gt=0)
    """How many episodes, one after the other."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides the episodes."""

    fps: float = Field(default=2.0, gt=0, le=50)
    """Steps shown per second."""

    deterministic: bool = True
    """The student takes its most probable actions; --no-deterministic: samples of them."""

    minari: Path | None = None
    """In place of a GIF: a new folder, for as many episodes as a Minari data set for offline RL.
    With --teacher it is the teacher who acts."""

    @field_validator("out")
    @classmethod
    def _a_gif(cls, out: Path) -> Path:
        if out.suffix.lower() != ".gif":
            raise ValueError("it should end in .gif")
        return out


@dataclass(frozen=True)
class PlayedEpisode:
    """How one episode ended."""

    success: bool
    total: float
    """Undiscounted return."""
    length: int
    """Steps."""


@dataclass(frozen=True)
class PlayResult:
    """What was played and drawn."""

    out: Path | None
    """The GIF; None: the pictures were only shown."""
    env: str
    episodes: tuple[PlayedEpisode, ...]
    frames: int
    what: str = "pictures"
    """What ``frames`` counts."""

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p play --json``."""
        episodes = [asdict(episode) for episode in self.episodes]
        for episode in episodes:
            episode["return"] = episode.pop("total")
        return {
            "out": None if self.out is None else str(self.out),
            "env": self.env,
            "episodes": episodes,
            "frames": self.frames,
        }

    def summary(self) -> str:
        """The same in words."""
        won, n = sum(episode.success for episode in self.episodes), len(self.episodes)
        where = "" if self.out is None else f": {self.out}"
        return f"{won} of {n} episodes of {self.env} succeed. {self.frames} {self.what}{where}"


def play(
    config: PlayConfig, teacher: Teacher | None = None, approve: Approve | None = None
) -> PlayResult:
    """Draw episodes of the student in ``config.run``, as an endless GIF or in a window.

    Args:
        config: which student, and what of it.
        teacher: whose advice is shown beside the student's.
        approve: raises, before the teacher is asked, where that would cost too much.

    Raises:
        RunError, CheckpointError: there is no student, or the GIF can't be written.
        ConfigError: there is no display to show it on.
        TeacherError: the teacher can't advise on this environment.
    """
    from lvlm2p.envs.registry import told
    from lvlm2p.student.playback.offline import check_minari
    from lvlm2p.student.playback.screen import check_display
    from lvlm2p.student.training.trained import load_student

    if config.render == "human":
        check_display()
    if config.minari is not None:
        check_minari(config.minari)
    student = load_student(config.run)
    student.env = config.named(student.env)
    with told([student.env], config.rules):
        return _played(student, config, teacher, approve)


def _played(
    student: Student, config: PlayConfig, teacher: Teacher | None, approve: Approve | None
) -> PlayResult:
    from lvlm2p.envs import task_for
    from lvlm2p.student.playback.frame import draw_frames
    from lvlm2p.student.playback.screen import show_pictures

    if teacher is not None and (why := teacher.supports(task_for(student.env))) is not None:
        raise TeacherNotReadyError(why)
    if teacher is not None and approve is not None:
        from lvlm2p.teachers.spending import Expense

        alone = [pair for n in range(config.episodes) for pair in watch(student, None, config, n)]
        views = [frame.view for frame, ending in alone if ending is None]
        approve([Expense(teacher, teacher.estimate(views))])
    if config.minari is not None:
        return _recorded(config, config.minari, student, teacher)
    shown = [pair for n in range(config.episodes) for pair in watch(student, teacher, config, n)]
    name = None if teacher is None else teacher.name
    images = draw_frames([frame for frame, _ in shown], student.env, name)
    step_ms = round(1000 / config.fps)
    durations = [HOLD_MS if ending else step_ms for _, ending in shown]
    out = config.out if config.render == "gif" or "out" in config.model_fields_set else None
    if config.render == "human":
        show_pictures(list(zip(images, durations, strict=True)), student.env)
    if out is not None:
        _save(images, durations, out)
    episodes = tuple(ending for _, ending in shown if ending is not None)
    return PlayResult(out, student.env, episodes, len(images))


def _recorded(
    config: PlayConfig, folder: Path, student: Student, teacher: Teacher | None
) -> PlayResult:
    """Episodes of the student, or of its teacher, as a Minari data set."""
    import threading

    from lvlm2p.student.playback.offline import write_minari
    from lvlm2p.student.training.evaluation import Advised, student_alone

    own = student_alone(student.policy, student.encoder, config.deterministic, config.seed)
    act = own if teacher is None else Advised(teacher, config.seed, threading.Event())
    who = "student" if teacher is None else teacher.name
    endings = write_minari(folder, act, student.env, config.episodes, config.seed, who)
    episodes = tuple(PlayedEpisode(*ending) for ending in endings)
    steps = sum(ending.length for ending in endings)
    return PlayResult(folder, student.env, episodes, steps, "steps")


def watch(
    student: Student, teacher: Teacher | None, config: PlayConfig, number: int
) -> Iterator[tuple[Frame, PlayedEpisode | None]]:
    """One episode: a frame before each action, and one with its :class:`PlayedEpisode` at the end.

    Where nothing moves but the agent, a state that comes again means that a greedy student goes
    round in circles until its time is up: what repeats is not shown, and the teacher not asked.
    """
    from lvlm2p.envs import VectorEnv
    from lvlm2p.envs.limits import Limited
    from lvlm2p.student.playback.frame import Frame

    env = VectorEnv(Limited(student.env).env, 1, config.seed)
    label = f"episode {number + 1} of {config.episodes}"
    observation = env.restore(_env_state(env, number, []))
    rng = None if config.deterministic else random.Random(f"{config.seed}:{number}")
    actions: list[int] = []
    seen: set[str] = set()
    while True:
        view = env.views()[0]
        repeats = view.task.deterministic and rng is None
        chances = student.probabilities(observation, env.episode_start)[0].tolist()
        best = chances.index(max(chances))
        actions.append(best if rng is None else rng.choices(range(len(chances)), chances)[0])
        shown = by_name(view.task, chances)
        if not repeats or view.key not in seen:
            advice = None if teacher is None else _advice(teacher, view)
            taken = name_of(view.task, actions[-1])
            yield Frame(view, label, len(actions), shown, advice, taken), None
        circling = repeats and view.key in seen
        seen.add(view.key)
        step = env.step(actions[-1:])
        observation = step.obs
        if len(step.ended):
            break
    env.restore(_env_state(env, number, actions))  # the last state, which the next episode replaced
    ending = PlayedEpisode(bool(step.successes[0]), float(step.returns[0]), len(actions))
    how = _how(ending, circling, bool(step.terminated[0]))
    view = env.views()[0]
    env.close()
    yield (
        Frame(view, label, ending.length, shown, success=ending.success, outcome=how),
        ending,
    )


def _env_state(env: VectorEnv, episode: int, actions: list[int]) -> dict[str, Any]:
    """What :meth:`VectorEnv.state` says after these actions in this episode."""
    return {"env_id": env.env_id, "seed": env.seed, "episodes": [episode], "actions": [actions]}


def _advice(teacher: Teacher, view: View) -> dict[str, float] | str:
    from lvlm2p.teachers import Label

    answer = teacher.label([view])[0]
    return answer.probabilities if isinstance(answer, Label) else f"no answer ({answer.failure})"


def _how(ending: PlayedEpisode, circling: bool, terminated: bool) -> str:
    steps = f"{ending.length} step" + "s" * (ending.length != 1)
    if ending.success:
        return f"return {ending.total:.2f} after {steps}"
    if circling:
        return f"went round in circles until step {ending.length}"
    return f"{'ended without a reward' if terminated else 'time was up'} after {steps}"


def by_name(task: Task, chances: Sequence[float]) -> dict[str, float]:
    """Each of the task's actions with its probability; the rest, if there is any, as other."""
    named = {action.name: chances[action.index] for action in task.actions}
    if len(named) < len(chances):
        named[OTHER] = max(0.0, sum(chances) - sum(named.values()))
    return named


def name_of(task: Task, action: int) -> str:
    """What the task calls an action of the environment."""
    return next((a.name for a in task.actions if a.index == action), OTHER)


def _save(images: list[Image.Image], durations: list[int], out: Path) -> None:
    """Write an endless GIF, all its pictures in the same 256 colours (or fewer).

    Raises:
        RunError: it can't be written.
    """
    from io import BytesIO

    from PIL import Image

    from lvlm2p.teachers.files import write_atomically

    some = images[:: max(1, len(images) // 8)] + images[-1:]
    width, height = some[0].size
    strip = Image.new("RGB", (width, height * len(some)))
    for i, frame in enumerate(some):
        strip.paste(frame, (0, i * height))
    palette = strip.quantize(256, Image.Quantize.MEDIANCUT)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in images]
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, file.getvalue())
    except OSError as error:
        raise RunError(f"{out} can't be written: {error.strerror}") from None
