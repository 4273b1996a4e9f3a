"""The store before a teacher: asked once, stored first, failures kept apart, offline."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import (
    Answer,
    Counts,
    Failure,
    Label,
    LabelStore,
    MissingLabelsError,
    StoredTeacher,
    TeacherError,
    Turn,
    reply_key,
)
from lvlm2p.teachers.expert import ExpertTeacher
from lvlm2p.teachers.wrappers import stored
from lvlm2p.teachers.wrappers.stored import INSTANT_PER_S
from tests.support.store import FakeTeacher, failing, states


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "store") as store:
        yield store


def test_each_distinct_state_of_a_batch_is_asked_once(store: LabelStore) -> None:
    fake = FakeTeacher()
    teacher = StoredTeacher(fake, store)
    batch = [*states(3), *states(3), states(1)[0]]
    labels = teacher.label(batch)
    assert fake.asked == [view.key for view in states(3)]
    assert [label.task for label in labels] == ["go-to-door"] * 7
    assert labels[0] == labels[3] == labels[6] and labels[1] == labels[4]
    assert teacher.counts == Counts(asked=3, cached=4, cost_usd=0.001 + 0.001 + 0.001)


def test_what_is_stored_is_never_asked_again(store: LabelStore) -> None:
    first = StoredTeacher(FakeTeacher(), store).label(states(20))
    fake = FakeTeacher()
    teacher = StoredTeacher(fake, store)
    assert teacher.label(states(20)) == first
    assert fake.asked == [] and teacher.counts.cached == 20 and teacher.counts.cost_usd == 0.0
    assert teacher.label(states(20)) == first and teacher.counts.cached == 40


def test_another_fingerprint_is_another_teacher(store: LabelStore) -> None:
    StoredTeacher(FakeTeacher(), store).label(states(5))
    other = FakeTeacher(fingerprint="07he4")
    StoredTeacher(other, store).label(states(5))
    assert len(other.asked) == 5


def test_an_answer_is_on_disk_before_it_is_seen_and_the_next_is_asked(store: LabelStore) -> None:
    fake = FakeTeacher()
    for count, (index, answer) in enumerate(StoredTeacher(fake, store).ask(states(5)), start=1):
        assert store.get("fa4e", states(5)[index].key) == answer
        assert len(fake.asked) == count


@pytest.mark.parametrize("kind", ["invalid", "refusal", "truncated", "empty"])
def test_a_lasting_failure_is_final(store: LabelStore, kind: str) -> None:
    StoredTeacher(FakeTeacher(failing(kind)), store).label(states(4))
    again = FakeTeacher()
    teacher = StoredTeacher(again, store)
    answers = teacher.label(states(4))
    assert again.asked == [] and teacher.counts.failed == 4 and teacher.counts.cached == 4
    assert all(isinstance(answer, Failure) and answer.failure == kind for answer in answers)
    retry = StoredTeacher(again, store, retry_failures=True)
    assert all(isinstance(answer, Label) for answer in retry.label(states(4)))
    assert len(again.asked) == 4
    assert all(isinstance(a, Label) for a in StoredTeacher(again, store).label(states(4)))


@pytest.mark.parametrize("kind", ["timeout", "rate_limited", "unavailable", "rejected"])
def test_a_passing_failure_is_asked_again_but_once_a_run(store: LabelStore, kind: str) -> None:
    fake = FakeTeacher(failing(kind))
    teacher = StoredTeacher(fake, store)
    teacher.label(states(4))
    teacher.label(states(4))
    assert len(fake.asked) == 4
    later = FakeTeacher()
    assert all(isinstance(a, Label) for a in StoredTeacher(later, store).label(states(4)))
    assert store.reader.keys("failure/") == []


def test_offline_a_recorded_failure_is_the_answer(store: LabelStore) -> None:
    StoredTeacher(FakeTeacher(failing("timeout")), store).label(states(2))
    teacher = StoredTeacher(FakeTeacher(), store, offline=True)
    assert [answer.kind for answer in teacher.label(states(2))] == ["failure", "failure"]


@pytest.mark.parametrize("instant", [False, True])
def test_a_spent_budget_is_never_stored(store: LabelStore, instant: bool) -> None:
    fake = FakeTeacher(failing("budget"))
    fake.instant = instant
    teacher = StoredTeacher(fake, store)
    teacher.label(states(3))
    assert teacher.counts.missing == 3 and teacher.counts.asked == 0
    assert [key.split("/")[0] for key in store._cache] == []
    assert StoredTeacher(FakeTeacher(), store).label(states(3))[0].kind == "label"


def test_offline_says_how_many_are_missing_and_what_to_do(store: LabelStore) -> None:
    StoredTeacher(FakeTeacher(), store).label(states(5))
    teacher = StoredTeacher(FakeTeacher(), store, offline=True)
    with pytest.raises(MissingLabelsError) as caught:
        teacher.label([*states(12), *states(12)])
    message = str(caught.value)
    assert "7 of 12 states" in message and "lvlm2p label --teacher fake" in message
    assert "--on-miss skip" in message and str(store.path) in message


def test_offline_can_go_on_without(store: LabelStore) -> None:
    StoredTeacher(FakeTeacher(), store).label(states(5))
    fake = FakeTeacher()
    teacher = StoredTeacher(fake, store, offline=True, on_miss="skip")
    answers = teacher.label(states(12))
    assert [answer.kind for answer in answers] == ["label"] * 5 + ["failure"] * 7
    assert teacher.counts.missing == 7 and teacher.counts.cached == 5 and fake.asked == []
    assert len(store.reader.keys("failure/")) == 0


def test_a_fresh_sample_is_asked_and_kept_apart(store: LabelStore) -> None:
    fake = FakeTeacher()
    for sample in (0, 1, 2, 1):
        StoredTeacher(fake, store, sample=sample).label(states(3))
    assert len(fake.asked) == 9
    assert store.get("fa4e", states(1)[0].key, sample=2) is not None
    assert store.get("fa4e", states(1)[0].key, sample=3) is None


def test_what_is_no_distribution_becomes_a_typed_failure(store: LabelStore) -> None:
    def half(view: View, teacher: FakeTeacher) -> Answer:
        return teacher.label_for(view).model_copy(update={"probabilities": {"left": 0.5}})

    answer = StoredTeacher(FakeTeacher(half), store).label(states(1))[0]
    assert isinstance(answer, Failure) and answer.failure == "invalid"
    assert "missing right" in answer.message


def test_a_teacher_that_answers_as_somebody_else_is_stopped(store: LabelStore) -> None:
    def wrong(view: View, teacher: FakeTeacher) -> Answer:
        return teacher.label_for(view).model_copy(update={"fingerprint": "else"})

    with pytest.raises(TeacherError, match="has a bug"):
        StoredTeacher(FakeTeacher(wrong), store).label(states(1))
    assert store.reader.keys("claim/") == []


def test_half_characters_are_made_whole(store: LabelStore) -> None:
    def odd(view: View, teacher: FakeTeacher) -> Answer:
        turns = (Turn(role="assistant", text="half \ud83d, nul \0, مرحبا"),)
        return teacher.label_for(view).model_copy(update={"transcript": turns})

    answer = StoredTeacher(FakeTeacher(odd), store).label(states(1))[0]
    assert answer.transcript[0].text == "half ?, nul \0, مرحبا"
    assert store.get("fa4e", states(1)[0].key) == answer


def test_who_stops_listening_leaves_no_claim(store: LabelStore) -> None:
    stream = StoredTeacher(FakeTeacher(), store).ask(states(5))
    next(stream)
    assert len(store.reader.keys("claim/")) == 4
    stream.close()  # type: ignore[attr-defined]
    assert store.reader.keys("claim/") == []


def test_a_thread_never_waits_for_itself(store: LabelStore) -> None:
    teacher = StoredTeacher(FakeTeacher(), store)
    stream = teacher.ask(states(5))
    next(stream)  # four claims are open and nobody works on them
    assert len(teacher.label(states(5))) == 5
    assert len(list(stream)) == 4


def test_an_exception_of_the_teacher_leaves_no_claim(store: LabelStore) -> None:
    def broken(view: View, teacher: FakeTeacher) -> Answer:
        if len(teacher.asked) == 3:
            raise TeacherError("no key")
        return teacher.label_for(view)

    with pytest.raises(TeacherError, match="no key"):
        StoredTeacher(FakeTeacher(broken), store).label(states(5))
    assert store.reader.keys("claim/") == []
    assert len(store.reader.keys("label/")) == 2


def test_replies_live_until_their_label_does(store: LabelStore) -> None:
    one, two = states(2)
    for view in (one, two):
        for turn in (1, 2):
            key = reply_key("fa4e", view.key, 0, turn)
            store.put_reply(key, {"text": f"turn {turn}", "usd": 0.1})
    assert store.get_reply(reply_key("fa4e", one.key, 0, 1)) == {"text": "turn 1", "usd": 0.1}
    fake = FakeTeacher()
    store.put(one, fake.failure_for(one, "timeout"))
    assert store.get_reply(reply_key("fa4e", one.key, 0, 2)) is not None
    store.put(one, fake.label_for(one))
    assert store.get_reply(reply_key("fa4e", one.key, 0, 1)) is None
    assert store.get_reply(reply_key("fa4e", two.key, 0, 2)) is not None


def test_a_row_that_belies_its_key_is_passed_over(
    store: LabelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = states(2)
    StoredTeacher(FakeTeacher(), store).label([one])
    text = store._cache[f"label/fa4e/{one.key}"].replace('"left":', '"port":')
    store._cache[f"label/fa4e/{two.key}"] = text
    fake = FakeTeacher()
    bad, good = StoredTeacher(fake, store).label([two, one])
    assert isinstance(bad, Failure) and bad.failure == "invalid" and isinstance(good, Label)
    assert "missing left; unknown 'port': it is passed over" in capsys.readouterr().err
    assert fake.asked == [] and store._cache[f"label/fa4e/{two.key}"] == text
    (again,) = StoredTeacher(fake, store, retry_failures=True).label([two])
    assert isinstance(again, Label) and fake.asked == [two.key]


@pytest.mark.parametrize(
    "change",
    [
        {"task": "fetch"},
        {"probabilities": {"left": 0.5, "right": 0.5, "forward": 0.5, "done": 0.0}},
        {"probabilities": {"left": 1.5, "right": -0.5, "forward": 0.0, "done": 0.0}},
        {"probabilities": {"right": 0.5, "left": 0.5, "forward": 0.0, "done": 0.0}},
    ],
)
def test_a_row_that_is_no_answer_about_its_state_is_passed_over(
    store: LabelStore, change: dict[str, Any]
) -> None:
    (view,) = states(1)
    StoredTeacher(FakeTeacher(), store).label([view])
    key = f"label/fa4e/{view.key}"
    store._cache[key] = json.dumps({**json.loads(store._cache[key]), **change})
    (answer,) = StoredTeacher(FakeTeacher(), store).label([view])
    assert isinstance(answer, Failure) and answer.failure == "invalid"


def test_labels_and_failures_are_found_together(store: LabelStore) -> None:
    one, two, three = states(3)
    fake = FakeTeacher()
    store.put(one, fake.label_for(one))
    store.put(two, fake.failure_for(two, "refusal"))
    found = store.get_many("fa4e", [one.key, two.key, three.key])
    assert {key: answer.kind for key, answer in found.items()} == {
        one.key: "label",
        two.key: "failure",
    }


def test_threads_share_one_question(store: LabelStore) -> None:
    fake = FakeTeacher(delay_s=0.01)
    teacher = StoredTeacher(fake, store)
    results: list[list[Answer]] = []
    threads = [
        threading.Thread(target=lambda: results.append(teacher.label(states(20)))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fake.asked) == sorted(view.key for view in states(20))
    assert len(results) == 6 and all(result == results[0] for result in results)
    assert teacher.counts.asked == 20 and teacher.counts.cached == 100


def test_an_answer_is_serialised_once_and_checked_once(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def count(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, count)

    for name in ("model_dump_json", "model_dump", "model_validate", "model_validate_json"):
        counted(Label, name)
    counted(stored, "check_probabilities")
    for instant in (False, True):
        fake = FakeTeacher(fingerprint=f"{instant}")
        fake.instant = instant
        teacher = StoredTeacher(fake, store)
        teacher.label(states(100))
        assert calls == {"model_dump_json": 100, "check_probabilities": 100}
        calls.clear()
        teacher.label(states(100))
        assert calls == {"model_validate_json": 100}
        calls.clear()


def test_the_estimate_of_a_teacher_that_computes_has_a_time(store: LabelStore) -> None:
    teacher = StoredTeacher(ExpertTeacher(), store)
    teacher.label(states(10))
    estimate = teacher.estimate(states(30))
    assert (estimate.states, estimate.calls, estimate.usd) == (20, 0, 0.0)
    assert estimate.seconds == 20 / INSTANT_PER_S
