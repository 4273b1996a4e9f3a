"""What commands say before they ask: how many questions, what they cost, and that it is meant."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.envs import sample_states
from lvlm2p.envs.sampling import reachable_states
from lvlm2p.student import TrainConfig
from lvlm2p.student.training.forecast import asked_about, forecast, grown, played
from lvlm2p.teachers import LabelStore, load_teacher
from lvlm2p.teachers.evaluation.candidates import Candidate
from lvlm2p.teachers.evaluation.forecast import forecast as forecast_evaluation
from lvlm2p.teachers.evaluation.measuring import EvalSpec
from lvlm2p.teachers.evaluation.states import Case
from lvlm2p.teachers.wrappers.stored import StoredTeacher
from tests.support.chat import GOOD, Script, gpt, some_views
from tests.support.store import FakeTeacher, states
from tests.test_cli import run

DOOR, LAVA = "MiniGrid-GoToDoor-6x6-v0", "MiniGrid-LavaGapS6-v0"


# ---------------------------------------------------------------- how many questions


def test_a_number_of_states_grows_by_a_power_of_the_frames() -> None:
    assert grown(500, 1_000, 10.0) == 10_000, "each frame is a new state"
    assert grown(100, 141, 4.0) == round(141 * 4**0.4957)
    assert grown(100, 100, 50.0) == 100 and grown(0, 0, 50.0) == 0
    assert grown(0, 7, 50.0) == 350, "what was stored is used up: all is new from here on"
    assert grown(50, 90, 1.0) == grown(50, 90, 0.5) == 90


@pytest.mark.parametrize(
    ("rule", "of_1000"),
    [("all", 1_000), ("random:0.25", 250), ("entropy:0.1", 100), ("budget:30", 30),
     ("budget:5k", 1_000)],
)  # fmt: skip
def test_fewer_are_asked_about_with_ask(rule: str, of_1000: int) -> None:
    assert asked_about(rule, 1_000) == of_1000


@pytest.mark.parametrize(
    ("env", "least", "most"), [(DOOR, 11_000, 20_000), (LAVA, 250, 384)]
)  # fmt: skip
def test_a_forecast_is_near_to_what_was_measured(env: str, least: int, most: int) -> None:
    """In 20,000 frames of training 70 to 81% were distinct states of GoToDoor, and 1.5% of LavaGap,
    which has 384 (docs/performance.md)."""
    estimate = forecast(TrainConfig(env=env), load_teacher("gpt-4v"))
    assert estimate.about and least <= estimate.states <= most
    assert estimate.calls == pytest.approx(2 * estimate.states, abs=2)
    assert estimate.usd == pytest.approx(estimate.states * 1.54 / 1_000, rel=0.02)


def test_a_small_world_is_a_limit() -> None:
    teacher = load_teacher("gpt-4v")
    endless = forecast(TrainConfig(env=LAVA, frames=10**9), teacher)
    assert endless.states == len(reachable_states(LAVA)) == 384


def test_a_forecast_of_a_short_run_is_its_own_states() -> None:
    config = TrainConfig(env=DOOR, frames=50, n_envs=16)
    views = played(config)
    assert len(views) == 50
    found = forecast(config, load_teacher("gpt-4v")).states
    assert found == len({view.key for view in views})


def test_what_is_stored_and_what_is_the_same_is_not_counted(tmp_path: Path) -> None:
    config = TrainConfig(env=DOOR, frames=600)
    store = LabelStore(tmp_path)
    new = forecast(config, StoredTeacher(FakeTeacher(), store)).states
    same = load_teacher("gpt-4v", symmetry="canonical")
    assert forecast(config, same).states < 0.8 * forecast(config, load_teacher("gpt-4v")).states
    StoredTeacher(FakeTeacher(), store).label(played(config)[:300])
    assert forecast(config, StoredTeacher(FakeTeacher(), store)).states < 0.7 * new


def test_an_evaluation_is_foreseen_state_by_state() -> None:
    """20 states, 5 of them thrice more, and what twice 8 episodes visit."""
    teacher = load_teacher("gpt-4v")
    cases = [Case(view) for view in sample_states(DOOR, 20, 0)]
    candidate = Candidate("gpt-4v", teacher, load_teacher("gpt-4v", sample=1))
    still = forecast_evaluation(candidate, EvalSpec(DOOR, cases, 0, 5, 0))
    assert still.states == 20 + 3 * 5 and not still.about
    played = forecast_evaluation(candidate, EvalSpec(DOOR, cases, 8, 5, 0))
    assert played.about and 35 + 2 * 8 * 3 < played.states < 35 + 2 * 8 * 144


# ---------------------------------------------------------------- what they cost


def test_thinking_that_nobody_sees_makes_a_price_a_lower_bound() -> None:
    views = some_views(3)
    assert load_teacher("gemini").estimate(views).at_least
    assert "price at least $0.03" in str(load_teacher("gemini").estimate(views))
    quiet = load_teacher("gemini", options={"reasoning_effort": "none"})
    assert not quiet.estimate(views).at_least
    assert not load_teacher("gpt-4v").estimate(views).at_least


def test_stored_labels_say_what_one_costs(tmp_path: Path) -> None:
    """A reply of 100 tokens in (60 of them cached) and 10 out was paid for, not what we count."""
    fake = FakeTeacher(
        lambda view, teacher: teacher.label_for(view).model_copy(update={"latency_s": 0.5})
    )
    teacher = StoredTeacher(fake, LabelStore(tmp_path))
    own = type(teacher.estimate(states(10)))(10, 10, 5.0, usd=99.0, paid=True, at_least=True)
    fake.estimate = lambda views: own  # type: ignore[method-assign]
    assert teacher.estimate(states(10)) == own
    teacher.label(states(4))  # at $0.001 each
    now = teacher.estimate(states(10))
    assert now.usd == pytest.approx(6 * 0.001) and not now.at_least and now.paid


# ---------------------------------------------------------------- the commands


@pytest.fixture
def asked(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Script, list[str]]:
    """A model whose price nobody knows, and how it is asked."""
    monkeypatch.chdir(tmp_path)
    script = Script(httpserver, "/v1/chat/completions", [GOOD])
    teacher = ["--teacher", "litellm:openai/some-vl", "-T", f"api_base={httpserver.url_for('/v1')}",
               "-T", "prompt=direct", "-T", "shots=0", "--store", "store"]  # fmt: skip
    return script, teacher


COMMANDS = {
    "train": ("train", "--env", DOOR, "--frames", "16", "--n-envs", "2", "--n-steps", "8",
              "--final-episodes", "1", "--eval-every", "0", "--kl-schedule", "constant",
              "--kl-minibatches", "1"),
    "evaluate": ("evaluate", "--env", DOOR, "--states", "3", "--episodes", "0", "--probes", "0",
                 "--out", "report"),
    "label": ("label", "--env", DOOR, "--states", "3", "--out", "a.parquet"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_terminal_a_limit_or_a_yes_is_needed(
    command: str, asked: tuple[Script, list[str]], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    script, teacher = asked
    argv = (*COMMANDS[command], *teacher)
    assert run(*argv) == 2
    captured = capsys.readouterr()
    estimate, sentence = captured.err.splitlines()
    assert re.search(r"states to ask, .*price unknown", estimate)
    assert sentence.startswith("lvlm2p: nobody knows what asking litellm:openai/some-vl (")
    for way in ("--budget-calls", "--yes", "--symmetry canonical"):
        assert way in sentence
    assert ("--ask random:0.25" in sentence) == (command == "train")
    assert script.requests == [] and captured.out == ""
    left = {"runs", "a.parquet", "report"}
    assert not left & {path.name for path in tmp_path.iterdir()}
    assert run(*argv, "--budget-calls", "2") == 0
    assert len(script.requests) == 2
    capsys.readouterr()


def test_a_dear_forecast_stops_train_and_a_yes_lets_it_go_on(
    asked: tuple[Script, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The first line of the README, with a known price."""
    assert asked
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    readme = ("train", "--env", DOOR, "--teacher", "gemini", "--frames", "20000", "--run-dir",
              "runs/gemini", "--store", "store")  # fmt: skip
    assert run(*readme) == 2
    estimate, sentence = capsys.readouterr().err.splitlines()
    dollars = re.search(r"gemini: about [\d,]+ states to ask, .* price at least \$(\d+)", estimate)
    assert dollars is not None and 110 < int(dollars[1]) < 230
    assert "costs at least $" in sentence and not (tmp_path / "runs").exists()
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    assert run(*readme) == 3, "a key is missing: no question of money"
    assert "GEMINI_API_KEY" in capsys.readouterr().err


