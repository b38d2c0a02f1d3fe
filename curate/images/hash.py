"""A 64-bit difference hash of the luma: near-equal pictures differ in few bits.

Definition. The raster is first reduced to the means of its 8 x 8 blocks of luma (ITU-R BT.601), counted from the
upper left corner; blocks at the right and lower edge may be smaller. A raster with a side under `MIN_REDUCED` pixels is
not reduced. Those means are averaged over 8 rows of 9 cells, whose edges are the integer parts of i n / 8 and i n / 9.
Row by row, a bit is one where a cell is brighter than its left neighbour by more than `STEP` grey levels; the first
pair is the highest bit. Samples of 16 bits are first shifted into 8, see `base.as_bytes_range`.

Blocks of 8 are what a JPEG decoder gives at 1/8 scale from the coefficients of order zero alone, so verifying a JPEG
yields the hash. The same picture re-encoded without loss lands within 4 bits. Krawetz, "Kind of like that", 2013,
describes the family. All arithmetic is on integers and single correctly rounded divisions: equal on every machine.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from curate.images.base import Array, as_bytes_range

__all__ = ["BLOCK", "difference_hash", "hash_of_array", "hash_of_image", "reduction"]

ROWS: Final = 8
CELLS: Final = 9

BLOCK: Final = 8
"""Side of a block: the one of JPEG's transform."""

MIN_REDUCED: Final = 144
"""Shorter side from which blocks are used: two blocks to a cell."""

STEP: Final = 0.75
"""Grey levels that a cell must be brighter by: a flat background gives zeros, whatever the rounding of a codec."""


def reduction(width: int, height: int) -> int:
    """The factor by which a raster is reduced before hashing: 8 or 1."""
    return BLOCK if min(width, height) >= MIN_REDUCED else 1


def difference_hash(luma: npt.NDArray[np.uint8]) -> int:
    """The hash of a luma raster that is already reduced: rows, columns; 0 to 2**64 - 1."""
    starts, lefts, areas = _cells(*luma.shape)
    sums = np.add.reduceat(np.add.reduceat(luma, starts, axis=0, dtype=np.uint32), lefts, axis=1)
    means = sums / areas
    return int.from_bytes(np.packbits(means[:, 1:] - means[:, :-1] > STEP).tobytes(), "big")


def hash_of_image(image: Image.Image) -> int:
    """The hash of a decoded 8-bit picture of mode L or RGB."""
    factor = reduction(*image.size)
    small = image.reduce(factor) if factor > 1 else image
    return difference_hash(np.asarray(small.convert("L")))


def hash_of_array(array: Array) -> int:
    """The hash of decoded samples: rows, columns, and channels where there is more than one; alpha has no say."""
    samples = as_bytes_range(array)
    if samples.ndim == 3:
        samples = samples[..., 0] if samples.shape[2] <= 2 else samples[..., :3]
    return hash_of_image(Image.fromarray(np.ascontiguousarray(samples)))


@lru_cache(maxsize=256)
def _cells(height: int, width: int) -> tuple[Array, Array, Array]:
    """First row and first column of each cell, and its area; a raster with fewer samples than cells repeats them."""
    starts = np.arange(ROWS) * height // ROWS
    lefts = np.arange(CELLS) * width // CELLS
    heights = np.maximum(np.diff(starts, append=height), 1)
    widths = np.maximum(np.diff(lefts, append=width), 1)
    return starts, lefts, np.outer(heights, widths)
