"""``tiny-vl``: the small vision-language model that ships with this project.

It is asked like any other model in this process, with the prompt that it was trained on; the folder
``checkpoint`` beside this file is the model, and its README says how good it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lvlm2p.envs import Task
from lvlm2p.teachers.models.local.teacher import TransformersOptions, TransformersTeacher
from lvlm2p.teachers.plugin import Status

CHECKPOINT = Path(__file__).parent / "checkpoint"
"""Loads with transformers and vLLM as it is."""

ELICITATIONS = ("stated", "logprobs", "votes", "choice")
"""The questions that it was trained on."""

TASKS = ("lava-gap", "dynamic-obstacles", "fetch", "go-to-door")


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

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return Status(
            name,
            model="shipped, 0.8 million parameters",
            elicitations=ELICITATIONS,
            usd_per_1000=0.0,
            ready=(CHECKPOINT / "model.safetensors").is_file(),
            note="a stand-in for a large model: four tasks, 5x5 to 8x8 cells",
        )


__all__ = ["CHECKPOINT", "TASKS", "TinyVLOptions", "TinyVLTeacher"]
