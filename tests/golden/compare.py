"""Comparing what is with what was: golden values must still be there, more may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def path_of(name: str) -> Path:
    """The file that holds the golden value called ``name``."""
    return FOLDER / f"{name}.json"


def read(name: str) -> Any:
    """The golden value called ``name``."""
    return json.loads(path_of(name).read_text(encoding="utf-8"))


def plain(value: Any) -> Any:
    """``value`` as JSON would give it back."""
    return json.loads(json.dumps(value))


def lost(golden: Any, now: Any, where: str = "") -> list[str]:
    """What of ``golden`` is not so in ``now``, one line each. Mappings may have gained keys; lists
    and single values must be equal.
    """
    if isinstance(golden, dict) and isinstance(now, dict):
        lines = []
        for key, value in golden.items():
            place = f"{where}/{key}"
            lines += lost(value, now[key], place) if key in now else [f"{place}: is gone"]
        return lines
    if isinstance(golden, list) and isinstance(now, list) and len(golden) == len(now):
        pairs = enumerate(zip(golden, now, strict=True))
        return [line for i, (old, new) in pairs for line in lost(old, new, f"{where}/{i}")]
    if type(golden) is type(now) and golden == now:
        return []
    return [f"{where}: was {golden!r}, is {now!r}"]


def shape(value: Any, keep: frozenset[str] = frozenset()) -> Any:
    """``value`` with the name of its kind in place of each single value, but for what lies under
    the keys ``keep``. Of list items of one shape the first stands for all.
    """
    if isinstance(value, dict):
        return {k: rounded(v) if k in keep else shape(v, keep) for k, v in value.items()}
    if isinstance(value, list):
        shapes: list[Any] = []
        for item in value:
            found = shape(item, keep)
            if found not in shapes:
                shapes.append(found)
        return shapes
    kinds = {type(None): "null", bool: "bool", int: "number", float: "number", str: "string"}
    return kinds[type(value)]


def rounded(value: Any) -> Any:
    """``value`` with its numbers to 9 digits, since the last ones depend on the machine."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
