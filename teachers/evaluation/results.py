"""What an evaluation found. These models are the schema of report.json.

Every measured number is an :class:`Interval`; None stands where there was nothing to measure.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _ReportPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Interval(_ReportPart):
    """A number with its 95% interval."""

    value: float
    low: float
    high: float
    n: int
    """States or episodes behind it."""


class Bin(_ReportPart):
    """One bar of the reliability diagram: answers whose highest probability lies in a range."""

    low: float
    high: float
    n: int
    confidence: float
    """Mean of the highest probability."""
    accuracy: float
    """Share whose most probable action is optimal."""


class Confusion(_ReportPart):
    """What was optimal (rows) against what the teacher chose (columns), counted in states.

    A right choice counts in its own row; a wrong one is shared out over the optimal actions.
    """

    actions: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]


class Stratum(_ReportPart):
    """The states at one distance to the goal."""

    distance: int | None
    """Steps to success; None where the planner names none."""
    states: int
    top1: Interval | None


class Acting(_ReportPart):
    """Episodes played by the teacher alone."""

    success: Interval
    """Share of episodes that the task counts as successes."""
    episode_return: Interval
    length: Interval
    unanswered: float
    """Share of steps without a label, where a uniformly random action was taken."""


class AnalysisScores(_ReportPart):
    """The teacher's description of the scene beside the true one."""

    n: int
    """Answers that came with a description."""
    fields: dict[str, Interval]
    """Share that is right, field by field; ``target``: row and column of one right target."""
    right: Interval
    """Agent's place and direction and the target's place are all right."""
    top1_given_right: Interval | None
    top1_given_wrong: Interval | None


class PlanScores(_ReportPart):
    """The options of a teacher that plans."""

    n: int
    """Labels that came of plans."""
    accuracy: Interval | None
    """Share whose most voted option is one that the task's own planner pursues; None: the task
    does not say."""
    infeasible: Interval | None
    """Of the options that were tried, the share that names what is not there, or is none of the
    task's."""
    idle: Interval | None
    """Share of the plans of which nothing could be carried out, by votes."""


class Probe(_ReportPart):
    """The same states asked again in another form."""

    same: Interval
    """Share whose most probable action stayed (after carrying it back, where the form turns it);
    of equally probable actions as much as both answers have in common."""
    moved: Interval
    """Probability that moved: total variation distance, 0 to 1."""


class Probes(_ReportPart):
    """How much an answer depends on what it should and should not depend on."""

    blank: Probe | None
    """With an empty picture: a teacher that looks can't keep its answers."""
    symmetry: Probe | None
    """Turned, mirrored or recoloured: the same question, so the same answer."""
    repeat: Probe | None
    """Word for word once more."""


class Cost(_ReportPart):
    """What one label takes, averaged over the answers on the state set."""

    usd_per_1000: float | None
    """None: the price is not known."""
    calls: float
    prompt_tokens: float
    cached_tokens: float
    completion_tokens: float
    latency_p50_s: float
    latency_p95_s: float


class Temperature(_ReportPart):
    """The exponent 1 / value that fits the stated probabilities best."""

    value: float
    """Above 1: overconfident, soften. Below 1: underconfident, sharpen."""
    nll_before: float
    nll_after: float
    at_bound: bool
    """The fit ran into the end of its range: (nearly) always right, or never."""


class Finding(_ReportPart):
    """Something that the numbers say about a teacher, in words."""

    code: str
    text: str


class Verdict(_ReportPart):
    """Whether a student is likely to learn from this teacher."""

    level: Literal["strong", "useful", "doubtful", "no", "unknown"]
    text: str


class Evaluation(_ReportPart):
    """One teacher on one environment."""

    teacher: str
    fingerprint: str
    """The teacher's: two evaluations with the same one asked the same thing of the same model."""
    model: str
    """As the provider names it; empty where no model was asked."""
    prompt: str
    """The prompt's fingerprint; empty where none was used."""
    elicitation: str
    task: str
    env: str
    baseline: bool
    """The planner or uniformly random answers, shown beside the teachers for comparison."""
    states: int
    labelled: int
    """States with a label: everything but ``valid`` is measured on these."""
    valid: Interval | None
    """Share of the states asked about that got a label."""
    failures: dict[str, int]
    """By kind. ``budget`` and ``missing`` were not asked and are not in ``valid``."""
    top1: Interval | None
    """Share whose most probable action is optimal."""
    mass: Interval | None
    """Mean probability on the optimal actions."""
    nll: Interval | None
    """Mean of -log(probability on the optimal actions), floored at 0.001."""
    brier: Interval | None
    """Mean squared distance to the nearest distribution over optimal actions only."""
    ece: Interval | None
    """Expected calibration error of the most probable action, ten equal bins."""
    reliability: tuple[Bin, ...]
    confusion: Confusion | None
    by_distance: tuple[Stratum, ...]
    acting: Acting | None
    """By the most probable action."""
    acting_sampled: Acting | None
    """By drawing from the stated probabilities."""
    analysis: AnalysisScores | None
    plans: PlanScores | None = None
    probes: Probes
    cost: Cost | None
    cost_usd: float | None
    """Paid in this run, answers already in the store not counted; None: not known."""
    temperature: Temperature | None
    findings: tuple[Finding, ...]
    verdict: Verdict

    @property
    def _who(self) -> tuple[str, str]:
        return self.env, self.fingerprint

    @property
    def success(self) -> Interval | None:
        """Acting success by the most probable action."""
        return self.acting.success if self.acting else None


class Agreement(_ReportPart):
    """Two teachers on the same states."""

    teachers: tuple[str, str]
    env: str
    same: Interval
    """Share of the states both labelled with the same most probable action; of equally probable
    actions as much as both have in common."""
    moved: Interval
    """Total variation distance between their distributions."""


class Unusable(_ReportPart):
    """A teacher that could not be measured in an environment."""

    teacher: str
    env: str
    why: str
    """One sentence."""


class Results(_ReportPart):
    """The whole of report.json."""

    format: Literal["lvlm2p-report"] = "lvlm2p-report"
    version: Literal[1] = 1
    created: str
    tool: str
    """The version of lvlm2p that measured."""
    seed: int
    results: tuple[Evaluation, ...]
    baselines: tuple[Evaluation, ...]
    agreement: tuple[Agreement, ...] = Field(default=())
    unusable: tuple[Unusable, ...] = Field(default=())
    notes: tuple[str, ...] = Field(default=())
    """What the numbers of an environment mean, and which are left out; a sentence each."""

    def is_baseline(self, row: Evaluation) -> bool:
        """Whether ``row`` is a baseline, or a teacher that answers exactly as one does."""
        return row.baseline or row._who in {other._who for other in self.baselines}

    def by_environment(self) -> list[Evaluation]:
        """Each environment's teachers, then its baselines, except one that is among the teachers.

        (``--teacher random`` is the baseline itself. ``--teacher expert`` is not: it is as sure as
        its options say, and the baseline is certain.)
        """
        named = {row._who for row in self.results}
        rows = [*self.results, *(row for row in self.baselines if row._who not in named)]
        order = list(dict.fromkeys(row.env for row in rows))
        return sorted(rows, key=lambda row: order.index(row.env))
