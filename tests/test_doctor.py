"""`lvlm2p doctor` says what a bug report needs, and no secret."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from lvlm2p import cli
from lvlm2p.teachers import doctor


def diagnosis(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    assert cli.main(["doctor", "--json", *options]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_versions_extras_keys_and_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    monkeypatch.setenv("XAI_API_KEY", "secret-2")
    monkeypatch.setenv("GEMINI_API_KEY", " ")
    monkeypatch.setenv("PATH", "")  # no nvidia-smi
    monkeypatch.setattr(doctor, "missing", lambda extra: ["ray"] if extra == "ray" else [])
    found = diagnosis(capsys)
    assert found["version"] == version("lvlm2p") and found["gpu_memory_gb"] is None
    assert found["packages"]["numpy"] == version("numpy")  # type: ignore[index]
    assert found["keys"] == ["OPENAI_API_KEY", "XAI_API_KEY"]
    assert found["extras"]["ray"] == ["ray"]  # type: ignore[index]
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "lacks ray: pip install 'lvlm2p[ray]'" in text and "none is seen" in text
    assert "secret" not in text + json.dumps(found)


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    assert doctor.DoctorConfig().run().packages == {"no-such-package": None}


def test_the_store_before_and_after_its_first_label_and_broken(
    own_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnosis(capsys)["store"]["state"] == "none yet"  # type: ignore[index]
    assert not own_store.exists(), "a look makes no store"
    label = ["label", "--teacher", "expert", "--env", "MiniGrid-LavaGapS5-v0", "--states", "3"]
    assert cli.main([*label, "--out", str(own_store.parent / "x.parquet")]) == 0
    capsys.readouterr()
    store = diagnosis(capsys, "--store", str(own_store))["store"]
    assert store == {
        "path": str(own_store), "state": "sound", "why": "", "labels": 3, "failures": 0
    }  # fmt: skip
    (own_store / "cache.db").write_bytes(b"no database" * 1000)
    broken = diagnosis(capsys)["store"]
    assert broken["state"] == "broken" and broken["why"]  # type: ignore[index]
    assert cli.main(["doctor"]) == 0 and "broken" in capsys.readouterr().out
