"""What a stranger's file may hold: texts and values that have broken readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from lvlm2p.envs import Lvlm2pError

FUZZ = settings(max_examples=60, deadline=None, derandomize=True)
"""For every property here: as quick as it is useful, and the same each time."""

ESCAPES = "\x1b]0;owned\x07 \x1b[2J \x1b[31m \x9b1A \x9d0;x\x9c \r over \x7f\x08 \u202e txet \u2066"
"""What a terminal obeys: title, clearing, colours, C1 codes, overwriting, reading direction."""

OBEYED = ("\x1b", "\x07", "\x9b", "\x9d", "\x9c", "\r", "\x7f", "\x08", "\u202e", "\u2066")

NUMBERS: tuple[Any, ...] = (
    -1,
    1.5,
    10**30,
    -(10**30),
    float("nan"),
    float("inf"),
    True,
    "1",
    2**63,
)

JSON_BYTES = (
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"7",
    b"{",
    b"\xff\xfe",
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"9" * 5_000,
    b'{"a": ' + b"9" * 5_000 + b"}",
    b'"\\ud800"',
    b"NaN",
    b"1e999",
    b'{"config": []}',
    b'{"results": 5}',
    b'{"results": [[1]]}',
)

YAML_BYTES = (
    *JSON_BYTES,
    b"a: &x [1]\nb: *x\n",
    b"a: 2024-01-01\n",
    b"a: 1\na: 2\n",
    b"a: 0x" + b"f" * 5_000,
    b"? [a]\n: b\n",
    b"- a\n- b\n",
    b"a: !!python/object/apply:os.system [id]\n",
    b"a: !!binary aGk=\n",
    b'a: "\\ud800"\n',
    b"a: " + b":".join([b"59"] * 400) + b".5\n",
    b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(NUMBERS)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([ESCAPES, "x" * 10_000, "../../etc/passwd", "a/b", "\x00"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
"""JSON values, and some that only Python's JSON has."""


def changed(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """``good`` with some of its values replaced, left out or joined by others."""
    other = st.dictionaries(st.sampled_from([*good, "extra"]), anything, max_size=3)
    gone = st.sets(st.sampled_from(list(good)), max_size=1)
    return st.builds(
        lambda more, less: {k: v for k, v in {**good, **more}.items() if k not in less},
        other,
        gone,
    )


def as_json(value: Any) -> bytes:
    """As a careless program would write it."""
    return json.dumps(value).encode()


def returns_or_is_a_sentence(read: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What ``read`` returns, or its typed error, which is a sentence; any other error fails."""
    try:
        return read(*args, **options)
    except Lvlm2pError as error:
        said = str(error)
        assert said and len(said) < 2_500, said[:500]
        return error
