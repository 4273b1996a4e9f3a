"""Losses, targets, advantages, lambda and the rules of --ask, against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lvlm2p.student.config import TrainConfig
from lvlm2p.student.learn.ask import chosen_by_lot, parse_ask
from lvlm2p.student.learn.gae import advantages
from lvlm2p.student.learn.losses import (
    clipped_policy_loss,
    distillation_loss,
    distillation_target,
    entropy,
    policy_gradient_loss,
    value_loss,
)
from lvlm2p.student.learn.schedule import kl_weight

ENV = "MiniGrid-LavaGapS5-v0"


def t(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def logs(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


def test_clipped_policy_loss_takes_the_smaller_of_ratio_and_clipped_ratio() -> None:
    old = t(0.5, 0.5, 0.5, 0.5).log()
    new = t(0.75, 0.75, 0.25, 0.25).log()  # ratios 1.5, 1.5, 0.5, 0.5
    advantage = t(1, -1, 1, -1)
    # min(1.5, 1.2) + min(-1.5, -1.2) + min(0.5, 0.8) + min(-0.5, -0.8)
    expected = -(1.2 - 1.5 + 0.5 - 0.8) / 4
    assert clipped_policy_loss(new, old, advantage, 0.2).item() == pytest.approx(expected)


def test_clipped_policy_loss_has_no_gradient_where_it_is_clipped() -> None:
    new = t(0.75).log().requires_grad_()
    clipped_policy_loss(new, t(0.5).log(), t(1), 0.2).backward()  # type: ignore[no-untyped-call]
    assert new.grad is not None and new.grad.item() == 0


def test_policy_gradient_value_loss_and_entropy() -> None:
    assert policy_gradient_loss(t(-1, -2), t(3, 0.5)).item() == pytest.approx((3 + 1) / 2)
    assert value_loss(t(1, 2), t(0, 4)).item() == pytest.approx(0.5 * (1 + 4) / 2)
    assert entropy(logs([0.5, 0.5], [0.25, 0.75])).item() == pytest.approx(
        (math.log(2) - 0.25 * math.log(0.25) - 0.75 * math.log(0.75)) / 2
    )


def test_targets() -> None:
    labels = t([0.5, 0.3, 0.2], [0.4, 0.4, 0.2])
    assert distillation_target(labels, "soft").tolist() == labels.tolist()
    assert distillation_target(labels, "argmax").tolist() == [[1, 0, 0], [0.5, 0.5, 0]]


def test_forward_kl_by_hand() -> None:
    target, student = t([0.5, 0.5, 0.0]), logs([0.25, 0.25, 0.5])
    loss = distillation_loss(student, target, torch.tensor([True]))
    assert loss.item() == pytest.approx(math.log(2))


def test_forward_kl_is_zero_where_the_student_agrees() -> None:
    same = t([0.7, 0.2, 0.1])
    assert distillation_loss(same.log(), same, torch.tensor([True])).item() == pytest.approx(0)


def test_the_original_codes_loss_by_hand() -> None:
    known = torch.tensor([True])
    # the student is sure, and right: the softmax of (1, 0, 0) is (e, 1, 1) / (e + 2)
    right = distillation_loss(t([0.0, -1e9, -1e9]), t([0.5, 0.3, 0.2]), known, "original-code")
    assert right.item() == pytest.approx(0.8 * (math.log(0.8) - math.log(math.e / (math.e + 2))))
    wrong = distillation_loss(t([0.0, -1e9, -1e9]), t([0.1, 0.5, 0.4]), known, "original-code")
    assert wrong.item() == pytest.approx(0.8 * (math.log(0.8) + math.log(math.e + 2)))
    tied = distillation_loss(t([0.0, -1e9, -1e9]), t([0.4, 0.4, 0.2]), known, "original-code")
    assert tied.item() == right.item()  # of equally good actions the first


def test_weights_scale_each_divergence_and_the_divisor_is_the_number_of_labels() -> None:
    student = logs([0.25, 0.25, 0.5], [0.5, 0.5, 0.0 + 1e-300], [0.1, 0.1, 0.8])
    target = t([0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.3, 0.3, 0.4])
    # each of the first two diverges by log 2; the third has no label
    loss = distillation_loss(student, target, t(1.0, 0.25, 0.0))
    assert loss.item() == pytest.approx((1 + 0.25) * math.log(2) / 2)


@pytest.mark.parametrize("kind", ["kl", "original-code"])
def test_unlabelled_states_count_for_nothing(kind: str) -> None:
    student = logs([0.25, 0.75], [0.9, 0.1], [0.4, 0.6]).requires_grad_()
    target = t([0.5, 0.5], [0.0, 0.0], [0.2, 0.8])
    labelled = torch.tensor([True, False, True])
    loss = distillation_loss(student, target, labelled, kind)  # type: ignore[arg-type]
    only = distillation_loss(
        student[labelled],
        target[labelled],
        labelled[labelled],
        kind,  # type: ignore[arg-type]
    )
    assert loss.item() == pytest.approx(only.item())
    loss.backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert student.grad[1].tolist() == [0, 0]
    assert student.grad[0].abs().sum() > 0


def test_no_label_at_all_is_no_loss() -> None:
    nothing = torch.zeros(1, dtype=torch.bool)
    assert distillation_loss(logs([0.5, 0.5]), t([0.0, 0.0]), nothing).item() == 0


def test_gae_by_hand_with_termination_and_truncation() -> None:
    gamma, lam = 0.9, 0.5
    rewards = t([0, 0], [1, 0], [0, 2])
    values = t([0.5, 0.2], [0.4, 0.3], [0.1, 0.6])
    # environment 0 terminates at step 1; environment 1 is cut short there, its last state worth 0.8
    next_values = t([0.4, 0.3], [0.7, 0.8], [0.3, 0.9])
    terminated = torch.tensor([[False, False], [True, False], [False, False]])
    ended = torch.tensor([[False, False], [True, True], [False, False]])
    result = advantages(rewards, values, next_values, terminated, ended, gamma, lam)

    last0, last1 = 0 + gamma * 0.3 - 0.1, 2 + gamma * 0.9 - 0.6
    mid0, mid1 = (
        1 - 0.4,
        0 + gamma * 0.8 - 0.3,
    )  # no future at all; the future of the true last state
    first0 = gamma * 0.4 - 0.5 + gamma * lam * mid0
    first1 = gamma * 0.3 - 0.2 + gamma * lam * mid1
    expected = [[first0, first1], [mid0, mid1], [last0, last1]]
    for got, want in zip(result.tolist(), expected, strict=True):
        assert got == pytest.approx(want)


def config(**options: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {"env": ENV, "kl_coef": 2.0, "kl_frames": 100, "kl_floor": 0.0, **options}
    )


@pytest.mark.parametrize(
    ("schedule", "frames", "caught_up_at", "expected"),
    [
        ("constant", 10**6, 5, 2.0),
        ("caught-up", 10**6, None, 2.0),
        ("caught-up", 1_000, 1_000, 2.0),
        ("caught-up", 1_050, 1_000, 1.0),
        ("caught-up", 2_000, 1_000, 0.0),
    ],
)
def test_lambda(schedule: str, frames: int, caught_up_at: int | None, expected: float) -> None:
    weight = kl_weight(config(kl_schedule=schedule), frames, 7, caught_up_at)
    assert weight == pytest.approx(expected)


def test_lambda_does_not_fall_below_its_floor() -> None:
    for schedule in ("by-update", "caught-up"):
        weight = kl_weight(config(kl_schedule=schedule, kl_floor=0.2), 10**6, 2_999, 0)
        assert weight == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("updates", "expected"), [(0, 10), (1, 9.995), (200, 9), (1_980, 0.1), (2_999, 0.1), (3_000, 0)]
)
def test_llm4teachs_lambda_falls_at_each_update_and_ends(updates: int, expected: float) -> None:
    llm4teach = TrainConfig.model_validate({"env": ENV, "recipe": "llm4teach"})
    assert kl_weight(llm4teach, 123, updates, None) == pytest.approx(expected)


def test_rules_of_ask() -> None:
    assert parse_ask("all") == ("all", 1.0)
    assert parse_ask("random:0.25") == ("random", 0.25)
    assert parse_ask("entropy:1") == ("entropy", 1.0)
    assert parse_ask("budget:100") == ("budget", 100.0)
    for wrong in ("some", "random", "random:2", "entropy:-1", "budget:1.5", "budget:", "all:1"):
        with pytest.raises(ValueError, match="say all, random"):
            parse_ask(wrong)


def test_the_lot_asks_about_its_share_and_about_the_same_states_each_time() -> None:
    keys = [f"{i:064x}" for i in range(4000)]
    first = [chosen_by_lot(key, 7, 0.25) for key in keys]
    assert first == [chosen_by_lot(key, 7, 0.25) for key in keys]
    assert first != [chosen_by_lot(key, 8, 0.25) for key in keys]
    assert sum(first) == pytest.approx(1000, abs=120)
    assert all(chosen_by_lot(key, 7, 1.0) for key in keys)
    assert not any(chosen_by_lot(key, 7, 0.0) for key in keys)
