"""Checkpoints: a safetensors file and a JSON file that names it. Nothing in them can run code.

Writing is atomic: the tensors are complete on disk under a new name before ``state.json``, which
says which tensors belong to it, replaces the old one. A process that is killed at any moment, or
that finds the disk full, leaves the old checkpoint or the new one, and never half of one. A
checksum over each file tells whether a bit of it has changed since.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import MalformedDataError, parse_json, read_bytes, read_json, shorten
from lvlm2p.teachers.errors import CheckpointError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "lvlm2p checkpoint 6"
ADVICE = "start the run again in another folder"
HEAD = "state.json"

MAX_HEAD_BYTES = 2**28
MAX_TENSOR_BYTES = 2**34


def save(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Make ``tensors`` and ``state`` (JSON values) the checkpoint in ``folder``.

    Raises:
        OSError: it can't be written; the last one is still there.
    """
    from safetensors.torch import save as serialised

    folder.mkdir(exist_ok=True)
    data = serialised(tensors)
    digest = hashlib.sha256(data).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    head = {"format": FORMAT, "tensors": name, "sha256": digest, "state": state}
    head = parse_json(json.dumps(head), MAX_HEAD_BYTES)  # as it will be read: tuples are lists
    new = not (folder / name).exists()
    try:
        write_atomically(folder / name, data)
        write_atomically(folder / HEAD, json.dumps({"checksum": checksum(head)} | head))
    except OSError:
        if new:  # the last checkpoint has others, and a full disk has no room for both
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        raise
    for old in folder.iterdir():
        if old.name not in (name, HEAD):
            old.unlink()


def checksum(head: Mapping[str, Any]) -> str:
    """Of all that a ``state.json`` says, but itself."""
    said = {key: value for key, value in head.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What :func:`save` wrote last; None where it was never called.

    Raises:
        CheckpointError: the files are damaged, or are not what :func:`save` writes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as deserialised

    try:
        head = read_json(folder / HEAD, MAX_HEAD_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, MalformedDataError) as error:
        raise CheckpointError(f"{folder / HEAD} can't be read ({error}): {ADVICE}") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        found = shorten(repr(head.get("format"))) if isinstance(head, dict) else None
        raise CheckpointError(
            f"{folder / HEAD} is not a checkpoint of this version "
            f"(found {found}, this is {FORMAT!r}): {ADVICE}"
        )
    if head.get("checksum") != checksum(head):
        raise _changed(folder / HEAD)
    path = folder / Path(str(head.get("tensors"))).name
    try:
        data = read_bytes(path, MAX_TENSOR_BYTES)
        if hashlib.sha256(data).hexdigest() != head.get("sha256"):
            raise _changed(path)
        return deserialised(data), head["state"]
    except (OSError, SafetensorError, LookupError, ValueError) as error:
        why = shorten(str(error))
        raise CheckpointError(f"{path} can't be read ({why}): {ADVICE}") from None


def _changed(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is not the file that was saved (another checksum): {ADVICE}")


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
