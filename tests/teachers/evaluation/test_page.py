"""The page: what models wrote stays text, and the whole stays small and quick."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lvlm2p.teachers.evaluation import EvaluateConfig, Report, evaluate, write_report
from lvlm2p.teachers.evaluation.report.page import page
from lvlm2p.teachers.evaluation.report.texts import LIMITS, PAGE_CHARACTERS, TextPool, visible
from lvlm2p.teachers.evaluation.results import Results
from lvlm2p.teachers.labelset.parquet import read_rows
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, HOSTILE, Planted

NAME = 'litellm:x/<img src=x onerror="window.hacked=3">'


def report(teachers: list[Planted], out: Path | None = None, **fields: object) -> Report:
    named = {teacher.name: teacher for teacher in teachers}
    small = {"env": [ENVS[1]], "states": 30, "episodes": 0, "probes": 0}
    config = EvaluateConfig.model_validate({"teacher": list(named), "out": out, **small, **fields})
    found = evaluate(config, lambda name, sample=0: named[name], lambda *_: None)
    if out is not None:
        write_report(found, out)
    return found


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = False


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Elements]:
    out = tmp_path_factory.mktemp("hostile")
    bad = Planted(NAME, planted.flaky, sees=0.5, reply=planted.hostile_reply)
    report([bad, Planted("good", planted.good, sees=1.0)], out)
    return out, Elements((out / "index.html").read_text(encoding="utf-8"))


def test_no_element_comes_from_a_model(hostile: tuple[Path, Elements]) -> None:
    _, elements = hostile
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 2
    assert "img" not in tags
    for _, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on")]
        assert not str(attributes.get("src") or attributes.get("href") or "#").startswith("http")


def test_only_our_own_script_may_run(hostile: tuple[Path, Elements]) -> None:
    _, elements = hostile
    policy = next(a["content"] for _, a in elements.found if a.get("http-equiv"))
    data, script = elements.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy
    assert not set("<>&") & set(data)
    assert json.loads(data)["teachers"][0] == NAME


def test_texts_are_shown_whole_or_cut_with_a_note(hostile: tuple[Path, Elements]) -> None:
    out, elements = hostile
    data = json.loads(elements.scripts[0])
    cut = [(text, left) for text, left in data["texts"] if left]
    shown = visible(HOSTILE)
    assert any(text.startswith(shown) and not left for text, left in data["texts"])
    for text, left in cut:
        assert text.startswith(shown)
        assert left > 990_000
    full = [turn["text"] for row in read_rows(out / "labels.parquet") for turn in row["transcript"]]
    assert any(text.startswith(HOSTILE) for text in full)
    assert sum(len(text) > 1_000_000 for text in full) == len(cut)
    assert (out / "index.html").stat().st_size < 2_000_000


def test_pictures_are_there_once_for_each_state(hostile: tuple[Path, Elements]) -> None:
    _, elements = hostile
    data = json.loads(elements.scripts[0])
    assert len(data["cases"]) == 30
    for case in data["cases"]:
        assert base64.b64decode(case["picture"]).startswith(b"\x89PNG")
        assert (case["rows"], case["columns"]) == (6, 6)
        assert len(case["answers"]) == 2
        good = case["answers"][1]
        assert sum(good["p"]) == pytest.approx(1, abs=0.01)
        assert good["outcome"] == "right"
        assert all(good["told"].values())


def test_markdown_has_no_markup_of_a_model(hostile: tuple[Path, Elements]) -> None:
    words = (hostile[0] / "report.md").read_text(encoding="utf-8")
    assert "<img" not in re.sub(r"\\<", "", words)
    assert len({line.count(" | ") for line in words.splitlines() if line.startswith("| ")}) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nשלום é 界 👩", "plain\ttext\nשלום é 界 👩"),
        ("a\u202eb\u202c", "a⟨U+202E⟩b⟨U+202C⟩"),
        ("\u2066\u200f\u061c", "⟨U+2066⟩⟨U+200F⟩⟨U+061C⟩"),
        ("\x00\x1b[31m\r", "⟨U+0000⟩⟨U+001B⟩[31m⟨U+000D⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
    ],
)
def test_unseen_characters_are_named(text: str, shown: str) -> None:
    assert visible(text) == shown
    visible(text).encode("utf-8")


def test_a_pool_keeps_each_text_once_and_cuts_no_more_than_it_must() -> None:
    pool = TextPool()
    assert [pool.add(text) for text in ("a", "b", "a")] == [0, 1, 0]
    long = "x" * 5_000
    assert pool.add(long) == 2
    assert pool.cut() == ([("a", 0), ("b", 0), ("x" * 4_000, 1_000)], 4_000)
    for number in range(3_000):
        pool.add(f"{number:05}" * 1_000)
    texts, limit = pool.cut()
    assert limit in LIMITS
    assert limit < 4_000
    assert sum(len(text) for text, _ in texts) <= PAGE_CHARACTERS


def test_four_teachers_on_four_tasks_with_200_states_are_small_and_quick() -> None:
    """Each answer has two turns of its own, 1,500 characters together."""
    chatty = [
        Planted(
            f"chatty-{number}",
            planted.good,
            sees=0.8,
            reply=lambda view, answer: f"{view.key} " * 22 + answer,
        )
        for number in range(4)
    ]
    whole = report(chatty, env=list(ENVS), states=200)
    started = time.process_time()
    text = page(whole)
    assert time.process_time() - started < 30
    assert len(text.encode()) < 15_000_000
    assert len(whole.results.results) == 16
    assert sum(len(cases) for cases in whole.cases.values()) > 700


def test_every_field_of_the_report_is_documented() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    schema = Results.model_json_schema()
    fields = {name for model in schema["$defs"].values() for name in model.get("properties", ())}
    fields |= set(schema["properties"]) - {"format", "version"}
    missing = sorted(field for field in fields if f"`{field}`" not in documented)
    assert missing == ["teachers"]  # of an agreement, which is described in words
    rules = (Path(__file__).parents[3] / "teachers" / "evaluation" / "findings.py").read_text()
    codes = set(re.findall(r'code="(\w+)"', rules))
    assert sorted(code for code in codes if f"`{code}`" not in documented) == []
