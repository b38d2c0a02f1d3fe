"""Convex blobs on a pixel grid, and what follows from them exactly: boxes, outlines, run lengths, areas.

Only additions, multiplications, divisions and square roots are used on arrays: IEEE 754 rounds these alike everywhere,
so the same seed draws the same pixels whatever vector unit the machine has.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from curate.rows import Rle
from curate.schema import identity

__all__ = [
    "Blob",
    "Bytes",
    "Field",
    "Mask",
    "Patches",
    "blobs",
    "generator",
    "patches",
    "place",
    "smooth_noise",
    "unit",
]

Field: TypeAlias = npt.NDArray[np.floating[Any]]
Mask: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]

WOBBLE = 0.06
"""Largest amplitude of the third harmonic of an outline; below 1/8 the outline stays convex."""


def generator(*fields: object) -> np.random.Generator:
    """The random stream that belongs to these fields and to nothing else."""
    return np.random.Generator(np.random.PCG64(int(identity(*fields), 16)))


@dataclass(frozen=True, slots=True)
class Blob:
    """One object on its raster: `mask` is cropped to its extent, whose upper left pixel is (`x0`, `y0`)."""

    x0: int
    y0: int
    mask: Mask
    centre: tuple[int, int]  # index of the pixel x, y that holds the centre
    truncated: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge of the visible part."""
        height, width = self.mask.shape
        return (float(self.x0), float(self.y0), float(self.x0 + width), float(self.y0 + height))

    @property
    def point(self) -> tuple[float, float]:
        """The centre of the centre pixel."""
        return (self.centre[0] + 0.5, self.centre[1] + 0.5)

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    def outline(self) -> tuple[float, ...]:
        """The one ring of pixel edges around a convex blob, clockwise from its upper left: x, y, x, y, ..."""
        starts = self.mask.argmax(axis=1) + self.x0
        ends = self.x0 + self.mask.shape[1] - self.mask[:, ::-1].argmax(axis=1)
        rows = range(self.y0, self.y0 + self.mask.shape[0])
        right = [(float(x), float(y + edge)) for x, y in zip(ends, rows, strict=True) for edge in (0, 1)]
        left = [(float(x), float(y + edge)) for x, y in zip(starts, rows, strict=True) for edge in (0, 1)]
        ring = right + left[::-1]
        corners = [
            here
            for before, here, after in zip(ring[-1:] + ring[:-1], ring, ring[1:] + ring[:1], strict=True)
            if not before[0] == here[0] == after[0]
        ]
        return tuple(number for corner in corners for number in corner)

    def rle(self, width: int, height: int) -> Rle:
        """Run lengths on the whole raster, column by column, zeros first."""
        columns = np.zeros((self.mask.shape[1], self.mask.shape[0] + 2), np.int8)
        columns[:, 1:-1] = self.mask.T
        column, row = np.nonzero(np.diff(columns, axis=1))
        edges = (column + self.x0) * height + row + self.y0
        joined = edges[1:-1].reshape(-1, 2)  # a run that ends where the next begins crosses a border of columns
        kept = joined[joined[:, 0] != joined[:, 1]].ravel()
        marks = np.concatenate(([0], edges[:1], kept, edges[-1:], [width * height]))
        counts = np.diff(marks)
        return Rle(height, width, [int(count) for count in (counts if counts[-1] else counts[:-1])])


@dataclass(frozen=True, slots=True)
class Patches:
    """Square windows around n outlines, each `size` pixels wide, drawn together.

    `rho` is the distance from the centre in units of the outline, `depth_px` the distance to the outline in pixels,
    positive inside; both have shape (n, size, size).
    """

    left: npt.NDArray[np.int64]
    top: npt.NDArray[np.int64]
    centres: npt.NDArray[np.float64]
    rho2: Field
    depth_px: Field

    @property
    def size(self) -> int:
        """Width and height of each window in pixels."""
        return int(self.rho2.shape[1])


