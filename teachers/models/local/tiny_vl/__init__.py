"""``tiny-vl``: the small vision-language model that ships with this project.

It is asked like any other model in this process, with the prompt that it was trained on; the folder
``checkpoint`` beside this file is the model, and its README says how good it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from lvlm2p.envs import Task, View
from lvlm2p.envs.extras import install, missing
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.local.teacher import TransformersOptions, TransformersTeacher
from lvlm2p.teachers.plugin import Status

CHECKPOINT = Path(__file__).parent / "checkpoint"
"""Loads with transformers and vLLM as it is."""

ELICITATIONS = ("stated", "logprobs", "votes", "choice")
"""The questions that it was trained on."""

TASKS = ("lava-gap", "dynamic-obstacles", "fetch", "go-to-door")

SMALLEST, LARGEST = 5, 8
"""Cells of a side: the sizes that it was trained on. Of others it reads nothing right."""


class TinyVLOptions(TransformersOptions):
    """Options of ``tiny-vl``: those of a model in this process, less model and prompt."""

    model: Literal[None] = None
    """Always the shipped checkpoint; another folder is for the teacher qwen-vl-hf."""
    prompt: Literal["tiny"] = "tiny"
    """The only prompt that it was trained on."""
    shots: Literal[None, 0] = None
    """It was trained without examples."""
    max_tokens: int | None = Field(default=48, ge=1)
    """Longest answer, in tokens; its own have 19 at most."""
    reask: int = Field(default=0, ge=0, le=3)
    """How often an answer that can't be used is asked again; it never learnt to be corrected."""


class TinyVLTeacher(TransformersTeacher):
    """The shipped model. It knows four tasks, at 5x5 to 8x8 cells."""

    Options = TinyVLOptions

    @property
    def model(self) -> str:
        """The shipped folder."""
        return str(CHECKPOINT)

    @property
    def called(self) -> str:
        """The same on every machine, wherever the folder lies."""
        return "tiny-vl"

    @property
    def elicitations(self) -> tuple[str, ...]:
        """See :class:`PromptedTeacher`."""
        return ELICITATIONS

    def supports(self, task: Task) -> str | None:
        """See :class:`Teacher`."""
        if task.name in TASKS:
            return None
        return f"teacher {self.name!r} was trained on {', '.join(TASKS)} only, not on {task.name}"

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`.

        Raises:
            TeacherNotReadyError: the model can't be loaded, or was not made for such large views.
        """
        # a view's state is as long as its grid is large: one picture of each length will do
        for view in {len(view.state): view for view in views}.values():
            style = self.prompted(view.task)[0].style
            height, width, _ = view.image(style).shape
            rows, columns = height // style.tile, width // style.tile
            if min(rows, columns) < SMALLEST or max(rows, columns) > LARGEST:
                raise TeacherNotReadyError(
                    f"teacher {self.name!r} was trained on {SMALLEST}x{SMALLEST} to "
                    f"{LARGEST}x{LARGEST} cells only, not on {rows}x{columns}: choose a smaller "
                    "environment or another teacher"
                )
        return super().ask(views)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        absent = missing("local")
        about = "a stand-in for a large model: four tasks, 5x5 to 8x8 cells"
        return Status(
            name,
            model="shipped, 0.8 million parameters",
            elicitations=ELICITATIONS,
            usd_per_1000=0.0,
            ready=not absent and (CHECKPOINT / "model.safetensors").is_file(),
            note=install("local") if absent else about,
        )


__all__ = ["CHECKPOINT", "TASKS", "TinyVLOptions", "TinyVLTeacher"]
