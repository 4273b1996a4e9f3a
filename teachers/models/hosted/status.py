"""The rows of ``lvlm2p teachers`` for models behind an API."""

from __future__ import annotations

import os

from lvlm2p.envs.extras import install, missing
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.elicit.registry import elicitation_names
from lvlm2p.teachers.models.hosted.capabilities import Capabilities, capabilities_of
from lvlm2p.teachers.models.hosted.prices import price_of_1000
from lvlm2p.teachers.models.hosted.providers import PROVIDERS, served_models
from lvlm2p.teachers.plugin import Status


def status_of(name: str, local_server: str) -> Status:
    """The row of a provider or of a local server, which is asked what it serves."""
    if missing("hosted"):
        model = PROVIDERS[name].model if name in PROVIDERS else "<provider/model>"
        return Status(name, model, elicitation_names(), None, False, install("hosted"))
    if name not in PROVIDERS:
        note = "any other model, with its provider's key: litellm:<provider/model>"
        able = Capabilities().elicitations
        return Status(name, "<provider/model>", able, None, True, note)
    provider = PROVIDERS[name]
    if provider.local:
        return _local_status(name, local_server)
    model = provider.full_model(provider.model)
    ready = any(os.environ.get(variable, "").strip() for variable in provider.variables)
    note = "" if ready else f"set {' or '.join(provider.variables)}"
    able = capabilities_of(model).elicitations
    return Status(name, model, able, price_of_1000(model), ready, note)


def _local_status(name: str, url: str) -> Status:
    able = elicitation_names()
    try:
        models = served_models(name, url)
    except TeacherNotReadyError as error:
        note = str(error).removeprefix(f"teacher {name!r}: ")
        return Status(name, "what the server serves", able, 0.0, False, note)
    return Status(name, ", ".join(models), able, 0.0, True, f"served at {url}")
