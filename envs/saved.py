"""The parts of a saved view, each of its own type, whoever wrote it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.untrusted import is_text, shorten

MAX_WORDS = 10_000
"""Characters of a mission, of what is carried and of a task's name."""


def parts_of_view(data: Mapping[str, Any]) -> tuple[str, bytes, str, str | None, bool]:
    """(task, state, mission, carrying, blank) of what ``View.to_json`` wrote.

    Raises:
        UserError: the data are not a view's.
    """
    try:
        task, mission, carrying = data["task"], data["mission"], data["carrying"]
        state = base64.b64decode(data["state"], validate=True)
    except (LookupError, TypeError, ValueError, binascii.Error) as error:
        raise UserError(
            "this is not a saved view: it needs task, state (base64), mission and carrying; "
            f"{type(error).__name__}: {shorten(str(error))}"
        ) from error
    if not isinstance(task, str) or not isinstance(mission, str):
        raise UserError("this is not a saved view: task and mission must be strings.")
    if carrying is not None and not isinstance(carrying, str):
        raise UserError("this is not a saved view: carrying must be a string or null.")
    for text in (task, mission, carrying or ""):
        if len(text) > MAX_WORDS or not is_text(text):
            raise UserError(
                "this is not a saved view: task, mission and carrying are texts of at most "
                f"{MAX_WORDS:,} characters."
            )
    return task, state, mission, carrying, data.get("blank") is True
