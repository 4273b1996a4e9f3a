"""A third party's teacher that breaks the contract: one sentence that names it, exit code 3, in
every command; a run that had begun leaves a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lvlm2p import cli
from lvlm2p.envs import View
from lvlm2p.teachers import LabelStore, registry
from tests.support.store import FakeTeacher

ENV = "MiniGrid-GoToDoor-6x6-v0"

Ask = Callable[["Plugin", Sequence[View]], Any]


class Plugin(FakeTeacher):
    """Breaks the contract in one way, from its first answer on or later."""

    how: Ask
    begins_after = 0
    """Views."""

    @classmethod
    def build(cls, name: str, options: Any, context: Any) -> Plugin:
        return cls()

    def __init__(self) -> None:
        super().__init__()
        self.name = "plug-in"
        self.given = 0

    def ask(self, views: Sequence[View]) -> Any:
        self.given += len(views)
        if self.given <= self.begins_after:
            return super().ask(views)
        return type(self).how(self, views)


def good(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    yield from FakeTeacher.ask(self, views)


def twice(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    for index, answer in good(self, views):
        yield index, answer
        yield index, answer


def out_of_range(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    for index, answer in good(self, views):
        yield index + len(views), answer


def before_the_first(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    for index, answer in good(self, views):
        yield index - len(views), answer


def never(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    yield from list(good(self, views))[1:]


def no_iterator(self: Plugin, views: Sequence[View]) -> None:
    return None


def no_pairs(self: Plugin, views: Sequence[View]) -> Iterator[Any]:
    yield from (answer for _, answer in good(self, views))


def no_index(self: Plugin, views: Sequence[View]) -> Iterator[tuple[Any, Any]]:
    yield from (([index], answer) for index, answer in good(self, views))


def no_answer(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    yield from ((index, {"left": 1.0}) for index, _ in good(self, views))


def another_task(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    for index, answer in good(self, views):
        yield index, answer.model_copy(update={"task": "fetch"})


def another_name(self: Plugin, views: Sequence[View]) -> Iterator[tuple[int, Any]]:
    for index, answer in good(self, views):
        yield index, answer.model_copy(update={"fingerprint": "0123"})


def raises(error: BaseException) -> Ask:
    def how(self: Plugin, views: Sequence[View]) -> Any:
        raise error

    return how


WAYS: dict[str, tuple[Ask, str]] = {
    "twice": (twice, "it answered twice about view 0"),
    "out of range": (out_of_range, "it answered about view"),
    "before the first": (before_the_first, "it answered about view -"),
    "never": (never, "it gave no answer to 1 of"),
    "no iterator": (no_iterator, "failed: TypeError: 'NoneType' object is not iterable"),
    "no pairs": (no_pairs, "failed: "),
    "no index": (no_index, "failed: TypeError: unhashable type: 'list'"),
    "no answer": (no_answer, "it yielded 'dict' as an answer"),
    "another task": (another_task, "has a bug: it answers as"),
    "another fingerprint": (another_name, "has a bug: it answers as"),
    "KeyError": (raises(KeyError("door")), "failed: KeyError: 'door' (test_contract.py, line"),
    "IndexError": (raises(IndexError()), "failed: IndexError (test_contract.py, line"),
    "several lines": (raises(ValueError("a\nb\n" + "c" * 9_000)), "failed: ValueError: a b ccc"),
    "SystemExit": (raises(SystemExit(0)), "ended the thread in which it was asked (SystemExit: 0)"),
}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a plug-in that breaks the contract in this way."""

    def register(how: Ask = good, begins_after: int = 0, **methods: Any) -> None:
        changed = {"how": how, "begins_after": begins_after, **methods}
        broken = type("Broken", (Plugin,), changed)
        monkeypatch.setattr(registry, "_find", lambda name: broken)

    return register


