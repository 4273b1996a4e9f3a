"""Checkpoints: a safetensors file and a JSON file that names it. Nothing in them can run code.

Writing is atomic: the tensors are complete on disk under a new name before ``state.json``, which
says which tensors belong to it, replaces the old one. A process that is killed at any moment leaves
the old checkpoint or the new one, and never half of one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.teachers.errors import CheckpointError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "lvlm2p checkpoint 3"
ADVICE = "start the run again in another folder"


def save(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Make ``tensors`` and ``state`` (JSON values) the checkpoint in ``folder``."""
    from safetensors.torch import save as serialised

    folder.mkdir(exist_ok=True)
    data = serialised(tensors)
    digest = hashlib.sha256(data).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    write_atomically(folder / name, data)
    head = {"format": FORMAT, "tensors": name, "sha256": digest}
    write_atomically(folder / "state.json", json.dumps(head | {"state": state}))
    for old in folder.iterdir():
        if old.name not in (name, "state.json"):
            old.unlink()


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What :func:`save` wrote last; None where it was never called.

    Raises:
        CheckpointError: the files are damaged, or are not what :func:`save` writes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as deserialised

    try:
        head = json.loads((folder / "state.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{folder / 'state.json'} can't be read ({error}): {ADVICE}"
        ) from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        found = head.get("format") if isinstance(head, dict) else None
        raise CheckpointError(
            f"{folder / 'state.json'} is not a checkpoint of this version "
            f"(found {found!r}, this is {FORMAT!r}): {ADVICE}"
        )
    path = folder / Path(str(head.get("tensors"))).name
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != head.get("sha256"):
            raise CheckpointError(
                f"{path} is not the file that was saved (another checksum): {ADVICE}"
            )
        return deserialised(data), head["state"]
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path} can't be read ({error}): {ADVICE}") from None


def check_size(path: Path, size: int) -> None:
    """Whether the first ``size`` bytes of a run's file, written before a checkpoint, are there.

    Raises:
        CheckpointError: they are not; cutting the file to that size would fill it with zeros.
    """
    found = path.stat().st_size if path.is_file() else 0
    if found < size:
        raise CheckpointError(
            f"{path} has {found:,} bytes, and had {size:,} when the checkpoint was saved: put it "
            f"back, or {ADVICE}"
        )


def to_flat(optimizer_state: dict[int, dict[str, Any]]) -> dict[str, Tensor]:
    """An optimiser's ``state_dict()["state"]`` under flat names."""
    return {
        f"optimizer.{index}.{name}": value
        for index, slots in optimizer_state.items()
        for name, value in slots.items()
    }


def from_flat(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The inverse of :func:`to_flat`; other names are passed over."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            state.setdefault(int(index), {})[slot] = value
    return state
