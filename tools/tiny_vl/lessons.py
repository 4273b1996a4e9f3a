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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tools.tiny_vl import tokens

PARENT = (0, 0, 1, 1, 1, 0, 0)
"""The parent of each branch: picture, analysis, stated, choice, letter, choice, letter."""
KINDS = ("analysis", "stated", "choice", "letter", "direct choice", "direct letter")
"""The answer that ends each branch but the first."""
PADDING = len(PARENT)
"""The branch of what stands before and behind a lesson."""
OPTIONS = 4
"""Most tokens that share a decision's probability: no task has more actions."""

DECISION, VALUE, FORM = 2.0, 1.0, 0.2
"""What a target counts in the loss: the action; a value in JSON; what holds JSON together. (What a
stated probability counts is up to :class:`Lessons`.)"""


def _lineage() -> Tensor:
    seen = torch.zeros(PADDING + 1, PADDING + 1, dtype=torch.bool)
    for branch, parent in enumerate(PARENT):
        seen[branch, [branch, parent, 0]] = True
    seen[PADDING, PADDING] = True  # padding sees padding: a row that sees nothing would be NaN
    return seen


LINEAGE = _lineage()
"""[branch, branch]: whether a token of the one may look at a token of the other."""

Options = tuple[tuple[int, float], ...]
"""Tokens and their probabilities."""


def first_text(task: str, actions: Sequence[str], mission: str) -> str:
    """What stands before the picture (the prompt files in ``prompts/`` say the same)."""
    pairs = zip(ascii_uppercase, actions, strict=False)
    letters = ", ".join(f"{letter} {name}" for letter, name in pairs)
    return f"Task: {task}\nActions: {letters}\nMission: {mission}\n"


def stated_of(names: Sequence[str], optimal: int) -> dict[str, float]:
    """Probabilities as the model is taught to state them: 0.01 for what is not optimal, the rest
    in equal parts for what is (``optimal``: a bit each); what rounding leaves over goes to the
    first that is not optimal."""
    best = [bool(optimal >> i & 1) for i in range(len(names))]
    share = (100 - best.count(False)) // sum(best)
    cents = [share if b else 1 for b in best]
    cents[0 if all(best) else best.index(False)] += 100 - sum(cents)
    return {name: cent / 100 for name, cent in zip(names, cents, strict=True)}


@dataclass(frozen=True)
class Turn:
    """A question and the answer that is taught.

    ``options``, where given, share the probability of the answer's token number ``decides``.
    """

    branch: int
    question: str
    answer: str
    options: Options | None = None
    decides: int = 0


@dataclass(frozen=True)
class Batch:
    """Lessons about pictures of one size; all pictures stand in the columns ``image``.

    For each target: ``where`` is the (row, column) whose hidden state predicts it, ``options`` the
    (tokens, probabilities) it consists of, ``kind`` the answer it belongs to, ``weight`` what it
    counts in the loss.
    """

    ids: Tensor
    positions: Tensor
    branches: Tensor
    image: slice
    where: tuple[Tensor, Tensor]
    options: tuple[Tensor, Tensor]
    kind: Tensor
    weight: Tensor

    def mask(self) -> Tensor:
        """(B, 1, L, L), to add: 0 where a token may look, else minus infinity."""
        length = self.ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        seen = LINEAGE[self.branches[:, :, None], self.branches[:, None, :]] & causal
        return torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))[:, None]


@dataclass
class _Lesson:
    """One row of a batch while it is written; ``column`` counts from the picture's first token."""

    head: Sequence[int]
    tail: list[int] = field(default_factory=list)
    """Ids behind the picture."""
    branches: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    options: list[Options] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """Branch -> the position that follows it."""

    def write(self, ids: Sequence[int], branch: int) -> None:
        first = self.ends.get(branch, self.ends[PARENT[branch]])
        self.tail += ids
        self.branches += [branch] * len(ids)
        self.positions += range(first, first + len(ids))
        self.ends[branch] = first + len(ids)

    def teach(
        self, turn: Turn, cells: int, asked: Sequence[int], said: list[int], value_weight: float
    ) -> None:
        """The last of ``said`` is the end of the turn: a target that is not written."""
        column = cells + len(self.tail) + len(asked) - 1
        self.write([*asked, *said[:-1]], turn.branch)
        for k, token in enumerate(said):
            decision = turn.options is not None and k == turn.decides
            value = turn.options is None and k % 2 == 1
            self.columns.append(column + k)
            self.options.append(turn.options if turn.options and decision else ((token, 1.0),))
            self.kinds.append(turn.branch - 1)
            self.weights.append(DECISION if decision else value_weight if value else FORM)


