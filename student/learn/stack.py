"""Learners whose policies act and improve as one network (:mod:`lvlm2p.student.models.stacked`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_not
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import vmap

from lvlm2p.student.learn.in_step import Member, WishToAct, WishToImprove
from lvlm2p.student.learn.learner import Learner, Report
from lvlm2p.student.learn.optimise import diverged, make_optimizer
from lvlm2p.student.models.inputs import Inputs
from lvlm2p.student.models.stacked import (
    StackedPolicies,
    can_be_stacked,
    stacked_inputs,
    stacked_tokens,
)
from lvlm2p.teachers.errors import RunError

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig

SEEN = 3
"""The first fields of a minibatch are what the policy is shown; the others are the loss's."""


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
        self._learned = [
            {name: p for name, p in own.policy.named_parameters() if p.requires_grad}
            for own in learners
        ]
        self._optimizer: torch.optim.Optimizer | None = None
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
    ) -> list[tuple[Inputs, Tensor, Tensor]]:
        seen = wishes[0].encoder.seen_by_all([wish.observation for wish in wishes])
        inputs = [
            wish.encoder.with_missions(part, wish.observation)
            for wish, part in zip(wishes, seen, strict=True)
        ]
        compact = [each.compact() for each in inputs]
        # an actor lives as long as nobody learns; while no mission is new, none is read again
        of = [*(wish.actor for wish in wishes), *(each.tokens for each in compact)]
        if len(of) != len(self._reading_of) or any(map(is_not, of, self._reading_of)):
            p = policies.chosen([wish.member for wish in wishes])
            tokens = stacked_tokens([each.tokens for each in compact])
            self._reading_of, self._reading = of, (p, tokens, policies.read(p, "actor", tokens))
        p, tokens, reading = self._reading
        mission = torch.stack([each.mission for each in compact])
        logits = policies.act(p, Inputs(seen, mission, tokens), reading).unbind()
        return [
            (shown, one, wish.state)
            for shown, one, wish in zip(inputs, logits, wishes, strict=True)
        ]

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
        finite = norms.isfinite().tolist()
        self._step({w.member: i for i, w in enumerate(wishes) if finite[i]}, gradients)
        reports = {name: values.detach().unbind() for name, values in report.items()}
        return [
            {name: values[i] for name, values in reports.items()}
            if finite[i]
            else diverged(losses[i], norms[i])
            for i in range(len(wishes))
        ]

    def _step(self, members: Mapping[int, int], gradients: Mapping[str, Tensor]) -> None:
        """One step of the members' optimisers.

        Args:
            members: which row of each gradient is whose.
        """
        rows = {name: gradient.unbind() for name, gradient in gradients.items()}
        for member, parameters in enumerate(self._learned):
            own = {}
            if member in members:
                own = {name: each[members[member]] for name, each in rows.items()}
            for name, parameter in parameters.items():
                parameter.grad = own.get(name)
        if self._optimizer is None:  # only now: until it learns, a run may be restored
            self._optimizer = _joint_optimizer(self.members, self._config)
        self._optimizer.step()


def _joint_optimizer(members: Sequence[Learner], config: TrainConfig) -> torch.optim.Optimizer:
    """One optimiser for all parameters, whose state is the members' own. It passes over those that
    have no gradient."""
    joint = make_optimizer([member.policy for member in members], config)
    for member in members:
        own = member.optimizer.state
        for parameter in member.policy.parameters():
            if parameter.requires_grad:
                joint.state[parameter] = own[parameter]
    return joint


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
    parts = [torch.linalg.vector_norm(each.flatten(1), dim=1) for each in gradients]
    norms: Tensor = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    if bool((norms > max_norm).any()):
        scale = (max_norm / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))
    return norms
