"""Foreign JSON and YAML: read within limits or refused in a few words, and read here alone."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lvlm2p.envs.untrusted import (
    MAX_DEPTH,
    MAX_DIGITS,
    MalformedDataError,
    parse_json,
    plain,
    read_bytes,
    read_json,
    read_text,
    read_yaml,
    shorten,
)
from tests.support.hostile import ESCAPES, FUZZ, JSON_BYTES, OBEYED, YAML_BYTES
from tests.test_structure import place, sources, tree


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_good_is_read() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 2.5, null, true, "\\ud83d\\ude00"]}') == {
        "a": [1, 2.5, None, True, "😀"]
    }
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert parse_json("9" * MAX_DIGITS) == int("9" * MAX_DIGITS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested more than 64 deep"),
        ("[" * 100_000, "nested more than 64 deep"),
        ("9" * (MAX_DIGITS + 1), "a number of 101 digits"),
        ('["' + "\\ud800" + '"]', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
        ('"\ud800"', "half a character"),
        (b"\xff", "not JSON: 'utf-8' codec"),
        ("", "not JSON"),
        ("[1]" * 10, "not JSON"),
    ],
)
def test_what_is_not_is_a_few_words(data: bytes | str, said: str) -> None:
    with pytest.raises(MalformedDataError, match=said):
        parse_json(data)


def test_size_is_limited(tmp_path: Path) -> None:
    with pytest.raises(MalformedDataError, match="larger than 10 bytes"):
        parse_json("[" + "1," * 10 + "1]", max_bytes=10)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)
    assert read_text(path, 11) == "x" * 11
    for read in (read_bytes, read_text, read_json):
        with pytest.raises(MalformedDataError, match="larger than 10 bytes"):
            read(path, 10)
    with pytest.raises(MalformedDataError, match="larger than 1,000 bytes"):
        read_bytes(Path(os.devnull).with_name("zero"), 1_000)  # a device without an end
    with pytest.raises(MalformedDataError, match="no name of a file"):
        read_bytes(Path("a\x00b"))
    path.write_bytes(b"\xff")
    with pytest.raises(MalformedDataError, match="not UTF-8"):
        read_text(path)


def test_yaml_is_plain_data(tmp_path: Path) -> None:
    text = "a: 1\nb: [2.5, yes, ~, 'x']\nc: {d: 2024-01-01, e: 12:30}\n<<: 1\n"
    assert read_yaml(yaml_file(tmp_path, text)) == {
        "a": 1,
        "b": [2.5, True, None, "x"],
        "c": {"d": "2024-01-01", "e": 750},
        "<<": 1,
    }
    assert read_yaml(yaml_file(tmp_path, "")) is None
    assert read_yaml(yaml_file(tmp_path, "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x", "alias"),
        ("a: &a [x]\nb: {<<: *a}", "alias"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested more than 64 deep"),
        ("a: " * 1 + "[" * 10_000, "nested more than 64 deep"),
        ("a: 1\nb: 2\na: 3", "a is there twice"),
        ("a: " + "9" * 5_000, "a number of 5,000 digits"),
        ("a: 0x" + "f" * 5_000, "a number of 5,002 digits"),
        ("a: !!python/object/apply:os.system [id]", "not YAML"),
        ("a: !!timestamp 2024-01-01", "not YAML"),
        ("a: !!binary aGk=", "not YAML"),
        ("a: !!int x", "not YAML"),
        ("a: 0b_", "not YAML"),
        ("? [a]\n: b", "not YAML"),
        ('a: "\\ud800"', "half a character"),
        ("\x00", "not YAML"),
        ("a: [", "not YAML"),
    ],
)
def test_other_yaml_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedDataError, match=said) as caught:
        read_yaml(yaml_file(tmp_path, text))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def never_breaks(read: Any, data: bytes | str) -> None:
    try:
        read(data)
    except MalformedDataError as error:
        assert str(error)


@pytest.mark.parametrize("data", JSON_BYTES)
def test_the_corpus_as_json(data: bytes) -> None:
    never_breaks(parse_json, data)


@pytest.mark.parametrize("data", YAML_BYTES)
def test_the_corpus_as_yaml(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(data)
    never_breaks(lambda _: read_yaml(path), data)


@FUZZ
@given(st.text(alphabet='[]{}",:\\u0123456789.eE-tfnals \ud800é') | st.binary())
@example("[" * 2_000)
def test_any_text_as_json(data: bytes | str) -> None:
    never_breaks(parse_json, data)


@FUZZ
@given(st.text(alphabet="[]{}\"':,&*!|>-?#%@`~ \n\tab01._+<=\\x"))
def test_any_text_as_yaml(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    never_breaks(lambda _: read_yaml(yaml_file(tmp_path_factory.getbasetemp(), text)), b"")


def test_nothing_in_a_text_is_obeyed() -> None:
    shown = plain(f"good {ESCAPES}\n\tbad")
    assert not [char for char in OBEYED if char in shown]
    assert shown.startswith("good \\x1b]0;owned\\x07") and shown.endswith("\n\tbad")
    assert "\\r over" in shown and "\\u202e txet" in shown
    for kept in ("héllo wörld", "日本語", "▀█ λ·→", "a b", "e\u0301", "👍🏽"):
        assert plain(kept) == kept
    for escaped in ("\u200b", "\u2028", "\ud800", "\U000e0041", "\x00", "\x85"):
        assert plain(f"a{escaped}b") == f"a{escaped.encode('unicode_escape').decode()}b"


def test_long_texts_are_quoted_in_part() -> None:
    assert shorten("a" * 200) == "a" * 200
    assert shorten("a" * 201) == "a" * 200 + "... (201 characters)"


READ_BY_UNTRUSTED = {"json.loads", "json.load", "jsonlib.loads", "yaml.safe_load", "yaml.load"}


def test_json_and_yaml_are_read_in_one_place() -> None:
    for path in sources():
        if place(path) == "envs/untrusted.py":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute):
                name = ast.unparse(node)
                assert name not in READ_BY_UNTRUSTED, f"{place(path)}, line {node.lineno}: {name}"
