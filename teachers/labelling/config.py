"""What `lvlm2p label` is told, and what comes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from lvlm2p.envs.options import MADE
from lvlm2p.teachers.options import ANSWERING, BUDGET, STORED, TeacherOptions
from lvlm2p.teachers.teacher import Counts


class LabelConfig(TeacherOptions):
    """Which states to label, and where to."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "states": (
            *("env", *MADE, "states", "policy", "all_states", "from_run", "from_file", "seed"),
        ),
        "teacher": ("teacher", *ANSWERING, "batch"),
        "budget": BUDGET,
        "store": STORED,
        "run": (
            *("out", "overwrite", "images", "engine", "ray_address", "workers", "worker_gpus"),
            *("config", "json"),
        ),
    }

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

    overwrite: bool = False
    """Replace a file that holds answers which the new one would not: of another teacher, about
    other states. Without it the command refuses before it asks."""

    batch: bool = False
    """Ask through the provider's batch API: half the price, answers within a day for each turn of
    the prompt. The command may be stopped and given again at any time."""

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
        if (self.env_args or self.max_episode_steps) and self.env is None:
            raise ValueError("--env-arg and --max-episode-steps go with --env")
        if self.rules is not None and (self.env is None or self.engine == "ray-vllm"):
            raise ValueError("--rules goes with --env and --engine local or ray")
        if self.batch and self.engine != "local":
            raise ValueError("--batch goes with --engine local")
        return self

    def _by_batch(self) -> bool:
        return self.batch


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

    def trouble(self) -> str | None:
        """Why it was in vain: (nearly) all answers failed; None: it was not."""
        return self.counts.trouble(f"{self.rows:,} rows in {self.out}")

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
