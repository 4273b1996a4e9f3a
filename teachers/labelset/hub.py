"""A folder that the Hugging Face hub takes as a dataset: Parquet with pictures, and a card.

``datasets.load_dataset(folder)`` reads it; ``lvlm2p labels import folder/data/train.parquet`` gets
the labels back.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvlm2p.envs import View
from lvlm2p.envs.untrusted import plain, shorten
from lvlm2p.teachers.errors import LabelFileError, UserError
from lvlm2p.teachers.files import write_atomically
from lvlm2p.teachers.label import Entry, Label, add_usd
from lvlm2p.teachers.labelset.exchange import Exported, export
from lvlm2p.teachers.store.contents import AnswerFilter
from lvlm2p.teachers.store.store import LabelStore

DATA = "data/train.parquet"
CARD = "README.md"

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


@dataclass
class Tally:
    """What a label set comes to, counted while it is written.

    ``right`` of ``judged`` labels: the exact planner knows which actions are best in their states.
    A label that is divided between several actions is right in part.
    """

    labels: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    """(task, teacher, model, elicitation, fingerprint of the prompt) -> labels."""
    right: dict[tuple[str, str], float] = field(default_factory=dict)
    judged: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(task, teacher) -> labels."""
    failures: int = 0
    cost_usd: float | None = 0.0
    _best: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one answer."""
        view, answer, _ = entry
        self.cost_usd = add_usd(self.cost_usd, answer.cost_usd)
        if not isinstance(answer, Label):
            self.failures += 1
            return
        what = (answer.task, answer.teacher, answer.model, answer.elicitation, answer.prompt)
        self.labels[what] += 1
        best = self._best_actions(view)
        if best:
            most = max(answer.probabilities.values())
            chosen = [name for name, p in answer.probabilities.items() if p >= most - 1e-9]
            right = sum(name in best for name in chosen) / len(chosen)
            self.judged[answer.task, answer.teacher] += 1
            about = answer.task, answer.teacher
            self.right[about] = self.right.get(about, 0.0) + right

    def _best_actions(self, view: View) -> frozenset[str]:
        """Those that the planner calls best; empty where nobody knows, or all are equally good."""
        if view.key not in self._best:
            best: frozenset[str] = frozenset()
            if view.task.planner is not None:
                with contextlib.suppress(UserError):
                    best = view.task.plan(view).actions
            self._best[view.key] = frozenset() if len(best) == len(view.task.action_names) else best
        return self._best[view.key]


def export_folder(
    store: LabelStore, folder: Path, choice: AnswerFilter, licence: str, overwrite: bool = False
) -> Exported:
    """Write the chosen answers, with their pictures, as a dataset folder.

    Args:
        licence: what the card names, as the hub abbreviates licences.
        overwrite: replace the dataset that is there.

    Raises:
        ConfigError: there are no such answers; nothing is written.
        LabelFileError: the folder is not empty, or can't be written.
    """
    try:
        if folder.exists() and not overwrite and (not folder.is_dir() or any(folder.iterdir())):
            raise LabelFileError(
                f"{folder} is there and not empty: name a new folder, or say --overwrite"
            )
        tally = Tally()
        exported = export(store, folder / DATA, choice, images=True, watch=tally.add)
        write_atomically(folder / CARD, card(tally, exported.rows, licence))
    except OSError as error:
        raise LabelFileError(f"{folder} can't be written: {error.strerror}") from None
    return Exported(folder, exported.rows, exported.left_out)


def card(tally: Tally, rows: int, licence: str) -> str:
    """The README of a dataset: what a machine reads of it, then what people do."""
    import yaml

    tasks = sorted({task for task, *_ in tally.labels})
    about: dict[str, Any] = {
        "license": licence,
        "pretty_name": f"lvlm2p labels: {', '.join(tasks)}",
        "task_categories": ["reinforcement-learning", "image-classification"],
        "tags": ["lvlm2p", "minigrid", "distillation", "vision-language-model"],
        "size_categories": [next((name for most, name in _SIZES if rows < most), "n>1M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": DATA}]},
        ],
    }
    cost = "not known" if tally.cost_usd is None else f"${tally.cost_usd:,.2f}"
    head = yaml.safe_dump(about, sort_keys=False, allow_unicode=False)
    return f"""---
{head}---

# Action labels of vision-language models

{rows:,} rows: {sum(tally.labels.values()):,} labels and {tally.failures:,} failures. A label is a
probability for every action in one state of an environment, said by a teacher that saw its picture
(column `image`). What the answers cost: {cost}.

| task | teacher | model | elicitation | prompt fingerprint | labels |
|---|---|---|---|---|---|
{_rows(tally)}

## Accuracy
{_accuracy(tally)}

## Use
```python
from datasets import load_dataset

labels = load_dataset("PATH_OR_NAME", split="train")  # image, actions, probabilities ...
```

With [lvlm2p](https://pypi.org/project/lvlm2p/) the labels teach a student without asking anybody:
`lvlm2p labels import {DATA}`, then `lvlm2p train --offline` with the same teacher and prompt.
"""


def _rows(tally: Tally) -> str:
    return "\n".join(
        f"| {' | '.join(map(_said, what))} | {count:,} |"
        for what, count in sorted(tally.labels.items())
    )


def _accuracy(tally: Tally) -> str:
    if not tally.judged:
        return "Not known: no exact planner says which actions are best in these states."
    lines = [
        f"- {_said(teacher)} on {_said(task)}: {tally.right[task, teacher] / count:.1%} of "
        f"{count:,} labels"
        for (task, teacher), count in sorted(tally.judged.items())
    ]
    return (
        "How often the most probable action is one of the best by the exact planner, over the "
        "states in which not all are equally good:\n\n" + "\n".join(lines)
    )


def _said(text: str) -> str:
    """Foreign text as Markdown shows it and does not obey it."""
    shown = re.sub(r"[`|\\\s]+", " ", plain(shorten(text, 80)))
    return f"`{shown.strip()}`" if shown.strip() else "-"
