"""Several runs in step: what their learners ask for at the same time is answered together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Hashable, Sequence
from operator import is_not
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from lvlm2p.student.learn.learner import Acting, Learner, Loss, Report
from lvlm2p.student.learn.optimise import diverged
from lvlm2p.student.models.stacked import StackedPolicies, can_be_stacked, stacked_inputs
from lvlm2p.teachers.errors import RunError

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.replay import Replayed
    from lvlm2p.student.learn.rollout import Minibatch
    from lvlm2p.student.models.inputs import Inputs
    from lvlm2p.student.models.policy import Actor

T = TypeVar("T")

SEEN = 3
"""The first fields of a minibatch are what the policy is shown; the others are the loss's."""


class Wish(Generic[T]):
    """What a run waits for.

    Attributes:
        turn: the smallest goes first, so that runs which have got apart meet again.
        member: which run it is.
        alike: wishes for which this is equal are answered together.
    """

    turn: ClassVar[int]

    def __init__(self, member: int, *alike: Hashable) -> None:
        self.member, self.alike = member, (self.turn, *alike)

    def __await__(self) -> Generator[Wish[T], T, T]:
        answer = yield self
        return answer


class WishToAct(Wish[tuple[Tensor, Tensor]]):
    """For a step of the actor."""

    turn = 0

    def __init__(
        self, member: int, actor: Actor, inputs: Inputs, state: Tensor, episode_start: Tensor
    ) -> None:
        super().__init__(member, inputs.mission.shape)
        self.actor, self.inputs, self.state = actor, inputs, state
        self.episode_start = episode_start

    def alone(self) -> tuple[Tensor, Tensor]:
        """The answer, where nobody else has the same wish."""
        return self.actor(self.inputs, self.state, self.episode_start)


class WishToPause(Wish[None]):
    """For the others to go on as far as they can."""

    turn = 1

    def alone(self) -> None:
        """There is nothing to do."""


class WishToImprove(Wish[Report]):
    """For a gradient step."""

    turn = 2

    def __init__(
        self,
        member: int,
        own: Learner,
        batch: Minibatch | Replayed,
        loss: Loss,
        weight: float | None,
        critic: bool,
    ) -> None:
        super().__init__(member, batch.inputs.mission.shape, loss)
        self.own, self.batch, self.loss = own, batch, loss
        self.weight, self.critic = weight, critic

    def alone(self) -> Report:
        """The answer, where nobody else has the same wish."""
        return self.own.improve_alone(self.batch, self.loss, self.weight, critic=self.critic)


