"""Elicitations: one object each, and another one is one class and one registration."""

from __future__ import annotations

import ast
import importlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model
from pytest_httpserver import HTTPServer

from lvlm2p.envs import Task, View
from lvlm2p.prompts import AnswerFormat, Example, PromptError, load_prompt
from lvlm2p.teachers import ConfigError, Failure, Label, LabelStore, load_teacher
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.models.elicit import registry
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation
from lvlm2p.teachers.models.elicit.registry import elicitation_names, register_elicitation
from lvlm2p.teachers.models.messages import Reply
from tests.support.chat import CHOICE, KEY, OPENAI, Script, openai_body, some_views

ROOT = Path(__file__).resolve().parents[3]
LITELLM = "litellm:openai/some-vl"


# ---------------------------------------------------------------- a new one: 40 lines


@cache
def ranking_model(task: Task) -> type[BaseModel]:
    names: Any = Literal[task.action_names]
    return create_model("Ranking", ranking=(list[names], ...))


def example_ranking(example: Example) -> str:
    p = example.probabilities
    return json.dumps({"ranking": sorted(p, key=lambda name: -p[name])})


class Ranking(Elicitation):
    """The model orders the actions; weights are the reciprocal ranks."""

    answer_format = AnswerFormat(
        "ranking",
        "ranking",
        ranking_model,
        example_ranking,
        texts={
            "form.md": 'a JSON object: {"ranking":["best", ..., "worst"]}, and each once.\n',
            "question.md": "Order the {{ actions | length }} actions, the best one first.\n",
        },
    )

    def parse(self, reply: Reply, view: View) -> Distribution:
        try:
            ranked = (
                ranking_model(view.task).model_validate_json(reply.text).model_dump()["ranking"]
            )
        except ValueError:
            raise AnswerError("no ranking was found in the answer") from None
        names = view.task.action_names
        if sorted(ranked) != sorted(names):
            raise AnswerError(f"the ranking must name each of {', '.join(names)} once")
        weights = {name: 1 / (1 + ranked.index(name)) for name in names}
        return Distribution({name: w / sum(weights.values()) for name, w in weights.items()})


class Rankings(Ranking):
    """Several rankings, averaged."""

    answer_format = AnswerFormat(
        "rankings",
        "ranking",
        ranking_model,
        example_ranking,
        texts=Ranking.answer_format.texts,
    )
    sampled = True
    fingerprinted = ("samples",)


# ---------------------------------------------------------------- what it takes part in


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(registry, "_registered", dict(registry.BUILTIN))
    register_elicitation("ranking", Ranking)
    register_elicitation("rankings", Rankings)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


def ranking(*names: str) -> dict[str, Any]:
    return openai_body(json.dumps({"ranking": names}))


def ask(
    server: HTTPServer, view: View, store: LabelStore | None = None, **options: Any
) -> Label | Failure:
    given = {"api_base": server.url_for("/v1"), "prompt": "direct", "shots": 1, **options}
    teacher = load_teacher(LITELLM, options=given, store=store)
    answer = teacher.label([view])[0]
    teacher.close()
    return answer


def test_a_new_elicitation_is_asked_parsed_stored_and_read_again(
    httpserver: HTTPServer, view: View, tmp_path: Path
) -> None:
    script = Script(httpserver, OPENAI, [ranking("forward", "left", "right", "done")])
    with LabelStore(tmp_path) as store:
        label = ask(httpserver, view, store, elicit="ranking")
    assert isinstance(label, Label) and label.elicitation == "ranking"
    # 1, 1/2, 1/3 and 1/4 by their sum, 25/12
    expected = {"left": 0.24, "right": 0.16, "forward": 0.48, "done": 0.12}
    assert label.probabilities == pytest.approx(expected)

    (sent,) = script.requests
    system, _, example, query = sent["messages"]
    assert '{"ranking":["best", ..., "worst"]}' in system["content"]
    assert sorted(json.loads(example["content"])["ranking"]) == sorted(expected)
    assert query["content"][-1]["text"].endswith("Order the 4 actions, the best one first.")
    assert sent["response_format"]["json_schema"]["name"] == "Ranking"

    with LabelStore(tmp_path, create=False) as store:
        options = {"elicit": "ranking", "api_base": httpserver.url_for("/v1")}
        options |= {"prompt": "direct", "shots": "1"}
        offline = load_teacher(LITELLM, options=options, store=store, offline=True)
        (again,) = offline.label([view])
    assert again == label and len(script.requests) == 1


def test_an_unusable_answer_is_asked_again_in_the_words_of_its_format(
    httpserver: HTTPServer, view: View
) -> None:
    names = view.task.action_names
    script = Script(httpserver, OPENAI, [ranking("left", "left"), ranking(*names)])
    label = ask(httpserver, view, elicit="ranking")
    assert isinstance(label, Label) and label.action == "left"
    correction = script.requests[1]["messages"][-1]["content"]
    assert correction.startswith("That answer can't be used: the ranking must name each of left")


def test_samples_are_averaged(httpserver: HTTPServer, view: View) -> None:
    answers = [
        ranking("forward", "left", "right", "done"),
        openai_body("?"),
        ranking("left", "forward", "right", "done"),
    ]
    script = Script(httpserver, OPENAI, answers)
    label = ask(httpserver, view, elicit="rankings", samples=3, concurrency=1)
    assert isinstance(label, Label) and label.elicitation == "rankings"
    expected = {"left": 0.36, "right": 0.16, "forward": 0.36, "done": 0.12}
    assert label.probabilities == pytest.approx(expected)
    assert len(script.requests) == label.usage.calls == 3


