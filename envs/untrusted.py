"""Reading what somebody else may have written: JSON, YAML, and text that a terminal is to show.

All foreign JSON and YAML is read here and nowhere else (a test looks for it), so that no file can
exhaust memory or the stack, whatever is in it. The limits are far above what lvlm2p writes itself.
What a value should look like is said by whoever reads it, as a pydantic model.
"""

from __future__ import annotations

import codecs
import itertools
import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import ValidationError

MAX_BYTES = 2**24
"""Of a JSON file or text, unless its reader says otherwise."""

MAX_YAML_BYTES = 2**20
"""PyYAML takes seconds for a megabyte."""

MAX_DEPTH = 64
"""Lists and mappings within each other."""

MAX_DIGITS = 100
"""Of a whole number. A random generator's state has 39."""

MAX_PIXELS = 2**22
"""Of a picture."""

SHOWN = 200
"""Characters of a foreign text that one of our sentences quotes."""

KEPT_CONTROLS = frozenset("\n\t")

OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what a terminal obeys, or does not show: control characters, changes of the
reading direction and other invisible marks, half characters, separators of lines."""


class MalformedDataError(UserError, ValueError):
    """Foreign data that is not what it should be, in a few words; the caller adds where it is."""


def parse_json(
    data: bytes | str, max_bytes: int = MAX_BYTES, *, half_characters: bool = False
) -> Any:
    """The value of a JSON text, which is UTF-8.

    Args:
        half_characters: take lone surrogates, for a reader that replaces them.

    Raises:
        MalformedDataError: it is none, or beyond the limits of this module.
    """
    if len(data) > max_bytes:
        raise MalformedDataError(f"it is larger than {max_bytes:,} bytes")
    try:
        text = _decoded(data) if isinstance(data, bytes) else data
        value = json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise _too_deep() from None
    except MalformedDataError:
        raise
    except ValueError as error:
        raise MalformedDataError(f"it is not JSON: {error}") from None
    # Few brackets can't be deep, and only an escape can stand for half a character.
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u" in text or not text.isascii():
        _check(value, half_characters)
    return value


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: it can't be read.
        MalformedDataError: as :func:`parse_json`.
    """
    return parse_json(read_bytes(path, max_bytes), max_bytes)


def read_yaml(path: Path) -> Any:
    """The value in a YAML file: mappings, lists, strings, numbers, booleans and null. A date is a
    string; aliases, tags and a key that is there twice are refused.

    Raises:
        OSError: it can't be read.
        MalformedDataError: it is not YAML, or beyond the limits of this module.
    """
    import yaml

    text = read_text(path, MAX_YAML_BYTES)
    try:
        value = yaml.load(text, _yaml_loader())
    except RecursionError:
        raise _too_deep() from None
    except MalformedDataError:
        raise
    except Exception as error:  # of a text that it can't make sense of, PyYAML raises anything
        raise MalformedDataError(f"it is not YAML: {shorten(' '.join(str(error).split()))}") from (
            None
        )
    _check(value)
    return value


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a UTF-8 file.

    Raises:
        OSError: it can't be read.
        MalformedDataError: it is too large, or not UTF-8.
    """
    try:
        return _decoded(read_bytes(path, max_bytes))
    except UnicodeDecodeError as error:
        raise MalformedDataError(f"it is not UTF-8: {error}") from None


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """What is in a file; of one without an end (a device), no more than the limit is read.

    Raises:
        OSError: it can't be read.
        MalformedDataError: it is too large, or no name of a file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except ValueError as error:  # a zero byte in the name
        raise MalformedDataError(f"it is no name of a file: {error}") from None
    if len(data) > max_bytes:
        raise MalformedDataError(f"it is larger than {max_bytes:,} bytes")
    return data


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, in words: where, and what."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(shorten(str(part), 60) for part in first["loc"])
    said = shorten(first["msg"].removeprefix("Value error, "))
    return f"{where}: {said}" if where else said


def shorten(text: str, most: int = SHOWN) -> str:
    """``text``, or its beginning where it is longer than ``most`` characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def plain(text: str) -> str:
    """``text`` with an escape such as ``\\x1b`` in place of anything that a terminal obeys or does
    not show, or that turns the reading direction; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if char not in KEPT_CONTROLS and unicodedata.category(char) in OBEYED
        else char
        for char in text
    )


def _decoded(data: bytes) -> str:
    """UTF-8, with a byte-order mark or without."""
    return data.removeprefix(codecs.BOM_UTF8).decode()


def _too_deep() -> MalformedDataError:
    return MalformedDataError(f"it is nested more than {MAX_DEPTH} deep")


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise MalformedDataError(f"it has a number of {len(digits):,} digits")
    return int(digits)


def _check(value: Any, half_characters: bool = False) -> None:
    """Not too deep, and all text can be written as UTF-8."""
    todo = [(value, 0)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, dict | list):
            if depth == MAX_DEPTH:
                raise _too_deep()
            parts = itertools.chain(item, item.values()) if isinstance(item, dict) else item
            todo += [(part, depth + 1) for part in parts]
        elif isinstance(item, str) and not half_characters and not is_text(item):
            raise MalformedDataError("it has half a character (a lone surrogate)")


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold ``text``: half a character (a lone surrogate) it can't."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


@cache
def _yaml_loader() -> Any:
    """PyYAML's safe loader, of plain data alone."""
    import yaml

    kinds = ("null", "bool", "int", "float", "str", "seq", "map")
    known = {f"tag:yaml.org,2002:{kind}" for kind in kinds}

    class PlainLoader(yaml.SafeLoader):
        yaml_constructors = {  # noqa: RUF012 (as PyYAML has it)
            tag: make
            for tag, make in yaml.SafeLoader.yaml_constructors.items()
            if tag in known or tag is None
        }
        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [(tag, pattern) for tag, pattern in pairs if tag in known]
            for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise MalformedDataError("it has an alias (*name): write the value out")
            self.depth += 1
            if self.depth > MAX_DEPTH + 1:  # within so many lists, one value
                raise _too_deep()
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            mapping = super().construct_mapping(node, deep=True)
            if len(mapping) < len(node.value):
                keys = [shorten(str(key.value), 60) for key, _ in node.value]
                twice = next((key for key in keys if keys.count(key) > 1), "a key")
                raise MalformedDataError(f"{twice} is there twice")
            return mapping

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > MAX_DIGITS:
                raise MalformedDataError(f"it has a number of {len(node.value):,} digits")
            value: int = super().construct_yaml_int(node)
            return value

    PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
    return PlainLoader


def read_png(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG file, (height, width, 3) RGB.

    Raises:
        MalformedDataError: it is none, is damaged, or has more than ``MAX_PIXELS``.
    """
    import io

    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise MalformedDataError(f"has {width} x {height} pixels: too many")
            return np.asarray(picture.convert("RGB"))
    except MalformedDataError:
        raise
    except Exception as error:  # of a damaged file, Pillow raises anything
        raise MalformedDataError(f"can't be read: {shorten(str(error))}") from None