def place(
    rng: np.random.Generator,
    radii: Any,
    *,
    width: int,
    height: int,
    gap_px: float,
    border: float = 1 / 3,
    tries: int = 6,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Centres for circles that keep `gap_px` apart: indices of those that found a place, and their x, y.

    Earlier circles are placed first. A centre keeps `border` of its radius from the edges of the image: 1 leaves every
    circle whole, a third may cut it but never to a sliver.
    """
    owner = np.repeat(np.arange(len(radii)), tries)
    radius = np.asarray(radii, np.float64)[owner]
    spot = rng.random((len(owner), 2))
    x = radius * border + spot[:, 0] * (width - 2 * border * radius)
    y = radius * border + spot[:, 1] * (height - 2 * border * radius)
    reach = radius[:, None] + radius[None, :] + gap_px
    free = (x[:, None] - x[None, :]) ** 2 + (y[:, None] - y[None, :]) ** 2 > reach * reach
    free &= owner[:, None] != owner[None, :]
    alive = np.ones(len(owner), np.bool_)
    chosen: list[int] = []
    while alive.any():
        first = int(alive.argmax())
        chosen.append(first)
        alive &= free[first]
    return owner[chosen], np.stack([x[chosen], y[chosen]], axis=1)


def patches(rng: np.random.Generator, centres: npt.NDArray[np.float64], radii: Any, stretch: Any, size: int) -> Patches:
    """Slightly irregular ellipses of mean radius `radii` and axis ratio `stretch`, turned at random."""
    count = len(centres)
    left = np.floor(centres[:, 0]).astype(np.int64) - size // 2
    top = np.floor(centres[:, 1]).astype(np.int64) - size // 2
    steps = np.arange(size, dtype=np.float64) + 0.5
    dx = (steps + (left - centres[:, 0])[:, None]).astype(np.float32)[:, None, :]
    dy = (steps + (top - centres[:, 1])[:, None]).astype(np.float32)[:, :, None]
    half = rng.random(count) * 2 - 1  # the tangent of half the angle turns without sine and cosine
    cosine = ((1 - half * half) / (1 + half * half)).astype(np.float32)[:, None, None]
    sine = (2 * half / (1 + half * half)).astype(np.float32)[:, None, None]
    long = (np.asarray(radii) * np.sqrt(stretch)).astype(np.float32)[:, None, None]
    short = (np.asarray(radii) / np.sqrt(stretch)).astype(np.float32)[:, None, None]
    u = dx * (cosine / long) + dy * (sine / long)
    v = dy * (cosine / short) - dx * (sine / short)
    wobble = ((rng.random((2, count)) * 2 - 1) * (WOBBLE / 1.5)).astype(np.float32)[:, :, None, None]
    u2 = u * u
    v2 = v * v
    rho2 = u2 + v2
    rho = np.sqrt(rho2)
    # in place from here on: fresh memory costs more than arithmetic
    u *= u2 - 3 * v2
    u *= wobble[0]
    v *= 3 * u2 - v2
    v *= wobble[1]
    u += v
    np.multiply(rho2, rho, out=v)
    v += np.float32(1e-6)
    u /= v
    u -= rho
    u += 1
    u *= short
    return Patches(left, top, centres, rho2, u)


def blobs(drawn: Patches, width: int, height: int) -> list[Blob]:
    """The visible pixels of each outline: those whose centre lies inside it."""
    size = drawn.size
    masks: Mask = np.greater_equal(drawn.depth_px, 0)
    cut = np.zeros(len(masks), np.bool_)
    for index in np.flatnonzero(
        (drawn.left < 0) | (drawn.top < 0) | (drawn.left + size > width) | (drawn.top + size > height)
    ):
        before = np.count_nonzero(masks[index])
        masks[index, : max(0, -drawn.top[index])] = False
        masks[index, max(0, height - drawn.top[index]) :] = False
        masks[index, :, : max(0, -drawn.left[index])] = False
        masks[index, :, max(0, width - drawn.left[index]) :] = False
        cut[index] = np.count_nonzero(masks[index]) < before
    rows: Mask = np.any(masks, axis=2)
    columns: Mask = np.any(masks, axis=1)
    y0, y1 = rows.argmax(axis=1), size - rows[:, ::-1].argmax(axis=1)
    x0, x1 = columns.argmax(axis=1), size - columns[:, ::-1].argmax(axis=1)
    return [
        Blob(
            x0=int(drawn.left[index] + x0[index]),
            y0=int(drawn.top[index] + y0[index]),
            mask=masks[index, y0[index] : y1[index], x0[index] : x1[index]],
            centre=(int(drawn.centres[index, 0]), int(drawn.centres[index, 1])),
            truncated=bool(cut[index]),
        )
        for index in range(len(masks))
    ]


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell_px: int) -> Field:
    """Noise between -1 and 1 without detail finer than `cell_px`: a random grid, interpolated smoothly."""
    grid = (rng.random((height // cell_px + 2, width // cell_px + 2)) * 2 - 1).astype(np.float32)
    row, fy = _steps(height, cell_px)
    column, fx = _steps(width, cell_px)
    bands = grid[:, column] * (1 - fx) + grid[:, column + 1] * fx
    noise: Field = bands[row] * (1 - fy[:, None])
    noise += bands[row + 1] * fy[:, None]
    return noise


def _steps(length: int, cell_px: int) -> tuple[npt.NDArray[np.int64], Field]:
    """For each pixel the cell of the grid that it lies in, and how far through that cell, eased at both ends."""
    place = np.arange(length)
    cell = place // cell_px
    through = ((place - cell * cell_px) / cell_px).astype(np.float32)
    return cell, through * through * (3 - 2 * through)


def unit(field: Field) -> Field:
    """The field, clipped to what lies between 0 and 1."""
    clipped: Field = np.clip(field, 0, 1)
    return clipped
