"""The shipped model: its prompt, its tokens, its checkpoint, and how right it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvlm2p.envs import View, task_named
from lvlm2p.prompts import Prompt, load_prompt, plain_text
from lvlm2p.teachers import Label, load_teacher
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.models.local.tiny_vl import CHECKPOINT
from tools.tiny_vl import data, evaluate, lessons, model, tokens

SMALL = 8 * 2**20


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def network() -> Any:
    from transformers import AutoModelForImageTextToText

    loaded: Any = AutoModelForImageTextToText.from_pretrained(CHECKPOINT)
    return loaded.eval()


@cache
def held_out(task: str, n: int = 64) -> list[View]:
    return evaluate.held_out_views(task, 6, n)


# --- words ---------------------------------------------------------------------------------------


new_tokenizer = cache(tokens.make_tokenizer)


@given(st.text(max_size=60))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    ids = new_tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert new_tokenizer().decode(ids) == text


def test_the_shipped_tokenizer_is_the_one_that_the_tool_makes(tokenizer: Any) -> None:
    made = new_tokenizer()
    assert tokenizer.get_vocab() == made.get_vocab()
    assert tokenizer.chat_template == made.chat_template


@pytest.mark.parametrize("text", [tokens.ANALYSIS, tokens.STATED, tokens.CHOICE, tokens.LETTER])
def test_a_fixed_sentence_is_one_token(tokenizer: Any, text: str) -> None:
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1


@pytest.mark.parametrize("task", tokens.TASKS)
def test_every_answer_is_short(tokenizer: Any, task: str) -> None:
    names = task_named(task).action_names
    stated = json.dumps(lessons.stated_of(names, 1), separators=(",", ":"))
    assert len(tokenizer(stated)["input_ids"]) == 2 * len(names) + 1
    assert len(tokenizer('{"action":"left"}')["input_ids"]) == 3
    for letter in "ABCD":
        assert len(tokenizer(letter)["input_ids"]) == 1


QUESTIONS = {
    "stated": tokens.STATED,
    "choice": tokens.CHOICE,
    "votes": tokens.CHOICE,
    "logprobs": tokens.LETTER,
}


@pytest.mark.parametrize("task", tokens.TASKS)
@pytest.mark.parametrize("elicit", QUESTIONS)
def test_the_prompt_says_what_the_model_was_taught(task: str, elicit: Any) -> None:
    view = held_out(task, 4)[0]
    prompt: Prompt = load_prompt("tiny", view.task, elicit=elicit)
    first, *more = prompt.conversation(view).turns
    head = lessons.first_text(task, view.task.action_names, view.mission)
    asked = tokens.ANALYSIS if more else QUESTIONS[elicit]
    text = plain_text(first)
    assert text.startswith(head + "<image ")
    assert text.endswith(">" + asked)
    assert [plain_text(turn) for turn in more] in ([], [QUESTIONS[elicit]])
    assert prompt.style.tile == model.TILE
    assert not prompt.style.margins


@pytest.mark.parametrize("n", [3, 4])
def test_stated_probabilities_sum_to_one_and_peak_on_the_optimal_set(n: int) -> None:
    names = ("left", "right", "forward", "done")[:n]
    for optimal in range(1, 2**n):
        stated = lessons.stated_of(names, optimal)
        assert sum(round(100 * p) for p in stated.values()) == 100
        top = max(stated.values())
        for i, name in enumerate(names):
            if optimal >> i & 1:
                assert stated[name] >= top - 0.02
            else:
                assert stated[name] < top - 0.02


# --- pictures and layouts ------------------------------------------------------------------------


@pytest.mark.parametrize("task", tokens.TASKS)
def test_training_sees_the_pictures_that_a_teacher_sees(task: str) -> None:
    tiles, missions, ahead, grids, facts = data.collect((task, 6, 12, 5, False))
    pictures = [np.frombuffer(tile, np.uint8).reshape(32, 32, 3) for tile in tiles]
    views = [view for view, _ in data.poses(task, 6, 12, 5)]
    for view, grid, fact in zip(views, grids, facts, strict=True):
        rows = [np.hstack([pictures[number] for number in row]) for row in grid]
        assert np.array_equal(np.vstack(rows), view.image())
        scene = view.task.ground_truth(view) if view.task.ground_truth else {}
        assert list(fact[2:4]) == [scene["agent_row"], scene["agent_column"]]
        assert ahead[fact[7]] == scene["ahead"]
        assert missions[fact[1]] == view.mission


def test_patches_are_those_of_the_image_processor() -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor

    picture = held_out("fetch", 4)[0].image()
    processor = AutoImageProcessor.from_pretrained(CHECKPOINT)  # type: ignore[no-untyped-call]
    seen = processor(images=[Image.fromarray(picture)], return_tensors="pt")
    assert seen["image_grid_thw"].tolist() == [[1, 12, 12]]
    ours = model.patches_of(torch.from_numpy(data.cut(picture).reshape(-1, 32, 32, 3).copy()))
    assert torch.allclose(seen["pixel_values"], ours, atol=1e-6)


def layouts(task: str, side: int, n: int) -> Iterator[tuple[str, bool]]:
    for view, kept in data.poses(task, side, n, 3):
        cells = view.state[: 2 + 3 * side * side]  # without the agent and the mission
        yield hashlib.sha256(cells).hexdigest(), kept


@pytest.mark.parametrize("task", tokens.TASKS)
def test_a_layout_is_held_out_as_a_whole(task: str) -> None:
    verdicts: dict[str, set[bool]] = {}
    for layout, kept in layouts(task, 5, 400):
        verdicts.setdefault(layout, set()).add(kept)
    assert all(len(verdict) == 1 for verdict in verdicts.values())
    assert {True, False} == set.union(*verdicts.values())


@pytest.mark.parametrize(("side", "kept", "of"), [(5, 1, 3), (6, 2, 8), (7, 3, 15), (8, 4, 24)])
def test_some_lava_gaps_of_each_size_are_held_out(side: int, kept: int, of: int) -> None:
    gaps = [(x, y) for x in range(2, side - 2) for y in range(1, side - 1)]
    assert len(gaps) == of
    assert sum(data.held_out_gap(side, *gap) for gap in gaps) == kept


# --- the checkpoint ------------------------------------------------------------------------------


def test_the_checkpoint_is_small_safe_and_described() -> None:
    files = {path.name: path.stat().st_size for path in Path(CHECKPOINT).iterdir()}
    assert sum(files.values()) <= SMALL
    assert {Path(name).suffix for name in files} <= {".safetensors", ".json", ".jinja", ".md"}
    card = (Path(CHECKPOINT) / "README.md").read_text("utf-8")
    assert "license: mit" in card
    assert "stand-in" in card


def test_the_dense_forward_of_training_is_the_model(network: Any, tokenizer: Any) -> None:
    import torch

    states = data.make_states(160, 7)
    school = lessons.Lessons(tokenizer, states.actions, states.missions, states.ahead)
    rows = np.arange(0, 36, 6)
    batch = school.batch(states.facts[6][rows], 6, 6)
    grids = torch.from_numpy(states.grids[6][rows].astype(np.int64))
    patches = model.patches_of(torch.from_numpy(states.pictures))
    with torch.no_grad():
        seen, deep = model.see(network, patches, grids)
        embeds = network.model.language_model.embed_tokens(batch.ids)
        embeds[:, batch.image] = seen
        hidden, _ = model.read(network, embeds, batch.positions, batch.mask(), batch.image, deep)
        for path in ((0, 1, 2), (0, 1, 3), (0, 1, 4), (0, 5), (0, 6)):
            for i in range(len(rows)):
                on_path = torch.isin(batch.branches[i], torch.tensor(path))
                ids = batch.ids[i, on_path][None]
                logits = network(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    pixel_values=patches.view(-1, 4, patches.shape[1])[grids[i].flatten()].flatten(
                        0, 1
                    ),
                    image_grid_thw=torch.tensor([[1, 12, 12]]),
                    mm_token_type_ids=(ids == school.image_id).int(),
                ).logits[0]
                ours = network.lm_head(hidden[i, on_path])
                assert torch.allclose(logits, ours, atol=2e-3)


# --- the teacher ---------------------------------------------------------------------------------

TOP1 = {"lava-gap": 0.97, "dynamic-obstacles": 0.93, "fetch": 0.97, "go-to-door": 0.97}
"""What its card promises."""


@pytest.mark.parametrize("elicit", ["stated", "logprobs", "choice"])
@pytest.mark.parametrize("task", tokens.TASKS)
def test_it_is_right_on_layouts_that_training_never_saw(task: str, elicit: str) -> None:
    found = evaluate.measure(load_teacher("tiny-vl", options={"elicit": elicit}), held_out(task))
    assert found["failed"] == 0
    assert found["top1"] >= TOP1[task] - 2 / 64  # two states of luck
    assert found["mass"] >= TOP1[task] - 0.08
    if elicit == "stated":
        assert found["analysis"] >= 0.98 - 1 / 64
        assert found["ahead"] >= 0.98 - 1 / 64


def test_it_looks_at_the_picture() -> None:
    teacher = load_teacher("tiny-vl")
    said = {str(answer.model_dump()["analysis"]) for answer in teacher.label(held_out("fetch", 24))}
    assert len(said) > 12


def test_sizes_can_be_mixed_in_one_batch() -> None:
    views = [evaluate.held_out_views("fetch", side, 2)[0] for side in (8, 5, 6)]
    teacher = load_teacher("tiny-vl")
    together = teacher.label(views)
    alone = [teacher.label([view])[0] for view in views]
    assert [a.transcript for a in together] == [a.transcript for a in alone]


@pytest.mark.parametrize("elicit", ["stated", "logprobs", "choice"])
def test_tasks_can_be_mixed_in_one_batch(elicit: str) -> None:
    """They have different actions, hence different letters."""
    tasks = [held_out("lava-gap", 8), held_out("fetch", 24)]
    teacher = load_teacher("tiny-vl", options={"elicit": elicit})
    apart = [answer for views in tasks for answer in teacher.label(views)]
    together = teacher.label([view for views in tasks for view in views])
    assert {answer.action for answer in apart if isinstance(answer, Label)} >= {"pickup", "left"}
    for one, other in zip(together, apart, strict=True):
        assert isinstance(one, Label)
        assert isinstance(other, Label)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_its_labels_are_the_same_wherever_it_lies() -> None:
    (label,) = load_teacher("tiny-vl").label(held_out("fetch", 1))
    assert label.model == "tiny-vl"
    assert str(CHECKPOINT.parent) not in label.model_dump_json()


def test_it_is_no_other_model() -> None:
    with pytest.raises(ConfigError, match="model"):
        load_teacher("tiny-vl", options={"model": "other"})
