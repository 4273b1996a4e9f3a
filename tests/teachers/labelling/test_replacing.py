"""A label set that is there is replaced by one with all its answers, or with --overwrite."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvlm2p import cli
from lvlm2p.teachers.labelset.parquet import count_rows

DOOR = "MiniGrid-GoToDoor-6x6-v0"


def lvlm2p(*argv: object) -> int:
    return cli.main([str(each) for each in argv])


def labelled(tmp_path: Path, *more: object, teacher: str = "expert", states: int = 6) -> int:
    asking = ("--teacher", teacher, "--env", DOOR, "--states", states)
    places = ("--store", tmp_path / "store", "--out", tmp_path / "a.parquet")
    return lvlm2p("label", *asking, *places, *more)


def test_label_goes_on_in_its_own_file_and_spares_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.parquet"
    assert labelled(tmp_path) == 0
    assert labelled(tmp_path) == 0  # the same command goes on from there, as after a spent budget
    assert labelled(tmp_path, states=9) == 0 and count_rows(file) == 9
    kept = file.read_bytes()
    for other in (("--seed", 7), ("-T", "confidence=0.5")):
        capsys.readouterr()
        assert labelled(tmp_path, *other, states=9) == 2
        said = capsys.readouterr().err
        assert "of its 9 answers" in said and "--overwrite" in said and str(file) in said
    assert labelled(tmp_path, teacher="random", states=9) == 2
    assert file.read_bytes() == kept
    assert labelled(tmp_path, "--overwrite", teacher="random", states=2) == 0
    assert count_rows(file) == 2


def test_with_symmetry_the_same_command_goes_on_as_well(tmp_path: Path) -> None:
    assert labelled(tmp_path, "--symmetry", "canonical") == 0
    assert labelled(tmp_path, "--symmetry", "canonical") == 0


def test_another_file_is_spared_and_an_empty_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.parquet"
    file.write_text("my notes")
    assert labelled(tmp_path) == 2
    assert "--overwrite" in capsys.readouterr().err and file.read_text() == "my notes"
    file.write_text("")  # as mktemp makes it
    assert labelled(tmp_path) == 0 and count_rows(file) == 6


def test_export_spares_what_the_store_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.parquet"
    assert labelled(tmp_path) == 0
    store = ("--store", tmp_path / "store")
    assert lvlm2p("labels", "export", file, *store) == 0
    assert labelled(tmp_path, "--overwrite", teacher="random", states=3) == 0
    assert lvlm2p("labels", "export", file, *store) == 0 and count_rows(file) == 9
    capsys.readouterr()
    assert lvlm2p("labels", "export", file, *store, "--teacher", "expert") == 2
    assert "3 of its 9 answers" in capsys.readouterr().err and count_rows(file) == 9
    assert lvlm2p("labels", "export", file, *store, "--teacher", "expert", "--overwrite") == 0
    assert count_rows(file) == 6
