"""Train the tiny model from nothing: ``python -m tools.tiny_vl.train --seed 0``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.tiny_vl import data, lessons, model, tokens
from tools.tiny_vl.muon import Muon

CHECKPOINT = Path("teachers/tiny_vl/checkpoint")


class Pupil:
    """The model, its training heads and what they cost."""

    def __init__(self, states: data.States, seed: int) -> None:
        torch.manual_seed(seed)
        self.states = states
        self.tokenizer = tokens.make_tokenizer()
        self.model = model.make_model(self.tokenizer)
        width = self.model.config.text_config.hidden_size
        self.heads = model.Heads(len(states.pictures), width)
        self.patches = model.patches_of(torch.from_numpy(states.pictures))
        self.lessons = lessons.Lessons(
            self.tokenizer, states.actions, states.missions, states.ahead
        )

    def loss(self, side: int, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        grids = torch.from_numpy(self.states.grids[side][rows].astype(np.int64))
        facts = self.states.facts[side][rows]
        batch = self.lessons.batch(list(tokens.TASKS), facts, (side, side))
        seen, deep = model.see(self.model, self.patches, grids)
        embeds = self.model.model.language_model.embed_tokens(batch.ids)
        embeds = torch.cat([embeds[:, : batch.image.start], seen, embeds[:, batch.image.stop :]], 1)
        hidden, tapped = model.read(
            self.model, embeds, batch.positions, batch.mask(), batch.image, deep
        )
        logits = self.model.lm_head(hidden[batch.where])
        logp = F.log_softmax(logits, -1)
        ids, p = batch.soft
        entropy = torch.where(p > 0, p * p.clamp(min=1e-9).log(), 0.0).sum(-1)
        each = entropy - (logp.gather(1, ids) * p).sum(-1)
        answer = (each * batch.weight).sum() / len(rows)

        flat = grids.flatten(1)
        tile = F.cross_entropy(self.heads.tile(seen).flatten(0, 1), flat.flatten())
        cell = torch.arange(side * side)
        place = F.cross_entropy(
            self.heads.row(seen).flatten(0, 1), (cell // side).repeat(len(rows))
        ) + F.cross_entropy(self.heads.column(seen).flatten(0, 1), (cell % side).repeat(len(rows)))
        f = torch.from_numpy(facts.astype(np.int64))
        step_r, step_c = torch.tensor([0, 1, 0, -1])[f[:, 4]], torch.tensor([1, 0, -1, 0])[f[:, 4]]
        spots = torch.stack(
            [
                f[:, 5] * side + f[:, 6],
                (f[:, 2] + step_r) * side + f[:, 3] + step_c,
                f[:, 2] * side + f[:, 3],
            ]
        )
        pointed = self.heads.pointer(tapped[:, batch.image]).permute(2, 0, 1)
        point = F.cross_entropy(pointed.flatten(0, 1), spots.flatten())
        with torch.no_grad():
            right = (ids.gather(1, p.argmax(-1, keepdim=True))[:, 0] == logits.argmax(-1)) | (
                (ids == logits.argmax(-1)[:, None]) & (p > 0)
            ).any(-1)
            parts: dict[str, Tensor] = {
                "answer": answer,
                "tile": tile,
                "place": place,
                "point": point,
            }
            for k, name in enumerate(lessons.KINDS):
                mine = batch.kind == k
                wrong = torch.zeros(len(rows)).index_add_(
                    0, batch.where[0][mine], (~right[mine]).float()
                )
                parts[name] = (wrong == 0).float()
        return answer + 2 * tile + place + 2 * point, parts


def optimizers(pupil: Pupil, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the towers, AdamW for everything else."""
    inner, outer = [], []
    for name, p in pupil.model.named_parameters():
        matrix = p.ndim == 2 and "embed" not in name and "lm_head" not in name
        (inner if matrix else outer).append(p)
    outer += pupil.heads.parameters()
    return [
        Muon(inner, lr),
        torch.optim.AdamW(outer, lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]


@torch.no_grad()
def held_out(pupil: Pupil, side: int, n: int = 128) -> dict[str, dict[str, float]]:
    """Share of held-out states whose whole answer is right, for each task and way of asking."""
    report = {}
    for number, task in enumerate(tokens.TASKS):
        rows = pupil.states.held(side, number)[:n]
        if len(rows) == 0:
            continue
        _, parts = pupil.loss(side, rows)
        report[task] = {kind: float(parts[kind].mean()) for kind in lessons.KINDS}
    return report


def train(
    states: data.States, out: Path, *, samples: int, lr: float, batch: int, seed: int, every: float
) -> Pupil:
    pupil = Pupil(states, seed)
    opts = optimizers(pupil, lr)
    rng = np.random.default_rng(seed)
    steps = samples // batch
    sides = sorted(states.grids)
    chances = np.array([data.SIDE_WEIGHTS[s] for s in sides])
    began = last = time.time()
    n_params = sum(p.numel() for p in pupil.model.parameters())
    print(f"{n_params:,} parameters, {steps:,} steps of {batch}", flush=True)
    trail: dict[str, list[Any]] = {}
    for step in range(steps):
        share = step / steps
        rate = min(1.0, (step + 1) / 100) * min(1.0, (1 - share) / 0.45)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = lr * rate
        side = int(rng.choice(sides, p=chances / chances.sum()))
        rows = states.learnt(side, batch, rng)
        loss, parts = pupil.loss(side, rows)
        for opt in opts:
            opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(pupil.model.parameters(), 2.0)
        for opt in opts:
            opt.step()
        for name, value in parts.items():
            trail.setdefault(name, []).append(float(value.detach().mean()))
        if (step + 1) % 100 == 0:
            rate_s = (step + 1) * batch / (time.time() - began)
            line = " ".join(f"{k}={np.mean(v):.3f}" for k, v in trail.items())
            print(f"{step + 1} {time.time() - began:.0f}s {rate_s:.0f}/s {line}", flush=True)
            trail.clear()
        if time.time() - last > every or step + 1 == steps:
            last = time.time()
            for side in sides:
                for task, shares in held_out(pupil, side).items():
                    line = " ".join(f"{k}={v:.3f}" for k, v in shares.items())
                    print(f"  held out {side}x{side} {task}: {line}", flush=True)
            save(pupil, out)
    return pupil


def save(pupil: Pupil, out: Path) -> None:
    from tools.tiny_vl.export import export

    export(pupil.model, pupil.tokenizer, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=CHECKPOINT)
    parser.add_argument("--data", type=Path, default=Path("runs/tiny_vl/states.npz"))
    parser.add_argument("--states", type=int, default=240_000, help="distinct states to draw")
    parser.add_argument("--samples", type=int, default=122_000, help="states shown in training")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--every", type=float, default=420.0, help="seconds between checkpoints")
    args = parser.parse_args()
    if not args.data.exists():
        print(f"drawing {args.states:,} states into {args.data}", flush=True)
        data.make_states(args.states, args.seed, workers=2).save(args.data)
    train(
        data.States.load(args.data),
        args.out,
        samples=args.samples,
        lr=args.lr,
        batch=args.batch,
        seed=args.seed,
        every=args.every,
    )


if __name__ == "__main__":
    main()
