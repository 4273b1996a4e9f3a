"""Options of ``lvlm2p train``, those for several seeds at once included. Light to import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from lvlm2p.student.config import TrainConfig

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class TrainCommand(TrainConfig):
    """Options of one run, or of several that differ in their seeds alone."""

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        **TrainConfig.help_groups,
        "task": (*TrainConfig.help_groups["task"], "seeds"),
    }

    seeds: tuple[Seed, ...] | None = None
    """Train a run for each of these seeds, all in this process with their networks stacked, in
    folders seed-0, seed-1, ... of --run-dir. A budget is for all of them together."""

    @model_validator(mode="after")
    def _each_seed_once(self) -> TrainCommand:
        if self.seeds is None:
            return self
        if "seed" in self.model_fields_set:
            raise ValueError("there is a seed and there are seeds: leave one of the two out")
        if not self.seeds:
            raise ValueError("--seeds needs a seed at least, such as --seeds 0 1 2")
        seed, times = Counter(self.seeds).most_common(1)[0]
        if times > 1:
            raise ValueError(f"--seeds has {seed} {times} times: each run needs a seed of its own")
        return self

    def one_run(self) -> TrainConfig:
        """The run that is described, where there are no ``seeds``."""
        given = self.model_fields_set - {"seeds"}
        return TrainConfig.model_validate({name: getattr(self, name) for name in given})

    def runs(self, folder: Path) -> Iterator[TrainConfig]:
        """A run for each of the ``seeds``, in a folder of its own below ``folder``."""
        whole = self.one_run()
        for seed in self.seeds or ():
            yield whole.model_copy(
                update={"seed": seed, "run_dir": folder / f"seed-{seed}"}
            ).sharing_budget(folder / "budget.json")
