"""Tasks of environments that nobody has described."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from pydantic import BaseModel

from lvlm2p.envs import (
    Episode,
    UnknownNameError,
    UserError,
    VectorEnv,
    View,
    make_env,
    task_for,
    task_named,
    view_of,
)
from lvlm2p.envs.generic.observer import PURPOSE, as_rgb
from lvlm2p.envs.generic.snapshot import check_snapshot, identity, join_snapshot, said_in
from lvlm2p.envs.generic.wording import LONGEST_RULES, docstring_of
from lvlm2p.envs.limits import LONGEST, Limited
from lvlm2p.envs.registry import told
from lvlm2p.envs.starter import TaskConfig
from lvlm2p.student import TrainConfig
from lvlm2p.teachers.evaluation.config import EvaluateConfig
from lvlm2p.teachers.labelling.config import LabelConfig

PICTURE = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
LAKE = "FrozenLake-v1?is_slippery=false"


class Corridor(gym.Env[Any, Any]):
    """Walk to the end of a corridor.

    ## Description
    There are `length` cells, see [the map](https://example.org).

    ## Arguments
    Not for players.

    ## Rewards
    -1 for every step.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    action_space: spaces.Space[Any] = spaces.Discrete(2)

    def __init__(self, length: int = 3, kind: str = "vector", render_mode: str | None = None):
        self.length, self.render_mode, self.at = length, render_mode, 0
        seen: dict[str, spaces.Space[Any]] = {
            "vector": spaces.Box(0, 9, (1,), np.float32),
            "image": spaces.Box(0, 255, (8, 8, 1), np.uint8),
            "frames": spaces.Box(0, 255, (4, 8, 8), np.uint8),
            "mission": spaces.Dict(at=spaces.Discrete(9), mission=spaces.Text(20)),
            "sequence": spaces.Sequence(spaces.Discrete(2)),
        }
        self.observation_space = seen[kind]
        self.kind = kind

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at += 1 if action else 0
        return self._seen(), -1.0, self.at >= self.length, False, {}

    def render(self) -> Any:
        return np.full((16, 16, 3), 10 * self.at, np.uint8)

    def _seen(self) -> Any:
        if self.kind == "image":
            return np.full((8, 8, 1), self.at, np.uint8)
        if self.kind == "frames":  # the newest is the last
            return np.repeat(np.arange(4, dtype=np.uint8), 64).reshape(4, 8, 8) + np.uint8(self.at)
        if self.kind == "mission":
            return {"at": self.at, "mission": "walk on"}
        return np.array([self.at], np.float32)


class Blind(Corridor):
    metadata = {"render_modes": []}  # noqa: RUF012


class Steered(Corridor):
    """Learnt from only by those who ask for discrete actions."""

    def __init__(self, continuous: bool = True, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        if continuous:
            self.action_space = spaces.Box(-1, 1, (1,))


@pytest.fixture(autouse=True)
def corridors(own_registry: None) -> Iterator[None]:
    corridor: Any = Corridor
    blind: Any = Blind
    gym.register("Corridor-v0", corridor)
    gym.register("Blind-v0", blind)
    steered: Any = Steered
    gym.register("Steered-v0", steered)
    yield
    for env_id in ("Corridor-v0", "Blind-v0", "Steered-v0"):
        del gym.registry[env_id]


def test_picture_actions_and_rules_are_the_environments() -> None:
    env = make_env("Corridor-v0", length=4)
    env.reset(seed=0)
    env.step(1)
    view = view_of(env)
    assert view.task.name == "Corridor-v0?length=4"
    assert (view.image() == 10).all()
    assert view.text == "The environment's observation is [1.0].\n"
    assert view.task.action_names == ("action 0", "action 1")
    rules = view.task.rules
    assert "Walk to the end" in rules
    assert "There are `length` cells, see the map." in rules
    assert "-1 for every step" in rules
    assert "Not for players" not in rules


def test_the_key_is_the_picture_the_mission_and_what_is_observed() -> None:
    def view(observation: Any, picture: Any, mission: str = "m") -> View:
        return View(task_for("Corridor-v0"), join_snapshot(observation, picture), mission)

    keys = {
        view([1.0], PICTURE).key,
        view([2.0], PICTURE).key,
        view([1.0], PICTURE + 1).key,
        view([1.0], None).key,
        view([1.0], PICTURE, "n").key,
    }
    assert len(keys) == 5
    assert view([1.0], PICTURE.copy()).key in keys


def test_a_picture_may_be_written_as_another_file() -> None:
    import io

    from PIL import Image

    state = join_snapshot(None, PICTURE)
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "PNG", compress_level=9)
    other = identity(state) + b"\n" + file.getvalue()
    check_snapshot(other)
    task = task_for("Corridor-v0")
    assert other != state
    assert View(task, other, "m").key == View(task, state, "m").key


def test_a_saved_view_is_read_again_and_a_forged_one_refused() -> None:
    env = make_env("Corridor-v0")
    env.reset(seed=0)
    saved = view_of(env).to_json()
    assert View.from_json(saved) == view_of(env)
    env.step(1)
    here, there = base64.b64decode(saved["state"]), view_of(env).state
    for forged in (
        identity(here) + b"\n" + there.partition(b"\n")[2],
        identity(here) + b"\n" + b"no picture",
        identity(here) + b"\n",
        b"{}\n",
        b"\xff\n",
        b"",
    ):
        with pytest.raises(UserError, match=r"no snapshot|no picture"):
            View.from_json({**saved, "state": base64.b64encode(forged).decode()})


def test_a_large_picture_in_a_saved_view_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from lvlm2p.envs import untrusted

    state = join_snapshot(None, PICTURE)
    check_snapshot(state)
    monkeypatch.setattr(untrusted, "MAX_PIXELS", 8)
    with pytest.raises(UserError, match="3 x 3 pixels: too many"):
        check_snapshot(state)


@pytest.mark.parametrize(
    "name",
    [
        "Corridor-v0?length=100000",
        "Corridor-v0?kind=../etc",
        "no_such_module:Corridor-v0",
        "Corridor-v0?length=[1]",
        "Corridor-v0?kind=" + 200 * "x",
    ],
)
def test_a_strangers_name_of_a_task_makes_no_odd_environment(name: str) -> None:
    with pytest.raises(UnknownNameError):
        task_named(name)


def test_an_image_that_is_observed_is_the_picture_of_what_cant_be_drawn() -> None:
    for env_id, expected in [("Blind-v0", 1), ("Corridor-v0", 10)]:
        env = make_env(env_id, kind="image")
        env.reset(seed=0)
        env.step(1)
        assert (view_of(env).image() == expected).all()
        assert said_in(view_of(env).state)["observation"] is None


def test_of_frames_that_are_observed_the_newest_is_the_picture() -> None:
    env = make_env("Blind-v0", kind="frames")
    env.reset(seed=0)
    env.step(1)
    assert (view_of(env).image() == 4).all()


def test_a_drawing_in_floats_up_to_1_or_other_integers_is_a_picture() -> None:
    drawn = np.array([[[0, 0.5, 1]]])
    assert as_rgb(np.array([[[0, 1, 255]]], np.int64), "it").tolist() == [[[0, 1, 255]]]
    assert as_rgb(drawn, "it").tolist() == [[[0, 128, 255]]]
    assert as_rgb(drawn[..., 1].astype(np.float32), "it").tolist() == [[[128] * 3]]
    whole = np.full((1, 1, 3), 256)
    for wrong in (drawn * 2, drawn - 0.1, drawn * np.nan, np.zeros((0, 1, 3)), whole, whole - 257):
        with pytest.raises(UserError, match="which is no picture"):
            as_rgb(wrong, "it")


def test_without_any_picture_a_state_is_what_is_observed() -> None:
    env = make_env("Blind-v0")
    env.reset(seed=0)
    assert view_of(env).task.draw is None
    assert view_of(env).state.endswith(b"\n")
    with pytest.raises(UserError, match="no picture"):
        view_of(env).image()


def test_a_mission_is_read_and_is_no_part_of_the_observation() -> None:
    env = VectorEnv("Corridor-v0", 1, 0, kind="mission")
    assert env.reset().mission == ["walk on"]
    [view] = env.views()
    assert view.mission == "walk on"
    assert said_in(view.state)["observation"] == {"at": 0}


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (TrainConfig, {}),
        (LabelConfig, {"teacher": "random", "out": "x.parquet"}),
        (EvaluateConfig, {"teacher": ["random"], "out": "x", "env": ["Steered-v0"]}),
        (TaskConfig, {}),
    ],
)
def test_an_argument_may_be_what_makes_actions_discrete(
    command: type[BaseModel], more: dict[str, Any]
) -> None:
    config: Any = command.model_validate(
        {"env": "Steered-v0", "env_args": {"continuous": "false"}, **more}
    )
    assert config.env in (name := "Steered-v0?continuous=false", [name])
    with pytest.raises(UserError, match="only discrete ones"):
        TrainConfig.model_validate({"env": "Steered-v0"})


