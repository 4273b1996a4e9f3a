"""Prompts: what is asked, in which form; and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import (
    Action,
    Task,
    UnknownNameError,
    View,
    make_env,
    task_for,
    task_named,
    tasks,
    view_of,
)
from lvlm2p.prompts import (
    Analysis,
    Prompt,
    PromptError,
    action_model,
    choice_model,
    load_prompt,
    plain_text,
    prompt_names,
)
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.prompts.conversation import pictures
from lvlm2p.prompts.examples import POOLS
from tests.support.prompts import copied
from tests.support.shipped import PAPER_TASKS

ELICITS = tuple(FORMATS)
FETCH = task_named("fetch")
ENVS = {
    "lava-gap": ["MiniGrid-LavaGapS5-v0", "MiniGrid-LavaGapS7-v0"],
    "dynamic-obstacles": ["MiniGrid-Dynamic-Obstacles-16x16-v0"],
    "fetch": ["MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-Fetch-8x8-N3-v0"],
    "go-to-door": ["MiniGrid-GoToDoor-5x5-v0", "MiniGrid-GoToDoor-8x8-v0"],
}


def first_view(env_id: str, seed: int = 0) -> View:
    env = make_env(env_id)
    env.reset(seed=seed)
    return view_of(env)


def text_of(prompt: Prompt) -> str:
    return "\n".join(plain_text(message) for message in prompt.opening)


# What is asked


@pytest.mark.parametrize("elicit", ELICITS)
@pytest.mark.parametrize("name", prompt_names())
@pytest.mark.parametrize("env_id", [env_id for ids in ENVS.values() for env_id in ids])
def test_every_prompt_asks_about_every_task_at_any_size(
    name: str, elicit: str, env_id: str
) -> None:
    view = first_view(env_id)
    prompt = load_prompt(name, view.task, elicit=elicit)
    conversation = prompt.conversation(view)
    two = name == "tiny" or (name == "two-turn" and elicit != "logprobs")
    kind = {"stated": "stated", "logprobs": "letter"}.get(elicit, "choice")
    assert [q.kind for q in conversation.questions] == (["analysis", kind] if two else [kind])
    schema = {
        "stated": action_model(view.task), "letter": None, "choice": choice_model(view.task),
    }[kind]  # fmt: skip
    assert [q.schema for q in conversation.questions] == ([Analysis, schema] if two else [schema])
    assert list(conversation.letters.values()) == (
        list(view.task.action_names) if kind == "letter" else []
    )
    messages = conversation.messages()
    assert len(messages) == conversation.prefix + 1
    assert pictures(messages[-1]) == [view.png(prompt.style)]
    assert view.mission in plain_text(messages[-1])
    if two:
        longer = conversation.messages(["what it said"])
        assert longer[:-2] == messages
        assert longer[-2] == {"role": "assistant", "content": "what it said"}
        assert longer[-1]["role"] == "user" and not pictures(longer[-1])
    with pytest.raises(ValueError, match="none is left"):
        conversation.messages(["x"] * len(conversation.questions))


@pytest.mark.parametrize("elicit", ELICITS)
@pytest.mark.parametrize("name", ["two-turn", "direct"])
@pytest.mark.parametrize("task", PAPER_TASKS, ids=lambda task: task.name)
def test_examples_are_turns_whose_answers_are_what_is_asked_for(
    name: str, elicit: str, task: Task
) -> None:
    prompt = load_prompt(name, task, shots=16, elicit=elicit)
    system, *turns = prompt.opening
    assert system["role"] == "system" and isinstance(system["content"], str)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    answers = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    assert len(answers) == 16 * len(prompt.questions)
    for index, answer in enumerate(answers):
        schema = prompt.questions[index % len(prompt.questions)].schema
        if schema is None:
            assert answer in "ABCDEFG"[: len(task.actions)] and len(answer) == 1
        else:
            schema.model_validate_json(answer)
            assert " " not in re.sub(r'"ahead":"[^"]*"', "", answer)
    asked = [message for message in turns if message["role"] == "user"]
    assert sum(len(pictures(message)) for message in asked) == 16


def test_images_are_png_data_urls_between_texts() -> None:
    view = first_view("MiniGrid-Fetch-5x5-N2-v0")
    message = load_prompt("direct", FETCH).conversation(view).messages()[-1]
    before, image, after = message["content"]
    assert before["type"] == after["type"] == "text"
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    digest = hashlib.sha256(base64.b64decode(data)).hexdigest()
    assert plain_text(message) == f"{before['text']}<image sha256:{digest}>{after['text']}"


def test_the_mission_comes_before_the_picture() -> None:
    view = first_view("MiniGrid-GoToDoor-5x5-v0")
    for name in prompt_names():
        message = load_prompt(name, view.task).conversation(view).messages()[-1]
        assert view.mission in message["content"][0]["text"]


def test_what_is_carried_is_said() -> None:
    view = replace(first_view("MiniGrid-Fetch-5x5-N2-v0"), carrying="purple key")
    for name in prompt_names():
        prompt = load_prompt(name, FETCH)
        assert "purple key" in plain_text(prompt.conversation(view).messages()[-1])
        without = prompt.conversation(replace(view, carrying=None)).messages()[-1]
        assert "arry" not in plain_text(without)


@pytest.mark.parametrize("elicit", ELICITS)
def test_the_prefix_is_the_same_bytes_for_every_view(elicit: str) -> None:
    prompt = load_prompt("two-turn", FETCH, shots=3, elicit=elicit)
    first, second = (
        prompt.conversation(first_view(env_id, seed=seed))
        for seed, env_id in enumerate(ENVS["fetch"])
    )
    n = first.prefix
    assert n == second.prefix == len(prompt.opening)
    assert json.dumps(first.messages()[:n]) == json.dumps(second.messages(["x"][:0])[:n])
    assert json.dumps(load_prompt("two-turn", FETCH, shots=3, elicit=elicit).opening) == json.dumps(
        prompt.opening
    )


def test_fewer_shots_are_the_first_ones() -> None:
    many = load_prompt("two-turn", FETCH, shots=16).opening
    for shots in (0, 1, 5):
        few = load_prompt("two-turn", FETCH, shots=shots).opening
        assert few[1:] == many[1 : len(few)]


def test_messages_are_the_callers_own() -> None:
    conversation = load_prompt("two-turn", FETCH).conversation(
        first_view("MiniGrid-Fetch-5x5-N2-v0")
    )
    before = json.dumps(conversation.messages())
    for message in conversation.messages():
        message["content"] = "spoilt"
    conversation.messages()[1]["content"].clear()
    assert json.dumps(conversation.messages()) == before


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_the_system_message_tells_rules_actions_and_form(task: Task) -> None:
    text = text_of(load_prompt("two-turn", task, shots=0))
    assert task.rules in text
    for action in task.actions:
        assert f"- {action.name}: {action.meaning}." in text
    assert "{" + ",".join(f'"{name}":p' for name in task.action_names) + "}" in text
    letters = text_of(load_prompt("two-turn", task, shots=0, elicit="logprobs"))
    assert f"- B = right: {task.actions[1].meaning}." in letters
    assert "Step 1" not in letters
    for form in (text, letters):
        assert "\n\n\n" not in form and form == form.strip()


def test_tiny_is_the_bytes_its_model_was_trained_on() -> None:
    view = first_view("MiniGrid-LavaGapS5-v0")
    view = replace(view, mission="do it")
    head = "Task: lava-gap\nActions: A left, B right, C forward\nMission: do it\n"
    ends = {
        "stated": "Give each action a probability.",
        "choice": "Choose one action.",
        "votes": "Choose one action.",
        "logprobs": "Answer with one letter.",
    }
    for elicit in ELICITS:
        prompt = load_prompt("tiny", view.task, elicit=elicit)
        assert prompt.opening == () and not prompt.style.margins
        query, _, followup = prompt.conversation(view).messages([""])
        texts = [part.get("text") for part in query["content"]]
        assert texts == [head, None, "Describe the scene."]
        assert followup == {"role": "user", "content": ends[elicit]}


# A task of the user's own


def own_task(**more: Any) -> Task:
    lights = (Action("wait", 0, "do nothing"), Action("go now", 1, "drive on"))
    return Task(
        name="lights",
        env_ids=("Lights-*",),
        actions=lights,
        rules="Go when it is green.",
        observe=lambda env, task: pytest.fail("not needed"),
        **more,
    )


@pytest.mark.parametrize("elicit", ELICITS)
def test_a_users_task_needs_no_examples(elicit: str) -> None:
    import numpy as np

    task = own_task(draw=lambda view, style: np.zeros((8, 8, 3), np.uint8))
    view = View(task, b"green", "get home")
    prompt = load_prompt("two-turn", task, elicit=elicit)
    assert prompt.shots == 0
    assert "Go when it is green." in text_of(prompt) and "Rows are counted" not in text_of(prompt)
    messages = prompt.conversation(view).messages()
    assert len(pictures(messages[-1])) == 1
    assert len(prompt.questions) == 1  # nobody could say what a right analysis is
    with pytest.raises(PromptError, match="has 0 examples"):
        load_prompt("two-turn", task, shots=1)


def test_a_users_task_with_a_scene_is_analysed_first() -> None:
    prompt = load_prompt("two-turn", own_task(ground_truth=lambda view: {}))
    assert [question.kind for question in prompt.questions] == ["analysis", "stated"]
    assert "Rows are counted" in text_of(prompt)


def test_a_prompt_is_asked_about_its_own_task_only() -> None:
    with pytest.raises(ValueError, match="for fetch asked about lava-gap"):
        load_prompt("direct", FETCH).conversation(first_view("MiniGrid-LavaGapS5-v0"))


def test_a_task_without_a_picture_is_described() -> None:
    task = own_task(describe=lambda view: f"The light is {view.state.decode()}.")
    messages = load_prompt("direct", task).conversation(View(task, b"red", "get home")).messages()
    assert isinstance(messages[-1]["content"], str)
    assert "The light is red." in messages[-1]["content"]


# Wrong input, one sentence each


def test_unknown_names_and_numbers() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'two-turn'"):
        load_prompt("tow-turn", FETCH)
    with pytest.raises(PromptError, match="17 shots asked for, but the task 'fetch' has 16"):
        load_prompt("two-turn", FETCH, shots=17)
    with pytest.raises(PromptError, match="0 or more"):
        load_prompt("two-turn", FETCH, shots=-1)
    with pytest.raises(PromptError, match="takes at most 0 shots"):
        load_prompt("tiny", FETCH, shots=1)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("system.md", "{{ misison }}", "system.md: 'misison' is undefined"),
        ("system.md", "{% if %}", "system.md: Expected"),
        ("system.md", "{% include 'gone.md' %}", "lacks the file gone.md"),
        ("system.md", "{% include elicit %}", "must be written out"),
        ("system.md", "{{ task.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("system.md", "{{ 1 / 0 }}", "system.md: can't be rendered: ZeroDivisionError: division"),
        ("system.md", "{{ range(1000000) | length }}", "system.md: .*OverflowError: Range too big"),
        ("system.md", "{% include 'system.md' %}", "system.md: it includes itself"),
        ("system.md", "{{ " + 5000 * "(" + "1" + 5000 * ")" + " }}", "system.md: .*too deeply"),
        ("analysis.md", "{{ mission + 1 }}", "analysis.md: can't be rendered: TypeError: "),
        ("prompt.yaml", "style: {tile: 32, margins: true}\nshot: 3", "prompt.yaml: shot: Extra"),
        ("prompt.yaml", "style: {tile: big}", r"prompt.yaml: style.tile: Input should be"),
        ("prompt.yaml", "style: {tile: 0}", "prompt.yaml: style: .*8 to 256 pixels"),
        ("prompt.yaml", "shots: [", "prompt.yaml: can't be read"),
        ("prompt.yaml", "[]", "prompt.yaml"),
    ],
)
def test_a_broken_folder_is_named(tmp_path: Path, file: str, text: str, words: str) -> None:
    folder = copied(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(PromptError, match=words) as caught:
        load_prompt(str(folder), FETCH)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_prompt(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"no prompt\.yaml"):
        load_prompt(str(tmp_path), FETCH)
    folder = copied(tmp_path)
    (folder / "action.md").unlink()
    with pytest.raises(PromptError, match=r"lacks the file action\.md"):
        load_prompt(str(folder), FETCH)
    assert load_prompt(str(folder), FETCH, elicit="logprobs").questions[0].kind == "letter"


def test_a_mission_is_text_and_not_a_template() -> None:
    view = replace(first_view("MiniGrid-Fetch-5x5-N2-v0"), mission="{{ 7 * 7 }} {% raw %} key")
    message = load_prompt("two-turn", FETCH).conversation(view).messages()[-1]
    assert "{{ 7 * 7 }} {% raw %} key" in plain_text(message)


# The preview


def preview(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lvlm2p.prompts", *words],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_the_preview_prints_the_conversation(tmp_path: Path) -> None:
    shown = preview("two-turn", "go-to-door", "--shots", "2", "--images", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    assert [word for word in ("<00.png>", "<01.png>", "<02.png>") if word in shown.stdout] == [
        "<00.png>",
        "<01.png>",
        "<02.png>",
    ]
    assert (tmp_path / "00.png").read_bytes() == (POOLS / "go-to-door" / "00.png").read_bytes()
    fingerprint = load_prompt("two-turn", task_for("MiniGrid-GoToDoor-6x6-v0"), shots=2).fingerprint
    assert fingerprint in shown.stdout
    assert "3 pictures" in shown.stdout
    wrong = preview("two-turn", "go-to-dor")
    assert wrong.returncode == 2 and "did you mean 'go-to-door'" in wrong.stderr


def test_the_prompt_in_the_documentation_works(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text("utf-8")
    files = re.findall(r"^`([\w.]+)`\n```\w+\n(.*?)```$", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["prompt.yaml", "direct.md"]
    for name, content in files:
        (tmp_path / name).write_text(content)
    view = first_view("MiniGrid-GoToDoor-5x5-v0")
    for shots in (0, 3):
        prompt = load_prompt(str(tmp_path), view.task, shots=shots)
        messages = prompt.conversation(view).messages()
        assert len(messages) == 1 + 2 * shots
        said = plain_text(messages[-1])
        assert view.task.rules in said and view.mission in said and '"done":p' in said
