"""A folder of weights may bring Python code. It is never run, and nobody is asked whether to."""

from __future__ import annotations

import ast
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.local.tiny_vl import CHECKPOINT
from tests.support.chat import some_views

ROOT = Path(__file__).parents[3]
CODE = """
from pathlib import Path
Path({proof!r}).write_text("run")
from transformers import PretrainedConfig
class Foreign(PretrainedConfig):
    model_type = "foreign"
"""


def with_foreign_model(folder: Path) -> None:
    """As hubs have them: the architecture itself is code."""
    classes = {"AutoConfig": "foreign.Foreign", "AutoModelForImageTextToText": "foreign.Foreign"}
    change(folder / "config.json", model_type="foreign", auto_map=classes)


def with_foreign_tokenizer(folder: Path) -> None:
    change(
        folder / "tokenizer_config.json",
        tokenizer_class="ForeignTokenizer",
        auto_map={"AutoTokenizer": ["foreign.Foreign", "foreign.Foreign"]},
    )


def with_foreign_image_processor(folder: Path) -> None:
    change(
        folder / "preprocessor_config.json",
        image_processor_type="ForeignImageProcessor",
        auto_map={"AutoImageProcessor": "foreign.Foreign"},
    )


def change(path: Path, **fields: Any) -> None:
    content = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**content, **fields}), "utf-8")


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


@pytest.mark.parametrize(
    "make", [with_foreign_model, with_foreign_tokenizer, with_foreign_image_processor]
)
def test_code_from_a_model_folder_is_never_run(
    tmp_path: Path,
    view: View,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
) -> None:
    folder, proof = tmp_path / "model", tmp_path / "proof"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "foreign.py").write_text(CODE.format(proof=str(proof)), "utf-8")
    make(folder)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    answers = io.StringIO("y\n" * 9)
    monkeypatch.setattr("sys.stdin", answers)
    try:
        load_teacher("qwen-vl-hf", options={"model": str(folder), "shots": 0}).label([view])
    except TeacherNotReadyError as error:
        assert str(error).startswith("teacher 'qwen-vl-hf': the model") and "\n" not in str(error)
        if make is with_foreign_model:
            assert "such code is never run here" in str(error)
    assert not proof.exists()
    assert answers.tell() == 0, "nobody was asked"
    assert "y/N" not in capfd.readouterr().out


def test_whatever_is_loaded_is_loaded_without_code() -> None:
    found = 0
    for path in (ROOT / "teachers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("trust_remote_code") == "False", f"{path}: {ast.unparse(node)}"
                found += 1
    assert found >= 4
