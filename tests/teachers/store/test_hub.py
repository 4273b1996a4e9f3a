"""`labels export --hub-folder`: a dataset as the Hugging Face hub wants it, read back by its own
library."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml

from lvlm2p.teachers import Label, LabelStore, load_teacher
from lvlm2p.teachers.errors import ConfigError, LabelFileError
from lvlm2p.teachers.label import Entry
from lvlm2p.teachers.labelset.hub import DATA, Tally, card, export_folder
from lvlm2p.teachers.store.commands import ExportConfig, ImportConfig
from lvlm2p.teachers.store.contents import AnswerFilter
from tests.support.store import FakeTeacher, failing, states


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    store = LabelStore(tmp_path / "store")
    load_teacher("expert", store=store).label(states(6))
    views = states(8)[6:]
    for view in views:
        store.put(view, failing("refusal")(view, FakeTeacher()))
    return store


def test_datasets_reads_the_folder(store: LabelStore, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    result = ExportConfig(store=store.path, hub_folder=folder, licence="cc-by-4.0").run()
    assert (result.out, result.rows) == (folder, 8)
    found = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(found) == 8
    assert isinstance(found.features["image"], datasets.Image)
    row = next(row for row in found if row["kind"] == "label")
    view = store.view(row["key"])
    assert view is not None
    assert np.array_equal(np.asarray(row["image"].convert("RGB")), view.image())
    assert row["probabilities"] and len(row["actions"]) == len(row["probabilities"])

    text = (folder / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": DATA}]
    assert head["size_categories"] == ["n<1K"]
    assert "8 rows: 6 labels and 2 failures" in text
    assert "`expert` on `go-to-door`: 100.0% of" in text

    other = LabelStore(tmp_path / "other")
    assert ImportConfig(store=other.path, file=folder / DATA).run().added == 8


def test_accuracy_counts_shares_and_only_states_that_tell_actions_apart() -> None:
    tally = Tally()
    view = next(v for v in states(20) if len(v.task.plan(v).actions) == 1)
    (best,) = view.task.plan(view).actions
    wrong = next(name for name in view.task.action_names if name != best)
    shares = dict.fromkeys(view.task.action_names, 0.0) | {best: 0.5, wrong: 0.5}
    label = FakeTeacher().label_for(view)
    assert isinstance(label, Label)
    tally.add(Entry(view, label.model_copy(update={"probabilities": shares}), 0))
    only = dict.fromkeys(view.task.action_names, 0.0) | {best: 1.0}
    tally.add(Entry(view, label.model_copy(update={"probabilities": only}), 0))
    assert tally.right == {("go-to-door", "fake"): 1.5}
    assert tally.judged == {("go-to-door", "fake"): 2}
    assert "75.0% of 2 labels" in card(tally, 2, "mit")


def test_foreign_names_are_shown_and_not_obeyed() -> None:
    tally = Tally()
    tally.labels["go-to-door", "a|b", "`x`\n# y", "stated", "--- \x1b[31m"] = 1
    text = card(tally, 1, "mit")
    assert "| `go-to-door` | `a b` | `x # y` | `stated` |" in text
    assert "\x1b" not in text
    assert "Not known" in text


def test_a_folder_with_something_in_it_is_left_alone(store: LabelStore, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "mine.txt").write_text("x")
    with pytest.raises(LabelFileError, match="not empty"):
        export_folder(store, folder, AnswerFilter(), "mit")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    export_folder(store, folder, AnswerFilter(), "mit", overwrite=True)
    assert (folder / DATA).is_file() and (folder / "mine.txt").is_file()


def test_nothing_to_export_writes_nothing(store: LabelStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to export"):
        export_folder(store, tmp_path / "hub", AnswerFilter(teacher="nobody"), "mit")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("given", [{}, {"out": "a.parquet", "hub_folder": "b"}])
def test_one_place_is_named(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="name a file, or a folder"):
        ExportConfig.model_validate(given)


def test_a_licence_is_an_abbreviation() -> None:
    with pytest.raises(ValueError, match="as the hub does"):
        ExportConfig(out="a", licence="MIT\nx: y")
