"""One state of any environment as bytes: what is observed, and the picture.

Layout: a line of canonical JSON, then the picture as a PNG file, if there is one. The line names
the pixels by their SHA-256 and is all that enters a view's key, since one picture can be written as
more than one PNG file.
"""

from __future__ import annotations

import hashlib
import io
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.untrusted import MalformedDataError, parse_json, read_png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lvlm2p.envs.task import ImageStyle, View

MOST_NUMBERS = 256
"""An observation of more numbers is named by its SHA-256, not spelled out."""

MAX_LINE = 2**16


def join_snapshot(
    observation: Any, picture: NDArray[np.uint8] | None, table: str | None = None
) -> bytes:
    """The bytes of a state.

    Args:
        observation: as JSON values (:func:`readable`); None where it adds nothing to the picture.
        picture: (height, width, 3) RGB.
        table: names the transition table that the observation is a row of.
    """
    said = {"observation": observation, "picture": None, "table": table}
    png = b""
    if picture is not None:
        pixels = np.ascontiguousarray(picture)
        said["picture"] = _digest(pixels)
        png = _png(pixels.shape[:2], pixels.tobytes())
    line = json.dumps(said, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return line.encode() + b"\n" + png


def identity(state: bytes) -> bytes:
    """The part of a state that a view's key is made of."""
    return state.partition(b"\n")[0]


def said_in(state: bytes) -> dict[str, Any]:
    """``observation``, ``picture`` (a SHA-256) and ``table`` of a state.

    Raises:
        UserError: it is none.
    """
    try:
        line = state.partition(b"\n")[0]
        said = parse_json(line, MAX_LINE)
        if not isinstance(said, dict) or said.keys() != {"observation", "picture", "table"}:
            raise MalformedDataError("it says other things than a snapshot")
    except (MalformedDataError, UnicodeDecodeError) as error:
        raise UserError(f"this view's state is no snapshot of an environment: {error}.") from error
    return said


def observation_in(view: View) -> Any:
    """What the environment observed, as JSON values, for a planner of one's own; None where it is
    the picture.

    Raises:
        UserError: the view is not one of a :class:`~lvlm2p.envs.SnapshotObserver`.
    """
    return said_in(view.state)["observation"]


def check_snapshot(state: bytes) -> None:
    """Whether these bytes, which may be anyone's, are a state.

    Raises:
        UserError: they are not, or the picture is another than the one that they name.
    """
    said = said_in(state)
    if said["picture"] is not None and _digest(picture_in(state)) != said["picture"]:
        raise UserError("this view's state is no snapshot: its picture is not the one it names.")


def picture_in(state: bytes) -> NDArray[np.uint8]:
    """The picture of a state, (height, width, 3) RGB.

    Raises:
        UserError: it has none, or none that can be read.
    """
    png = state.partition(b"\n")[2]
    if not png:
        raise UserError("this view's state has no picture.")
    try:
        return read_png(png)
    except MalformedDataError as error:
        raise UserError(f"this view's state is no snapshot: its picture {error}.") from error


def draw_snapshot(view: View, style: ImageStyle) -> NDArray[np.uint8]:
    """The picture as the environment drew it, whatever the style."""
    return picture_in(view.state)


def describe_snapshot(view: View) -> str:
    """The observation in words."""
    observation = said_in(view.state)["observation"]
    if observation is None:
        return ""
    return f"The environment's observation is {_rounded(observation)}.\n"


def readable(observation: Any) -> Any:
    """An observation as JSON values; what is not numbers, or too many, as a SHA-256."""
    if isinstance(observation, dict):
        return {str(key): readable(value) for key, value in observation.items()}
    if isinstance(observation, tuple | list):
        return [readable(value) for value in observation]
    if isinstance(observation, str):
        return observation
    array = np.asarray(observation)
    if array.size > MOST_NUMBERS or array.dtype.kind not in "biuf":
        return "sha256:" + hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
    return array.tolist()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


@lru_cache(maxsize=64)
def _png(shape: tuple[int, int], pixels: bytes) -> bytes:
    """A PNG file, quickly: an environment in which little moves shows the same pictures again."""
    from PIL import Image

    file = io.BytesIO()
    size = shape[1], shape[0]
    Image.frombytes("RGB", size, pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