def test_at_a_terminal_somebody_is_asked(
    asked: tuple[Script, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    script, teacher = asked
    shown = Terminal()
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", shown)
    for answer, code, requests in (("n\n", 2, 0), ("y\n", 0, 3)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert run(*COMMANDS["label"], *teacher) == code
        assert len(script.requests) == requests
    assert shown.getvalue().count("Go on? [y/N]") == 2


@pytest.mark.parametrize(
    "free",
    [
        ("--teacher", "tiny-vl"),
        ("--teacher", "expert"),
        ("--teacher", "gemini", "--offline", "--on-miss", "skip"),
        ("--teacher", "none"),
    ],
)
def test_free_teachers_never_ask(
    free: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    stdin: Any = None  # reading it would fail
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run(*COMMANDS["train"], *free, "--store", "store") == 0
    assert "costs" not in capsys.readouterr().err


def test_a_run_that_goes_on_was_approved_when_it_began(
    asked: tuple[Script, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, teacher = asked
    argv = (*COMMANDS["train"], *teacher, "--run-dir", "run")
    assert run(*argv, "--yes") == 0
    assert "yes" not in Path("run/config.yaml").read_text().split(":")[0::2]
    assert run(*argv, "--resume") == 0
    capsys.readouterr()
    assert run(*argv, "--resume", "--frames", "4000") == 2
    assert "nobody knows" in capsys.readouterr().err


# ---------------------------------------------------------------- image_detail


def test_image_detail_is_sent_counts_and_is_refused_elsewhere(httpserver: HTTPServer) -> None:
    script = Script(httpserver, "/v1/chat/completions", [GOOD])
    (view,) = some_views(1)
    plain = gpt(httpserver, model="gpt-4o")
    low = gpt(httpserver, model="gpt-4o", image_detail="low")
    assert plain.fingerprint_for(view.task) != low.fingerprint_for(view.task)
    for teacher in (plain, low):
        teacher.label([view])
        teacher.close()
    sent = [
        part["image_url"]
        for request in script.requests
        for message in request["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    assert [picture.get("detail") for picture in sent] == [None, "low"]
    usual, cheaper = (teacher.estimate([view]).usd for teacher in (plain, low))
    assert usual is not None and cheaper is not None
    assert usual - cheaper == pytest.approx(170 * 2.5e-6)  # the one tile
    for name in ("claude", "gemini", "litellm:openai/some-vl"):
        options = {"image_detail": "low", "api_base": "http://127.0.0.1:9/v1"}
        with pytest.raises(Exception, match="takes no image_detail, which is OpenAI's"):
            load_teacher(name, options=options)
