"""A key for every provider, no proxy of the machine's own, and a view to ask about."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvlm2p.envs import View
from tests.support.chat import KEY, some_views
from tests.support.protocols import (
    set_keys,
)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_text(KEY)
    return tmp_path / "keys"
