"""The grid of tiles on a view of a slide: which positions there are, and which hold tissue enough."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.images.slide_tissue import share_of_tissue
from curate.images.slide_views import View

__all__ = ["MASK_SCALE", "MAX_POSITIONS", "Grid", "chosen", "grid_of", "mask_size"]

MAX_POSITIONS: Final = 4_000_000
"""Of one grid. A whole glass in tiles of 256 pixels at 0.25 microns has a third of it."""

MASK_SCALE: Final = 16
"""Pixels of level 0 along one of the tissue mask: 4 microns at a power of 40, half a nucleus."""

MAX_MASK_SIDE: Final = 4096


@dataclass(frozen=True, slots=True)
class Grid:
    """Positions k (size - overlap) along both axes of a view, of tiles that lie wholly within it."""

    size: int
    stride: int
    columns: int
    rows: int
    margin: tuple[int, int]  # columns and rows of pixels at the right and lower edge that no tile covers

    @property
    def positions(self) -> int:
        """How many tiles there could be."""
        return self.columns * self.rows


def grid_of(view: View, size: int, overlap: int) -> Grid:
    """The grid of tiles of `size` pixels that share `overlap` of them with their neighbours."""
    stride = size - overlap
    columns, rows = (0 if side < size else (side - size) // stride + 1 for side in (view.width, view.height))
    margin = [
        side - ((count - 1) * stride + size) if count else side
        for side, count in ((view.width, columns), (view.height, rows))
    ]
    return Grid(size, stride, columns, rows, (margin[0], margin[1]))


def mask_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the tissue mask of a slide of so many pixels."""
    scale = max(MASK_SCALE, max(width, height) / MAX_MASK_SIDE)
    return max(1, round(width / scale)), max(1, round(height / scale))


def chosen(grid: Grid, view: View, mask: npt.NDArray[np.bool_], least: float) -> list[tuple[int, int]]:
    """Column and row of each position whose share of tissue is at least `least`, row by row."""
    columns, rows = np.meshgrid(np.arange(grid.columns), np.arange(grid.rows))
    left, top = columns.ravel() * grid.stride, rows.ravel() * grid.stride
    boxes = np.stack([left, top, left + grid.size, top + grid.size], axis=1).astype(np.float64)
    keep = share_of_tissue(mask, boxes, (view.width, view.height)) >= least
    found: list[list[int]] = np.stack([columns.ravel()[keep], rows.ravel()[keep]], axis=1).tolist()
    return [(column, row) for column, row in found]
