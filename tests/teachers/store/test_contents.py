"""What is in a store: counted, shown, and taken out on purpose."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lvlm2p.teachers import ConfigError, LabelStore, StoredTeacher, StoreError, Usage
from lvlm2p.teachers.store.commands import (
    ExportConfig,
    PruneConfig,
    ShowConfig,
    StatsConfig,
    VerifyConfig,
)
from tests.support.labelset import dump, make_store
from tests.support.store import FakeTeacher, states


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store")


def test_stats(path: Path) -> None:
    stats = StatsConfig(store=path).run()
    data = stats.as_json()
    assert (data["labels"], data["failures"]) == (30, 5) and data["bytes"] > 10_000
    fake = data["teachers"]["fake"]
    assert (fake["labels"], fake["failures"]) == (30, 5)
    assert fake["cost_usd"] == pytest.approx(0.03)
    rich = next(part for part in fake["parts"] if part["fingerprint"] == "fa4e")
    assert (
        rich["calls"] == 40 and rich["prompt_tokens"] == 18_000 and rich["cached_tokens"] == 16_000
    )
    assert rich["model"] == "models/fake-1" and rich["elicitations"] == {"choice": 20}
    refused = next(part for part in fake["parts"] if part["fingerprint"] == "5ad")
    assert refused["failures"] == {"refusal": 5} and refused["labels"] == 0
    json.dumps(data, allow_nan=False)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(stats.summary())
    text = console.export_text()
    assert "5 refusal" in text and "(fa4e)" in text and "(5ad)" in text


def test_an_unknown_price_is_not_nothing(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        fake = FakeTeacher(lambda view, teacher: teacher.label_for(view, cost_usd=None))
        StoredTeacher(fake, store).label(states(3))
    stats = StatsConfig(store=tmp_path / "store").run()
    assert stats.as_json()["teachers"]["fake"]["cost_usd"] is None


def test_no_two_prices_need_be_the_same(tmp_path: Path) -> None:
    """Nor token counts; words with commas and brackets in them are still one model."""
    views = states(40)
    with LabelStore(tmp_path / "store") as store:
        for number, view in enumerate(views):
            usage = Usage(calls=1, prompt_tokens=number, completion_tokens=2 * number)
            update = {"model": 'odd "model", 1, [2]', "usage": usage, "cost_usd": number / 7}
            store.put(view, FakeTeacher().label_for(view).model_copy(update=update))
    with closing(sqlite3.connect(tmp_path / "store" / "cache.db")) as database, database:
        database.execute("""INSERT INTO Cache (key, raw, mode, tag, value) VALUES
            ('label/a/b', 1, 1, '["label","x"]', ''),
            ('label/a/c', 1, 1, '["label",x,1,1,1,1,1', ''),
            ('label/a/d', 1, 1, '["label","x","x","x","x","x","x",null,1,1,1,NaN]', '')""")
    (part,) = StatsConfig(store=tmp_path / "store").run().sums
    assert part.model == 'odd "model", 1, [2]' and (part.labels, part.calls) == (40, 40)
    assert (part.prompt_tokens, part.completion_tokens) == (780, 1560)
    assert part.cost_usd == pytest.approx(780 / 7)


def test_stats_of_an_empty_store(tmp_path: Path) -> None:
    LabelStore(tmp_path / "store").close()
    stats = StatsConfig(store=tmp_path / "store").run()
    assert stats.as_json()["labels"] == 0 and "no labels yet" in str(stats.summary())


READERS = [
    StatsConfig,
    VerifyConfig,
    partial(ExportConfig, out="labels.parquet"),
    partial(PruneConfig, teacher="fake"),
    partial(ShowConfig, key="ab"),
]


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("empty", [False, True])
def test_who_only_looks_makes_no_store(
    command: Callable[..., Any], empty: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if empty:
        (tmp_path / "typo").mkdir()
    before = list(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"^there is no label store at .*/typo: name .*--store"):
        command(store=Path("typo")).run()
    assert list(tmp_path.rglob("*")) == before
    (tmp_path / "typo").mkdir(exist_ok=True)
    (tmp_path / "typo" / "other").touch()
    with pytest.raises(StoreError, match="a folder with other files"):
        command(store=Path("typo")).run()


def test_a_default_store_that_was_never_used(own_store: Path) -> None:
    stats = StatsConfig().run()
    assert stats.as_json()["labels"] == 0 and str(stats.summary()).endswith("holds no labels yet.")
    with pytest.raises(StoreError, match="there is no label store at"):
        VerifyConfig().run()
    assert not own_store.exists()


def test_prune_says_who_is_there(path: Path) -> None:
    nobody = PruneConfig(store=path, teacher="nobody", apply=True).run()
    assert nobody.answers == 0 and "no answers with --teacher nobody, only" in nobody.summary()
    assert "fake about go-to-door" in nobody.summary()
    young = PruneConfig(store=path, teacher="fake", older_than=7).run()
    assert "none of 35 answers is older than 7 days" in young.summary()
    LabelStore(path.parent / "empty").close()
    empty = PruneConfig(store=path.parent / "empty", older_than=7).run()
    assert "holds no labels yet" in empty.summary()


def test_prune_is_a_dry_run_first(path: Path) -> None:
    before = dump(path)
    dry = PruneConfig(store=path, prompt="9f9f").run()
    assert dry.answers == 20 and not dry.applied and dump(path) == before
    assert "Nothing was changed" in dry.summary()
    done = PruneConfig(store=path, prompt="9f9f", apply=True).run()
    assert (done.answers, done.views) == (20, 10)
    assert StatsConfig(store=path).run().as_json()["labels"] == 10
    assert VerifyConfig(store=path).run().as_json()["clean"]
    with pytest.raises(ConfigError, match="at least one of"):
        PruneConfig(store=path).run()


def test_prune_by_age_and_teacher(path: Path) -> None:
    assert PruneConfig(store=path, older_than=1).run().answers == 0
    assert PruneConfig(store=path, older_than=0, teacher="nobody").run().answers == 0
    with LabelStore(path) as store:
        old = FakeTeacher().label_for(states(40)[39])
        store.put(states(40)[39], old.model_copy(update={"created": "2020-01-01T00:00:00+00:00"}))
    assert PruneConfig(store=path, older_than=300, apply=True).run().answers == 1
    with LabelStore(path) as store:
        assert store.view(states(40)[39].key) is None


def test_show_in_a_terminal_and_as_a_page(path: Path, tmp_path: Path) -> None:
    view = states(1)[0]
    html = tmp_path / "page" / "label.html"
    shown = ShowConfig(store=path, key=view.key[:8], html=html).run()
    assert len(shown.answers) == 3 and len(shown.as_json()["answers"]) == 3
    for system, colours in (("truecolor", True), (None, False)):
        out = tmp_path / "out.txt"
        with out.open("w", encoding="utf-8") as file:
            console = Console(
                file=file,
                width=200,
                color_system=system,  # type: ignore[arg-type]
                force_terminal=colours,
            )
            console.print(shown.summary(), markup=False, highlight=False)
        text = out.read_text(encoding="utf-8")
        assert "\\x1b[31mred" in text and "\x1b[31mred" not in text and "\u202e" not in text
        assert ("▀" in text) == colours
        assert view.mission in text and "models/fake-1" in text and "it was refusal" in text
    page = html.read_text(encoding="utf-8")
    assert (
        "<script" not in page and "&lt;script&gt;" in page and "49" not in page.split("7*7")[0][-9:]
    )
    assert "data:image/png;base64," in page and "default-src &#39;none&#39;" not in page
    json.dumps(shown.as_json(), allow_nan=False)


def test_show_needs_one_state(path: Path) -> None:
    with pytest.raises(StoreError, match="no state whose key begins 'xyz'"):
        ShowConfig(store=path, key="xyz").run()
    with pytest.raises(StoreError, match="states have keys that begin"):
        ShowConfig(store=path, key="").run()
