"""Labelling ahead of time: which states, the file, resuming, and one answer for symmetric views."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from lvlm2p import cli
from lvlm2p.envs import View, canonical
from lvlm2p.teachers import (
    ConfigError,
    Label,
    LabelFileError,
    LabelStore,
    MissingLabelsError,
    StoredTeacher,
    TeacherError,
    load_teacher,
)
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.run import label_here, label_states
from lvlm2p.teachers.labelling.states import visited_states
from lvlm2p.teachers.labelset.teacher import LabelSetTeacher
from lvlm2p.teachers.store.commands import ExportConfig
from lvlm2p.teachers.wrappers.calibrated import calibrated
from lvlm2p.teachers.wrappers.symmetric import CanonicalTeacher
from tests.support.store import FakeTeacher, failing, states

LAVA = "MiniGrid-LavaGapS5-v0"
DOOR = "MiniGrid-GoToDoor-6x6-v0"


def config(tmp_path: Path, **options: object) -> LabelConfig:
    where = {"store": tmp_path / "store", "out": tmp_path / "labels.parquet"}
    return LabelConfig.model_validate({"teacher": "expert", **where, **options})


def test_the_file_has_the_states_in_their_order(tmp_path: Path) -> None:
    result = label_states(config(tmp_path, env=DOOR, states=50))
    assert result.as_json()["labels"]["asked"] == 50 and result.rows == 50
    table = pq.read_table(Path(result.out))
    assert len(set(table["key"].to_pylist())) == 50
    again = label_states(config(tmp_path, env=DOOR, states=50))
    labels = again.as_json()["labels"]
    assert (labels["asked"], labels["cached"]) == (0, 50) and again.counts.cost_usd == 0.0
    assert pq.read_table(Path(again.out)).equals(table)
    other = label_states(config(tmp_path, env=DOOR, states=50, seed=1))
    assert other.counts.asked > 20


def test_every_state_of_a_small_task(tmp_path: Path) -> None:
    result = label_states(config(tmp_path, env="MiniGrid-LavaGapS6-v0", all_states=True))
    assert result.rows == 384


@pytest.mark.parametrize("wanted", [None, 100_000])
def test_fewer_states_than_wanted_is_said(
    wanted: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = label_states(config(tmp_path, env=LAVA, states=wanted))
    said = capsys.readouterr().err
    assert f"only {result.rows} distinct states of {LAVA} were found in " in said, said
    assert f"frames of random play, not {wanted or 1000:,}: --all-states lists every" in said
    label_states(config(tmp_path, env=LAVA, states=20))
    label_states(config(tmp_path, env=LAVA, all_states=True))
    assert "only" not in capsys.readouterr().err


def test_the_estimate_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LabelStore(tmp_path / "store") as store:
        teacher = StoredTeacher(FakeTeacher(), store)
        label_here(teacher, states(10), tmp_path / "a.parquet")
        assert "10 states to ask, 10 calls, time unknown, price unknown" in capsys.readouterr().err
        label_here(teacher, states(40), tmp_path / "b.parquet")
        assert "40 states; 30 states to ask, 30 calls, time 0 s, price $0.03" in (
            capsys.readouterr().err
        )
        label_here(teacher, states(40), tmp_path / "c.parquet")
        assert "nothing to ask" in capsys.readouterr().err


def test_a_label_set_made_ahead_teaches_offline(tmp_path: Path) -> None:
    out = Path(label_states(config(tmp_path, env=LAVA, states=40)).out)
    offline = config(tmp_path, env=LAVA, states=40, offline=True, out=tmp_path / "again.parquet")
    assert label_states(offline).counts.cached == 40
    assert LabelSetTeacher(out).fingerprint == load_teacher("expert").fingerprint
    elsewhere = config(tmp_path, env=LAVA, states=40, labels=out, store=tmp_path / "none")
    assert label_states(elsewhere).counts.cached == 40
    assert not (tmp_path / "none").exists()
    with pytest.raises(MissingLabelsError):
        label_states(elsewhere.model_copy(update={"states": 60, "seed": 3}))


def write_run(folder: Path, views: tuple[View, ...], torn: str = "") -> Path:
    folder.mkdir()
    lines = [json.dumps(view.to_json()) for view in views]
    (folder / "visited.jsonl").write_text("\n".join(lines) + "\n" + torn)
    return folder


def test_the_states_of_a_run(tmp_path: Path) -> None:
    views = states(12)
    run = write_run(tmp_path / "run", (*views, views[0]), torn='{"task": "go-to')
    assert visited_states(run) == list(views)
    result = label_states(config(tmp_path, from_run=run, states=10))
    assert result.rows == 10


def test_a_run_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match=r"no usable visited\.jsonl"):
        visited_states(tmp_path)
    (tmp_path / "visited.jsonl").write_text('{"task": 1}\n{}\n')
    with pytest.raises(LabelFileError, match="line 1: not a state"):
        visited_states(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of --env, --from-run and"),
        ({"env": DOOR, "from_run": "run"}, "one of --env, --from-run and"),
        ({"from_run": "run", "all_states": True}, "goes with --env"),
        ({"env": DOOR, "states": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(tmp_path, **options)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("s3://foo/bar", "is an address .* --engine ray` writes to s3://"),
        ("http://foo/y", "is an address"),
        ("folder", "it is a folder; name a file in it, such as folder/labels.parquet"),
        ("file/labels.parquet", "file is a file, not a folder"),
    ],
)
def test_a_file_that_can_not_be_is_said_first(
    out: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before states are looked for, and long before anybody is asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(LabelFileError, match=f"^{out} .*{words}"):
        label_states(config(tmp_path, env=LAVA, states=5, out=out))
    assert {entry.name for entry in tmp_path.iterdir()} == {"folder", "file"}
    assert capsys.readouterr().err == ""


def test_a_colon_makes_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert label_states(config(tmp_path, env=LAVA, states=5, out="d:x/y")).rows == 5
    again = config(tmp_path, from_file="d:x/y", out="again.parquet")
    assert label_states(again).rows == 5


def test_a_calibration_of_another_task_is_a_wrong_file(tmp_path: Path) -> None:
    """Wrong input, not a teacher that can't: `train` leaves with 2, as for any other."""
    inner = load_teacher("expert")
    row: dict[str, object] = {"teacher": "expert", "task": "lava-gap", "temperature": {"value": 2}}
    row["fingerprint"] = inner.fingerprint
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"results": [row]}))
    teacher = calibrated(inner, report)
    assert teacher.supports(states(1, LAVA)[0].task) is None
    with pytest.raises(ConfigError, match=r"report\.json covers lava-gap, not go-to-door"):
        teacher.supports(states(1)[0].task)
    options = ["--env", DOOR, "--teacher", "expert", "--calibrate", str(report)]
    assert cli.main(["train", *options, "--run-dir", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()


def test_failures_are_rows_and_the_unasked_are_not(tmp_path: Path) -> None:
    def some(view: View, teacher: FakeTeacher) -> Label:
        kinds = {0: "refusal", 1: "budget"}
        kind = kinds.get(len(teacher.asked) % 5)
        return teacher.failure_for(view, kind) if kind else teacher.label_for(view)  # type: ignore[return-value]

    with LabelStore(tmp_path / "store") as store:
        teacher = StoredTeacher(FakeTeacher(some), store)
        result = label_here(teacher, states(20), tmp_path / "labels.parquet")
    assert (result.counts.failed, result.counts.missing, result.rows) == (4, 4, 16)
    kinds = pq.read_table(Path(result.out))["kind"].to_pylist()
    assert kinds.count("failure") == 4


def test_when_nothing_could_be_labelled(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        teacher = StoredTeacher(FakeTeacher(failing("rejected")), store)
        with pytest.raises(TeacherError, match=r"not one of 5 states .* rejected: it was rejected"):
            label_here(teacher, states(5), tmp_path / "labels.parquet")


def test_a_stop_half_way_leaves_no_half_file(tmp_path: Path) -> None:
    def stopped(view: View, teacher: FakeTeacher) -> Label:
        if len(teacher.asked) == 8:
            raise KeyboardInterrupt
        return teacher.label_for(view)

    out = tmp_path / "labels.parquet"
    with LabelStore(tmp_path / "store") as store:
        with pytest.raises(KeyboardInterrupt):
            label_here(StoredTeacher(FakeTeacher(stopped), store), states(20), out)
        assert list(tmp_path.glob("*.parquet*")) == []
        fake = FakeTeacher()
        assert label_here(StoredTeacher(fake, store), states(20), out).rows == 20
        assert len(fake.asked) == 13


def test_symmetric_views_are_one_question(tmp_path: Path) -> None:
    views = states(400)
    questions = {canonical(view)[0].key for view in views}
    fake = FakeTeacher()
    with LabelStore(tmp_path / "store") as store:
        teacher = CanonicalTeacher(StoredTeacher(fake, store))
        labels = teacher.label(views)
        assert set(fake.asked) == questions and len(fake.asked) == len(questions) < 300
        assert teacher.counts.saved == 400 - len(questions)
        assert {label.fingerprint for label in labels} == {teacher.fingerprint}
        assert teacher.label(views) == labels and len(fake.asked) == len(questions)


@pytest.mark.parametrize("env_id", ["MiniGrid-LavaGapS7-v0", DOOR, "MiniGrid-Fetch-6x6-N2-v0"])
def test_a_carried_answer_is_as_good_as_one_asked_for(env_id: str) -> None:
    """The planner's answer about the representative, carried back, is its answer about the view."""
    views = states(150, env_id)
    carried = CanonicalTeacher(load_teacher("expert")).label(views)
    asked = load_teacher("expert").label(views)
    for one, other in zip(carried, asked, strict=True):
        assert isinstance(one, Label) and isinstance(other, Label)
        assert list(one.probabilities) == list(other.probabilities)
        assert one.probabilities == pytest.approx(other.probabilities)


def test_without_symmetry_nothing_is_saved(tmp_path: Path) -> None:
    result = label_states(config(tmp_path, env=DOOR, states=60))
    assert result.counts.saved == 0
    saved = label_states(config(tmp_path, env=DOOR, states=60, symmetry="canonical"))
    assert saved.counts.saved > 0 and saved.rows == 60
    assert "saved by symmetry" in saved.summary()


def test_images_go_into_the_file(tmp_path: Path) -> None:
    result = label_states(config(tmp_path, env=DOOR, states=5, images=True))
    images = pq.read_table(Path(result.out))["image"].to_pylist()
    assert all(image["bytes"].startswith(b"\x89PNG") for image in images)
    ExportConfig(store=tmp_path / "store", out=tmp_path / "b.parquet", images=True).run()
    again = pq.read_table(tmp_path / "b.parquet").to_pylist()
    keys = {row["key"]: row["image"] for row in again}
    assert [keys[key] for key in pq.read_table(Path(result.out))["key"].to_pylist()] == images
