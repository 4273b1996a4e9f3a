"""The model while it learns: what a batch of lessons costs it, and what it gets right."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tools.tiny_vl import data, lessons, model, tokens

STEPS = torch.tensor([[0, 1], [1, 0], [0, -1], [-1, 0]])
"""(rows, columns) of a step forward, by direction."""

Losses = dict[str, Tensor]


class Pupil:
    """The model, its training heads and its lessons."""

    def __init__(self, states: data.States, seed: int) -> None:
        torch.manual_seed(seed)
        self.states = states
        self.tokenizer = tokens.make_tokenizer()
        self.model: Any = model.make_model(self.tokenizer)
        width = self.model.config.text_config.hidden_size
        self.heads = model.Heads(len(states.pictures), width)
        self.patches = model.patches_of(torch.from_numpy(states.pictures))
        self.lessons = lessons.Lessons(
            self.tokenizer, states.actions, states.missions, states.ahead
        )

    def loss(self, side: int, rows: NDArray[np.intp], heads: bool = True) -> tuple[Tensor, Losses]:
        """What the states ``rows`` of size ``side`` cost, with or without the training heads; and
        in parts: each loss, and for each kind of answer whether it was right from the first token
        to the last, state by state."""
        facts = self.states.facts[side][rows]
        grids = torch.from_numpy(self.states.grids[side][rows].astype(np.int64))
        batch = self.lessons.batch(facts, side, side)
        seen, deep = model.see(self.model, self.patches, grids)
        embeds = self.model.model.language_model.embed_tokens(batch.ids)
        image = batch.image
        embeds = torch.cat([embeds[:, : image.start], seen, embeds[:, image.stop :]], 1)
        hidden, tapped = model.read(self.model, embeds, batch.positions, batch.mask(), image, deep)
        logits = self.model.lm_head(hidden[batch.where])
        answer = answer_loss(logits, batch) / len(rows)
        right = right_answers(logits, batch, len(rows))
        if not heads:
            return answer, {"answer": answer, **right}
        losses = {
            "answer": answer,
            "tile": F.cross_entropy(self.heads.tile(seen).flatten(0, 1), grids.flatten()),
            "place": self._place_loss(seen, side),
            "point": self._point_loss(tapped[:, image], facts, side),
        }
        total = answer + 2 * losses["tile"] + losses["place"] + 2 * losses["point"]
        return total, {**losses, **right}

    def _place_loss(self, seen: Tensor, side: int) -> Tensor:
        """Each visual token tells its row and its column."""
        row, column = (
            cells.flatten().repeat(len(seen))
            for cells in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        )
        by_row = F.cross_entropy(self.heads.row(seen).flatten(0, 1), row)
        return by_row + F.cross_entropy(self.heads.column(seen).flatten(0, 1), column)

    def _point_loss(self, hidden: Tensor, facts: NDArray[np.int16], side: int) -> Tensor:
        """Which image position is the target, the cell ahead, the agent."""
        fact = torch.from_numpy(facts.astype(np.int64))
        agent, target = fact[:, 2:4], fact[:, 5:7]
        spots = torch.stack([target, agent + STEPS[fact[:, 4]], agent])  # (3, B, 2)
        scores = self.heads.pointer(hidden).permute(2, 0, 1)
        return F.cross_entropy(
            scores.flatten(0, 1), (spots[..., 0] * side + spots[..., 1]).flatten()
        )

    @torch.no_grad()
    def examine(self, side: int, n: int) -> dict[str, dict[str, float]]:
        """Task -> kind of answer -> share of ``n`` held-out states that get it right."""
        report = {}
        for number, task in enumerate(tokens.TASKS):
            rows = self.states.held(side, number)[:n]
            if len(rows):
                parts = self.loss(side, rows)[1]
                report[task] = {kind: float(parts[kind].mean()) for kind in lessons.KINDS}
        return report


def answer_loss(logits: Tensor, batch: lessons.Batch) -> Tensor:
    """KL divergence of each target from its prediction, weighted and summed."""
    ids, p = batch.options
    wanted = torch.where(p > 0, p * p.clamp(min=1e-9).log(), 0.0).sum(-1)
    got = (F.log_softmax(logits, -1).gather(1, ids) * p).sum(-1)
    return ((wanted - got) * batch.weight).sum()


@torch.no_grad()
def right_answers(logits: Tensor, batch: lessons.Batch, n: int) -> Losses:
    """Kind of answer -> (n,) 1 where every token's best guess is one of the right ones."""
    ids, p = batch.options
    wrong = ~((ids == logits.argmax(-1)[:, None]) & (p > 0)).any(-1)
    right = {}
    for number, kind in enumerate(lessons.KINDS):
        mine = batch.kind == number
        errors = torch.zeros(n).index_add_(0, batch.where[0][mine], wrong[mine].float())
        right[kind] = (errors == 0).float()
    return right
