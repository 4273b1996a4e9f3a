"""Episodes as a data set for offline reinforcement learning, in Minari's form.

An observation is what the student sees: ``values`` (the environment's observation space),
``carrying`` and ``mission``; it does not say what a network makes of it.
"""

from __future__ import annotations

import string
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lvlm2p.envs.extras import MissingPackageError, install, missing
from lvlm2p.teachers.errors import RunError

if TYPE_CHECKING:
    from lvlm2p.envs import Observation, VectorEnv
    from lvlm2p.student.training.evaluation import Act

NAME = "played/episodes-v0"
"""The data set's id in its folder: ``MINARI_DATASETS_PATH=FOLDER`` and ``load_dataset(NAME)``."""

MISSION_CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " "
LONGEST_MISSION = 1_000


class Ending(NamedTuple):
    """How an episode ended: whether well, its undiscounted return, its steps."""

    success: bool
    total: float
    length: int


def check_minari(folder: Path) -> None:
    """Whether a data set can be written into ``folder``.

    Raises:
        MissingPackageError: minari is not installed.
        RunError: the folder is not empty.
    """
    if missing("minari"):
        raise MissingPackageError(
            f"--minari needs the package minari, which is not installed: {install('minari')}",
            name="minari",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is there and not empty: name a new folder with --minari")


def write_minari(
    folder: Path, act: Act, env_id: str, episodes: int, seed: int, who: str
) -> list[Ending]:
    """Act in ``episodes`` whole episodes and write them into ``folder``, a new one.

    Args:
        who: acts, for the data set's description.

    Returns:
        how each episode ended.

    Raises:
        MissingPackageError, RunError: see :func:`check_minari`, or it can't be written.
    """
    check_minari(folder)
    import os

    from lvlm2p.envs import VectorEnv
    from lvlm2p.envs.limits import Limited

    env = VectorEnv(Limited(env_id).env, 1, seed)
    recorded = [_episode(env, act, number) for number in range(episodes)]
    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create(env, [buffer for buffer, _ in recorded], who)
    except OSError as error:
        raise RunError(f"{folder} can't be written: {error.strerror}") from None
    finally:
        if before is None:
            del os.environ["MINARI_DATASETS_PATH"]
        else:
            os.environ["MINARI_DATASETS_PATH"] = before
    return [ending for _, ending in recorded]


def _episode(env: VectorEnv, act: Act, number: int) -> tuple[Any, Ending]:
    """One episode, all observations from the first to the last, one more than actions."""
    import numpy as np
    from minari.data_collector import EpisodeBuffer  # type: ignore[import-untyped]

    observation = env.reset() if number == 0 else env.observe()
    seen, actions = [observation], []
    rewards, terminations, truncations = [], [], []
    while True:
        action = act(observation, env, np.ones(1, np.bool_))
        step = env.step(action)
        ended = bool(len(step.ended))
        observation = step.obs
        seen.append(step.final_obs if ended else step.obs)
        actions.append(int(action[0]))
        rewards.append(float(step.reward[0]))
        terminations.append(bool(step.terminated[0]))
        truncations.append(bool(step.truncated[0]))
        if ended:
            break
    buffer = EpisodeBuffer(
        id=number,
        observations=_columns(seen),
        actions=np.array(actions, np.int64),
        rewards=rewards,
        terminations=terminations,
        truncations=truncations,
    )
    ending = Ending(bool(step.successes[0]), float(step.returns[0]), len(actions))
    return buffer, ending


def _columns(seen: list[Observation]) -> dict[str, Any]:
    import numpy as np

    return {
        "values": np.concatenate([one.values for one in seen]),
        "carrying": np.concatenate([one.carrying for one in seen]),
        "mission": [one.mission[0][:LONGEST_MISSION] for one in seen],
    }


def _create(env: VectorEnv, buffers: list[Any], who: str) -> None:
    import minari  # type: ignore[import-untyped]
    import numpy as np
    from gymnasium import spaces

    space = env.space
    whole = np.issubdtype(space.dtype, np.integer)
    low, high = (0, 255) if whole else (-np.inf, np.inf)
    charset = {*MISSION_CHARACTERS}.union(*(m for b in buffers for m in b.observations["mission"]))
    observation = spaces.Dict(
        {
            "values": spaces.Box(low, high, space.shape, space.dtype.type),
            "carrying": spaces.Box(0, 255, (2,), np.uint8),
            "mission": spaces.Text(LONGEST_MISSION, min_length=0, charset=frozenset(charset)),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no author, no address of the code
        minari.create_dataset_from_buffers(
            NAME,
            buffers,
            observation_space=observation,
            action_space=spaces.Discrete(env.n_actions),
            algorithm_name=who,
            description=f"Episodes of {env.env_id}, acted by {who} (lvlm2p).",
            data_format="arrow",  # by pyarrow, which is here
            jpeg_encoding=False,  # grids are no photographs
        )
