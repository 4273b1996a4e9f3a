"""Every test gets its own label store, and nobody's API keys nor endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
ENDPOINTS = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default label store of this test."""
    store = tmp_path / "default-store"
    monkeypatch.setenv("LVLM2P_STORE", str(store))
    for key in (*KEYS, *ENDPOINTS, "GEMINI_API_BASE", "USE_LITELLM_PROXY"):
        monkeypatch.delenv(key, raising=False)
    return store


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Tasks that this test registers are forgotten after it."""
    from lvlm2p.envs import registry, tasks

    tasks()
    before, generic = dict(registry._TASKS), dict(registry._GENERIC)
    yield
    registry._GENERIC.clear()
    registry._GENERIC.update(generic)
    registry._TASKS.clear()
    registry._TASKS.update(before)
    registry._match.cache_clear()
