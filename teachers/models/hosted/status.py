"""What chat teachers tell of themselves: the rows of ``lvlm2p teachers``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.label import Elicitation
from lvlm2p.teachers.models.hosted.capabilities import capabilities_of
from lvlm2p.teachers.models.hosted.prices import price_of_1000
from lvlm2p.teachers.models.hosted.providers import LOCAL_SERVER, PROVIDERS, served_models
from lvlm2p.teachers.plugin import Status

_ALL: tuple[Elicitation, ...] = ("stated", "choice", "votes", "logprobs")


def hosted_status(name: str) -> Status:
    """A provider's or a local server's row. Asks the local server what it serves; nobody else."""
    if name not in PROVIDERS:
        note = "any other model, with its provider's key: litellm:<provider/model>"
        return Status(name, "<provider/model>", ("stated", "choice", "votes"), None, True, note)
    provider = PROVIDERS[name]
    if provider.local:
        return _local_status(name)
    model = provider.full_model(provider.model)
    ready = any(os.environ.get(variable, "").strip() for variable in provider.variables)
    note = "" if ready else f"set {' or '.join(provider.variables)}"
    able = capabilities_of(model).elicitations
    return Status(name, model, able, price_of_1000(model), ready, note)


def _local_status(name: str) -> Status:
    try:
        models = served_models(name, LOCAL_SERVER)
    except TeacherNotReadyError as error:
        note = str(error).removeprefix(f"teacher {name!r}: ")
        return Status(name, "what the server serves", _ALL, 0.0, False, note)
    return Status(name, ", ".join(models), _ALL, 0.0, True, f"served at {LOCAL_SERVER}")


def in_process_status(name: str, model: str) -> Status:
    """A row for transformers in this process. Says whether the weights are there; loads nothing."""
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        return Status(name, model, _ALL, 0.0, False, f"pip install {' '.join(missing)}")
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    if (hub / f"models--{model.replace('/', '--')}").is_dir():
        return Status(name, model, _ALL, 0.0, True, "runs in this process")
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON"):
        note = "not downloaded, and HF_HUB_OFFLINE is set: -T model=FOLDER"
        return Status(name, model, _ALL, 0.0, False, note)
    return Status(name, model, _ALL, 0.0, True, "downloaded when first asked; or -T model=FOLDER")
