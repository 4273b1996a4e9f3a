"""Several runs in step: coroutines that go on until all wait, and then are answered together.

What they wish for are the three things that a :class:`Learner` does.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from torch import Tensor

from lvlm2p.student.learn.learner import Acting, Learner, Loss, Report, seeing
from lvlm2p.student.models.inputs import Inputs

if TYPE_CHECKING:
    from lvlm2p.envs import Observation
    from lvlm2p.student.learn.replay import Replayed
    from lvlm2p.student.learn.rollout import Minibatch
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.policy import Actor

T = TypeVar("T")


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


class WishToAct(Wish[tuple[Inputs, Tensor, Tensor]]):
    """For a step of the actor."""

    turn = 0

    def __init__(
        self,
        member: int,
        actor: Actor,
        encoder: Encoder,
        observation: Observation,
        state: Tensor,
        episode_start: Tensor,
    ) -> None:
        super().__init__(member, len(observation))
        self.actor, self.encoder, self.observation = actor, encoder, observation
        self.state, self.episode_start = state, episode_start

    def alone(self) -> tuple[Inputs, Tensor, Tensor]:
        """The answer, where nobody else has the same wish."""
        act = seeing(self.encoder, self.actor)
        return act(self.observation, self.state, self.episode_start)


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

    def acting(self, encoder: Encoder) -> Acting:
        """See :class:`Learner`."""
        actor = self.policy.acting()

        async def act(
            observation: Observation, state: Tensor, start: Tensor
        ) -> tuple[Inputs, Tensor, Tensor]:
            encoder.check(observation)
            return await WishToAct(self._number, actor, encoder, observation, state, start)

        return act

    async def improve(
        self, batch: Minibatch | Replayed, loss: Loss, weight: float | None, *, critic: bool = True
    ) -> Report:
        """See :class:`Learner`."""
        return await WishToImprove(self._number, self, batch, loss, weight, critic)

    async def pause(self) -> None:
        """See :class:`Learner`."""
        await WishToPause(self._number)


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
