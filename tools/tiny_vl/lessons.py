"""What one state teaches: a conversation that branches, as token ids, positions, mask and targets.

All ways of asking share one picture. The tokens of a lesson are a tree, written one branch after
the other; a token sees its own branch and that branch's ancestors, and its position continues
theirs, so each path through the tree is exactly a conversation that the model will have.

    picture ─┬─ analysis ─┬─ stated
             │            ├─ choice
             │            └─ letter
             ├─ choice
             └─ letter
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tools.tiny_vl import tokens

PARENT = (0, 0, 1, 1, 1, 0, 0)
"""The parent of each branch: picture, analysis, stated, choice, letter, choice, letter."""
KINDS = ("analysis", "stated", "choice", "letter", "direct choice", "direct letter")


def _lineage() -> Tensor:
    seen = torch.zeros(len(PARENT) + 1, len(PARENT) + 1, dtype=torch.bool)
    for branch in range(len(PARENT)):
        seen[branch, branch] = seen[branch, PARENT[branch]] = seen[branch, 0] = True
    seen[-1, -1] = True  # padding sees padding: a row that sees nothing would be NaN
    return seen


LINEAGE = _lineage()


def stated_of(names: tuple[str, ...], optimal: int) -> dict[str, float]:
    """Probabilities as the model is taught to state them: 0.01 for what is not optimal."""
    best = [bool(optimal >> i & 1) for i in range(len(names))]
    share = int((100 - best.count(False)) / sum(best))
    left = 100 - share * sum(best)
    cents = [share if b else 1 for b in best]
    rest = left - best.count(False)
    for i in range(len(cents)):  # what rounding left over goes to the first of those not optimal
        if rest and (not best[i] or all(best)):
            cents[i] += rest
            rest = 0
    return {name: cent / 100 for name, cent in zip(names, cents, strict=True)}


@dataclass(frozen=True)
class Batch:
    """Lessons about pictures of one size, padded on the right.

    ``soft`` holds, for each target, a distribution over the vocabulary as (ids, weights) of up to
    four tokens; ``where`` its (row, column of the hidden state that predicts it); ``kind`` which
    answer it belongs to; ``weight`` what it counts in the loss.
    """

    ids: Tensor
    positions: Tensor
    branches: Tensor
    image: slice
    where: tuple[Tensor, Tensor]
    soft: tuple[Tensor, Tensor]
    kind: Tensor
    weight: Tensor

    def mask(self) -> Tensor:
        """(B, 1, L, L), to add: 0 where a token may look, else minus infinity."""
        length = self.ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        seen = LINEAGE[self.branches[:, :, None], self.branches[:, None, :]] & causal
        return torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))[:, None]


class Lessons:
    """Makes lessons; what two states have in common is tokenised once."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        actions: dict[str, tuple[str, ...]],
        missions: list[str],
        ahead: list[str],
    ) -> None:
        self.tokenizer = tokenizer
        self.actions = actions
        self.missions = missions
        self.ahead = ahead
        self.encode = lru_cache(maxsize=None)(self._encode)
        self.image_id, self.pad_id = tokenizer.convert_tokens_to_ids([tokens.IMAGE, tokens.PAD])

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @cache  # noqa: B019
    def _head(self, task: str, mission: int) -> tuple[int, ...]:
        text = first_text(task, self.actions[task], self.missions[mission])
        return self.encode(tokens.START + "user\n" + text + tokens.VISION_START)

    @cache  # noqa: B019
    def _branch(self, branch: int, text: str, question: str) -> tuple[list[int], int]:
        """Token ids of a turn, and how many of them are the question."""
        asked = "" if PARENT[branch] == 0 else tokens.END + tokens.START + "user\n"
        before = self.encode(asked + question + tokens.END + tokens.START + "assistant\n")
        return [*before, *self.encode(text)], len(before)

    @cache  # noqa: B019
    def _actions(self, task: str, optimal: int) -> tuple[list, ...]:
        names = self.actions[task]
        best = [i for i in range(len(names)) if optimal >> i & 1]
        p = 1 / len(best)
        stated = json.dumps(stated_of(names, optimal), separators=(",", ":"))
        choice = tuple((self.encode(names[i])[0], p) for i in best)
        letter = tuple((self.encode("ABCDEFG"[i])[0], p) for i in best)
        first = names[best[0]]
        return stated, f'{{"action":"{first}"}}', "ABCDEFG"[best[0]], choice, letter

    def batch(
        self, task_names: list[str], facts: NDArray[np.int16], side: tuple[int, int]
    ) -> Batch:
        """Lessons from rows of ``data.FACTS`` about grids of ``side`` (height, width)."""
        height, width = side
        cells = height * width
        rows_ids, rows_pos, rows_branch = [], [], []
        where_row, where_col, soft_ids, soft_w, kinds, weights = [], [], [], [], [], []
        heads = [self._head(task_names[f[0]], int(f[1])) for f in facts]
        start = max(map(len, heads))
        end = self.encode(tokens.END)[0]
        after = self.encode(tokens.VISION_END)
        for number, (fact, head) in enumerate(zip(facts, heads, strict=True)):
            task = task_names[fact[0]]
            stated, choice, letter, choice_soft, letter_soft = self._actions(task, int(fact[8]))
            analysis = json.dumps(
                {
                    "agent_row": int(fact[2]),
                    "agent_column": int(fact[3]),
                    "agent_direction": tokens.DIRECTIONS[fact[4]],
                    "target_row": int(fact[5]),
                    "target_column": int(fact[6]),
                    "ahead": self.ahead[fact[7]],
                },
                separators=(",", ":"),
            )
            shift = start - len(
                head
            )  # padding on the left, so that all pictures stand in one place
            ids = [self.pad_id] * shift + [*head] + [self.image_id] * cells + [*after]
            branch = [len(PARENT)] * shift + [0] * (len(ids) - shift)
            at = len(head) + max(height, width) + len(after)
            text_pos = [0] * shift + list(range(len(head)))
            pos = [text_pos, None, list(range(at - len(after), at))]
            tail_pos: list[int] = []
            ends = {0: at}
            for b, text, question, soft in (
                (1, analysis, tokens.ANALYSIS, None),
                (2, stated, tokens.STATED, None),
                (3, choice, tokens.CHOICE, choice_soft),
                (4, letter, tokens.LETTER, letter_soft),
                (5, choice, tokens.CHOICE, choice_soft),
                (6, letter, tokens.LETTER, letter_soft),
            ):
                turn, asked = (
                    self._branch(b, text, question) if b > 2 else self._turn(b, text, question)
                )
                offset = len(ids)
                targets = [*turn[asked:], end]
                for k, target in enumerate(targets):
                    where_row.append(number)
                    where_col.append(offset + asked - 1 + k)
                    decision = soft is not None and k == (1 if b in (3, 5) else 0)
                    options = soft if decision else ((target, 1.0),)
                    pad = 4 - len(options)
                    soft_ids.append([o[0] for o in options] + [0] * pad)
                    soft_w.append([o[1] for o in options] + [0.0] * pad)
                    kinds.append(b - 1)
                    value = decision or (b <= 2 and k % 2 == 1)
                    weights.append(2.0 if decision else 1.0 if value else 0.2)
                first = ends[PARENT[b]]
                ids += turn
                branch += [b] * len(turn)
                tail_pos += range(first, first + len(turn))
                ends[b] = first + len(turn)
            rows_ids.append(ids)
            rows_branch.append(branch)
            rows_pos.append((pos[0], len(head), pos[2] + tail_pos))
        length = max(map(len, rows_ids))
        n = len(facts)
        ids_t = np.full((n, length), self.pad_id, np.int64)
        branch_t = np.full((n, length), len(PARENT), np.int64)
        pos_t = np.zeros((3, n, length), np.int64)
        grid_r, grid_c = np.divmod(np.arange(cells), width)
        image = slice(start, start + cells)
        for i in range(n):
            ids_t[i, : len(rows_ids[i])] = rows_ids[i]
            branch_t[i, : len(rows_branch[i])] = rows_branch[i]
            before, base, behind = rows_pos[i]
            pos_t[:, i, :start] = before
            pos_t[0, i, image] = base
            pos_t[1, i, image] = base + grid_r
            pos_t[2, i, image] = base + grid_c
            pos_t[:, i, image.stop : image.stop + len(behind)] = behind
        return Batch(
            ids=torch.from_numpy(ids_t),
            positions=torch.from_numpy(pos_t),
            branches=torch.from_numpy(branch_t),
            image=image,
            where=(torch.tensor(where_row), torch.tensor(where_col)),
            soft=(torch.tensor(soft_ids), torch.tensor(soft_w)),
            kind=torch.tensor(kinds),
            weight=torch.tensor(weights),
        )

    def _turn(self, branch: int, text: str, question: str) -> tuple[list[int], int]:
        """As :meth:`_branch`, not remembered: analyses are many; their pieces are few."""
        asked = "" if PARENT[branch] == 0 else tokens.END + tokens.START + "user\n"
        before = self.encode(asked + question + tokens.END + tokens.START + "assistant\n")
        return [*before, *self.encode(text)], len(before)


def first_text(task: str, actions: tuple[str, ...], mission: str) -> str:
    """What stands before the picture (the prompt files in ``prompts/`` say the same)."""
    letters = ", ".join(
        f"{letter} {name}" for letter, name in zip("ABCDEFG", actions, strict=False)
    )
    return f"Task: {task}\nActions: {letters}\nMission: {mission}\n"
