"""A student that has learned: saved as one safetensors file, loaded anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lvlm2p.envs import ObservationSpace, UserError
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.policy import Policy
from lvlm2p.teachers.errors import CheckpointError, RunError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lvlm2p.envs import Observation

FILE = "student.safetensors"
FORMAT = "lvlm2p student 2"


class Student:
    """A policy for one environment id.

    One that has memory remembers its environments' episodes from call to call.
    """

    def __init__(self, env: str, policy: Policy, encoder: Encoder) -> None:
        self.env, self.policy, self.encoder = env, policy, encoder.without_missions()
        self._act, self._state = policy.acting(), policy.initial_state(0)

    def probabilities(
        self, observation: Observation, episode_start: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """How likely each of the environment's actions is, (N, actions).

        Args:
            observation: what :class:`lvlm2p.envs.VectorEnv` gives.
            episode_start: (N,) where an episode begins (``VectorEnv.episode_start``), for a student
                with memory; None: nowhere, but in the first call.

        Raises:
            UserError: the observations are not of the student's space, or are of another number of
                environments than it remembers.
        """
        n = len(observation)
        if episode_start is None:
            episode_start = np.full(n, not len(self._state))
        if episode_start.all():
            self._state = self.policy.initial_state(n)
        if len(self._state) != n:
            raise UserError(
                f"the student remembers {len(self._state)} environments and is shown {n}: say "
                "where their episodes begin (episode_start)"
            )
        begins = torch.from_numpy(episode_start).to(self.encoder.device)
        logits, self._state = self._act(self.encoder(observation), self._state, begins)
        result: NDArray[Any] = logits.softmax(-1).cpu().numpy()
        return result

    def act(
        self, observation: Observation, episode_start: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """The most probable actions, (N,); arguments as for :meth:`probabilities`."""
        result: NDArray[Any] = self.probabilities(observation, episode_start).argmax(1)
        return result

    def save(self, run_dir: Path) -> None:
        """Write ``student.safetensors`` into the run's folder."""
        from safetensors.torch import save

        space = self.encoder.space
        about = {
            "format": FORMAT,
            "env": self.env,
            "space": {
                "kind": space.kind,
                "shape": space.shape,
                "dtype": space.dtype.name,
                "has_agent": space.has_agent,
            },
            "actions": self.policy.actions,
            "hidden": self.policy.hidden,
            "memory": self.policy.memory,
        }
        metadata = {"lvlm2p": json.dumps(about)}  # one key: the order of several is by chance
        tensors = {name: tensor.cpu() for name, tensor in self.policy.state_dict().items()}
        write_atomically(run_dir / FILE, save(tensors, metadata))


def load_student(run_dir: Path | str) -> Student:
    """The student that a finished run left in its folder.

    Raises:
        RunError: there is none.
        CheckpointError: its file is damaged, or is not what a run writes.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(run_dir) / FILE
    if not path.is_file():
        raise RunError(
            f"there is no trained student in {run_dir}: a run leaves {FILE} there when it ends "
            "(an interrupted one goes on with --resume)"
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata["lvlm2p"])
        if about["format"] != FORMAT:
            raise CheckpointError(
                f"{path} is not a student of this version (its format is {about['format']!r}, "
                f"not {FORMAT!r}): train it again, the labels in the store are still good"
            )
        encoder = Encoder(ObservationSpace(**about["space"]))
        with torch.random.fork_rng(devices=[]):
            policy = Policy(
                encoder.space.kind,
                encoder.shape,
                about["actions"],
                about["hidden"],
                about["memory"],
            )
        policy.load_state_dict(tensors)
    except (
        UserError,
        SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        OSError,
    ) as error:
        raise CheckpointError(f"{path} can't be read as a student: {error}") from None
    return Student(about["env"], policy, encoder)
