"""Every answer in tests/data/answers.jsonl has the outcome that a written rule gives it."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvlm2p.envs import task_named
from lvlm2p.prompts import Analysis
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit.action_names import find_action
from lvlm2p.teachers.models.elicit.analysis import parse_analysis
from lvlm2p.teachers.models.elicit.choice import parse_choice
from lvlm2p.teachers.models.elicit.interview import Unanswered, usable
from lvlm2p.teachers.models.elicit.logprobs import parse_letters
from lvlm2p.teachers.models.elicit.stated import parse_probabilities
from lvlm2p.teachers.models.messages import Finish, Reply

CORPUS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "answers.jsonl").read_text("utf-8").splitlines()
]
TASKS = ("lava-gap", "dynamic-obstacles", "fetch", "go-to-door")


def outcome(question: str, task: str, text: str, finish: Finish = "stop") -> Any:
    """Probabilities in order, a choice, an analysis' fields, or the kind of failure."""
    parse: Any = {
        "stated": lambda reply: list(parse_probabilities(reply.text, task_named(task)).values()),
        "choice": lambda reply: parse_choice(reply.text, task_named(task)),
        "analysis": lambda reply: parse_analysis(reply.text).model_dump(),
    }[question]
    try:
        return usable(Reply(text, finish), parse)
    except Unanswered as error:
        return error.kind
    except AnswerError:
        return "invalid"


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: f"{case['question']}: {case['why']}")
def test_corpus(case: dict[str, Any]) -> None:
    got = outcome(case["question"], case["task"], case["text"])
    if isinstance(case["expect"], list):
        assert got == pytest.approx(case["expect"]), got
    else:
        assert got == case["expect"]


def test_corpus_is_large_enough_and_has_no_case_twice() -> None:
    assert len(CORPUS) >= 300
    assert len({(c["question"], c["task"], c["text"]) for c in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize(("finish", "kind"), [("length", "truncated"), ("refusal", "refusal")])
def test_truncated_and_refused_answers_are_not_read(finish: Finish, kind: str) -> None:
    good = '{"left": 0.1, "right": 0.2, "forward": 0.7}'
    assert outcome("stated", "lava-gap", good, finish) == kind


PIECES = st.sampled_from(
    [
        *('{"left": ', '"right"', ": ", "0.2", "50%", "-1", "NaN", "1e999", "[", "]", "{", "}"),
        *("forward", "turn left", "done", "action", "<think>", "</think>", "```json", "not "),
        *('"agent_row": 3', '"agent_direction": "up"', "true", "null", "Infinity", "\\u0000"),
        *("\ud800", "|", "1/0", ",", "\n", "Answer: ", "I would ", "so ", "<action>", "'action': "),
        *("[THINK]", "<|channel|>analysis", "◁/think▷", "<|end|>"),
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=40).map("".join))


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, task=st.sampled_from(TASKS))
def test_nothing_but_a_typed_outcome_ever_comes_out(text: str, task: str) -> None:
    for question in ("stated", "choice", "analysis"):
        got = outcome(question, task, text)
        if isinstance(got, list):
            assert math.isclose(sum(got), 1) and all(0 <= p <= 1 for p in got)
        elif question == "choice" and got not in ("invalid", "refusal", "empty"):
            assert got in task_named(task).action_names
        elif question == "analysis" and isinstance(got, dict):
            Analysis(**got)


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["left", "right", "forward", "p", "x"]), inner),
        ),
    )
)
def test_any_json_gives_a_typed_outcome(value: Any) -> None:
    for question in ("stated", "choice", "analysis"):
        outcome(question, "lava-gap", json.dumps(value))


@pytest.mark.parametrize(
    "unit",
    [
        *("{", "[", '{"a":', '{"left":', "left: ", "- ", "<think>", '"', '{"a', "A ", "1", "1.1."),
        *('{"a":["', "left 0.1, ", "| ", "0.1 ", "\t", "(", "not ", "\n-"),
        *("Answer: ", "Answer:\n", "a\n", "so, '", ", 'a':", "I choose ", "<answer>", ".' ", " \n"),
        *("<think a", "[", "<|channel|>a", "</think>", "< ", "◁think"),
    ],
)
def test_100_kilobytes_of_anything_are_read_in_bounded_time(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    started = time.process_time()
    for question in ("stated", "choice", "analysis"):
        outcome(question, "go-to-door", text)
    assert time.process_time() - started < 6


def test_a_long_answer_is_read_and_a_monstrous_one_is_refused() -> None:
    answer = '{"left": 0.1, "right": 0.2, "forward": 0.7}'
    assert outcome("stated", "lava-gap", "bla bla. " * 11_000 + answer) == pytest.approx(
        [0.1, 0.2, 0.7]
    )
    assert outcome("stated", "lava-gap", "x" * 300_000 + answer) == "invalid"


def test_letters_are_renormalised_and_the_rest_recorded() -> None:
    letters = {"A": "left", "B": "right", "C": "forward"}
    given_by_model = {"A": 0.5, " A": 0.1, "(B": 0.2, "The": 0.1, "a": 0.05}
    probabilities, outside = parse_letters(given_by_model, letters)
    assert probabilities == pytest.approx({"left": 0.75, "right": 0.25, "forward": 0.0})
    assert outside == pytest.approx(0.2)


def test_what_nobody_reports_is_outside_and_nobodys() -> None:
    """One token is listed alone: what the rest of the probability is on is not known."""
    letters = {"A": "left", "B": "right", "C": "forward"}
    probabilities, outside = parse_letters({" A": 0.9}, letters)
    assert probabilities == pytest.approx({"left": 0.9, "right": 0.05, "forward": 0.05})
    assert outside == pytest.approx(0.1)
    assert parse_letters({"B": 1.0}, letters) == (
        {"left": 0.0, "right": 1.0, "forward": 0.0},
        0.0,
    )
    with pytest.raises(AnswerError, match=r"only 0\.40"):
        parse_letters({"A": 0.4}, letters)


def test_a_model_that_does_not_answer_with_letters_is_not_believed() -> None:
    with pytest.raises(AnswerError, match=r"only 0\.20"):
        parse_letters({"The": 0.8, "A": 0.2}, {"A": "left", "B": "right"})
    with pytest.raises(AnswerError):
        parse_letters({}, {"A": "left"})


@pytest.mark.parametrize(
    ("words", "direction"),
    [
        *((word, "right") for word in ("right", "East", "→", ">", "rightwards")),
        *((word, "down") for word in ("down", "SOUTH", "↓", "v", "downward")),
        *((word, "left") for word in ("Left", "west", "←", "<", "leftwards")),
        *((word, "up") for word in ("up", "north", "↑", "^", " upward ")),
    ],
)
def test_directions(words: str, direction: str) -> None:
    fields = {"agent_row": 1, "agent_column": 2, "target_row": 3, "target_column": 4}
    text = json.dumps({**fields, "agent_direction": words, "ahead": "wall"})
    assert parse_analysis(text).agent_direction == direction


def test_a_name_that_fits_two_actions_or_none_is_no_name() -> None:
    names = ["turn left", "go left", "move", "stay"]
    assert find_action("Turn_LEFT", names) == "turn left"
    assert find_action("left", names) is None  # either of two
    assert find_action("STAY!", names) == "stay"
    assert find_action("move", names) == "move"  # although it is a filler
    for nothing in ("", "--", "the", "go", "jump"):
        assert find_action(nothing, names) is None