class Member(Learner):
    """The learner of one of several runs."""

    def __init__(self, number: int, own: Learner) -> None:
        super().__init__(own.policy, own.optimizer, own.config)
        self._number = number

    def acting(self) -> Acting:
        """See :class:`Learner`."""
        actor = self.policy.acting()

        async def act(inputs: Inputs, state: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
            return await WishToAct(self._number, actor, inputs, state, start)

        return act

    async def improve(
        self, batch: Minibatch | Replayed, loss: Loss, weight: float | None, *, critic: bool = True
    ) -> Report:
        """See :class:`Learner`."""
        return await WishToImprove(self._number, self, batch, loss, weight, critic)

    async def pause(self) -> None:
        """See :class:`Learner`."""
        await WishToPause(self._number)


class Stack:
    """Learners whose policies act and improve as one network.

    Policies for which there is no such network (:func:`can_be_stacked`) do so one after another.

    Attributes:
        members: to learn with in place of the learners.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.members = [Member(i, own) for i, own in enumerate(learners)]
        self._config = learners[0].config
        self._policies: StackedPolicies | None = None
        if len(learners) > 1 and can_be_stacked(learners[0].policy):
            self._policies = StackedPolicies([learner.policy for learner in learners])
        self._reading_of: list[Any] = []
        self._reading: Any = None

    def answers(self, wishes: Sequence[Any]) -> list[Any]:
        """To wishes that are alike; an error is to be raised where the wish came from."""
        if self._policies is not None and len(wishes) > 1:
            if isinstance(wishes[0], WishToAct):
                return self._act(self._policies, wishes)
            if isinstance(wishes[0], WishToImprove):
                return self._improve(self._policies, wishes)
        answers: list[Any] = []
        for wish in wishes:
            try:
                answers.append(wish.alone())
            except RunError as error:
                answers.append(error)
        return answers

    @torch.no_grad()
    def _act(
        self, policies: StackedPolicies, wishes: Sequence[WishToAct]
    ) -> list[tuple[Tensor, Tensor]]:
        inputs = stacked_inputs([wish.inputs.compact() for wish in wishes])
        # an actor lives as long as nobody learns; while no mission is new, none is read again
        of = [each for wish in wishes for each in (wish.actor, wish.inputs.tokens)]
        if len(of) != len(self._reading_of) or any(map(is_not, of, self._reading_of)):
            p = policies.chosen([wish.member for wish in wishes])
            self._reading_of = of
            self._reading = p, policies.read(p, "actor", inputs.tokens)
        p, reading = self._reading
        logits = policies.act(p, inputs, reading).unbind()
        return [(each, wish.state) for each, wish in zip(logits, wishes, strict=True)]

    def _improve(
        self, policies: StackedPolicies, wishes: Sequence[WishToImprove]
    ) -> list[Report | RunError]:
        self._reading_of, self._reading = [], None
        p = policies.chosen([wish.member for wish in wishes])
        leaves = {name: p[name].detach().requires_grad_() for name in policies.learned}
        inputs = stacked_inputs([wish.batch.inputs for wish in wishes])
        outputs = policies.evaluate({**p, **leaves}, inputs, critic=wishes[0].critic)
        losses, report = _losses(outputs, wishes, self._config)
        found = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        # an optimiser reads a gradient in its parameter's order of memory
        gradients = {
            name: gradient.contiguous()
            for name, gradient in zip(leaves, found, strict=True)
            if gradient is not None
        }
        norms = clipped(list(gradients.values()), self._config.max_grad_norm)
        parts = {name: gradient.unbind() for name, gradient in gradients.items()}
        reports = {name: values.detach().unbind() for name, values in report.items()}
        finite = norms.isfinite().tolist()
        answers: list[Report | RunError] = []
        for i, wish in enumerate(wishes):
            if not finite[i]:
                answers.append(diverged(losses[i], norms[i]))
                continue
            for name, parameter in wish.own.policy.named_parameters():
                parameter.grad = parts[name][i] if name in parts else None
            wish.own.optimizer.step()
            answers.append({name: values[i] for name, values in reports.items()})
        return answers


def _losses(
    outputs: Sequence[Tensor], wishes: Sequence[WishToImprove], config: TrainConfig
) -> tuple[Tensor, Report]:
    """The loss and the report of each run, (S,)."""
    first = wishes[0]
    kind, shape = type(first.batch), first.batch.inputs.mission.shape
    columns = [torch.stack(each) for each in zip(*(w.batch[SEEN:] for w in wishes), strict=True)]
    weights = None
    if first.weight is not None:
        weights = torch.tensor([wish.weight for wish in wishes], device=columns[0].device)
    shaped = tuple(torch.unflatten(each, 1, shape) for each in outputs)

    def of_one(
        outputs: tuple[Tensor, ...], weight: Tensor | None, columns: Sequence[Tensor]
    ) -> tuple[Tensor, Report]:
        unseen: Any = [None] * SEEN
        return first.loss(outputs, kind(*unseen, *columns), weight, config)

    each = vmap(of_one, in_dims=(0, None if weights is None else 0, 0))
    result: tuple[Tensor, Report] = each(shaped, weights, columns)
    return result


def clipped(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """Norms (S,) of each run's whole gradient, which is scaled down to ``max_norm``, in place, if
    it is longer."""
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
    norms = torch.stack(squares).sum(0).sqrt()
    scale = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))
    return norms


def in_step(
    works: Sequence[Coroutine[Wish[Any], Any, T]],
    answers: Callable[[Sequence[Any]], Sequence[Any]],
    failures: tuple[type[Exception], ...],
) -> list[T | Exception]:
    """Carry out coroutines that await wishes; what each came to.

    Args:
        answers: to wishes that are alike.
        failures: errors that end the run in which they are raised; any other ends all of them.
    """
    results: list[Any] = [None] * len(works)
    wishes: dict[int, Wish[Any]] = {}

    def go_on(member: int, answer: Any) -> None:
        work = works[member]
        try:
            raised = isinstance(answer, Exception)
            wishes[member] = work.throw(answer) if raised else work.send(answer)
        except StopIteration as end:
            results[member] = end.value
        except failures as error:
            results[member] = error

    try:
        for member in range(len(works)):
            go_on(member, None)
        while wishes:
            turn = min(wish.turn for wish in wishes.values())
            groups: dict[Hashable, list[int]] = {}
            for member in sorted(wishes):
                if wishes[member].turn == turn:
                    groups.setdefault(wishes[member].alike, []).append(member)
            for group in groups.values():
                found = answers([wishes.pop(member) for member in group])
                for member, answer in zip(group, found, strict=True):
                    go_on(member, answer)
    finally:
        for work in works:
            work.close()
    return results
