"""The answer formats: flat schemas, and JSON that reads back as what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from lvlm2p.envs import Action, Task, tasks
from lvlm2p.prompts import (
    Analysis,
    PromptError,
    action_model,
    analysis_json,
    choice_json,
    choice_model,
    letters,
    probabilities_json,
)

TASKS = tasks()
SCENE: dict[str, Any] = {
    "agent_row": 1,
    "agent_column": 2,
    "agent_direction": "up",
    "target_row": 3,
    "target_column": 4,
    "ahead": "red door",
}


def renamed(*names: str) -> Task:
    actions = tuple(Action(name, index, "do it") for index, name in enumerate(names))
    return replace(TASKS[0], name="renamed", actions=actions)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_schemas_are_flat(task: Task) -> None:
    for model in (Analysis, action_model(task), choice_model(task)):
        schema = model.model_json_schema()
        text = json.dumps(schema)
        for word in ("$ref", "$defs", "anyOf", "oneOf", "minimum", "maximum", '"default"'):
            assert word not in text
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_models_are_made_once_and_ask_for_the_tasks_actions(task: Task) -> None:
    assert action_model(task) is action_model(task)
    assert choice_model(task) is choice_model(task)
    assert list(action_model(task).model_json_schema()["properties"]) == list(task.action_names)
    assert choice_model(task).model_json_schema()["properties"]["action"]["enum"] == list(
        task.action_names
    )
    with pytest.raises(ValidationError):
        choice_model(task)(action="fly")
    with pytest.raises(ValidationError):
        action_model(task)(**dict.fromkeys(task.action_names, 0.0), fly=1.0)


@pytest.mark.filterwarnings("error")
def test_any_name_can_be_an_action() -> None:
    task = renamed("turn left", "copy", "class", "model_x", "_hidden", "json", "action_0", "ok")
    names = list(task.action_names)
    stated = {name: index / 28 for index, name in enumerate(names)}
    model = action_model(task)
    assert list(model.model_json_schema()["properties"]) == names
    assert model.model_validate_json(json.dumps(stated)).model_dump(by_alias=True) == stated
    assert choice_model(task).model_validate({"action": "turn left"}).model_dump() == {
        "action": "turn left"
    }


def test_written_answers_are_compact_and_read_back() -> None:
    text = analysis_json(Analysis(**SCENE))
    assert text == (
        '{"agent_row":1,"agent_column":2,"agent_direction":"up",'
        '"target_row":3,"target_column":4,"ahead":"red door"}'
    )
    assert Analysis.model_validate_json(text).model_dump() == SCENE
    assert probabilities_json({"left": 0.9, "right": 0.1, "forward": 0}) == (
        '{"left":0.90,"right":0.10,"forward":0.00}'
    )
    assert probabilities_json({"left": 1.0, "right": 0.0}) == '{"left":1.00,"right":0.00}'
    assert choice_json('say "hi"') == '{"action":"say \\"hi\\""}'


@pytest.mark.parametrize("wrong", [[0.5, 0.4], [1.01, 0.0], [1 / 3, 1 / 3]])
def test_probabilities_that_do_not_sum_to_one_are_not_written(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="do not sum to 1"):
        probabilities_json(dict(zip("ab", wrong, strict=True)))


def test_letters_follow_the_order_of_the_actions() -> None:
    assert letters(renamed("x", "y", "z")) == {"A": "x", "B": "y", "C": "z"}
    with pytest.raises(PromptError, match="27 actions"):
        letters(renamed(*(f"go{index}" for index in range(27))))


@pytest.mark.parametrize(
    "change", [{"agent_direction": "north"}, {"agent_row": 1.5}, {"extra": 1}, {"ahead": None}]
)
def test_an_analysis_is_strict(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Analysis.model_validate({**SCENE, **change})
