"""Every test gets its own label store, and nobody's API keys."""

from __future__ import annotations

from pathlib import Path

import pytest

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default label store of this test."""
    store = tmp_path / "default-store"
    monkeypatch.setenv("LVLM2P_STORE", str(store))
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    return store
