"""One state as a teacher sees it: the :class:`View`.

Thousands are made a second, so a view is four references; the key is hashed and the picture drawn
only when somebody asks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.task import ImageStyle, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWING_VERSION = 1
"""Part of every key: raise it when any view's picture or description changes."""

PLAIN = ImageStyle()


@dataclass(frozen=True)
class View:
    """A snapshot: it stays what it is when the environment moves on."""

    task: Task
    state: bytes
    """All there is to see, in the task's own canonical bytes: equal pictures, equal bytes."""
    mission: str
    carrying: str | None = None
    """``"purple key"``."""
    blank: bool = False
    """Its picture is left empty: another question, which shows whether a teacher looks."""

    @cached_property
    def key(self) -> str:
        """Names the content: sha256 over all that a teacher could react to, and nothing else."""
        said: tuple[object, ...] = (self.task.name, self.mission, self.carrying, DRAWING_VERSION)
        if self.blank:
            said = (*said, "blank")
        return hashlib.sha256(repr(said).encode() + self.state).hexdigest()

    @property
    def text(self) -> str | None:
        """The state in words; None where the task has none."""
        return None if self.task.describe is None else self.task.describe(self)

    def image(self, style: ImageStyle = PLAIN) -> NDArray[np.uint8]:
        """The picture, (height, width, 3) RGB, drawn now.

        Raises:
            UserError: the task has no picture.
        """
        import numpy as np

        if self.task.draw is None:
            raise UserError(
                f"task {self.task.name!r} has no picture: give it one (Task.draw), "
                "or ask a teacher that reads text."
            )
        picture = self.task.draw(self, style)
        if self.blank:
            picture = np.full_like(picture, 128)
        return picture

    def png(self, style: ImageStyle = PLAIN) -> bytes:
        """The picture as a PNG file."""
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(self.image(style)).save(file, "PNG")
        return file.getvalue()

    def to_json(self) -> dict[str, Any]:
        """The view as JSON values, for stores and state sets."""
        data = {
            "task": self.task.name,
            "state": base64.b64encode(self.state).decode(),
            "mission": self.mission,
            "carrying": self.carrying,
        }
        return {**data, "blank": True} if self.blank else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> View:
        """The view that :meth:`to_json` wrote.

        Raises:
            UnknownNameError: nobody has registered its task.
            UserError: the data are not a view's.
        """
        from lvlm2p.envs.registry import task_named

        try:
            name, mission, carrying = data["task"], data["mission"], data["carrying"]
            state = base64.b64decode(data["state"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise UserError(
                "this is not a saved view: it needs task, state (base64), mission and carrying; "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(name, str) or not isinstance(mission, str):
            raise UserError("this is not a saved view: task and mission must be strings.")
        if carrying is not None and not isinstance(carrying, str):
            raise UserError("this is not a saved view: carrying must be a string or null.")
        return cls(task_named(name), state, mission, carrying, data.get("blank") is True)
