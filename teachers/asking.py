"""How a teacher is asked: the options that every command which asks has in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

if TYPE_CHECKING:
    from teachers.budget import Budget
    from teachers.teacher import Teacher

Elicit = Literal["stated", "logprobs", "votes", "choice"]


class Asking(BaseModel):
    """Options of ``train``, ``evaluate`` and ``label`` about the teacher and its answers."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    teacher_args: dict[str, Any] = {}
    """The teacher's own options; on the command line -T key=value, repeated."""

    elicit: Elicit | None = None
    """Where the probabilities come from; None is the teacher's own default."""

    prompt: str | None = None
    """Name or folder of the prompt; None is the teacher's own default."""

    shots: int | None = Field(default=None, ge=0)
    """Number of few-shot examples in the prompt; None is the teacher's own default."""

    store: Path | None = None
    """Folder of the label store; None: $LVLM2P_STORE, else the user's cache folder."""

    labels: Path | None = None
    """Parquet label set to answer from instead of asking; the store is left alone."""

    offline: bool = False
    """Answer from the store alone; nobody is asked and nothing is billed."""

    on_miss: Literal["fail", "skip"] = "fail"
    """Offline, a state without a label ends the run (fail) or goes unguided (skip)."""

    symmetry: Literal["none", "canonical"] = "none"
    """canonical: ask about one representative of all symmetric states."""

    budget_usd: float | None = Field(default=None, ge=0)
    """Stop asking when this many dollars are spent; the run goes on unguided."""

    budget_calls: int | None = Field(default=None, ge=0)
    """Stop asking after this many calls to the model; the run goes on unguided."""

    retry_failures: bool = False
    """Ask again about states whose answer was paid for and of no use."""

    _budget: Any = PrivateAttr(default=None)

    def load_teacher(self, name: str, sample: int = 0) -> Teacher:
        """The teacher ``name`` behind the store, with these options.

        Raises:
            teachers.errors.UserError: an unknown name or option, or a store that can't be used.
        """
        from teachers.registry import load_teacher

        if self.labels is not None:
            from teachers.labelset.teacher import load_label_set

            return load_label_set(
                self.labels, name, sample=sample, on_miss=self.on_miss, symmetry=self.symmetry
            )
        from teachers.store import LabelStore

        named = {"elicit": self.elicit, "prompt": self.prompt, "shots": self.shots}
        options = {key: value for key, value in named.items() if value is not None}
        return load_teacher(
            name,
            options={**options, **self.teacher_args},
            store=LabelStore(self.store),
            offline=self.offline,
            on_miss=self.on_miss,
            budget=self._shared_budget(),
            symmetry=self.symmetry,
            sample=sample,
            retry_failures=self.retry_failures,
        )

    def _shared_budget(self) -> Budget | None:
        """One budget for all the teachers of a command, however many are loaded."""
        from teachers.budget import Budget

        limited = self.budget_usd is not None or self.budget_calls is not None
        if limited and self._budget is None:
            self._budget = Budget(usd=self.budget_usd, calls=self.budget_calls)
        budget: Budget | None = self._budget
        return budget
