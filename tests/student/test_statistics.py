from __future__ import annotations

import numpy as np
import pytest

from lvlm2p.student.comparison.show import reach_in_words
from lvlm2p.student.comparison.statistics import (
    Reach,
    aligned,
    band,
    frames_to,
    iqm,
    sample_efficiency,
)


def test_frames_to_is_the_first_time() -> None:
    curve = {100: 0.2, 200: 0.9, 300: 0.4, 400: 1.0}
    assert frames_to(curve, 0.2) == 100
    assert frames_to(curve, 0.5) == 200
    assert frames_to(curve, 0.95) == 400
    assert frames_to(curve, 1.1) is None


def test_curves_are_aligned_where_all_have_a_value() -> None:
    assert aligned([{1: 0.1, 2: 0.2, 3: 0.3}, {3: 0.6, 2: 0.5}]) == (
        [2, 3],
        [[0.2, 0.3], [0.5, 0.6]],
    )


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    assert iqm([100, 1, 2, -50]) == 1.5
    assert iqm([5, 1, 3]) == 3
    assert iqm([0, 1, 2, 3, 4, 5, 6, 100]) == 3.5


def test_the_bootstrap_is_seeded_and_draws_whole_rows() -> None:
    rows = [[0.0, 1.0], [1.0, 0.0]]
    ends = band(rows, 2000, 7)
    assert ends is not None
    low, high = ends
    # the mean of two drawn rows is 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4
    assert low.tolist() == [0, 0] and high.tolist() == [1, 1]
    again, other = band(rows, 100, 7), band([[v] for v in range(9)], 100, 8)
    assert again is not None and other is not None
    first = band([[v] for v in range(9)], 100, 7)
    second = band([[v] for v in range(9)], 100, 7)
    assert first is not None and second is not None
    assert first[0] == second[0] and first[1] == second[1]
    assert (first[0], first[1]) != (other[0], other[1])


def test_the_bootstrap_interval_is_the_one_of_theory() -> None:
    values = np.random.default_rng(0).normal(size=400)
    ends = band([[v] for v in values], 4000, 0)
    assert ends is not None
    half = 1.96 * values.std() / 20
    assert ends[0][0] == pytest.approx(values.mean() - half, abs=0.01)
    assert ends[1][0] == pytest.approx(values.mean() + half, abs=0.01)


def test_one_run_has_no_interval() -> None:
    assert band([[0.5, 0.6]], 100, 0) is None


def reach(*frames: int | None, lasted: int = 1000) -> Reach:
    return Reach(0.5, frames, (lasted,) * len(frames))


def test_a_median_needs_most_runs_to_get_there_and_a_mean_all() -> None:
    all_of_them = reach(100, 200, 600)
    assert (all_of_them.reached, all_of_them.median, all_of_them.mean) == (3, 200, 300)
    most = reach(100, 200, None)
    assert (most.reached, most.median, most.mean, most.at_least) == (2, 200, None, 200)
    half = reach(100, None)
    assert (half.reached, half.median, half.mean, half.at_least) == (1, None, None, 550)
    none = reach(None, None, None, lasted=800)
    assert (none.reached, none.median, none.at_least) == (0, None, 800)


def test_the_table_says_how_many_got_there() -> None:
    assert reach_in_words(reach(1000, 2000, 6000)) == "2,000 (3/3)"
    assert reach_in_words(reach(None, None, 100, lasted=20480)) == "> 20,480 (1/3)"


@pytest.mark.parametrize(
    ("group", "baseline", "said"),
    [
        (reach(200), reach(500), "2.50×"),
        (reach(200), reach(None), "≥ 5.00×"),
        (reach(None), reach(500), "≤ 0.50×"),
    ],
)
def test_the_ratio_is_a_bound_where_one_side_never_got_there(
    group: Reach, baseline: Reach, said: str
) -> None:
    assert str(sample_efficiency(group, baseline)) == said


def test_no_ratio_where_nobody_got_there() -> None:
    assert sample_efficiency(reach(None), reach(None)) is None
