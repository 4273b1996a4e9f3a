"""The picture of a MiniGrid state, drawn from its snapshot.

The grid is, pixel for pixel, MiniGrid's own full render without highlighting. What is carried,
which MiniGrid does not draw, is shown in a row of its own beneath the grid. Cells that were not
seen, on a map of what was seen, are hatched.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import COLORS, EMPTY, GOAL, UNSEEN, Cell, decode_state
from lvlm2p.envs.task import ImageStyle, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 2**26
"""Of a picture, margins and all: 8,192 by 8,192."""

PAPER = (255, 255, 255)
INK = (0, 0, 0)
HATCH = (150, 150, 150)

# Rows of 5 pixels, a digit each: drawn here, so that pictures are the same on every machine.
DIGITS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}


def draw_minigrid(view: View, style: ImageStyle) -> NDArray[np.uint8]:
    """The whole grid with the agent, (height, width, 3) RGB.

    ``tile * rows`` by ``tile * columns`` pixels; a row more where something is carried (the object
    stands at its left end), a row and a column more with margins.
    """
    state, tile = decode_state(view.state), style.tile
    kind, color = state.carried
    rows = state.height + bool(kind)
    if (rows + 1) * (state.width + 1) * tile**2 > MAX_PIXELS:
        raise UserError(f"a picture of {state.width * tile:,} pixels in a row is not drawn.")
    picture = np.zeros((rows * tile, state.width * tile, 3), np.uint8)
    for x in range(state.width):
        for y in range(state.height):
            agent = state.direction if (x, y) == (state.x, state.y) else None
            picture[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile] = draw_cell(
                state.cell(x, y), agent, tile
            )
    if kind:
        picture[-tile:, :tile] = draw_cell(Cell(kind, color, 1), None, tile)
    return _with_margins(picture, state.width, state.height, tile) if style.margins else picture


@lru_cache(maxsize=4096)
def draw_cell(cell: Cell, agent: int | None, tile: int) -> NDArray[np.uint8]:
    """One cell, (tile, tile, 3), as MiniGrid draws it; ``agent``: the direction of one in it."""
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import Goal, WorldObj

    if cell.kind == UNSEEN and agent is None:
        return _hatched(tile)
    obj: WorldObj | None = None
    if cell.kind > EMPTY:
        obj = WorldObj.decode(*cell)
    if cell.kind == GOAL:  # MiniGrid's own decoding forgets a goal's colour
        obj = Goal(COLORS[cell.color])
    drawn: NDArray[np.uint8] = Grid.render_tile(obj, agent, tile_size=tile).astype(np.uint8)
    return drawn


def _hatched(tile: int) -> NDArray[np.uint8]:
    """A cell that was not seen: grey lines, falling to the left, on white."""
    rows, columns = np.indices((tile, tile))
    lines = (rows + columns) % max(2, tile // 4) < max(1, tile // 16)
    square = np.full((tile, tile, 3), PAPER, np.uint8)
    square[lines] = HATCH
    return square


def _with_margins(
    picture: NDArray[np.uint8], width: int, height: int, tile: int
) -> NDArray[np.uint8]:
    """The picture with row numbers at its left and column numbers on top."""
    framed = np.full((picture.shape[0] + tile, picture.shape[1] + tile, 3), PAPER, np.uint8)
    framed[tile:, tile:] = picture
    for x in range(width):
        framed[:tile, (x + 1) * tile : (x + 2) * tile] = _number(x, tile)
    for y in range(height):
        framed[(y + 1) * tile : (y + 2) * tile, :tile] = _number(y, tile)
    return framed


@lru_cache(maxsize=512)
def _number(number: int, tile: int) -> NDArray[np.uint8]:
    """A number in the middle of a (tile, tile, 3) white square."""
    digits = [
        np.array([[int(bit) for bit in row] for row in DIGITS[digit].split()], bool)
        for digit in str(number)
    ]
    gap = np.zeros((7, 1), bool)
    glyphs = np.hstack([part for digit in digits for part in (digit, gap)][:-1])
    scale = max(1, min(tile // 14, tile // (glyphs.shape[1] + 1)))
    glyphs = np.kron(glyphs, np.ones((scale, scale), bool))[:tile, :tile]
    square = np.full((tile, tile, 3), PAPER, np.uint8)
    top, left = (tile - glyphs.shape[0]) // 2, (tile - glyphs.shape[1]) // 2
    square[top : top + glyphs.shape[0], left : left + glyphs.shape[1]][glyphs] = INK
    return square
