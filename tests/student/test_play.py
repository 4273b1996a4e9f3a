from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from lvlm2p.envs import Task, VectorEnv, View, make_env, task_for, view_of
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.playback.frame import Frame, draw_frames, percent
from lvlm2p.student.playback.play import PlayConfig, PlayedEpisode, by_name, name_of, play, watch
from lvlm2p.student.training.trained import Student
from lvlm2p.teachers import Failure, Label, Teacher
from lvlm2p.teachers.errors import RunError, TeacherNotReadyError
from lvlm2p.teachers.label import Answer

LAVA, DOOR = "MiniGrid-LavaGapS5-v0", "MiniGrid-GoToDoor-5x5-v0"


class Stubborn(Teacher):
    """Advises the first action, or fails; notes what it was asked."""

    name = "stubborn"
    fingerprint = "abc"

    def __init__(self, fails: bool = False, refuses: str | None = None) -> None:
        self.fails, self.refuses = fails, refuses
        self.asked: list[str] = []

    def supports(self, task: Task) -> str | None:
        return self.refuses

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        for i, view in enumerate(views):
            self.asked.append(view.key)
            if self.fails:
                yield (
                    i,
                    Failure(
                        task=view.task.name,
                        teacher=self.name,
                        fingerprint="abc",
                        failure="refusal",
                        message="No.",
                    ),
                )
                continue
            names = view.task.action_names
            yield (
                i,
                Label(
                    task=view.task.name,
                    teacher=self.name,
                    fingerprint="abc",
                    probabilities={name: float(name == names[0]) for name in names},
                    elicitation="exact",
                ),
            )


def always(env_id: str, action: int) -> Student:
    """A student that always takes one action of the environment, with probability near 1."""
    env = VectorEnv(env_id, 1, 0)
    encoder = Encoder(env.space)
    policy = Policy(env.space.kind, encoder.shape, env.n_actions, 8)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    env.close()
    made = Student(env_id, policy, encoder)
    chances = np.full((1, env.n_actions), 0.1 / (env.n_actions - 1))
    chances[0, action] = 0.9
    object.__setattr__(made, "probabilities", lambda observation, episode_start: chances)
    return made


def config(tmp_path: Path, **more: object) -> PlayConfig:
    return PlayConfig.model_validate(
        {"run": tmp_path, "out": tmp_path / "new" / "film.gif", "episodes": 1} | more
    )


def saved(tmp_path: Path, env_id: str) -> None:
    env = VectorEnv(env_id, 1, 0)
    encoder = Encoder(env.space)
    torch.manual_seed(0)
    policy = Policy(env.space.kind, encoder.shape, env.n_actions, 8)
    Student(env_id, policy, encoder).save(tmp_path)


def test_an_animation_is_an_endless_gif(tmp_path: Path) -> None:
    saved(tmp_path, DOOR)
    teacher = Stubborn()
    result = play(config(tmp_path, episodes=2, seed=3, fps=4), teacher)
    assert result.env == DOOR and len(result.episodes) == 2
    data = result.as_json()
    assert set(data["episodes"][0]) == {"success", "return", "length"}
    assert result.out is not None
    with Image.open(result.out) as film:
        assert film.info["loop"] == 0
        durations = []
        for i in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(i)
            durations.append(film.info["duration"])
    assert set(durations) == {250, 2500} and durations[-1] == 2500
    assert result.frames == len(teacher.asked) + 2  # a question a picture, none at the ends
    assert result.summary().endswith(str(result.out))


def test_the_same_seed_gives_the_same_animation(tmp_path: Path) -> None:
    saved(tmp_path, DOOR)
    names = {"a.gif": 1, "b.gif": 1, "c.gif": 2}
    for name, seed in names.items():
        play(config(tmp_path, out=tmp_path / name, seed=seed))
    a, b, c = ((tmp_path / name).read_bytes() for name in names)
    assert a == b != c


def test_the_last_state_is_shown_and_not_the_next_episode(tmp_path: Path) -> None:
    # forward into the lava, or through the gap and on against the wall
    films = [list(watch(always(LAVA, 2), None, config(tmp_path), n)) for n in range(12)]
    drowned = [film for film in films if film[-1][1] == PlayedEpisode(False, 0.0, 1)]
    assert drowned
    for (before, _), (after, _) in drowned:
        assert before.taken == "forward" and after.taken is None
        assert after.outcome == "ended without a reward after 1 step"
        assert place(before.view) == [1, 1] and place(after.view) == [1, 2]


def place(view: View) -> list[int]:
    assert view.task.ground_truth is not None
    scene = view.task.ground_truth(view)
    return [scene["agent_row"], scene["agent_column"]]


def test_circles_are_shown_once_and_asked_about_once(tmp_path: Path) -> None:
    teacher = Stubborn()
    frames = list(watch(always(DOOR, 0), teacher, config(tmp_path), 0))
    assert len(frames) == 4 + 1  # four directions, and the end
    assert len(teacher.asked) == len(set(teacher.asked)) == 4
    last, ending = frames[-1]
    assert ending == PlayedEpisode(success=False, total=0.0, length=100)
    assert last.outcome == "went round in circles until step 100" and not last.success


