"""One run of a sweep, in whichever process: trained to its end, and what came of it as a value."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lvlm2p.envs.untrusted import MalformedDataError, read_json
from lvlm2p.student.config import TrainConfig
from lvlm2p.teachers.errors import Lvlm2pError

LOCK_S = 30.0
"""Seconds to wait for another process that is about to leave the run's folder."""


class RunOutcome(BaseModel):
    """What one training run came to."""

    model_config = ConfigDict(extra="forbid")

    result: dict[str, Any] | None = None
    """What ``lvlm2p train --json`` prints; None: it failed."""
    error: str | None = None
    exit_code: int = 0
    """Of ``lvlm2p train``, had it been called."""


class Assignment(BaseModel):
    """A run as it is handed to the process that trains it."""

    model_config = ConfigDict(extra="forbid")

    options: dict[str, Any]
    ledger: Path
    """Of the budget of the whole sweep."""

    @classmethod
    def of(cls, config: TrainConfig, ledger: Path) -> Assignment:
        """The run that ``config`` describes."""
        options = config.model_dump(mode="json", exclude={"resume", "yes"})
        return cls(options=options, ledger=ledger.absolute())

    def carry_out(self) -> RunOutcome:
        """Train from the beginning, or from the last checkpoint; errors are values.

        KeyboardInterrupt passes, after a checkpoint was saved.
        """
        from lvlm2p.student.training.run_dir import wait_for_folder
        from lvlm2p.student.training.train import train

        try:
            config = TrainConfig.model_validate(self.options).sharing_budget(self.ledger)
            begun = wait_for_folder(config.run_dir, LOCK_S)
            result = train(config.model_copy(update={"resume": begun}))
        except Lvlm2pError as error:
            return RunOutcome(error=str(error), exit_code=error.exit_code)
        except Exception as error:  # of a stranger's environment or teacher, or a mistake of ours
            traceback.print_exc(file=sys.stderr)
            said = f"{type(error).__name__}: {error}"
            return RunOutcome(error=f"an error that nobody expected: {said}", exit_code=1)
        return RunOutcome(
            result=result.as_json(), error=result.trouble(), exit_code=3 if result.trouble() else 0
        )


class _Kept(BaseModel):
    frames: int


class _Made(BaseModel):
    config: dict[str, Any]


def finished(config: TrainConfig) -> Mapping[str, Any] | None:
    """The result of a run that is trained to its end, with these very options; None: there is none.

    (What was trained with others, a resumed run says.)
    """
    try:
        result = read_json(config.run_dir / "result.json")
        frames = _Kept.model_validate(result).frames
        made = _Made.model_validate(read_json(config.run_dir / "versions.json"))
    except (OSError, MalformedDataError, ValidationError):
        return None
    same = made.config == config.what_counts()
    return dict(result) if same and frames >= config.frames else None
