"""Models in this process: real Qwen-VL architectures of random weights, a few hundred kilobytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import Budget, Failure, Label, load_teacher
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.elicit.choice import parse_choice
from lvlm2p.teachers.models.local.checkpoint import LocalModel, content_digest
from lvlm2p.teachers.models.local.generation import Session
from lvlm2p.teachers.models.messages import Reply, Request
from tests.support.chat import ANALYSIS, CHOICE, first_requests, some_views
from tools.vllm_cpu import random_checkpoint

FAMILIES = ["qwen3-vl", "qwen2.5-vl"]

requests = partial(first_requests, prompt="tiny", shots=None)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp(request.param)
    random_checkpoint.make_checkpoint(request.param, path, seed=0)
    return path


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalModel:
    return LocalModel("qwen-vl-hf", str(folder))


@pytest.fixture(scope="module")
def views() -> list[View]:
    return [*some_views(3), *some_views(2, "MiniGrid-GoToDoor-8x8-v0")]


def test_letters_get_exact_probabilities(folder: Path, views: list[View]) -> None:
    options = {
        "model": str(folder),
        "elicit": "logprobs",
        "prompt": "direct",
        "shots": 1,
        "batch": 3,
    }
    for answer in load_teacher("qwen-vl-hf", options=options).label(views):
        if isinstance(answer, Label):  # random weights seldom put half their mass on letters
            assert sum(answer.probabilities.values()) == pytest.approx(1)
        else:
            assert answer.failure == "invalid" and "letters" in answer.message


def test_a_batch_says_what_each_row_says_alone(local: LocalModel, views: list[View]) -> None:
    asked = requests(views)
    together = Session(local).replies(asked, [0] * len(asked), 8, 0.0)
    for request, reply in zip(asked, together, strict=True):
        (alone,) = Session(local).replies([request], [0], 8, 0.0)
        assert alone.text == reply.text and alone.usage == reply.usage


def test_a_second_turn_continues_from_memory_as_if_read_afresh(
    local: LocalModel, views: list[View]
) -> None:
    session = Session(local)
    first = requests(views)
    replies = session.replies(first, [0] * len(first), 1, 0.0)
    second = [
        Request(
            "2",
            [
                *request.messages,
                {"role": "assistant", "content": reply.text},
                {"role": "user", "content": "Answer with one letter."},
            ],
            letters=("A", "B", "C"),
        )
        for request, reply in zip(first, replies, strict=True)
    ]
    continued = session.replies(second, [0] * len(second), 6, 0.0)
    afresh = Session(local).replies(second, [0] * len(second), 6, 0.0)
    encode = local.encoder.tokenizer.encode
    exact = 0
    for one, other, said in zip(continued, afresh, replies, strict=True):
        if len(encode(said.text, add_special_tokens=False)) != said.usage.completion_tokens:
            continue  # random weights write what no tokenizer would: read afresh it differs
        exact += 1
        assert one.alternatives == pytest.approx(other.alternatives, rel=1e-3)
        assert one.usage.prompt_tokens < other.usage.prompt_tokens, "only the new words were read"
    assert exact >= 1


def test_candidates_of_several_tokens_are_scored_as_if_written(
    local: LocalModel, views: list[View]
) -> None:
    import math

    import torch

    asked = requests(views[:1], letters=("qxzj", "A")) + requests(views[1:2], letters=("A", "B"))
    replies = Session(local).replies(asked, [0, 0], 8, 0.0)
    assert [set(reply.alternatives) for reply in replies] == [{"qxzj", "A"}, {"A", "B"}]
    tokenizer = local.encoder.tokenizer
    (text,), urls = local.encoder.render([asked[0].messages])
    for word, least in (("qxzj", 2), ("A", 1)):
        ids = tokenizer.encode(word, add_special_tokens=False)
        assert len(ids) >= least
        score, written = 0.0, text
        for token in ids:
            with torch.inference_mode():
                logits = local.model(**local.encoder.tensors([written], urls)).logits[0, -1]
            score += float(logits.float().log_softmax(-1)[token])
            written += tokenizer.decode([token])
        assert replies[0].alternatives[word] == pytest.approx(math.exp(score), rel=1e-3)


def test_sampling_depends_on_the_seed_and_not_on_the_batch(
    local: LocalModel, views: list[View]
) -> None:
    asked = requests(views[:3])
    one, two, three = Session(local).replies(asked, [1, 2, 3], 8, 1.0)
    (again,) = Session(local).replies([asked[1]], [2], 8, 1.0)
    assert again.text == two.text
    (other,) = Session(local).replies([asked[1]], [9], 8, 1.0)
    assert other.text != two.text
    assert {one.finish, three.finish} <= {"stop", "length"}


def test_sampled_frequencies_are_the_models(local: LocalModel, views: list[View]) -> None:
    import torch

    (request,) = requests(views[:1])
    n = 150
    replies = Session(local).replies([request] * n, list(range(n)), 1, 1.0)
    (text,), urls = local.encoder.render([request.messages])
    with torch.inference_mode():
        logits = local.model(**local.encoder.tensors([text], urls)).logits[0, -1].float()
    chances = logits.softmax(-1)
    top = int(chances.argmax())
    said = local.encoder.tokenizer.decode([top])
    share = sum(reply.text == said for reply in replies) / n
    assert share == pytest.approx(float(chances[top]), abs=4 * (0.25 / n) ** 0.5)


@pytest.mark.parametrize("elicit", ["stated", "choice", "votes"])
def test_noise_is_a_typed_failure(folder: Path, views: list[View], elicit: str) -> None:
    options = {
        "model": str(folder),
        "elicit": elicit,
        "prompt": "tiny",
        "max_tokens": 8,
        "samples": 2,
    }
    teacher = load_teacher("qwen-vl-hf", options=options)
    answers = teacher.label(views[:2])
    assert all(isinstance(answer, Failure) for answer in answers)
    assert teacher.label(views[:2])[0].transcript == answers[0].transcript
    assert teacher.counts.cost_usd == 0.0


def test_a_model_that_answers_well_is_believed(
    folder: Path, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    def replies(self: Any, asked: Any, *_: Any) -> Any:
        return [Reply(ANALYSIS if one.turn == "1" else CHOICE) for one in asked]

    monkeypatch.setattr(Session, "replies", replies)
    options = {"model": str(folder), "elicit": "votes", "prompt": "tiny", "samples": 3, "batch": 2}
    for answer, view in zip(
        load_teacher("qwen-vl-hf", options=options).label(views), views, strict=True
    ):
        assert isinstance(answer, Label)
        assert answer.action == parse_choice('{"action":"forward"}', view.task)
        assert answer.analysis is not None


def test_a_budget_of_calls_is_kept(
    folder: Path, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def replies(self: Any, wanted: Any, *_: Any) -> list[Reply]:
        asked.extend(one.turn for one in wanted)
        return [Reply(ANALYSIS if one.turn == "1" else CHOICE) for one in wanted]

    monkeypatch.setattr(Session, "replies", replies)
    options = {"model": str(folder), "elicit": "choice", "prompt": "tiny", "batch": 2}
    answers = load_teacher("qwen-vl-hf", options=options, budget=Budget(calls=7)).label(views[:5])
    assert asked == ["1", "1", "2", "2", "1", "2", "1"], "two calls a label, begun if affordable"
    assert [answer.kind for answer in answers] == ["label"] * 3 + ["failure"] * 2
    assert {(a.failure, a.message) for a in answers if isinstance(a, Failure)} == {
        ("budget", "the budget of 7 calls is spent")
    }


def test_a_folder_counts_by_its_content(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert content_digest(copy) == content_digest(folder)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert content_digest(copy) != content_digest(folder)


def test_every_byte_of_a_folder_counts(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "fine-tuned"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(bytes(data))
    assert content_digest(copy) != content_digest(folder)
    names = tmp_path / "renamed"
    shutil.copytree(folder, names)
    (names / "model.safetensors").rename(names / "other.safetensors")
    assert content_digest(names) != content_digest(folder)


def test_a_folder_is_read_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    found = content_digest(copy)

    def unreadable(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hashlib.file_digest", unreadable)
    assert content_digest(copy) == found
    (copy / "config.json").write_text("{}")
    with pytest.raises(TeacherNotReadyError, match=r"can't be read: .*Permission denied"):
        content_digest(copy)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{64 * 'a'}\nsize 9\n")


def reshape(path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    name = next(name for name, weight in weights.items() if weight.ndim == 2)
    save_file(weights | {name: torch.zeros(3, 3)}, path, metadata={"format": "pt"})


def no_object(path: Path) -> None:
    path.write_text("[]")


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("model.safetensors", cut, "half downloaded or a git-lfs pointer"),
        ("model.safetensors", pointer, "half downloaded or a git-lfs pointer"),
        ("model.safetensors", reshape, "do not have the shapes that its config.json tells"),
        ("tokenizer_config.json", no_object, "AttributeError: 'list' object"),
        ("config.json", pointer, "not a valid JSON file.; name a folder or a hub id"),
    ],
)
def test_a_damaged_model_is_one_sentence(
    folder: Path, tmp_path: Path, file: str, damage: Callable[[Path], None], words: str
) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(folder, copy)
    damage(copy / file)
    with pytest.raises(TeacherNotReadyError, match=words) as caught:
        LocalModel("qwen-vl-hf", str(copy))
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_is_not_there(views: list[View], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TeacherNotReadyError, match="there is no folder /no/such"):
        load_teacher("qwen-vl-hf", options={"model": "/no/such"}).label(views[:1])


def test_pictures_become_the_processors_own_numbers(local: LocalModel) -> None:
    import numpy as np
    import torch
    from PIL import Image

    from lvlm2p.teachers.models.local.processor import QwenEncoder

    encoder = local.encoder
    assert isinstance(encoder, QwenEncoder)
    side = encoder.patches.patch * encoder.patches.merge
    dice = np.random.default_rng(0)
    for rows, columns in ((6, 6), (4, 9)):
        shape = (rows * side, columns * side, 3)
        picture = dice.integers(0, 256, shape, dtype=np.uint8)
        assert encoder.patches.fits(shape[1], shape[0])
        values, grid = encoder.patches.of(picture)
        done = encoder.image_processor(images=[Image.fromarray(picture)], return_tensors="pt")
        torch.testing.assert_close(values, done["pixel_values"])
        assert grid.tolist() == done["image_grid_thw"][0].tolist()
    assert not encoder.patches.fits(6 * side + 1, 6 * side), "must be resized"
    assert not encoder.patches.fits(40 * side, 40 * side), "larger than the processor allows"


def test_embedding_by_a_product_is_the_convolution(local: LocalModel) -> None:
    import torch

    from lvlm2p.teachers.models.local.qwen_patches import _Product

    (product,) = (part for part in local.model.modules() if isinstance(part, _Product))
    conv = product.convolution
    patches = torch.randn(10, conv.in_channels, *conv.kernel_size)
    with torch.inference_mode():
        wide = conv(patches)
        torch.testing.assert_close(product(patches), wide.flatten(1), rtol=1e-4, atol=1e-5)
        twice = torch.cat([patches, patches], 2)
        assert product(twice).shape[2] == 2, "anything else is still a convolution"