def test_a_student_that_samples_goes_round_in_no_circles(tmp_path: Path) -> None:
    sampling = config(tmp_path, deterministic=False)
    *frames, (last, ending) = watch(always(DOOR, 0), None, sampling, 0)
    assert ending is not None and len(frames) == ending.length > 8  # each step is shown
    assert "circles" not in (last.outcome or "")
    taken = [frame.taken for frame, _ in frames]
    assert 0.6 < taken.count("left") / len(taken) < 1
    again = [frame.taken for frame, _ in watch(always(DOOR, 0), None, sampling, 0)][:-1]
    assert again == taken


def test_an_episode_without_a_reward_is_no_success(tmp_path: Path) -> None:
    frames = list(watch(always(DOOR, 6), None, config(tmp_path), 0))
    last, ending = frames[-1]
    assert ending == PlayedEpisode(success=False, total=0.0, length=1)
    assert last.outcome == "ended without a reward after 1 step"
    assert frames[0][0].teacher is None


def test_a_success_says_its_return(tmp_path: Path) -> None:
    endings = [
        (frame, ending)
        for n in range(40)
        for frame, ending in watch(always(DOOR, 6), None, config(tmp_path), n)
        if ending is not None and ending.success
    ]
    assert endings  # next to the right door by chance
    for frame, ending in endings:
        assert frame.success and frame.outcome == f"return {ending.total:.2f} after 1 step"


def test_episodes_of_an_animation_differ(tmp_path: Path) -> None:
    first = [next(watch(always(DOOR, 0), None, config(tmp_path), n))[0].view.key for n in range(5)]
    assert len(set(first)) == 5


def test_a_failed_answer_is_shown_as_one(tmp_path: Path) -> None:
    frame, _ = next(watch(always(DOOR, 0), Stubborn(fails=True), config(tmp_path), 0))
    assert frame.teacher == "no answer (refusal)"


def test_actions_without_a_name_are_other() -> None:
    task = task_for(DOOR)
    chances = [0.1, 0.2, 0.3, 0.05, 0.05, 0.1, 0.2]
    assert by_name(task, chances) == pytest.approx(
        {"left": 0.1, "right": 0.2, "forward": 0.3, "done": 0.2, "other": 0.2}
    )
    assert name_of(task, 6) == "done" and name_of(task, 4) == "other"
    assert "other" not in by_name(task_for(LAVA), [0.2, 0.3, 0.5])


@pytest.mark.parametrize(
    ("p", "text"),
    [(0, "0%"), (0.001, "<1%"), (0.456, "46%"), (0.994, "99%"), (0.9999, ">99%"), (1, "100%")],
)
def test_percent(p: float, text: str) -> None:
    assert percent(p) == text


def shown(view: View, **more: object) -> Frame:
    values = {"left": 0.25, "right": 0.5, "forward": 0.25, "done": 0.0}
    return Frame(**{"view": view, "episode": "1", "step": 1, "student": values,
                     "taken": "right"} | more)  # type: ignore[arg-type]  # fmt: skip


def colored(image: Image.Image, color: str) -> int:
    """How many pixels have a color."""
    rgb = tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
    return int((np.asarray(image) == rgb).all(-1).sum())


def test_bars_are_as_long_as_the_probabilities() -> None:
    env = make_env(DOOR)
    env.reset(seed=0)
    view = view_of(env)
    told = {"left": 1.0, "right": 0.0, "forward": 0.0, "done": 0.0}
    both, alone, half = draw_frames(
        [shown(view, teacher=told), shown(view), shown(view, student={"left": 0.5})],
        DOOR,
        "expert",
    )
    assert both.size == alone.size == half.size
    assert colored(both, "#0072b2") == pytest.approx(2 * colored(half, "#0072b2"), rel=0.1)
    assert colored(both, "#e69f00") > 3 * colored(alone, "#e69f00")  # there, only the legend


def test_a_task_without_a_picture_is_shown_in_words() -> None:
    env = make_env(DOOR)
    env.reset(seed=0)
    view = view_of(env)
    blind = dataclasses.replace(view.task, draw=None, describe=lambda view: "A room. " * 40)
    frame = draw_frames([shown(dataclasses.replace(view, task=blind))], DOOR, None)[0]
    assert colored(frame.crop((20, 20, 400, 400)), "#1b1f24") > 200


def test_long_missions_are_cut_and_not_run_over() -> None:
    env = make_env(DOOR)
    env.reset(seed=0)
    view = dataclasses.replace(view_of(env), mission="go to the " + "very " * 60 + "red door")
    frame = draw_frames([shown(view)], DOOR, None)[0]
    assert frame.height < 500
    right = np.asarray(frame)[:, -10:]
    assert (right == 255).all(-1).mean() > 0.85  # the margin stays free, but for the highlight


def test_what_cannot_be_played_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no trained student in .*nowhere"):
        play(config(tmp_path, run=tmp_path / "nowhere"))
    saved(tmp_path, DOOR)
    with pytest.raises(TeacherNotReadyError, match="can't see"):
        play(config(tmp_path), Stubborn(refuses="it can't see"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"film\.gif can't be written"):
        play(config(tmp_path, out=tmp_path / "file" / "film.gif"))


@pytest.mark.parametrize("wrong", [{"out": "film.mp4"}, {"episodes": 0}, {"fps": 0}, {"seed": -1}])
def test_wrong_options_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config(tmp_path, **wrong)