def test_it_counts_in_fingerprint_price_and_calls(view: View) -> None:
    def loaded(**options: Any) -> Any:
        return load_teacher("gpt-4v", options={"prompt": "direct", **options})

    kinds = [{"elicit": name} for name in elicitation_names() if name != "plans"]
    others = [{"elicit": "rankings", "samples": 3}, {"elicit": "ranking", "samples": 3}]
    prints = [loaded(**options).fingerprint_for(view.task) for options in kinds + others]
    assert len(set(prints)) == len(kinds) + 1
    assert prints[-1] == loaded(elicit="ranking").fingerprint_for(view.task), "samples: no matter"
    one, three = (loaded(elicit=kind, samples=3) for kind in ("ranking", "rankings"))
    assert (one.estimate([view]).calls, three.estimate([view]).calls) == (1, 3)
    assert three.estimate([view]).usd == pytest.approx(3 * one.estimate([view]).usd)
    local = {"model": "Qwen/A"}
    assert loaded(elicit="ranking").temperature is None
    for kind, temperature in {"ranking": 0.0, "rankings": None}.items():
        served = load_teacher("qwen-vl-local", options={**local, "elicit": kind})
        assert served.temperature == temperature  # type: ignore[attr-defined]


def test_the_elicitation_in_the_documentation_works(
    httpserver: HTTPServer, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "prompts.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "documented_elicitation.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("documented_elicitation")
    said = openai_body('{"best":"left","second":"done"}')
    script = Script(httpserver, OPENAI, [openai_body(CHOICE), said])
    label = ask(httpserver, view, elicit="best-two")
    assert isinstance(label, Label)
    assert label.probabilities == {"left": 0.75, "right": 0.0, "forward": 0.0, "done": 0.25}
    example = script.requests[0]["messages"][2]["content"]
    assert json.loads(example).keys() == {"best", "second"}


# ---------------------------------------------------------------- what is refused


def test_an_unknown_elicitation_is_one_sentence_that_names_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        load_teacher("claude", options={"elicit": "dreams"})
    assert str(caught.value) == (
        "teacher 'claude' has no elicitation 'dreams': choose stated, choice, votes, plans, "
        "ranking, rankings"
    )
    for name in ("qwen-vl-local", "qwen-vl-hf"):
        with pytest.raises(ConfigError, match=r"choose stated, choice, votes, logprobs, plans"):
            load_teacher(name, options={"elicit": "dreams"})


def test_what_a_model_lacks_is_said() -> None:
    said = r"can't be asked for 'logprobs', it does not return logprobs: choose stated, choice, "
    with pytest.raises(ConfigError, match=said):
        load_teacher("claude", options={"elicit": "logprobs"})


@pytest.mark.parametrize("kind", ["votes", "rankings"])
@pytest.mark.parametrize("name", ["gpt-4v", "tiny-vl"])
def test_samples_that_would_all_be_the_same_are_refused(name: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"{kind} at temperature=0 are all the same"):
        load_teacher(name, options={"elicit": kind, "temperature": "0"})


def test_a_prompt_that_has_no_place_for_its_texts_is_refused(view: View) -> None:
    with pytest.raises(PromptError, match=r"'tiny' can't ask for 'ranking': it includes none of"):
        load_prompt("tiny", view.task, elicit=Ranking.answer_format)


def test_a_name_is_registered_once() -> None:
    register_elicitation("ranking", Ranking)
    with pytest.raises(ValueError, match="'ranking' already"):
        register_elicitation("ranking", Rankings)
    with pytest.raises(ValueError, match="'stated' already"):
        register_elicitation("stated", Ranking)


def test_an_elicitation_answers_for_itself_only(httpserver: HTTPServer, view: View) -> None:
    Script(httpserver, OPENAI, [openai_body(CHOICE)])
    failure = ask(httpserver, view, elicit="ranking", reask=0)
    assert isinstance(failure, Failure) and failure.failure == "invalid"


# ---------------------------------------------------------------- the four that ship


def also_a_fact(key: ast.AST | None) -> bool:
    """ "plans" is the key of a teacher and of a fact about a label, too."""
    return isinstance(key, ast.Constant) and key.value == "plans"


def names_decided_on(path: Path) -> list[int]:
    """Lines on which something is decided by the name of an elicitation that ships."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = [k for k in node.keys if not also_a_fact(k)]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Subscript):  # Literal["stated", ...], table["votes"]
            parts = [node.slice] if not also_a_fact(node.slice) else []
        lines += [
            getattr(constant, "lineno", 0)
            for part in parts
            if part is not None
            for constant in ast.walk(part)
            if isinstance(constant, ast.Constant) and constant.value in registry.BUILTIN
        ]
    return lines


def test_nothing_is_decided_by_the_name_of_an_elicitation_outside_its_file() -> None:
    elicit = ROOT / "teachers" / "models" / "elicit"
    own = {elicit / f"{name}.py" for name in (*registry.BUILTIN, "registry")}
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("envs", "prompts", "teachers", "student")
        for path in (ROOT / package).rglob("*.py")
        if path not in own
        for line in names_decided_on(path)
    }
    assert found == set()


def test_the_search_finds_decisions(tmp_path: Path) -> None:
    code = (
        'x == "votes"\ny in ("stated", z)\n{"choice": 1}\nLiteral["logprobs"]\ndef f(a="votes"): 0'
    )
    (tmp_path / "code.py").write_text(code)
    assert sorted(names_decided_on(tmp_path / "code.py")) == [1, 2, 3, 4]
