"""Where a key is read from, in every form in which people keep it; and what is never sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted.api_keys import read_keys

OPENAI = ("OPENAI_API_KEY",)


def read(tmp_path: Path, text: str, variables: tuple[str, ...] = OPENAI) -> tuple[str, ...]:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    return read_keys("gpt-4v", variables, file)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("sk-abc\n", ("sk-abc",)),
        ("OPENAI_API_KEY=sk-abc", ("sk-abc",)),
        ("export OPENAI_API_KEY=sk-abc\n", ("sk-abc",)),
        ("export  OPENAI_API_KEY = 'sk-abc'  # mine\n", ("sk-abc",)),
        ('OPENAI_API_KEY="sk-abc"# mine\n', ("sk-abc",)),
        ('OPENAI_API_KEY=""sk-abc""', ("sk-abc",)),
        ("\ufeffOPENAI_API_KEY=sk-abc\r\n", ("sk-abc",)),
        ("# keys\n\n  sk-a  \n\t\nsk-b # old\n'sk-c'\n", ("sk-a", "sk-b", "sk-c")),
        ("OPENAI_API_KEY=sk-a,sk-b\nsk-c\nsk-a\n", ("sk-a", "sk-b", "sk-c")),
        ("ANTHROPIC_API_KEY=sk-ant\nOPENAI_API_KEY=sk-abc\nDEBUG=1\n", ("sk-abc",)),
        ("api_key=sk-abc", ("sk-abc",)),
        ("OPENAI_API_KEY=c2VjcmV0==", ("c2VjcmV0==",)),
        ("c2VjcmV0==", ("c2VjcmV0==",)),
        ("sk-a=b", ("sk-a=b",)),
        ("DEBUG=1\nsk-abc", ("sk-abc",)),
    ],
)
def test_a_key_file(text: str, keys: tuple[str, ...], tmp_path: Path) -> None:
    assert read(tmp_path, text) == keys


def test_a_server_of_ones_own_takes_a_key_of_any_name(tmp_path: Path) -> None:
    assert read(tmp_path, "VLLM_API_KEY=token-1", ()) == ("token-1",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no key for OPENAI_API_KEY: no line is one"),
        ("# none\n\n", "no line is one"),
        (
            "ANTHROPIC_API_KEY=sk-secret\n",
            "holds no key for OPENAI_API_KEY: only ANTHROPIC_API_KEY",
        ),
        ("OPENAI_API_KEY=\n", "holds no key"),
        ("OPENAI_API_KEY=''\n", "holds no key"),
        ("\nOPENAI_API_KEY: sk-secret\n", "line 2, is neither a key nor NAME=key"),
        ('{"key": "sk-secret"}', "line 1, is neither a key nor NAME=key"),
        ("OPENAI_API_KEY=sk secret", "line 1, is neither a key nor NAME=key"),
        ('"\n', "line 1, is neither"),
        ("THESECRETK3Y=\n", "holds no key for OPENAI_API_KEY: no line is one"),
    ],
)
def test_a_file_without_a_usable_key_is_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TeacherNotReadyError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert says in message and "secret" not in message.lower() and "\n" not in message


def test_quotes_in_a_variable_are_no_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker --env-file` leaves them there."""
    monkeypatch.setenv("OPENAI_API_KEY", "\"sk-a\", 'sk-b',")
    assert read_keys("gpt-4v", OPENAI, None) == ("sk-a", "sk-b")
    monkeypatch.setenv("OPENAI_API_KEY", '"sk-a,sk-b"')
    assert read_keys("gpt-4v", OPENAI, None) == ("sk-a", "sk-b")
