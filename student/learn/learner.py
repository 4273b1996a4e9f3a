"""What a run does with its policy: it acts, and it improves; alone, or in step with other runs.

The loop of a run is a coroutine, and where it needs the policy it awaits. A run that is alone gets
what it awaits at once. Of several runs that go in step (``in_step.py``) each is suspended there
until all of them are answered together. No event loop has a part in it.

PyTorch's gradient mode is the thread's, and so all runs': nothing may be awaited in ``no_grad``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lvlm2p.student.learn.optimise import gradient_step

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lvlm2p.envs import Observation
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.replay import Replayed
    from lvlm2p.student.learn.rollout import Minibatch
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.inputs import Inputs
    from lvlm2p.student.models.policy import Actor, Policy

P = ParamSpec("P")
T = TypeVar("T")

Acting = Callable[
    ["Observation", "Tensor", "Tensor"], Coroutine[Any, Any, tuple["Inputs", "Tensor", "Tensor"]]
]
"""One step, to be awaited: from observations, the policy's state and where episodes begin to what
the policy is shown, logits and the new state."""

Report = dict[str, "Tensor"]
"""Scalars by name, for people to read."""

Loss = Callable[
    [tuple["Tensor", ...], Any, "Tensor | float | None", "TrainConfig"], tuple["Tensor", Report]
]
"""The loss of a minibatch, and what to report. Of logits (and values, where the critic is
improved), the minibatch, and the weight of the distillation: None without a teacher. It is a
function of tensors alone, so that ``torch.func.vmap`` can take it for several runs at once."""


class Learner:
    """A policy and its optimiser."""

    def __init__(
        self, policy: Policy, optimizer: torch.optim.Optimizer, config: TrainConfig
    ) -> None:
        self.policy, self.optimizer, self.config = policy, optimizer, config

    def acting(self, encoder: Encoder) -> Acting:
        """The actor with the parameters of this moment, for stepping environments."""
        return at_once(seeing(encoder, self.policy.acting()))

    async def improve(
        self, batch: Minibatch | Replayed, loss: Loss, weight: float | None, *, critic: bool = True
    ) -> Report:
        """One gradient step on a minibatch; what ``loss`` reports.

        Args:
            weight: of the distillation, for ``loss``.
            critic: whether ``loss`` takes values beside logits.

        Raises:
            RunError: the gradient is not finite; the policy is left as it was.
        """
        return self.improve_alone(batch, loss, weight, critic=critic)

    def improve_alone(
        self, batch: Minibatch | Replayed, loss: Loss, weight: float | None, *, critic: bool
    ) -> Report:
        """The same, at once."""
        seen = (batch.inputs, batch.state, batch.episode_start)
        outputs = self.policy.evaluate(*seen) if critic else (self.policy.logits(*seen),)
        value, report = loss(outputs, batch, weight, self.config)
        gradient_step(value, self.policy, self.optimizer, self.config.max_grad_norm)
        return report

    async def pause(self) -> None:
        """Before a wait for a teacher: let other runs go on until they have to wait, too."""


def seeing(
    encoder: Encoder, actor: Actor
) -> Callable[[Observation, Tensor, Tensor], tuple[Inputs, Tensor, Tensor]]:
    """One step of ``actor``, from what environments show."""

    def act(
        observation: Observation, state: Tensor, episode_start: Tensor
    ) -> tuple[Inputs, Tensor, Tensor]:
        inputs = encoder(observation)
        return inputs, *actor(inputs, state, episode_start)

    return act


def at_once(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """``function``, to be awaited."""

    async def awaited(*args: P.args, **options: P.kwargs) -> T:
        return function(*args, **options)

    return awaited


def alone(work: Coroutine[Any, Any, T]) -> T:
    """Carry out a coroutine that awaits nobody but itself."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("a run by itself waits for others")
