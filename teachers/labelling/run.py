"""`lvlm2p label`: label states ahead of time, into the store and a Parquet file.

The store makes it resumable: what was answered before a crash is read, not asked. States are
asked about in large batches and written as they come, so memory does not grow with their number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from lvlm2p.teachers.errors import ConfigError, LabelFileError, Lvlm2pError, TeacherError
from lvlm2p.teachers.label import Answer, Failure
from lvlm2p.teachers.options import TeacherOptions
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.teacher import Counts, Teacher

if TYPE_CHECKING:
    from lvlm2p.envs import View
    from lvlm2p.teachers.labelset.schema import Entry

BATCH = 2_048
"""States asked about at once: enough to keep every connection busy but for a short tail."""

DEFAULT_STATES = 1_000
"""So many are drawn from play where nobody says how many."""

VISITED = "visited.jsonl"
"""In a run's folder: the states that it has visited, one View as JSON a line."""


class LabelConfig(TeacherOptions):
    """Which states to label, and where to."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    teacher: str
    """Who is asked; `lvlm2p teachers` lists them."""

    env: str | None = None
    """Gymnasium id whose states are labelled; not with --from-run."""

    states: int | None = Field(default=None, ge=1)
    """How many distinct states; None: 1,000, and all there are with --all-states or --from-run."""

    policy: Literal["random", "expert", "mixed"] = "random"
    """Who plays to find states: random actions, the planner, or both in turn."""

    all_states: bool = False
    """Every reachable state of a small task (LavaGapS6 has 384)."""

    from_run: Path | None = None
    """The states that this training run has visited."""

    seed: int = 0
    """Seed of the play that finds states."""

    from_file: str | None = None
    """The states in this Parquet file or folder: any label set."""

    out: str = "labels.parquet"
    """The Parquet file to write; with a Ray engine a folder of them, local or s3://..."""

    images: bool = False
    """Write each state's picture into the file as well."""

    engine: Literal["local", "ray", "ray-vllm"] = "local"
    """In this process, by actors on Ray (extra `ray`), or by vLLM engines on Ray's GPU nodes."""

    ray_address: str | None = None
    """A Ray cluster to use, e.g. auto or ray://head:10001; None: a local one."""

    workers: int = Field(default=2, ge=1)
    """Ray: how many actors or engines ask."""

    worker_gpus: float = Field(default=0, ge=0)
    """Ray: how many GPUs each actor needs (for --teacher qwen-vl-hf)."""

    @field_validator("out", "from_file", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _one_source(self) -> LabelConfig:
        if sum(source is not None for source in (self.env, self.from_run, self.from_file)) != 1:
            raise ValueError("give one of --env, --from-run and --from-file")
        if self.all_states and self.env is None:
            raise ValueError("--all-states goes with --env")
        return self


@dataclass(frozen=True)
class Labelled:
    """What came of it."""

    out: str
    rows: int
    counts: Counts
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        labels = asdict(self.counts)
        cost = labels.pop("cost_usd")
        return {
            "labels": labels,
            "cost_usd": cost,
            "out": self.out,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
        }

    def summary(self) -> str:
        """One or two lines."""
        counts = self.counts
        price = "price unknown" if counts.cost_usd is None else f"${counts.cost_usd:,.4f}"
        lines = [
            f"{counts.asked:,} asked ({price}), {counts.cached:,} from the store, "
            f"{counts.failed:,} failed; {self.rows:,} rows in {self.out}"
        ]
        if counts.saved:
            lines.append(f"{counts.saved:,} questions saved by symmetry")
        if counts.missing:
            lines.append(f"{counts.missing:,} states were not asked about and are not in the file")
        return "\n".join(lines)


def label_states(config: LabelConfig) -> Labelled:
    """Label the states that ``config`` names.

    Raises:
        UserError: an option, a file or the store can't be used.
        TeacherError: nobody could be asked, or not one state could be labelled.
    """
    if config.engine != "local":
        from lvlm2p.teachers.labelling.ray_actors import label_on_ray

        return label_on_ray(config)
    from lvlm2p.teachers.labelset.paths import writable_file

    out = writable_file(config.out)
    views = find_states(config)
    teacher = config.load_teacher(config.teacher)
    try:
        return label_here(teacher, views, out, images=config.images)
    finally:
        teacher.close()


def label_here(
    teacher: Teacher, views: Sequence[View], out: Path, images: bool = False
) -> Labelled:
    """Label ``views`` in this process, and write them in their order."""
    from lvlm2p.teachers.labelset.parquet import write_labels

    for task in {view.task for view in views}:
        reason = teacher.supports(task)
        if reason is not None:
            raise ConfigError(reason)
    say(f"{teacher.name}: {len(views):,} states; {teacher.estimate(views)}")
    began = time.monotonic()
    failures: list[Failure] = []
    counts = teacher.counts
    try:
        rows = write_labels(out, _answered(teacher, views, failures), images)
    except KeyboardInterrupt:
        say(
            f"stopped: {counts.asked:,} answers more are in the label store; "
            "the same command goes on from there"
        )
        raise
    if failures and counts.asked + counts.cached == counts.failed:
        paid = f" ({counts.cost_usd:,.4f} dollars were paid)" if counts.cost_usd else ""
        raise TeacherError(
            f"not one of {len(views):,} states could be labelled{paid}; the first failure: "
            f"{failures[0].failure}: {failures[0].message}"
        )
    return Labelled(str(out), rows, counts, time.monotonic() - began)


def _answered(teacher: Teacher, views: Sequence[View], failures: list[Failure]) -> Iterator[Entry]:
    """Each view with its answer, in order; those that nobody was asked about are left out."""
    from lvlm2p.teachers.labelset.schema import Entry
    from lvlm2p.teachers.progress import Bar

    with Bar(f"labelling with {teacher.name}", len(views)) as bar:
        for start in range(0, len(views), BATCH):
            batch = views[start : start + BATCH]
            answers: dict[int, Answer] = {}
            for index, answer in teacher.ask(batch):
                answers[index] = answer
                bar.advance(_money(teacher.counts))
            for index, view in enumerate(batch):
                answer = answers[index]
                if isinstance(answer, Failure):
                    failures[:] = failures or [answer]
                    if answer.not_asked:
                        continue
                yield Entry(view, answer)


def _money(counts: Counts) -> str:
    price = "$?" if counts.cost_usd is None else f"${counts.cost_usd:,.4f}"
    return f"{counts.asked:,} asked {counts.cached:,} stored {counts.failed:,} failed {price}"


def find_states(config: LabelConfig) -> list[View]:
    """The states to label, distinct, always the same for the same ``config``."""
    if config.from_run is not None:
        return visited_states(config.from_run)[: config.states]
    if config.from_file is not None:
        return states_in(Path(config.from_file))[: config.states]
    assert config.env is not None
    return _sampled(config, config.env)


def _sampled(config: LabelConfig, env_id: str) -> list[View]:
    from lvlm2p.envs import sample_states, task_for

    if config.all_states:
        return sample_states(env_id, config.states, config.seed, policy="all")
    wanted = config.states or DEFAULT_STATES

    def tell(found: int, frames: int) -> None:
        more = (
            "--all-states lists every reachable one, and " if task_for(env_id).deterministic else ""
        )
        say(
            f"only {found:,} distinct states of {env_id} were found in {frames:,} frames of "
            f"{config.policy} play, not {wanted:,}: {more}another --policy or --seed may find more"
        )

    return sample_states(env_id, wanted, config.seed, policy=config.policy, on_shortfall=tell)


def states_in(path: Path) -> list[View]:
    """The distinct states of a label set, whoever labelled them.

    Raises:
        LabelFileError: the file is no label set, or a row of it is no state.
    """
    from lvlm2p.teachers.labelset.parquet import read_rows
    from lvlm2p.teachers.labelset.schema import view_from_row

    columns = ("task", "mission", "carrying", "blank", "state")
    views = (view_from_row(row) for row in read_rows(path, keep=columns))
    return list({view.key: view for view in views}.values())


def visited_states(run: Path) -> list[View]:
    """The states that a training run has visited, in the order in which it did.

    Raises:
        LabelFileError: there is no such run, or its list of states is damaged.
    """
    from lvlm2p.envs import View

    path = run / VISITED
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelFileError(
            f"{run} has no usable {VISITED}, the list of states that a training run visits: {error}"
        ) from error
    views: dict[str, View] = {}
    for number, line in enumerate(lines[:-1], start=1):  # after a kill the last may be torn
        try:
            view = View.from_json(json.loads(line))
        except (ValueError, TypeError, Lvlm2pError) as error:
            raise LabelFileError(f"{path}, line {number}: not a state: {error}") from error
        views.setdefault(view.key, view)
    if not views:
        raise LabelFileError(f"{path} names no states")
    return list(views.values())
