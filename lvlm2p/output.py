"""How a command ends: its result on stdout, and what was in vain as an error."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any


def show(data: Mapping[str, Any], text: Any, json: bool) -> None:
    """Print a result: ``text`` for people, or ``data`` as the one JSON line that scripts read."""
    if json:
        print(jsonlib.dumps(data, allow_nan=False), flush=True)
    else:
        from lvlm2p.teachers.terminal import console

        console(soft_wrap=isinstance(text, str)).print(text)


def end(trouble: str | None) -> None:
    """Leave with exit code 3 where what was asked for is done, and in vain."""
    from lvlm2p.teachers.errors import TeacherError

    if trouble is not None:
        raise TeacherError(trouble)
