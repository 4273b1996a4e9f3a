"""API keys: where they come from, and that they never reach anything that is written.

Several keys of one provider are used in turn: separated by commas in the environment variable,
or one a line in a file (``-T key_file=PATH``; blank lines and ``#`` comments are skipped).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lvlm2p.teachers.errors import TeacherNotReadyError

_LOOKS_LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|AIza|AQ\.|Bearer\s+\S|Basic\s+\S)[\w*.~+/=-]{6,}|(?<=[?&]key=)[^&\s\"']+"
)
_LONGEST = 300
"""Characters of a provider's message that are worth keeping."""


def read_keys(name: str, variables: Sequence[str], key_file: Path | None) -> tuple[str, ...]:
    """The keys of a provider, in the order in which they were given; never empty.

    Args:
        name: the teacher's, for messages.
        variables: environment variables to look in, the first one that is set counts.

    Raises:
        TeacherNotReadyError: there are none; the sentence names the variable.
    """
    if key_file is not None:
        return _from_file(name, key_file)
    for variable in variables:
        keys = tuple(key.strip() for key in os.environ.get(variable, "").split(",") if key.strip())
        if keys:
            return keys
    raise TeacherNotReadyError(
        f"teacher {name!r} needs an API key: set {' or '.join(variables)}, "
        "or name a file that holds it with -T key_file=PATH"
    )


def _from_file(name: str, path: Path) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in path.expanduser().read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise TeacherNotReadyError(
            f"teacher {name!r}: can't read key_file {path}: {reason}"
        ) from None
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise TeacherNotReadyError(f"teacher {name!r}: key_file {path} holds no key")
    return keys


def scrub(text: str, keys: Sequence[str]) -> str:
    """``text`` as one short line in which no key is left, nor what looks like one."""
    for key in sorted(keys, key=len, reverse=True):
        if len(key) >= 4:
            text = text.replace(key, "***")
    text = _LOOKS_LIKE_A_KEY.sub("***", " ".join(text.split()))
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
