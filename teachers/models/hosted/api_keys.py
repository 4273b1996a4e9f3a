"""API keys: where they come from, and that they never reach anything that is written.

Several keys of one provider are used in turn: separated by commas in the environment variable,
or one a line in a file (``-T key_file=PATH``). A line of the file is a key or ``NAME=key``, as a
``.env`` file says it, with or without ``export`` and quotes; blank lines and ``#`` comments are
skipped, and so are the keys of other providers.
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
_NAMED = re.compile(r"(?:export\s+)?([A-Z_][A-Z0-9_]*|api_key|key|token)\s*=(?!=+$)\s*(.*)")
"""``NAME=key``; but a key may end in ``==``, as base64 does."""
_SHOWN = re.compile(r"[A-Z0-9]+_([A-Z0-9]+_)*(KEY|TOKEN)")
"""Names that may be printed: others may be a key that looks like one."""
_COMMENT = re.compile(r"(?<=[\s\"'])#.*$")
_NO_KEY = re.compile(r"[\s\"'{}]")
"""What no key holds: a file of another format was named."""
_ANYBODYS = ("KEY", "API_KEY", "TOKEN", "API_TOKEN")
"""Names that say nothing about whose key it is."""
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
        return _from_file(name, variables, key_file)
    for variable in variables:
        keys = _split(os.environ.get(variable, ""))
        if keys:
            return keys
    raise TeacherNotReadyError(
        f"teacher {name!r} needs an API key: set {' or '.join(variables)}, "
        "or name a file that holds it with -T key_file=PATH"
    )


def _split(value: str) -> tuple[str, ...]:
    """The keys in a variable's value; quotes that came along (``docker --env-file``) are not."""
    keys = (_unquoted(key) for key in _unquoted(value).split(","))
    return tuple(key for key in keys if key)


def _unquoted(text: str) -> str:
    text = text.strip()
    while len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text


def _from_file(name: str, variables: Sequence[str], path: Path) -> tuple[str, ...]:
    try:
        lines = path.expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise TeacherNotReadyError(
            f"teacher {name!r}: can't read key_file {path}: {reason}"
        ) from None
    keys: list[str] = []
    others: list[str] = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        named = _NAMED.fullmatch(line)
        if named is None:
            keys.append(_unquoted(_COMMENT.sub("", line)))
        elif _is_for_us(named[1], variables):
            keys += _split(_COMMENT.sub("", named[2]))
        else:
            others += _SHOWN.findall(named[1]) and [named[1]]
        if any(not key or _NO_KEY.search(key) for key in keys):
            raise TeacherNotReadyError(
                f"teacher {name!r}: key_file {path}, line {number}, is neither a key nor NAME=key"
            )
    if not keys:
        why = f"only {', '.join(others)}" if others else "no line is one"
        wanted = f" for {' or '.join(variables)}" if variables else ""
        raise TeacherNotReadyError(f"teacher {name!r}: key_file {path} holds no key{wanted}: {why}")
    return tuple(dict.fromkeys(keys))


def _is_for_us(variable: str, variables: Sequence[str]) -> bool:
    """Whether a file's variable holds a key of a provider that has these ``variables``, or none."""
    if variable in variables or variable.upper() in _ANYBODYS:
        return True
    return not variables and _SHOWN.fullmatch(variable) is not None


def scrub(text: str, keys: Sequence[str]) -> str:
    """``text`` as one short line in which no key is left, nor what looks like one."""
    for key in sorted(keys, key=len, reverse=True):
        if len(key) >= 4:
            text = text.replace(key, "***")
    text = _LOOKS_LIKE_A_KEY.sub("***", " ".join(text.split()))
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
