"""Asking while stepping: order, repetition, and teachers that break their contract."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import (
    Answer,
    Failure,
    Label,
    LabelStore,
    Prefetcher,
    StoredTeacher,
    StoreError,
    TeacherError,
)
from lvlm2p.teachers.evaluation.questions import Questioner
from tests.support.store import FakeTeacher, failing, states

ROOT = Path(__file__).parents[2]
Asked = Iterator[tuple[object, object]]


class Odd(FakeTeacher):
    """Yields whatever ``script`` yields."""

    script: Callable[[FakeTeacher, Sequence[View]], Asked]

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        return self.script(self, views)  # type: ignore[return-value]


def odd(script: Callable[[FakeTeacher, Sequence[View]], Asked]) -> Odd:
    teacher = Odd()
    teacher.script = script
    return teacher


def twice(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
    yield 0, teacher.label_for(views[0])
    yield 0, teacher.label_for(views[0]).model_copy(update={"model": "second thoughts"})


def too_far(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
    yield 0, teacher.label_for(views[0])
    yield len(views), teacher.label_for(views[0])


def negative(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
    yield 0, teacher.label_for(views[0])
    yield -1, teacher.label_for(views[-1])


def never(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
    yield 0, teacher.label_for(views[0])


def no_answer(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
    yield 0, teacher.label_for(views[0])
    yield 1, None


def raises(error: BaseException) -> Callable[[FakeTeacher, Sequence[View]], Asked]:
    def script(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
        yield 0, teacher.label_for(views[0])
        raise error

    return script


BROKEN = [
    (twice, "'fake' has a bug: it answered twice about view 0"),
    (too_far, r"'fake' has a bug: it answered about view 3, and was asked about 3 \(0 to 2\)"),
    (negative, r"'fake' has a bug: it answered about view -1, and was asked about 3 \(0 to 2\)"),
    (never, "'fake' has a bug: it gave no answer to 2 of 3 views"),
    (no_answer, "'fake' has a bug: it yielded 'NoneType' as an answer"),
    (raises(ValueError("oops")), r"'fake' failed: ValueError: oops \(test_prefetch.py, line \d+\)"),
]
DEATHS = [SystemExit(0), KeyboardInterrupt(), BaseException("the end"), GeneratorExit()]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "store") as opened:
        yield opened


# ---------------------------------------------------------------- the way it is meant


def test_answers_are_there_after_waiting_by_key_and_asked_once() -> None:
    teacher = FakeTeacher()
    first, second, third = states(3)
    with Prefetcher(teacher) as ahead:
        assert ahead.submit([first, second, first]) == [first.key, second.key, first.key]
        assert ahead.submit([second]) == [second.key]
        assert ahead.answers == {}
        assert ahead.wait()
        for view in (first, second):
            answer = ahead.answers[view.key]
            assert isinstance(answer, Label) and answer.action == teacher.label_for(view).action
        assert len(ahead.answers) == 2
        assert ahead.submit([first, third]) == [first.key, third.key]
        assert ahead.wait() and set(ahead.answers) == {first.key, second.key, third.key}
        assert ahead.wait()
    assert teacher.asked == [first.key, second.key, third.key]


def test_no_answer_is_seen_before_it_is_waited_for() -> None:
    answered = threading.Event()

    def script(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
        yield 0, teacher.label_for(views[0])
        answered.set()

    with Prefetcher(odd(script)) as ahead:
        ahead.submit(states(1))
        assert answered.wait(30) and ahead.answers == {}
        ahead.wait()
        assert len(ahead.answers) == 1


def test_an_answer_that_was_removed_is_asked_for_again() -> None:
    teacher = FakeTeacher(failing("timeout"))
    (view,) = states(1)
    with Prefetcher(teacher) as ahead:
        for _ in range(2):
            ahead.submit([view])
            ahead.wait()
            assert isinstance(ahead.answers.pop(view.key), Failure)
    assert teacher.asked == [view.key] * 2


def test_asking_goes_on_while_the_caller_steps() -> None:
    """The first question is answered only when the caller has gone on and submitted another."""
    stepped = threading.Event()

    def script(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
        assert stepped.wait(30)
        for index, view in enumerate(views):
            yield index, teacher.label_for(view)

    with Prefetcher(odd(script)) as ahead:
        ahead.submit(states(1))
        ahead.submit(states(2))
        stepped.set()
        ahead.wait()
        assert len(ahead.answers) == 2


def test_what_came_while_the_teacher_was_busy_is_one_batch() -> None:
    batches: list[int] = []
    busy, go_on = threading.Event(), threading.Event()

    def script(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
        batches.append(len(views))
        busy.set()
        assert go_on.wait(30)
        for index, view in enumerate(views):
            yield index, teacher.label_for(view)

    many = states(9)
    with Prefetcher(odd(script)) as ahead:
        ahead.submit(many[:1])
        assert busy.wait(30)
        for view in many[1:]:
            ahead.submit([view])
        go_on.set()
        ahead.wait()
    assert batches == [1, 8]


def test_waiting_stops_when_it_is_told_and_can_be_taken_up_again() -> None:
    go_on, stop = threading.Event(), threading.Event()

    def script(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
        assert go_on.wait(30)
        for index, view in enumerate(views):
            yield index, teacher.label_for(view)

    with Prefetcher(odd(script)) as ahead:
        ahead.submit(states(2))
        stop.set()
        assert not ahead.wait(stop) and ahead.answers == {}
        go_on.set()
        assert ahead.wait() and len(ahead.answers) == 2


def test_closing_ends_the_thread_after_the_answer_it_is_at() -> None:
    begun, ended = threading.Event(), threading.Event()

    def script(teacher: FakeTeacher, views: Sequence[View]) -> Asked:
        try:
            begun.set()
            with ahead._changed:
                assert ahead._changed.wait_for(lambda: ahead._closing, 30)
            yield 0, teacher.label_for(views[0])
            yield 1, teacher.label_for(views[1])
        finally:
            ended.set()

    ahead = Prefetcher(odd(script))
    ahead.submit(states(2))
    assert begun.wait(30)
    ahead.close()
    assert ended.is_set() and not ahead._thread.is_alive()
    with pytest.raises(TeacherError, match="'fake': its prefetcher was closed"):
        ahead.wait()
    ahead.close()


def test_python_may_end_without_closing() -> None:
    """Left open, the thread is ended at exit, before it could be killed in the middle of C++."""
    code = (
        "import threading\n"
        "from tests.support.store import FakeTeacher, states\n"
        "from lvlm2p.teachers import Prefetcher\n"
        "begun = threading.Event()\n"
        "class Slow(FakeTeacher):\n"
        "    def ask(self, views):\n"
        "        try:\n"
        "            begun.set()\n"
        "            yield from super().ask(views)\n"
        "        finally:\n"
        "            print('ended')\n"
        "ahead = Prefetcher(Slow(delay_s=0.02))\n"
        "ahead.submit(states(200))\n"
        "begun.wait()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("ended\n", 0), run.stderr


# ---------------------------------------------------------------- teachers that break the contract


@pytest.mark.parametrize(("script", "sentence"), BROKEN)
def test_a_broken_contract_is_a_sentence_in_the_callers_thread(
    script: Callable[[FakeTeacher, Sequence[View]], Asked], sentence: str
) -> None:
    with pytest.raises(TeacherError, match=sentence):
        odd(script).label(states(3))
    with pytest.raises(TeacherError, match=sentence):
        Questioner(odd(script)).ask(states(3))
    with Prefetcher(odd(script)) as ahead:
        ahead.submit(states(3))
        for _ in range(2):
            with pytest.raises(TeacherError, match=sentence) as caught:
                ahead.wait()
            assert caught.value.exit_code == 3


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: type(death).__name__)
def test_a_teacher_that_ends_its_thread_is_a_sentence(death: BaseException) -> None:
    with Prefetcher(odd(raises(death))) as ahead:
        ahead.submit(states(3))
        ahead._thread.join(30)
        assert ahead._trouble is not None, "else waiting would never end"
        with pytest.raises(TeacherError, match=f"'fake' ended the thread .*{type(death).__name__}"):
            ahead.wait()


def test_errors_of_ours_come_out_as_they_are() -> None:
    error = StoreError("the disk is full")
    with Prefetcher(odd(raises(error))) as ahead:
        ahead.submit(states(2))
        with pytest.raises(StoreError) as caught:
            ahead.wait()
        assert caught.value is error


@pytest.mark.parametrize(("script", "sentence"), BROKEN)
def test_the_store_keeps_the_first_answer_of_a_teacher_that_breaks_its_contract(
    store: LabelStore, script: Callable[[FakeTeacher, Sequence[View]], Asked], sentence: str
) -> None:
    teacher = StoredTeacher(odd(script), store)
    with pytest.raises(TeacherError, match=sentence):
        teacher.label(states(3))
    kept = store.get_many("fa4e", [view.key for view in states(3)])
    assert {key: answer.model for key, answer in kept.items()} == {states(3)[0].key: ""}
    assert store.reader.keys("claim/") == []
    assert teacher.counts.asked == 1


def test_a_store_of_an_instant_teacher_that_breaks_its_contract_stays_empty(
    store: LabelStore,
) -> None:
    teacher = odd(twice)
    teacher.instant = True
    with pytest.raises(TeacherError, match="answered twice"):
        StoredTeacher(teacher, store).label(states(3))
    assert store.reader.keys("label/") == []


# ---------------------------------------------------------------- documentation


def test_the_loop_of_the_documentation_runs_without_torch(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    check = (
        "import sys\n"
        "assert 'torch' not in sys.modules\n"
        "assert len(answers) == 64 and {answer.kind for answer in answers} == {'label'}\n"
        "print(teacher.counts.asked, len(ahead.answers))\n"
    )
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    run = subprocess.run(
        [sys.executable, "-c", path + code + check], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    asked, known = map(int, run.stdout.split())
    assert asked == known > 0
