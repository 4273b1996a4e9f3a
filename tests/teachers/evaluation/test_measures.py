"""The measures beside values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lvlm2p.teachers.evaluation import intervals, measures
from lvlm2p.teachers.evaluation.temperature import fit_temperature
from lvlm2p.teachers.wrappers.calibrated import FLOOR, temper

# Four answers over (left, right, forward); the second state has two optimal actions.
P = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.85, 0.05], [0.0, 0.0, 1.0]])
OPTIMAL = np.array(
    [[True, False, False], [True, True, False], [False, False, True], [True, False, False]]
)


def test_top1_is_membership_in_the_optimal_set() -> None:
    assert measures.top1(P, OPTIMAL).tolist() == [1, 1, 0, 0]


def test_equally_probable_actions_count_in_part() -> None:
    even = np.full((1, 3), 1 / 3)
    assert measures.top1(even, OPTIMAL[:1]) == pytest.approx([1 / 3])
    assert measures.top1(even, OPTIMAL[1:2]) == pytest.approx([2 / 3])


def test_choices_agree_as_far_as_they_overlap() -> None:
    """Ties are no agreement: a third of a choice among three is on any one action."""
    even = np.full((1, 3), 1 / 3)
    two = np.array([[0.45, 0.45, 0.1]])
    assert measures.same_choice(even, P[:1]) == pytest.approx([1 / 3])
    assert measures.same_choice(two, P[:1]) == pytest.approx([1 / 2])
    assert measures.same_choice(two, even) == pytest.approx([2 / 3])
    assert measures.same_choice(two, P[2:3]) == pytest.approx([1 / 2])
    assert measures.same_choice(P[:1], P[2:3]).tolist() == [0]
    for same in (even, two, P):
        assert measures.same_choice(same, same) == pytest.approx(np.ones(len(same)))


def test_mass_nll_and_brier_by_hand() -> None:
    assert measures.mass(P, OPTIMAL) == pytest.approx([0.7, 0.8, 0.05, 0.0])
    assert measures.nll(P, OPTIMAL) == pytest.approx(
        [0.3566749, 0.2231436, 2.9957323, math.log(1000)]
    )
    # .2² + .1² + .3²; .2² + .2²/2; .1² + .85² + .95²; 1² + 1²
    assert measures.brier(P, OPTIMAL) == pytest.approx([0.14, 0.06, 1.635, 2.0])


def test_brier_is_the_distance_to_the_nearest_optimal_distribution() -> None:
    """Searched for on a fine grid of the two optimal actions' shares."""
    p, optimal = P[1:2], OPTIMAL[1:2]
    shares = np.linspace(0, 1, 10_001)
    targets = np.stack([shares, 1 - shares, np.zeros_like(shares)], axis=1)
    nearest = np.square(targets - p).sum(axis=1).min()
    assert measures.brier(p, optimal)[0] == pytest.approx(nearest, abs=1e-7)


def test_ece_and_reliability_by_hand() -> None:
    confidence = np.array([0.72, 0.78, 0.31, 1.0])
    right = np.array([1.0, 0.0, 0.0, 1.0])
    bins = measures.reliability(confidence, right)
    assert [(b.low, b.n) for b in bins] == [(0.3, 1), (0.7, 2), (0.9, 1)]
    assert bins[1].confidence == pytest.approx(0.75)
    assert bins[1].accuracy == 0.5
    # 1/4 |.31 - 0| + 2/4 |.75 - .5| + 1/4 |1 - 1|
    stacked = np.stack([confidence, right], axis=1)
    assert measures.ece(stacked) == pytest.approx(0.0775 + 0.125)


def test_ece_of_many_samples_at_once_is_ece_of_each() -> None:
    rng = np.random.default_rng(1)
    samples = np.stack([rng.random((5, 40)), rng.integers(2, size=(5, 40))], axis=-1)
    each = [float(measures.ece(sample)) for sample in samples]
    assert measures.ece(samples) == pytest.approx(each)


def test_confusion_by_hand() -> None:
    # Right, right; right for forward: (forward, right); forward for left: (left, forward).
    assert measures.confusion(P, OPTIMAL).tolist() == [[2, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_confusion_shares_a_wrong_choice_over_the_optimal_actions() -> None:
    counts = measures.confusion(np.array([[0.0, 0.0, 1.0]]), np.array([[True, True, False]]))
    assert counts.tolist() == [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]


def test_total_variation_by_hand() -> None:
    assert measures.total_variation(P[:1], P[1:2]) == pytest.approx([0.2])


def test_wilson_against_published_values() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        estimate = intervals.wilson(successes, n)
        assert estimate is not None
        assert estimate.low == pytest.approx(low, abs=5e-5)
        assert estimate.high == pytest.approx(high, abs=5e-5)
    assert intervals.wilson(0, 0) is None


def test_bootstrap_of_a_mean_is_close_to_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, size=400)
    estimate = intervals.mean(values)
    assert estimate is not None
    error = values.std() / math.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - 1.96 * error, abs=0.02)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * error, abs=0.02)
    assert intervals.mean(values) == estimate
    assert intervals.mean(np.array([])) is None


def test_wilson_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    for truth in (0.01, 0.1, 0.5, 0.96):
        covered = 0
        for hits in rng.binomial(200, truth, size=2_000):
            estimate = intervals.wilson(int(hits), 200)
            assert estimate is not None
            covered += estimate.low <= truth <= estimate.high
        assert 0.92 <= covered / 2_000 <= 0.99


def test_temper_sharpens_and_softens_and_keeps_the_order() -> None:
    p = np.array([[0.8, 0.1, 0.1]])
    # squares: .64, .01, .01; roots: .8944, .3162, .3162
    assert temper(p, 0.5)[0] == pytest.approx([0.64 / 0.66, 0.01 / 0.66, 0.01 / 0.66])
    assert temper(p, 2.0)[0] == pytest.approx([0.58579, 0.20711, 0.20711], abs=1e-4)
    assert temper(p, 1.0) == pytest.approx(p)
    one_hot = temper(np.array([[0.0, 1.0, 0.0]]), 2.0)[0]
    assert one_hot[1] == pytest.approx(1 / (1 + 2 * math.sqrt(FLOOR)))


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_a_planted_temperature_is_found(truth: float) -> None:
    """What is optimal is drawn from q; the teacher states q tempered by 1 / truth."""
    rng = np.random.default_rng(7)
    q = np.clip(rng.dirichlet([1.0, 1.0, 1.0], size=5_000), 0.02, 1)
    q /= q.sum(axis=1, keepdims=True)
    drawn = (q.cumsum(axis=1) < rng.random((len(q), 1))).sum(axis=1).clip(max=2)
    optimal = np.eye(3, dtype=np.bool_)[drawn]
    stated = q ** (1 / (1 / truth))
    stated /= stated.sum(axis=1, keepdims=True)
    fitted = fit_temperature(stated, optimal)
    assert fitted is not None
    assert fitted.value == pytest.approx(truth, rel=0.1)
    assert fitted.nll_after <= fitted.nll_before + 1e-9
    assert not fitted.at_bound


def test_a_teacher_that_is_always_right_is_sharpened_to_the_end_of_the_range() -> None:
    p = np.tile([[0.6, 0.3, 0.1]], (50, 1))
    optimal = np.tile([[True, False, False]], (50, 1))
    fitted = fit_temperature(p, optimal)
    assert fitted is not None
    assert fitted.at_bound
    assert fitted.value == pytest.approx(0.1)
    assert fit_temperature(p[:5], optimal[:5]) is None