def test_a_failure_of_its_own_code_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def old_reset(self: Corridor) -> Any:
        return self._seen()

    def broken(self: Corridor, action: int) -> Any:
        raise ZeroDivisionError("no steps left")

    env = VectorEnv("Corridor-v0", 2, 0)
    env.reset()
    monkeypatch.setattr(Corridor, "step", broken)
    with pytest.raises(UserError, match=r"Corridor-v0 failed in step: ZeroDiv.*: no steps left "):
        env.step([0, 0])
    monkeypatch.setattr(Corridor, "reset", old_reset)
    with pytest.raises(UserError, match=r"failed in reset: TypeError: .*'seed'.* line \d+\)$"):
        VectorEnv("Corridor-v0", 1, 0).reset()


def test_what_cant_be_learned_from_is_one_sentence() -> None:
    with pytest.raises(UserError, match="only discrete ones"):
        task_for("Pendulum-v1")
    with pytest.raises(UserError, match="neither numbers nor a picture"):
        task_for("Corridor-v0?kind=sequence")
    with pytest.raises(UserError, match="can't make 'Corridor-v0'"):
        task_for("Corridor-v0?kind=nothing")


def test_a_docstring_is_not_told_without_end() -> None:
    class Talkative:
        __doc__ = "word " * 10_000

    assert len(docstring_of(Talkative())) <= LONGEST_RULES + 4


