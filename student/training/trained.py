"""A student that has learned: saved as one safetensors file, loaded anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lvlm2p.student.models.encoding import Encoder
from lvlm2p.student.models.policy import Network
from lvlm2p.teachers.errors import CheckpointError, RunError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lvlm2p.envs import Observation

FILE = "student.safetensors"
FORMAT = "lvlm2p student 1"


@dataclass(frozen=True)
class Student:
    """A policy for one environment id: ``observation`` is what ``lvlm2p.envs.VectorEnv`` gives."""

    env: str
    network: Network
    encoder: Encoder

    @torch.no_grad()
    def probabilities(self, observation: Observation) -> NDArray[Any]:
        """How likely each of the environment's actions is, (N, actions)."""
        cells, words = self.encoder(observation)
        logits = self.network.policy(torch.from_numpy(cells), torch.from_numpy(words))
        result: NDArray[Any] = logits.softmax(-1).numpy()
        return result

    def act(self, observation: Observation) -> NDArray[Any]:
        """The most probable actions, (N,)."""
        result: NDArray[Any] = self.probabilities(observation).argmax(1)
        return result

    def save(self, run_dir: Path) -> None:
        """Write ``student.safetensors`` into the run's folder."""
        from safetensors.torch import save

        about = {
            "format": FORMAT,
            "env": self.env,
            "grid": [self.encoder.width, self.encoder.height],
            "centred": self.encoder.centred,
            "actions": self.network.actions,
            "hidden": self.network.hidden,
        }
        metadata = {"lvlm2p": json.dumps(about)}  # one key: the order of several is by chance
        write_atomically(run_dir / FILE, save(self.network.state_dict(), metadata))


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
                f"{path} is not a student of this version: its format is "
                f"{about['format']!r}, not {FORMAT!r}"
            )
        encoder = Encoder(about["grid"][0], about["grid"][1], about["centred"])
        with torch.random.fork_rng(devices=[]):
            network = Network(encoder.cells, about["actions"], about["hidden"])
        network.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{path} can't be read as a student: {error}") from None
    return Student(about["env"], network, encoder)
