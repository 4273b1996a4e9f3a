"""Everything that changes during a training run, to be saved and restored."""

from __future__ import annotations

import math
from collections import deque
from contextlib import ExitStack
from copy import copy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ValidationError

from lvlm2p.envs import VectorEnv
from lvlm2p.student.config import WHO_IS_ASKED
from lvlm2p.student.learn.labels import LabelBuffer
from lvlm2p.student.learn.learner import Learner
from lvlm2p.student.learn.optimise import make_optimizer
from lvlm2p.student.learn.rollout import Position
from lvlm2p.student.models.device import torch_device
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.training import checkpoint
from lvlm2p.student.training.metrics import Metrics
from lvlm2p.student.training.visited import Visited
from lvlm2p.student.window import RECENT
from lvlm2p.teachers import Counts, Teacher
from lvlm2p.teachers.errors import CheckpointError, Lvlm2pError

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig


class Saved(BaseModel, extra="forbid"):
    """What a checkpoint holds beside tensors."""

    frames: int
    updates: int = 0
    seconds: float
    episodes: list[tuple[float, int, bool]]
    teacher_return: float | None
    caught_up_at: int | None
    counts: Counts
    env: dict[str, Any]
    missions: list[str]
    visited: int
    prompts: list[str]
    sizes: dict[str, int]
    who_is_asked: dict[str, Any]


class Run:
    """Everything that changes during a run. Between two updates it can be saved and restored."""

    def __init__(self, config: TrainConfig, teacher: Teacher | None) -> None:
        self.config, self.teacher = config, teacher
        self.env = VectorEnv(config.env, config.n_envs, config.seed)
        self.device = torch_device(config.device)
        self.encoder = Encoder(self.env.space, self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = Policy(
                self.env.space.kind,
                self.encoder.shape,
                self.env.n_actions,
                config.hidden,
                config.memory,
            ).to(self.device)
        self.optimizer = make_optimizer([self.policy], config)
        self.learner = Learner(self.policy, self.optimizer, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.labels: LabelBuffer | None = None
        self._counted = Counts()
        if teacher is not None:
            self.labels = LabelBuffer(config, teacher, self.encoder, self.env.n_actions)
            self._counted = copy(teacher.counts)
        self.frames = 0
        self.updates = 0
        self.seconds = 0.0
        self.episodes: deque[tuple[float, int, bool]] = deque(maxlen=RECENT)
        self.teacher_return = config.teacher_return
        self.caught_up_at: int | None = None
        self.earlier = Counts()
        begin = torch.ones(config.n_envs, dtype=torch.bool, device=self.device)
        self.position = Position(self.env.reset(), self.policy.initial_state(config.n_envs), begin)
        self.visited = Visited(config.run_dir / "visited.jsonl") if config.save_visited else None
        self.sizes: dict[str, int] = {}
        self.boundary: dict[str, Any] = {}

    @property
    def counts(self) -> Counts:
        """What the teacher did for this run, before and after it was resumed."""
        total = copy(self.earlier)
        if self.teacher is not None:
            total += self.teacher.counts - self._counted
        total.missing -= self.labels.recounted if self.labels is not None else 0
        return total

    def mark(self) -> None:
        """Remember this moment, between two updates, as the one to save."""
        self.boundary = {
            "frames": self.frames,
            "updates": self.updates,
            "seconds": self.seconds,
            "episodes": list(self.episodes),
            "teacher_return": self.teacher_return,
            "caught_up_at": self.caught_up_at,
            "counts": asdict(self.counts),
            "env": self.env.state(),
            "missions": list(self.encoder.missions.missions),
            "generator": self.generator.get_state(),
            "state": self.position.state,
            "visited": self.visited.size() if self.visited else 0,
            "prompts": sorted(self.labels.prompts) if self.labels else [],
            "who_is_asked": self._who_is_asked(),
        }

    def save(self, metrics: Metrics) -> None:
        """Write the last marked moment as the checkpoint."""
        state = dict(self.boundary)
        tensors = {"generator": state.pop("generator"), "state": state.pop("state")}
        tensors |= {f"policy.{k}": v for k, v in self.policy.state_dict().items()}
        tensors |= checkpoint.to_flat(self.optimizer.state_dict()["state"])
        if self.labels is not None:
            tensors |= {f"labels.{k}": v for k, v in self.labels.tensors().items()}
        state["sizes"] = metrics.sizes()
        tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
        checkpoint.save(self.config.run_dir / "checkpoint", tensors, state)

    def close(self) -> None:
        """Stop asking, close files and environments: all, though one of them raise."""
        with ExitStack() as each:
            each.callback(self.env.close)
            if self.visited is not None:
                each.callback(self.visited.close)
            if self.labels is not None:
                each.callback(self.labels.close)

    def restore(self) -> None:
        """Come back to the last checkpoint, if there is one.

        Raises:
            CheckpointError: it can't be used.
        """
        loaded = checkpoint.load(self.config.run_dir / "checkpoint")
        if loaded is None:
            if self.visited is not None:
                self.visited.cut(0)
            return
        tensors, state = loaded
        try:
            self._take(tensors, Saved.model_validate(state))
        except Lvlm2pError:
            raise
        except Exception as error:  # there is no end of what can be wrong with a damaged file
            raise CheckpointError(
                f"the checkpoint in {self.config.run_dir} does not fit this run "
                f"({_in_words(error)}): {checkpoint.ADVICE}"
            ) from None

    def _take(self, tensors: dict[str, torch.Tensor], state: Saved) -> None:
        self.policy.load_state_dict(_below("policy.", tensors))
        slots = {**self.optimizer.state_dict(), "state": checkpoint.from_flat(tensors)}
        self.optimizer.load_state_dict(slots)
        self.generator.set_state(tensors["generator"])
        self.frames, self.updates, self.seconds = state.frames, state.updates, state.seconds
        self.episodes.extend(state.episodes)
        self.teacher_return, self.caught_up_at = state.teacher_return, state.caught_up_at
        self.earlier = state.counts
        self.encoder.missions.rows(state.missions)
        observation = self.env.restore(state.env)
        begin = torch.from_numpy(self.env.episode_start).to(self.device)
        self.position = Position(observation, tensors["state"].to(self.device), begin)
        self.sizes = state.sizes
        if self.visited is not None:
            self.visited.cut(state.visited)
        if self.labels is not None:
            self.labels.restore(_below("labels.", tensors))
            self.labels.prompts = set(state.prompts)
            if state.who_is_asked != self._who_is_asked():
                self._ask_again(state.who_is_asked)

    def _who_is_asked(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json", include=set(WHO_IS_ASKED))

    def _ask_again(self, before: dict[str, Any]) -> None:
        """About what had no answer, now that there may be one."""
        assert self.labels is not None
        retry = self.config.retry_failures and not before["retry_failures"]
        self.labels.ask_again(for_good=retry)
        if self.teacher_return == math.inf:  # nobody knew: it is measured once more
            self.teacher_return = None


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