def commands(folder: Path) -> dict[str, list[str]]:
    teacher = ["--teacher", "plug-in", "--store", str(folder / "store"), "--yes"]
    few = ["--n-envs", "2", "--n-steps", "8", "--frames", "160", "--final-episodes", "1"]
    return {
        "label": ["label", *teacher, "--env", ENV, "--states", "5", "--out", str(folder / "out")],
        "evaluate": [
            *("evaluate", *teacher, "--env", ENV, "--states", "5", "--episodes", "1"),
            *("--probes", "0", "--out", str(folder / "report")),
        ],
        "train": [
            *("train", *teacher, "--env", ENV, *few, "--run-dir", str(folder / "run")),
            *("--kl-schedule", "constant", "--eval-every", "0", "--no-progress"),
        ],
    }


def one_sentence(capsys: pytest.CaptureFixture[str], says: str) -> None:
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("lvlm2p: ") and "'plug-in'" in last and says in last, last
    assert len(last) < 1_500


@pytest.mark.parametrize("command", ["label", "evaluate", "train"])
@pytest.mark.parametrize(("how", "says"), WAYS.values(), ids=WAYS)
def test_a_command_ends_in_one_sentence(
    command: str,
    how: Ask,
    says: str,
    tmp_path: Path,
    use: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(how)
    assert cli.main(commands(tmp_path)[command]) == 3
    one_sentence(capsys, says)
    with LabelStore(tmp_path / "store") as store:
        assert store.reader.keys("claim/") == []


@pytest.mark.parametrize("way", ["twice", "never", "KeyError", "SystemExit"])
def test_a_run_that_had_begun_leaves_a_checkpoint(
    way: str, tmp_path: Path, use: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    how, says = WAYS[way]
    use(how, begins_after=16)  # all that the first rollout can ask about
    assert cli.main(commands(tmp_path)["train"]) == 3
    one_sentence(capsys, says)
    assert (tmp_path / "run" / "checkpoint" / "state.json").is_file()
    use()
    again = ["train", "--config", str(tmp_path / "run" / "config.yaml"), "--resume", "--yes"]
    assert cli.main(again) == 0


def test_play(tmp_path: Path, use: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "--teacher", "none", "--env", ENV, "--n-envs", "2", "--n-steps", "8"]
    few = ["--frames", "16", "--final-episodes", "1", "--run-dir", str(tmp_path / "run")]
    assert cli.main([*train, *few]) == 0
    out = ["--out", str(tmp_path / "play.gif"), "--episodes", "1", "--yes"]
    play = ["play", "--run", str(tmp_path / "run"), "--teacher", "plug-in", *out]
    for way in ("twice", "never", "KeyError", "SystemExit"):
        how, says = WAYS[way]
        use(how)
        assert cli.main([*play, "--store", str(tmp_path / way)]) == 3
        one_sentence(capsys, says)


def fails(*_: Any, **__: Any) -> Any:
    raise KeyError("door")


OTHERS: dict[str, dict[str, Any]] = {
    "build": {"build": classmethod(fails)},
    "build gives nothing": {"build": classmethod(lambda *_: None)},
    "supports": {"supports": fails},
    "estimate": {"estimate": fails},
    "fingerprint": {"fingerprint": property(fails)},
    "fingerprint_for": {"fingerprint_for": fails},
    "a slash in its fingerprint": {"fingerprint": property(lambda self: "a/b")},
}


@pytest.mark.parametrize("command", ["label", "evaluate", "train"])
@pytest.mark.parametrize("methods", OTHERS.values(), ids=OTHERS)
def test_other_methods_are_held_to_it_too(
    command: str,
    methods: dict[str, Any],
    tmp_path: Path,
    use: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(good, **methods)
    code = cli.main(commands(tmp_path)[command])
    said = capsys.readouterr().err
    assert code == 3, said
    assert "Traceback" not in said and "plug-in" in said.strip().splitlines()[-1], said


def test_trouble_with_closing_comes_after_the_result(
    tmp_path: Path, use: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(good, close=fails)
    assert cli.main(commands(tmp_path)["label"]) == 0
    said = capsys.readouterr()
    assert "teacher 'plug-in' failed: KeyError: 'door'" in said.err and "5" in said.out
