"""Train the tiny model from nothing: ``python -m tools.tiny_vl.train --seed 0``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lvlm2p.teachers.models.local.tiny_vl import CHECKPOINT
from tools.tiny_vl import data
from tools.tiny_vl.export import export
from tools.tiny_vl.lessons import VALUE
from tools.tiny_vl.muon import Muon
from tools.tiny_vl.pupil import Pupil

WARM_UP = 50
"""Steps until a stage's learning rate is reached."""
CLIP = 2.0
"""Largest norm of a gradient."""


@dataclass(frozen=True)
class Stage:
    """A part of the training, with optimizers of its own.

    First the model learns to see, with the training heads, at a constant rate; then to answer,
    without them, at a rate that falls to zero; then once more, gently, with twice the weight on
    stated probabilities: of all answers they are the hardest.
    """

    steps: int
    lr: float
    heads: bool
    falls: bool
    stated: float = VALUE

    def rate(self, step: int) -> float:
        """The learning rate at ``step``."""
        left = 1 - step / self.steps if self.falls else 1.0
        return self.lr * min((step + 1) / WARM_UP, left)


STAGES = (
    Stage(steps=985, lr=3e-3, heads=True, falls=False),
    Stage(steps=1_500, lr=2.5e-3, heads=False, falls=True),
    Stage(steps=500, lr=1.2e-3, heads=False, falls=True, stated=2 * VALUE),
)


def optimizers(pupil: Pupil, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the towers, AdamW for everything else."""
    inner: list[Tensor] = []
    outer: list[Tensor] = list(pupil.heads.parameters())
    for name, p in pupil.model.named_parameters():
        matrix = p.ndim == 2 and "embed" not in name and "lm_head" not in name
        (inner if matrix else outer).append(p)
    adam = torch.optim.AdamW(outer, lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    return [Muon(inner, lr), adam]


def train(
    pupil: Pupil, stage: Stage, out: Path, rng: np.random.Generator, batch: int, every: float
) -> None:
    """One stage: train, tell how it goes, export to ``out`` every ``every`` seconds and at the
    end."""
    states = pupil.states
    pupil.lessons.stated = stage.stated
    opts = optimizers(pupil, stage.lr)
    sides = sorted(states.grids)
    chances = np.array([data.SIDE_WEIGHTS[side] for side in sides])
    began = exported = time.time()
    told: list[dict[str, float]] = []
    for step in range(stage.steps):
        for group in (group for opt in opts for group in opt.param_groups):
            group["lr"] = stage.rate(step)
        side = int(rng.choice(sides, p=chances / chances.sum()))
        rows = states.learnt(side, batch, rng)
        loss, parts = pupil.loss(side, rows, stage.heads)
        for opt in opts:
            opt.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(pupil.model.parameters(), CLIP)
        for opt in opts:
            opt.step()
        told.append({name: float(part.detach().mean()) for name, part in parts.items()})
        if (step + 1) % 50 == 0:
            means = {name: float(np.mean([one[name] for one in told])) for name in told[0]}
            print(f"{step + 1}/{stage.steps} {time.time() - began:.0f}s {_line(means)}", flush=True)
            told.clear()
        if time.time() - exported > every or step + 1 == stage.steps:
            for shown in sides:
                for task, shares in pupil.examine(shown, 128).items():
                    print(f"  held out {shown}x{shown} {task}: {_line(shares)}", flush=True)
            export(pupil.model, pupil.tokenizer, out)
            exported = time.time()


def _line(values: dict[str, float]) -> str:
    return " ".join(f"{name}={value:.3f}" for name, value in values.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=CHECKPOINT)
    parser.add_argument("--data", type=Path, default=Path("runs/tiny_vl/states.npz"))
    parser.add_argument("--states", type=int, default=240_000, help="states to draw, if no data")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--every", type=float, default=420.0, help="seconds between checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(1)  # two threads of so small a model wait for each other
    if not args.data.exists():
        print(f"drawing {args.states:,} states into {args.data}", flush=True)
        data.make_states(args.states, seed=0, workers=2).save(args.data)
    began = time.process_time()
    pupil = Pupil(data.States.load(args.data), args.seed)
    rng = np.random.default_rng(args.seed)
    for stage in STAGES:
        train(pupil, stage, args.out, rng, args.batch, args.every)
    run = {"seed": args.seed, "batch": args.batch, "steps": sum(stage.steps for stage in STAGES)}
    run["seconds"] = round(time.process_time() - began)
    (args.out / "training.json").write_text(json.dumps(run) + "\n", "utf-8")
    print("measure it and write its card: python -m tools.tiny_vl.evaluate --card")


if __name__ == "__main__":
    main()
