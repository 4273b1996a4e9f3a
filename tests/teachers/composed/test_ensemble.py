"""Ensembles: what several members say, as one label; worked out by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import Answer, Budget, ConfigError, Failure, Label, LabelStore, load_teacher
from lvlm2p.teachers.budget import BudgetShare
from lvlm2p.teachers.composed.ensemble import agreement, pooled
from lvlm2p.teachers.composed.together import ask_together
from tests.support.composed import VIEWS, ensemble, member
from tests.support.store import FakeTeacher

LEFT, RIGHT, EVEN = (0.8, 0.1, 0.1, 0.0), (0.2, 0.7, 0.1, 0.0), (0.25, 0.25, 0.25, 0.25)


def one(says: Sequence[float] | str, other: Sequence[float] | str, **options: Any) -> Answer:
    """What an ensemble of two says where these two say that."""
    members = [member("a", [says] * 4), member("b", [other] * 4, cost_usd=0.5)]
    return ensemble(members, **options).label(VIEWS[:1])[0]


def test_probabilities_are_pooled_by_weight() -> None:
    p, q = ({"x": 0.8, "y": 0.2}, {"x": 0.2, "y": 0.8})
    assert pooled([p, q], [1, 1]) == pytest.approx({"x": 0.5, "y": 0.5})
    assert pooled([p, q], [3, 1]) == pytest.approx({"x": 0.65, "y": 0.35})


def test_agreement_is_what_all_have_in_common() -> None:
    p, q, r = ({"x": 0.8, "y": 0.2}, {"x": 0.2, "y": 0.8}, {"x": 0.5, "y": 0.5})
    assert agreement([p, q]) == pytest.approx(0.4)
    assert agreement([p, r]) == pytest.approx(0.7)
    assert agreement([p, p]) == 1 and agreement([p]) == 1
    assert agreement([p, q, r]) == pytest.approx(0.4)
    assert agreement([{"x": 1.0, "y": 0.0}, {"x": 0.0, "y": 1.0}]) == 0


def test_a_label_of_two() -> None:
    label = one(LEFT, RIGHT)
    assert isinstance(label, Label) and label.elicitation == "ensemble" and label.weight == 1
    assert list(label.probabilities.values()) == pytest.approx([0.5, 0.4, 0.1, 0.0])
    assert list(label.probabilities) == list(VIEWS[0].task.action_names)
    assert label.cost_usd == 0.75 and label.teacher == "ensemble:a,b"
    said = [turn.text for turn in label.transcript]
    assert said[0].startswith("a: {") and said[1].startswith("b: {")
    assert said[2] == "ensemble:a,b: agreement 0.400"


def test_weights_weigh_and_disagreement_lowers_the_weight_of_the_label() -> None:
    label = one(LEFT, RIGHT, weights="3,1", disagreement="weigh")
    assert isinstance(label, Label) and label.weight == pytest.approx(0.4)
    assert list(label.probabilities.values()) == pytest.approx([0.65, 0.25, 0.1, 0.0])


@pytest.mark.parametrize(("least", "masked"), [(0.39, False), (0.41, True)])
def test_disagreement_masks(least: float, masked: bool) -> None:
    answer = one(LEFT, RIGHT, disagreement="mask", min_agreement=least)
    assert isinstance(answer, Failure) == masked
    if isinstance(answer, Failure):
        assert answer.failure == "disagreement" and answer.lasting and answer.cost_usd == 0.75
        assert answer.message == "the members agree for 0.40, less than 0.41"


def test_every_member_must_answer_unless_a_quorum_does() -> None:
    lost = one("timeout", LEFT)
    assert isinstance(lost, Failure) and (lost.failure, lost.lasting) == ("timeout", False)
    assert lost.message == "a: it was timeout"
    label = one("timeout", LEFT, quorum=1)
    assert isinstance(label, Label) and list(label.probabilities.values()) == pytest.approx(LEFT)
    # what passes goes before what would come again, and what was not asked before both
    assert getattr(one("refusal", "timeout"), "failure", None) == "timeout"
    assert getattr(one("timeout", "budget"), "failure", None) == "budget"


def test_members_are_stored_and_the_ensemble_is_not(tmp_path: Path) -> None:
    says: list[Any] = [LEFT, RIGHT, "timeout", EVEN]
    members = [member("a", [LEFT, LEFT, LEFT, LEFT]), member("b", says)]
    with LabelStore(tmp_path) as store:
        first = ensemble(members, store)
        answers = first.label(VIEWS)
        assert [isinstance(answer, Label) for answer in answers] == [True, True, False, True]
        assert (first.counts.asked, first.counts.cached, first.counts.failed) == (4, 0, 1)
        assert first.counts.cost_usd == pytest.approx(4 * 0.25 + 3 * 0.25)
        again = ensemble(members, store, weights="1,3")  # other weights, the same questions
        more = again.label(VIEWS)
        assert (again.counts.asked, again.counts.cached) == (1, 3)  # the timeout
        assert len(members[0].asked) == 4 and len(members[1].asked) == 5
        assert isinstance(more[1], Label) and more[1].probabilities["right"] == pytest.approx(0.55)


def test_the_estimate_adds_calls_and_not_states() -> None:
    estimate = ensemble([member("a", [LEFT] * 4), member("b", [LEFT] * 4)]).estimate(VIEWS)
    assert (estimate.states, estimate.calls) == (4, 8)


def test_fingerprints_name_the_members_and_what_changes_an_answer() -> None:
    members = [member("a", [LEFT]), member("b", [LEFT])]
    same: list[dict[str, Any]] = [
        {},
        {"weights": "1,1"},
        {"quorum": 2},
        {"min_agreement": 0.3},
        {"budget_shares": "1,1"},
    ]
    others: list[dict[str, Any]] = [
        {"weights": "2,1"},
        {"quorum": 1},
        {"disagreement": "weigh"},
        {"disagreement": "mask"},
    ]
    prints = [ensemble(members, **options).fingerprint for options in [*same, *others]]
    assert len({*prints[:5]}) == 1 and len({*prints}) == 5
    assert ensemble([members[1], members[0]]).fingerprint not in prints


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("ensemble:", {}, "ensemble needs members"),
        ("ensemble:expert", {}, "at least two teachers are written ensemble:ONE,OTHER"),
        ("ensemble:expert,", {}, "at least two"),
        ("ensemble:expert,expert", {}, "names expert twice"),
        ("ensemble:expert,cascade:random", {}, "can't have members itself"),
        ("ensemble:expert,rndom", {}, "rndom.*random"),
        ("ensemble:expert,random", {"weights": "1,2,3"}, "weights: 3 numbers for 2 members"),
        ("ensemble:expert,random", {"weights": "1,0"}, "above 0"),
        ("ensemble:expert,random", {"weights": "1,x"}, "weights"),
        ("ensemble:expert,random", {"quorum": "3"}, "quorum=3: it has 2 members"),
        ("ensemble:expert,random", {"budget_shares": "0.5"}, "budget_shares: 1 numbers for 2"),
        ("ensemble:expert,random", {"budget_shares": "0.5,2"}, "at most 1"),
        ("ensemble:expert,random", {"wieghts": "1,2"}, "did you mean 'weights'"),
        ("ensemble:expert,random", {"seed": "1"}, "'random' has no option 'seed'.*-T expert.seed"),
        ("ensemble:expert,random", {"expert.sed": "1"}, "'expert' has no option 'sed'"),
    ],
)
def test_what_is_wrong_is_a_sentence(name: str, options: dict[str, object], complaint: str) -> None:
    from lvlm2p.teachers import UserError

    with pytest.raises(UserError, match=complaint):
        load_teacher(name, options=options)


def test_options_of_members() -> None:
    teacher = load_teacher("ensemble:expert,random", options={"expert.error_rate": "1.0"})
    label = teacher.label(VIEWS[:1])[0]
    best = VIEWS[0].task.plan(VIEWS[0]).actions
    assert isinstance(label, Label) and label.action not in best
    both = load_teacher("ensemble:gemini,claude", options={"shots": "0", "claude.shots": "1"})
    alone = [
        load_teacher("gemini", options={"shots": 0}),
        load_teacher("claude", options={"shots": 1}),
    ]
    members = getattr(both, "members")  # noqa: B009
    assert [one.fingerprint for one in members] == [one.fingerprint for one in alone]


def test_a_share_of_a_budget_counts_in_both(tmp_path: Path) -> None:
    whole = Budget(usd=10, calls=10, ledger=tmp_path / "budget.json")
    share = BudgetShare(whole, 0.25, "litellm:x/y")
    assert (share.usd, share.calls) == (2.5, 2)
    assert share.refusal() is None
    share.charge(0.5)
    assert share.refusal() is None
    share.release()
    assert (share.spent_calls, whole.spent_calls, whole.spent_usd) == (1, 1, 0.5)
    assert share.refusal() is None and share.calls_left == 0
    assert share.refusal() == "the share of litellm:x/y: the budget of 2 calls is spent"
    share.keep(2)
    assert whole.spent_calls == 2
    again = BudgetShare(Budget(calls=10, ledger=tmp_path / "budget.json"), 0.25, "litellm:x/y")
    assert again.calls_left == 0 and again.spent is not None
    poor = Budget(calls=1)
    first, second = BudgetShare(poor, 1.0, "a"), BudgetShare(poor, 1.0, "b")
    assert first.refusal() is None and second.refusal() == "the budget of 1 calls is spent"
    assert second.spent_calls == 0 and second.calls_left == 0


def test_members_are_asked_side_by_side() -> None:
    """Each waits for the other: one after the other they would wait for ever."""
    both = threading.Barrier(2, timeout=20)

    class Meets(FakeTeacher):
        def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
            both.wait()
            yield from super().ask(views)

    came = list(ask_together([Meets(), Meets()], VIEWS))
    assert sorted((who, index) for who, index, _ in came) == [
        (who, index) for who in range(2) for index in range(4)
    ]


def test_whoever_fails_ends_it_and_the_others_end_their_answer() -> None:
    def breaks(view: View, teacher: FakeTeacher) -> Answer:
        raise RuntimeError("broken")

    from lvlm2p.teachers import TeacherError

    with pytest.raises(TeacherError, match="broken"):
        list(ask_together([FakeTeacher(delay_s=0.01), FakeTeacher(breaks)], VIEWS))
    assert not any(thread.name == "teacher" for thread in threading.enumerate())


def test_a_budget_that_a_member_has_spent_leaves_states_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="offline"):
        load_teacher("ensemble:expert,random", offline=True)
    members = [member("a", [LEFT] * 4), member("b", ["budget"] * 4)]
    teacher = ensemble(members)
    assert {getattr(answer, "failure", None) for answer in teacher.label(VIEWS)} == {"budget"}
    assert (teacher.counts.missing, teacher.counts.failed) == (4, 0)
