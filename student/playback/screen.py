"""Showing pictures one after the other in a window."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lvlm2p.teachers.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

POLL_MS = 10
"""How often the window looks whether it was closed."""

NOWHERE = ("dummy", "offscreen")
"""Video drivers that show nothing; SDL may fall back on them by itself."""

NO_DISPLAY = "--render human needs a display, and there is none here ({}): leave it out for a GIF"


def check_display() -> None:
    """Whether a window can be opened.

    Raises:
        ConfigError: it can't, in one sentence.
    """
    if "SDL_VIDEODRIVER" in os.environ:
        return
    named = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in named):
        raise ConfigError(NO_DISPLAY.format("neither DISPLAY nor WAYLAND_DISPLAY is set"))


def show_pictures(pictures: Sequence[tuple[Image.Image, int]], title: str) -> int:
    """Show pictures of one size, each for so many milliseconds, until the last one or until the
    window is closed (or Escape or q is pressed); how many were shown.

    Raises:
        ConfigError: a window can't be opened.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    try:
        pygame.display.init()
        if pygame.display.get_driver() in NOWHERE and "SDL_VIDEODRIVER" not in os.environ:
            raise ConfigError(NO_DISPLAY.format("SDL found no screen"))
        screen = pygame.display.set_mode(pictures[0][0].size)
        pygame.display.set_caption(title)
        for shown, (picture, ms) in enumerate(pictures, start=1):
            image = pygame.image.frombuffer(picture.tobytes(), picture.size, "RGB")
            screen.blit(image, (0, 0))
            pygame.display.flip()
            if not _stays_open(pygame, ms):
                return shown
        return len(pictures)
    except pygame.error as error:
        raise ConfigError(NO_DISPLAY.format(error)) from None
    finally:
        pygame.display.quit()


def _stays_open(pygame: Any, ms: int) -> bool:
    """Wait so long; False as soon as somebody closes the window."""
    until = pygame.time.get_ticks() + ms
    while True:
        for event in pygame.event.get():
            key = event.key if event.type == pygame.KEYDOWN else None
            if event.type == pygame.QUIT or key in (pygame.K_ESCAPE, pygame.K_q):
                return False
        left = until - pygame.time.get_ticks()
        if left <= 0:
            return True
        pygame.time.wait(min(POLL_MS, left))
