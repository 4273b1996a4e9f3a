"""A student that has learned: saved as one safetensors file, loaded anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from lvlm2p.envs import ObservationSpace, UserError
from lvlm2p.envs.untrusted import first_problem, parse_json, shorten
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.policy import Policy
from lvlm2p.teachers.errors import CheckpointError, RunError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lvlm2p.envs import Observation

FILE = "student.safetensors"
FORMAT = "lvlm2p student 5"


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
        """Write ``student.safetensors`` into the run's folder.

        Raises:
            OSError: it can't be written.
        """
        from safetensors.torch import save

        space = self.encoder.space
        about = {
            "format": FORMAT,
            "env": self.env,
            "space": {
                "kind": space.kind,
                "shape": list(space.shape),
                "dtype": space.dtype.name,
                "has_agent": space.has_agent,
            },
            "actions": self.policy.actions,
            "hidden": self.policy.hidden,
            "memory": self.policy.memory,
        }
        tensors = {name: tensor.cpu() for name, tensor in self.policy.state_dict().items()}
        about["sha256"] = _digest(about, tensors)
        metadata = {"lvlm2p": json.dumps(about)}  # one key: the order of several is by chance
        write_atomically(run_dir / FILE, save(tensors, metadata))


class _Space(BaseModel, extra="forbid", strict=True):
    kind: Literal["grid", "image", "vector"]
    shape: list[int]
    dtype: Literal["uint8", "float32"]
    has_agent: bool


class _About(BaseModel, extra="forbid", strict=True):
    """What a student's file says beside its tensors."""

    format: str
    env: str
    space: _Space
    actions: int = Field(gt=0)
    hidden: int = Field(gt=0)
    memory: Literal["none", "lstm"]
    sha256: str


def _digest(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Of everything in a student's file, itself aside."""
    said = {key: value for key, value in about.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_student(run_dir: Path | str) -> Student:
    """The student that a finished run left in its folder.

    Raises:
        RunError: there is none.
        CheckpointError: its file is damaged, or is not what a run writes.
    """
    path = Path(run_dir) / FILE
    if not path.is_file():
        raise RunError(
            f"there is no trained student in {run_dir}: a run leaves {FILE} there when it ends "
            "(an interrupted one goes on with --resume)"
        )
    try:
        about, tensors = _read(path)
        encoder = Encoder(ObservationSpace(**about.space.model_dump()))
        return Student(about.env, _policy(about, encoder, tensors), encoder)
    except CheckpointError:
        raise
    except Exception as error:  # there is no end of what can be wrong with a foreign file
        what = first_problem(error) if isinstance(error, ValidationError) else shorten(str(error))
        raise CheckpointError(f"{path} can't be read as a student: {what}") from None


def _read(path: Path) -> tuple[_About, dict[str, Tensor]]:
    """What the file says of itself, and its tensors."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        said = parse_json((file.metadata() or {})["lvlm2p"])
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            found = shorten(repr(said.get("format"))) if isinstance(said, dict) else None
            raise CheckpointError(
                f"{path} is not a student of this version (its format is {found}, "
                f"not {FORMAT!r}): train it again, the labels in the store are still good"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = _About.model_validate(said)
    if about.sha256 != _digest(said, tensors):
        raise CheckpointError(f"{path} is not the file that was saved (another checksum)")
    return about, tensors


def _policy(about: _About, encoder: Encoder, tensors: Mapping[str, Tensor]) -> Policy:
    """The policy with these tensors; memory is taken only for as many as the file has."""

    def empty() -> Policy:
        shape = encoder.shape
        return Policy(encoder.space.kind, shape, about.actions, about.hidden, about.memory)

    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"):
            expected = {name: tensor.shape for name, tensor in empty().state_dict().items()}
        if expected != {name: tensor.shape for name, tensor in tensors.items()}:
            raise ValueError("its tensors are not those of such a student")
        policy = empty()
    policy.load_state_dict(tensors)
    return policy