class Lessons:
    """Makes lessons of rows of ``data.FACTS``.

    Attributes:
        stated: what a stated probability counts in the loss.
    """

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
        self.stated = VALUE
        self._known: dict[str, list[int]] = {}
        self.image_id, self.pad_id, self.end_id = (
            self._encode(text)[0] for text in (tokens.IMAGE, tokens.PAD, tokens.END)
        )

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _remember(self, text: str) -> list[int]:
        """Token ids of a text that comes again and again."""
        if text not in self._known:
            self._known[text] = self._encode(text)
        return self._known[text]

    def turns(self, fact: NDArray[np.int16]) -> list[Turn]:
        """Everything that one state teaches."""
        names = self.actions[tokens.TASKS[fact[0]]]
        optimal = int(fact[8])
        best = [i for i in range(len(names)) if optimal >> i & 1]
        analysis = {
            "agent_row": int(fact[2]),
            "agent_column": int(fact[3]),
            "agent_direction": tokens.DIRECTIONS[fact[4]],
            "target_row": int(fact[5]),
            "target_column": int(fact[6]),
            "ahead": self.ahead[fact[7]],
        }
        choice = _compact({"action": names[best[0]]})
        letter = ascii_uppercase[best[0]]
        by_name = tuple((self._remember(names[i])[0], 1 / len(best)) for i in best)
        by_letter = tuple((self._remember(ascii_uppercase[i])[0], 1 / len(best)) for i in best)
        return [
            Turn(1, tokens.ANALYSIS, _compact(analysis)),
            Turn(2, tokens.STATED, _compact(stated_of(names, optimal))),
            Turn(3, tokens.CHOICE, choice, by_name, decides=1),
            Turn(4, tokens.LETTER, letter, by_letter),
            Turn(5, tokens.CHOICE, choice, by_name, decides=1),
            Turn(6, tokens.LETTER, letter, by_letter),
        ]

    def _lesson(self, fact: NDArray[np.int16], height: int, width: int) -> _Lesson:
        task = tokens.TASKS[fact[0]]
        text = first_text(task, self.actions[task], self.missions[fact[1]])
        lesson = _Lesson(self._remember(tokens.START + "user\n" + text + tokens.VISION_START))
        lesson.ends[0] = len(lesson.head) + max(height, width)  # Qwen-VL's count behind a picture
        lesson.write(self._remember(tokens.VISION_END), 0)
        for turn in self.turns(fact):
            before = tokens.END + tokens.START + "user\n" if PARENT[turn.branch] else ""
            asked = before + turn.question + tokens.END + tokens.START + "assistant\n"
            said = [*self._remember(turn.answer), self.end_id]
            weight = self.stated if KINDS[turn.branch - 1] == "stated" else VALUE
            lesson.teach(turn, height * width, self._remember(asked), said, weight)
        return lesson

    def batch(self, facts: NDArray[np.int16], height: int, width: int) -> Batch:
        """Lessons from rows of ``data.FACTS`` about grids of this size."""
        lessons = [self._lesson(fact, height, width) for fact in facts]
        start = max(len(lesson.head) for lesson in lessons)
        stop = start + height * width
        length = stop + max(len(lesson.tail) for lesson in lessons)
        ids = np.full((len(lessons), length), self.pad_id, np.int64)
        branches = np.full((len(lessons), length), PADDING, np.int64)
        positions = np.zeros((3, len(lessons), length), np.int64)
        row, column = np.divmod(np.arange(height * width), width)
        for i, lesson in enumerate(lessons):
            first, end = start - len(lesson.head), stop + len(lesson.tail)
            ids[i, first:end] = [*lesson.head, *[self.image_id] * (stop - start), *lesson.tail]
            branches[i, first:stop] = 0
            branches[i, stop:end] = lesson.branches
            positions[:, i, first:start] = np.arange(len(lesson.head))
            positions[:, i, start:stop] = len(lesson.head) + np.stack([0 * row, row, column])
            positions[:, i, stop:end] = lesson.positions
        options = [shared for lesson in lessons for shared in lesson.options]
        padded = [[*shared, *[(0, 0.0)] * (OPTIONS - len(shared))] for shared in options]
        return Batch(
            ids=torch.from_numpy(ids),
            positions=torch.from_numpy(positions),
            branches=torch.from_numpy(branches),
            image=slice(start, stop),
            where=(
                torch.tensor([i for i, lesson in enumerate(lessons) for _ in lesson.columns]),
                torch.tensor([start + at for lesson in lessons for at in lesson.columns]),
            ),
            options=(
                torch.tensor([[token for token, _ in shared] for shared in padded]),
                torch.tensor([[p for _, p in shared] for shared in padded]),
            ),
            kind=torch.tensor([kind for lesson in lessons for kind in lesson.kinds]),
            weight=torch.tensor([weight for lesson in lessons for weight in lesson.weights]),
        )


def _compact(answer: Mapping[str, object]) -> str:
    return json.dumps(answer, separators=(",", ":"))
