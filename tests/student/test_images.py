"""Symmetric images of labelled states: what they are, where the targets go, and that they teach."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lvlm2p.envs import VectorEnv, View, mirror, observation_of, random_images
from lvlm2p.student import TrainConfig
from lvlm2p.student.learn.images import LabelledImages
from lvlm2p.student.learn.labels import LabelBuffer
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.teachers import load_teacher
from tests.support.store import FakeTeacher

DOOR = "MiniGrid-GoToDoor-5x5-v0"
FETCH = "MiniGrid-Fetch-5x5-N2-v0"
BALLS = "MiniGrid-Dynamic-Obstacles-5x5-v0"
LAVA = "MiniGrid-LavaGapS5-v0"


def played(env_id: str, steps: int = 12) -> list[View]:
    """Views on a random way, each checked to be rebuilt from itself as the student saw it."""
    env, rng = VectorEnv(env_id, 2, 0), np.random.default_rng(0)
    observation, views = env.reset(), []
    for _ in range(steps):
        rebuilt = observation_of(env.views())
        assert (rebuilt.values == observation.values).all()
        assert (rebuilt.carrying == observation.carrying).all()
        assert rebuilt.mission == observation.mission
        views += env.views()
        observation = env.step(rng.integers(env.n_actions, size=2)).obs
    env.close()
    return views


@pytest.mark.parametrize("env_id", [DOOR, FETCH, BALLS])
def test_what_is_best_in_a_view_is_best_in_its_images(env_id: str) -> None:
    rng, others, named = random.Random(0), 0, set()
    for view in played(env_id):
        for image, actions in random_images(view, 4, rng):
            others += image != view
            named |= {actions["left"]}
            best = {actions[name] for name in view.task.plan(view).actions}
            assert best == set(view.task.plan(image).actions)
    assert others > 10 and "right" in named


def test_a_task_without_symmetries_has_no_images() -> None:
    assert random_images(played(LAVA)[0], 4, random.Random(0)) == []


def buffer(env_id: str, teacher: Any, **options: Any) -> tuple[LabelBuffer, VectorEnv, Encoder]:
    config = TrainConfig.model_validate({"env": env_id, "kl_images": 6, **options})
    env = VectorEnv(env_id, 3, 1)
    encoder = Encoder(env.space)
    return LabelBuffer(config, teacher, encoder, env.n_actions), env, encoder


def ask(book: LabelBuffer, env: VectorEnv, encoder: Encoder) -> None:
    inputs = encoder(env.reset())
    book.rows(env.views(), inputs, None)
    assert book.wait(threading.Event())


def replayed(book: LabelBuffer) -> set[tuple[Any, ...]]:
    [batch] = book.replay(1, 4_000, torch.Generator().manual_seed(0))
    rows = zip(batch.inputs.observation.tolist(), batch.targets.tolist(), strict=True)
    return {(tuple(cells), tuple(target)) for cells, target in rows}


def test_images_are_replayed_beside_the_states_and_carry_the_targets_over() -> None:
    book, env, encoder = buffer(DOOR, load_teacher("expert"))
    with closing(book):
        ask(book, env, encoder)
        expected = set()
        for view in env.views():
            rng = random.Random(f"0:{view.key}")
            for image in [view, *(other for other, _ in random_images(view, 6, rng))]:
                best = image.task.plan(image).actions
                target = [0.0] * env.n_actions
                for name in best:
                    target[image.task.action_named(name).index] = 1 / len(best)
                cells = encoder(observation_of([image])).observation[0].tolist()
                expected.add((tuple(cells), tuple(torch.tensor(target).tolist())))
        assert replayed(book) == expected
        assert len(expected) > 12


def test_the_mirror_image_has_the_other_turn() -> None:
    env = VectorEnv(DOOR, 1, 0)
    encoder = Encoder(env.space)
    seen = encoder(env.reset())
    [view] = env.views()
    other, _ = mirror(view)
    task = replace(view.task, symmetries=(replace_by(view, other),))
    images = LabelledImages(1, 0, encoder, env.n_actions)
    images.add(
        replace(view, task=task), seen.observation[0], torch.tensor([0.6, 0.1, 0.3] + [0] * 4)
    )
    assert images.columns["targets"][0].tolist()[:3] == pytest.approx([0.1, 0.6, 0.3])
    cells = encoder(observation_of([other])).observation[0]
    assert (
        images.columns["observation"][0].tolist() == cells.tolist() != seen.observation[0].tolist()
    )


def replace_by(view: View, other: View) -> Any:
    """A symmetry that mirrors this one view, whatever the length of the walk."""
    from lvlm2p.envs import Symmetry

    mirrored = replace(other, task=view.task)
    return Symmetry(
        "mirror",
        lambda image: replace(mirrored, task=image.task),
        {"left": "right", "right": "left"},
    )


def test_a_student_that_sees_something_else_gets_no_images() -> None:
    book, env, encoder = buffer(DOOR, load_teacher("expert"))
    with closing(book):
        inputs = encoder(env.reset())
        book.rows(env.views(), inputs._replace(observation=inputs.observation + 1), None)
        assert book.wait(threading.Event())
        assert len(book._images.columns) == 0 < int((book.states["weight"] > 0).sum())


@pytest.mark.parametrize("options", [{"kl_images": 0}, {"memory": "lstm"}])
def test_no_images_where_none_are_wanted_or_none_can_be_used(options: dict[str, Any]) -> None:
    book, env, encoder = buffer(DOOR, load_teacher("expert"), **options)
    with closing(book):
        ask(book, env, encoder)
        assert len(book._images.columns) == 0


def test_a_state_without_a_label_has_no_images() -> None:
    book, env, encoder = buffer(DOOR, FakeTeacher(lambda view, t: t.failure_for(view, "refusal")))
    with closing(book):
        ask(book, env, encoder)
        assert len(book._images.columns) == 0


def test_images_come_back_from_a_checkpoint() -> None:
    book, env, encoder = buffer(DOOR, load_teacher("expert"))
    other, _, _ = buffer(DOOR, load_teacher("expert"))
    with closing(book), closing(other):
        ask(book, env, encoder)
        other._encoder = encoder  # whose missions are restored beside it
        other.restore(book.tensors())
        assert replayed(other) == replayed(book)