@pytest.mark.parametrize(
    ("env_id", "episode", "success"),
    [
        ("CartPole-v1", Episode(475, 475, False, True), True),
        ("CartPole-v1", Episode(474, 474, True, False), False),
        ("CliffWalking-v1", Episode(-13, 13, True, False), True),
        ("CliffWalking-v1", Episode(-1000, 1000, False, True), False),
        ("Taxi-v4", Episode(5, 16, True, False), True),
        ("FrozenLake-v1", Episode(0, 7, True, False), False),
        ("FrozenLake-v1", Episode(1, 7, True, False), True),
        ("Corridor-v0", Episode(-3, 3, True, False), False),
    ],
)
def test_success(env_id: str, episode: Episode, success: bool) -> None:
    assert task_for(env_id).success(episode) is success


def test_reports_say_what_a_success_is() -> None:
    words = {env_id: task_for(env_id).success_words for env_id in ("CartPole-v1", "Taxi-v4", LAKE)}
    assert words["CartPole-v1"] == "a return of at least 475, the reward threshold of CartPole-v1"
    assert words["Taxi-v4"] == "an end of the episode by its rules, before time is up"
    assert task_for("Corridor-v0").success_words == "a return above 0"
    assert task_named("fetch").success_words == "a return above 0"


def test_an_episode_without_a_time_limit_is_cut_off_and_that_is_said_once() -> None:
    assert Limited("CartPole-v1").env == "CartPole-v1"
    assert Limited("MiniGrid-LavaGapS5-v0").env == "MiniGrid-LavaGapS5-v0"
    assert Limited("Corridor-v0?max_episode_steps=5").env == "Corridor-v0?max_episode_steps=5"
    endless = Limited("Corridor-v0")
    assert endless.env == f"Corridor-v0?max_episode_steps={LONGEST}"
    endless.note(LONGEST - 1)
    endless.note(LONGEST, terminated=True)
    assert endless.warning(2) is None
    endless.note(LONGEST)
    said = endless.warning(3)
    assert said is not None
    assert "1 of 3 episodes of Corridor-v0" in said
    assert "--max-episode-steps" in said
    assert endless.warning(3) is None


def test_rules_of_ones_own_are_told_meanwhile() -> None:
    own = task_for("Corridor-v0").rules
    with told(["Corridor-v0"], "Go right."):
        assert task_for("Corridor-v0").rules == "Go right."
        env = make_env("Corridor-v0")
        env.reset(seed=0)
        saved = json.loads(json.dumps(view_of(env).to_json()))
        assert View.from_json(saved).task.rules == "Go right."
    assert task_for("Corridor-v0").rules == own
    with told(["MiniGrid-LavaGapS5-v0"], "Go."):
        assert task_named("lava-gap").rules == "Go."
    assert task_named("lava-gap").rules != "Go."


def test_the_pages_scripted_teacher_keeps_the_pole_up() -> None:
    import re
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "docs/environments.md", "exec"), {})  # noqa: S102  (our own documentation)
    env = make_env("CartPole-v1")
    env.reset(seed=0)
    task = task_for("CartPole-v1")
    assert task.name == "poles"
    total, over = 0.0, False
    while not over:
        [best] = task.plan(view_of(env)).actions
        _, reward, terminated, truncated, _ = env.step(task.action_named(best).index)
        total, over = total + float(reward), terminated or truncated
    assert total == 500


def test_where_there_is_no_mission_the_teacher_is_told_the_purpose_and_the_student_nothing() -> (
    None
):
    """The same sentence in every state would be the largest part of what a student's network sees
    of a vector: on FrozenLake, which is slippery, PPO was at .06 to .44 with it, .74 without."""
    lake = VectorEnv(LAKE, 2, seed=0)
    assert lake.reset().mission == ["", ""]
    lake.step([2, 2])
    assert lake.observe().mission == ["", ""]
    assert lake.views()[0].mission == PURPOSE
