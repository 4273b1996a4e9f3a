"""What a student's observations look like, worked out from a Gymnasium space and never guessed.

A space that fits is a grid, an image or a vector; any other is refused in one sentence, since a
cast that loses values would train a student on nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from gymnasium import spaces

from lvlm2p.envs.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["grid", "image", "vector"]

MOST_CHANNELS = 4
MOST_VALUES = 1 << 24
"""Values of one observation; more would not fit into memory for a rollout."""
EXACT = 1 << 24
"""Integers up to this size are exact in float32."""

MISSION = "mission"
"""The entry of a Dict space that is left out: missions come from the teacher's View."""


@dataclass(frozen=True)
class ObservationSpace:
    """Kind, shape and type of one observation of a student.

    Raises:
        UserError: shape or type do not go with the kind.
    """

    kind: Kind
    """``grid``: (width, height, 3) uint8, MiniGrid's object, colour and state of every cell;
    ``image``: (height, width, channels) uint8, 1 to 4 channels; ``vector``: (n,) float32."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    has_agent: bool = False
    """Grids only: one cell within the outer walls holds MiniGrid's agent, its direction as the
    state, so that a network can turn the grid to how the agent sees it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        object.__setattr__(self, "shape", tuple(int(side) for side in self.shape))
        if not self._fits():
            raise UserError(
                f"{self.kind!r} is no observation space with shape {self.shape} of {self.dtype}: "
                "a grid is (width, height, 3) uint8, an image (height, width, 1 to 4) uint8, a "
                "vector (n,) float32."
            )

    def _fits(self) -> bool:
        if self.kind not in get_args(Kind) or min(self.shape, default=0) < 1:
            return False
        if self.kind == "vector":
            return len(self.shape) == 1 and self.dtype == np.float32
        last = range(1, MOST_CHANNELS + 1) if self.kind == "image" else (3,)
        return len(self.shape) == 3 and self.shape[2] in last and self.dtype == np.uint8

    def stack(self, rows: Sequence[NDArray[Any]], whose: str) -> NDArray[Any]:
        """N observations as one array (N, *shape).

        Raises:
            UserError: one is not of this shape and type; ``whose`` says who gave it.
        """
        if not rows:
            return np.empty((0, *self.shape), self.dtype)
        try:
            values = np.array(rows)
        except ValueError:  # they are of several shapes, so one is wrong
            values = np.array([self.check(row, whose) for row in rows])
        self.check(values[0], whose)
        return values

    def check(self, values: NDArray[Any], whose: str) -> NDArray[Any]:
        """``values`` as they are, one observation of this shape and type.

        Raises:
            UserError: they are not; ``whose`` says who gave them.
        """
        if values.shape != self.shape or values.dtype != self.dtype:
            raise UserError(
                f"{whose} gave an observation of shape {values.shape} of {values.dtype} where its "
                f"space is {self.kind} {self.shape} of {self.dtype}."
            )
        return values


class SpaceReader:
    """Reads observations of a Gymnasium space as arrays for a student.

    A ``mission`` text in a Dict is left out. Discrete numbers become one-hot; everything else of a
    vector is put in one row, in Gymnasium's order. Images may have their channels first, as stacked
    grey frames do.

    Args:
        space: ``env.observation_space``.
        whose: the environment, for errors.

    Raises:
        UserError: it can be neither image nor vector without losing something.
    """

    def __init__(self, space: spaces.Space[Any], whose: str) -> None:
        self._whole, self._whose = space, f"{whose} with observations {space}"
        self._entries: tuple[str, ...] | None = None
        self._part = space
        if isinstance(space, spaces.Dict) and isinstance(space.get(MISSION), spaces.Text):
            self._entries = tuple(name for name in space if name != MISSION)
            rest = {name: space[name] for name in self._entries}
            self._part = next(iter(rest.values())) if len(rest) == 1 else spaces.Dict(rest)
        self.space = self._read()

    def _read(self) -> ObservationSpace:
        part = self._part
        if isinstance(part, spaces.Box) and part.dtype == np.uint8 and len(part.shape) != 1:
            shape = self._image_shape(part)
            return ObservationSpace("image", shape, np.dtype(np.uint8))
        self._check_vector(part)
        length = spaces.utils.flatdim(part)
        if not 0 < length <= MOST_VALUES:
            raise self._refused(part, f"it has {length} values")
        return ObservationSpace("vector", (length,), np.dtype(np.float32))

    @property
    def channels_first(self) -> bool:
        """Whether the environment gives images as (channels, height, width)."""
        return len(self.space.shape) == len(self._part.shape or ()) and (
            self.space.shape != self._part.shape
        )

    def _image_shape(self, part: spaces.Box) -> tuple[int, ...]:
        if len(part.shape) == 2:
            return (*part.shape, 1)
        if len(part.shape) == 3 and 1 <= part.shape[2] <= MOST_CHANNELS:
            return part.shape
        if len(part.shape) == 3 and 1 <= part.shape[0] <= MOST_CHANNELS:
            return (*part.shape[1:], part.shape[0])
        raise self._refused(
            part,
            "an image is (height, width), (height, width, 1 to 4) or (1 to 4, height, width)",
        )

    def __call__(self, observation: Any) -> NDArray[Any]:
        """One observation as an array of its own, of :attr:`space`'s shape and type.

        Raises:
            UserError: it is not one of the space, or has values that are not finite.
        """
        if self._entries is not None:
            rest = {name: observation[name] for name in self._entries}
            observation = rest if isinstance(self._part, spaces.Dict) else next(iter(rest.values()))
        if self.space.kind == "image":
            image: NDArray[Any] = np.array(observation)
            if image.shape != self._part.shape:
                raise UserError(f"{self._whose} gave an observation of shape {image.shape}.")
            if image.ndim == 2:
                image = image[..., None]
            elif self.channels_first:
                image = np.ascontiguousarray(np.moveaxis(image, 0, 2))
            return self.space.check(image, self._whose)
        if isinstance(self._part, spaces.Box):  # flatten would cast to the type that it declares
            given: NDArray[Any] = np.asarray(observation).ravel()
        else:
            given = np.asarray(spaces.utils.flatten(self._part, observation))
        with np.errstate(over="ignore"):
            values = given.astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(f"{self._whose} gave values that are not finite in float32: {given}.")
        return self.space.check(values, self._whose)

    def _check_vector(self, part: spaces.Space[Any]) -> None:
        """Every part must be numbers that float32 can hold."""
        if isinstance(part, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            return
        if isinstance(part, spaces.Dict | spaces.Tuple):
            for inner in part.values() if isinstance(part, spaces.Dict) else part:
                self._check_vector(inner)
            return
        if not isinstance(part, spaces.Box):
            raise self._refused(part, "it is neither numbers nor a picture")
        if part.dtype == np.uint8 and len(part.shape) != 1:
            raise self._refused(part, "an image is learned from only on its own")
        large = (part.low < -EXACT).any() or (part.high > EXACT).any()
        if large and part.dtype.kind != "f":
            raise self._refused(part, "float32 can't hold all of its values exactly")

    def _refused(self, part: spaces.Space[Any], why: str) -> UserError:
        which = "" if part is self._whole else f" ({part})"
        return UserError(
            f"{self._whose}{which} can't be learned from: {why}. Give its task an observer that "
            "says what a student sees (Task.observer, docs/tasks.md)."
        )
