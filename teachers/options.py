"""How a teacher is asked: the options that every command which asks has in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_validator

from lvlm2p.envs.options import EnvironmentOptions
from lvlm2p.teachers.models.elicit.registry import elicitation_names

if TYPE_CHECKING:
    from lvlm2p.teachers.budget import Budget
    from lvlm2p.teachers.teacher import Teacher

    Elicit: TypeAlias = str
else:
    Elicit = Literal[elicitation_names()]  # so that --help lists them


ANSWERING = (
    *("rules", "teacher_args", "elicit", "view", "view_args", "prompt", "shots", "symmetry"),
    "retry_failures",
)
STORED = ("store", "labels", "offline", "on_miss")
BUDGET = ("budget_usd", "budget_calls", "yes")
"""The options below, as the groups of ``--help`` list them."""


class TeacherOptions(EnvironmentOptions):
    """Options of ``train``, ``evaluate`` and ``label`` about the teacher and its answers."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    rules: str | None = Field(default=None, min_length=1)
    """What a teacher is told of the game, in place of the task's own rules."""

    teacher_args: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies it)
    """The teacher's own options; on the command line -T key=value, repeated."""

    elicit: Elicit | None = None
    """Where the probabilities come from; None is the teacher's own default."""

    view: Literal["image", "text", "both"] | None = None
    """What the teacher gets of a state: the picture, words in its place, or both; None is the
    teacher's own default. To compare them in one report, name the teacher NAME@text and so on."""

    view_args: dict[str, Any] = Field(default_factory=dict)
    """How states are put into words; on the command line --view-arg coordinates=true."""

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
    """Offline, a state without a label ends the run (fail) or gets no distillation (skip)."""

    symmetry: Literal["none", "canonical"] = "none"
    """canonical: ask about one representative of all symmetric states."""

    budget_usd: float | None = Field(default=None, ge=0)
    """Stop asking when this many dollars are spent; the run continues without distillation on
    unlabelled states."""

    budget_calls: int | None = Field(default=None, ge=0)
    """Stop asking after this many calls to the model; the run continues without distillation on
    unlabelled states."""

    retry_failures: bool = False
    """Ask again about states whose answer was paid for and of no use."""

    yes: bool = False
    """Ask the teacher, whatever it costs, without a question about it first."""

    _shared_ledger: Path | None = PrivateAttr(default=None)

    @field_validator("view_args")
    @classmethod
    def _known_view_args(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key in given:
            if key != "coordinates":
                raise ValueError(f"there is no {key!r}: there is coordinates=true")
        return given

    @model_validator(mode="after")
    def _nobody_has_options(self) -> Self:
        if getattr(self, "teacher", None) == "none" and self.teacher_args:
            given = " ".join(f"-T {key}={value}" for key, value in self.teacher_args.items())
            raise ValueError(f"{given} says how a teacher answers, and there is --teacher none")
        return self

    def load_teacher(self, name: str, sample: int = 0, budget: Budget | None = None) -> Teacher:
        """The teacher ``name`` behind the store, with these options.

        Args:
            sample: see :func:`lvlm2p.teachers.load_teacher`.
            budget: one that other teachers share; None: :meth:`new_budget`.

        Raises:
            teachers.errors.UserError: an unknown name or option, or a store that can't be used.
        """
        if self.labels is not None:
            return self._load_labels(self.labels, name, sample)
        from lvlm2p.teachers.registry import load_teacher
        from lvlm2p.teachers.store.store import LabelStore

        return load_teacher(
            name,
            options=self.options_of(name),
            store=LabelStore(self.store),
            offline=self.offline,
            on_miss=self.on_miss,
            budget=budget or self.new_budget(),
            symmetry=self.symmetry,
            sample=sample,
            retry_failures=self.retry_failures,
            by_batch=self._by_batch(),
        )

    def load_calibrated(self, name: str, report: Path | None) -> Teacher:
        """The same with the temperatures that ``report`` (a report.json) holds for it, if any.

        Raises:
            teachers.errors.UserError: as :meth:`load_teacher`, or the report is another teacher's.
        """
        teacher = self.load_teacher(name)
        if report is None:
            return teacher
        from lvlm2p.teachers.wrappers.calibrated import calibrated

        return calibrated(teacher, report)

    def _load_labels(self, path: Path, name: str, sample: int) -> Teacher:
        from lvlm2p.teachers.errors import ConfigError
        from lvlm2p.teachers.labelset.teacher import load_label_set

        if given := self.options_of(name):
            raise ConfigError(
                f"--labels answers from {path}, where the labels are as they are: leave out "
                f"{', '.join(given)}, which would change nothing"
            )
        return load_label_set(
            path, name, sample=sample, on_miss=self.on_miss, symmetry=self.symmetry
        )

    def options_of(self, name: str) -> dict[str, Any]:
        """The own options of the teacher ``name`` that were given."""
        named = {
            "elicit": self.elicit,
            "view": self.view,
            "prompt": self.prompt,
            "shots": self.shots,
        }
        options = {key: value for key, value in named.items() if value is not None}
        return {**options, **self.view_args, **self.teacher_args}

    def sharing_budget(self, ledger: Path) -> Self:
        """The same options with one budget for all processes that share ``ledger``."""
        options = self.model_copy()
        options._shared_ledger = ledger
        return options

    def _by_batch(self) -> bool:
        """Whether to ask through the provider's batch API."""
        return False

    def _ledger(self) -> Path | None:
        """Where what was spent is kept for the next process; None: nowhere."""
        return None

    def new_budget(self) -> Budget | None:
        """What may be spent, less what a ledger says was spent already; None: there is no limit.

        Where there is a ledger, also what is spent without a limit counts: one may come later.

        Raises:
            teachers.errors.RunError: the ledger can't be read.
        """
        from lvlm2p.teachers.budget import Budget
        from lvlm2p.teachers.shared_budget import SharedBudget

        if self._shared_ledger is not None:
            return SharedBudget(self.budget_usd, self.budget_calls, self._shared_ledger)
        ledger = self._ledger()
        if self.budget_usd is None and self.budget_calls is None and ledger is None:
            return None
        return Budget(usd=self.budget_usd, calls=self.budget_calls, ledger=ledger)
