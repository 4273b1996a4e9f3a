"""`play --render human`: a window where there is a display, one sentence where there is none."""

from __future__ import annotations

from pathlib import Path

import pygame
import pytest
from PIL import Image

from lvlm2p.student.playback.screen import show_pictures
from lvlm2p.teachers import ConfigError
from tests.support.students import student_of
from tests.test_cli import last_json, run

ENV = "MiniGrid-LavaGapS5-v0"
NAMED = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


def picture(color: str) -> Image.Image:
    return Image.new("RGB", (8, 4), color)


def test_without_a_display_it_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMED:
        monkeypatch.delenv(name, raising=False)
    assert run("play", "--run", tmp_path, "--render", "human") == 2
    assert "--render human needs a display, and there is none here" in capsys.readouterr().err
    monkeypatch.setenv("DISPLAY", ":9999")  # there is a name and nobody behind it
    with pytest.raises(ConfigError, match="needs a display"):
        show_pictures([(picture("red"), 1)], "x")


def test_pictures_are_shown_in_a_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.chdir(tmp_path)
    flips: list[tuple[int, int]] = []
    flip = pygame.display.flip

    def counted() -> None:
        flips.append(pygame.display.get_window_size())
        flip()

    monkeypatch.setattr(pygame.display, "flip", counted)
    monkeypatch.setattr("lvlm2p.student.playback.play.HOLD_MS", 1)
    student_of(ENV, tmp_path)
    asked = ("play", "--run", tmp_path, "--render", "human", "--episodes", "1", "--fps", "50")
    assert run(*asked, "--json") == 0
    said = last_json(capsys.readouterr().out)
    assert said["out"] is None and said["frames"] == len(flips) > 1 and len({*flips}) == 1
    assert list(tmp_path.glob("*.gif")) == [] and not pygame.display.get_init()
    assert run(*asked, "--out", "too.gif") == 0 and (tmp_path / "too.gif").exists()


def test_closing_the_window_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    colors: list[tuple[int, ...]] = []

    def closed_at_the_second() -> None:
        surface = pygame.display.get_surface()
        assert surface is not None
        colors.append(tuple(surface.get_at((3, 3)))[:3])
        if len(colors) == 2:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    monkeypatch.setattr(pygame.display, "flip", closed_at_the_second)
    pictures = [(picture(color), 1) for color in ("red", "blue", "lime")]
    assert show_pictures([*pictures[:1], (pictures[1][0], 60_000), pictures[2]], "x") == 2
    assert colors == [(255, 0, 0), (0, 0, 255)]
