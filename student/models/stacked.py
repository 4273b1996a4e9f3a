"""The policies of several runs as one network: each parameter has a leading dimension, the run.

A network this small spends most of its time on being called. Here one matrix product does for all
runs what each would do by itself, with the same numbers but for the order of sums. The layers are
those of :class:`~lvlm2p.student.models.policy.Policy`, written once more for that dimension.
S runs, B frames, M missions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, pad

from lvlm2p.student.models.grid import CELL_KINDS, GridFeatures, with_attention
from lvlm2p.student.models.inputs import Inputs
from lvlm2p.student.models.mission import EMBEDDING_SCALE, mean_of_words
from lvlm2p.student.models.vector import VectorFeatures

if TYPE_CHECKING:
    from lvlm2p.student.models.policy import Policy

Parameters = Mapping[str, Tensor]
"""By the names that they have in a policy, (S, *shape)."""


class StackedReading(NamedTuple):
    """What the actors make of missions."""

    bias: Tensor
    """(S, M, hidden)."""
    query: Tensor
    """(S, M, any)."""


class StackedPolicies:
    """Policies of one shape, which go on living: their parameters become parts of the stack's.

    Raises:
        ValueError: there are no layers here for such policies (see :func:`can_be_stacked`).
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        first = policies[0]
        if not can_be_stacked(first):
            raise ValueError(f"no layers for stacks of {type(first.actor.features).__name__}")
        self._grid = isinstance(first.actor.features, GridFeatures)
        self._activation = first.actor.features.activation
        self._fixed = dict(first.actor.features.named_buffers())
        self.parameters: dict[str, Tensor] = {}
        self.learned = [name for name, p in first.named_parameters() if p.requires_grad]
        named = [dict(policy.named_parameters()) for policy in policies]
        for name in named[0]:
            whole = torch.stack([parameters[name].data for parameters in named])
            self.parameters[name] = whole
            for own, part in zip(named, whole, strict=True):
                own[name].data = part

    def chosen(self, members: Sequence[int]) -> dict[str, Tensor]:
        """The parameters of some of the runs, in order."""
        if len(members) == len(self.parameters["policy_head.weight"]):
            return dict(self.parameters)
        return {name: whole[members] for name, whole in self.parameters.items()}

    # ---------------------------------------------------------------- as Policy has it

    def evaluate(self, p: Parameters, inputs: Inputs, *, critic: bool) -> tuple[Tensor, ...]:
        """Logits (S, B, actions); and values (S, B), if they are wanted.

        Args:
            inputs: stacked by :func:`stacked_inputs`.
        """
        seen = self._preprocess(p, inputs)
        reading = self.read(p, "actor", inputs.tokens)
        outputs = [self._head(p, "policy_head", self._tower(p, "actor", seen, inputs, reading))]
        if critic:
            reading = self.read(p, "critic", inputs.tokens)
            x = self._head(p, "value_head", self._tower(p, "critic", seen, inputs, reading))
            outputs.append(x.squeeze(2))
        return tuple(outputs)

    def act(self, p: Parameters, inputs: Inputs, reading: StackedReading) -> Tensor:
        """Logits (S, B, actions), where the missions were read before."""
        seen = self._preprocess(p, inputs)
        return self._head(p, "policy_head", self._tower(p, "actor", seen, inputs, reading))

    def read(self, p: Parameters, tower: str, tokens: Tensor) -> StackedReading:
        """What a tower makes of missions, from their token ids (S, M, words)."""
        name = f"{tower}.features."
        words = _rows(p[name + "mission.words.weight"], tokens)
        words = words * (tokens > 0).unsqueeze(3)  # 0 is no word, and nothing is learned there
        weight = p[name + "mission.position_weight"][:, None, : tokens.shape[2]]
        missions = (words * weight).sum(2) * EMBEDDING_SCALE
        if not self._grid:
            missions = mean_of_words(missions, tokens)
        query = missions
        if self._grid:
            symbols = _linear(missions, p[name + "symbol_embedding"])
            query = symbols @ self._fixed["symbols_of_kinds"].t()
            query = query + _linear(missions * EMBEDDING_SCALE, p[name + "kind_embedding"])
        return StackedReading(_linear(missions, p[name + "from_mission.weight"]), query)

    def _preprocess(self, p: Parameters, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """For both towers: what is seen, and of grids the place of each cell's similarity."""
        x = inputs.observation
        if not self._grid:
            return x.sign() * x.abs().log1p(), inputs.mission
        kinds = x.long()
        run = torch.arange(len(x), device=x.device).view(-1, 1, 1)
        cells = _rows(p["preprocessing.cell_embedding.weight"], kinds).flatten(2)
        row = run * inputs.tokens.shape[1] + inputs.mission.unsqueeze(2)
        return cells, row * CELL_KINDS + kinds

    def _tower(
        self,
        p: Parameters,
        tower: str,
        seen: tuple[Tensor, Tensor],
        inputs: Inputs,
        reading: StackedReading,
    ) -> Tensor:
        """(S, B, hidden)."""
        name = f"{tower}.features."
        x, index = seen
        first = "from_cells" if self._grid else "from_vector"
        x = _linear(x, p[f"{name}{first}.weight"], p[f"{name}{first}.bias"])
        if self._grid:
            similarity = reading.query.flatten().index_select(0, index.flatten())
            similarity = similarity.view(index.shape)
            x = x + _linear(with_attention(similarity), p[name + "from_similarity.weight"])
        x = self._activation(x + _rows(reading.bias, inputs.mission))
        x = _linear(x, p[f"{tower}.layer.weight"], p[f"{tower}.layer.bias"])
        return self._activation(x)

    def _head(self, p: Parameters, head: str, x: Tensor) -> Tensor:
        return _linear(x, p[f"{head}.weight"], p[f"{head}.bias"])


def can_be_stacked(policy: Policy) -> bool:
    """Whether :class:`StackedPolicies` has its layers: not convolutions, and no memory."""
    known = isinstance(policy.actor.features, GridFeatures | VectorFeatures)
    return known and policy.memory == "none"


def stacked_inputs(inputs: Sequence[Inputs]) -> Inputs:
    """Inputs of as many frames each, (S, B, ...)."""
    return Inputs(
        torch.stack([each.observation for each in inputs]).flatten(1, -2),
        torch.stack([each.mission for each in inputs]).flatten(1),
        stacked_tokens([each.tokens for each in inputs]),
    )


def stacked_tokens(tokens: Sequence[Tensor]) -> Tensor:
    """(S, M, words), with as many missions of as many words: what is added is no word."""
    missions = max(len(each) for each in tokens)
    words = max(each.shape[1] for each in tokens)
    return torch.stack(
        [pad(each, (0, words - each.shape[1], 0, missions - len(each))) for each in tokens]
    )


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    weight = weight.transpose(1, 2)
    return x.bmm(weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    """Of each run's table (S, N, features) the rows (S, ...): (S, ..., features)."""
    run = torch.arange(len(table), device=rows.device).view(-1, *[1] * (rows.dim() - 1))
    return embedding(rows + run * table.shape[1], table.flatten(0, 1))
