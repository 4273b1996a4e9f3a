"""Two teachers on the same states: how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.measures import same_choice, total_variation
from lvlm2p.teachers.evaluation.measuring import Measured
from lvlm2p.teachers.evaluation.results import Agreement
from lvlm2p.teachers.label import Answer, Label


def agreements(
    env_ids: Sequence[str], teachers: Sequence[str], found: dict[tuple[str, str], Measured]
) -> list[Agreement]:
    """How far every two teachers agree, in each environment that both were measured in."""
    rows = []
    for env_id in env_ids:
        for one, other in combinations(teachers, 2):
            pair = found.get((env_id, one)), found.get((env_id, other))
            if pair[0] is None or pair[1] is None:
                continue
            agreement = _agreement((one, other), env_id, pair[0].answers, pair[1].answers)
            if agreement is not None:
                rows.append(agreement)
    return rows


def _agreement(
    teachers: tuple[str, str], env_id: str, one: Sequence[Answer], other: Sequence[Answer]
) -> Agreement | None:
    pairs = [
        (list(a.probabilities.values()), list(b.probabilities.values()))
        for a, b in zip(one, other, strict=True)
        if isinstance(a, Label) and isinstance(b, Label)
    ]
    if not pairs:
        return None
    p, q = (np.array(side) for side in zip(*pairs, strict=True))
    same = intervals.proportion(same_choice(p, q))
    moved = intervals.mean(total_variation(p, q))
    assert same and moved
    return Agreement(teachers=teachers, env=env_id, same=same, moved=moved)
