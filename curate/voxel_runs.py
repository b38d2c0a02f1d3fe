"""Masks of volumes as runs of voxels: how they are measured, stored, and cut to planes.

A run lies within one column of one slice, since rows vary fastest in `schema.MASK_RLE`: the place of voxel (slice z,
row y, column x) is (z * width + x) * height + y. Two runs never touch, unless one ends a column that the next begins.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Box3, Shape3
from curate.rows import Rle

__all__ = ["MAX_RUNS", "VoxelRuns", "decode_volume", "label_runs", "mask_runs"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

MAX_RUNS: Final = 4_000_000
"""Of one mask or label map: a body in half-millimetre voxels has fewer, noise that would fill the memory has more."""


@dataclass(frozen=True, slots=True, eq=False)
class VoxelRuns:
    """The voxels of one mask in an array of `shape`: run n covers the places `starts[n]` to `stops[n] - 1`, ascending.

    There is at least one.
    """

    shape: Shape3
    starts: Places = field(repr=False)
    stops: Places = field(repr=False)

    @property
    def voxels(self) -> int:
        """How many are set."""
        return int((self.stops - self.starts).sum())

    @property
    def box(self) -> Box3:
        """The box around the set voxels: the smallest index and the largest plus one."""
        z, x, first, last = self._runs()
        edges = (x.min(), first.min(), z.min(), x.max() + 1, last.max(), z.max() + 1)
        x0, y0, z0, x1, y1, z1 = (float(edge) for edge in edges)
        return (x0, y0, z0, x1, y1, z1)

    @property
    def pieces(self) -> int:
        """How many parts of the mask touch each other nowhere, not even at a corner (26 neighbours)."""
        parent = np.arange(self.starts.size)
        for one, other in self._neighbours():
            parent = _joined(parent, one, other)
        return int(np.count_nonzero(parent == np.arange(parent.size)))

    def _neighbours(self) -> Iterator[tuple[Places, Places]]:
        """Pairs of runs that touch, by their numbers: of each column with the four that follow it."""
        depth, height, width = self.shape
        z, x, first, last = self._runs()
        for dz, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
            (own,) = np.nonzero((z + dz < depth) & (x + dx >= 0) & (x + dx < width))
            column = ((z[own] + dz) * width + x[own] + dx) * height
            begin = np.searchsorted(self.stops, column + np.maximum(first[own] - 1, 0), side="right")
            end = np.searchsorted(self.starts, column + np.minimum(last[own] + 1, height), side="left")
            met = np.maximum(end - begin, 0)
            offset = np.arange(int(met.sum())) - np.repeat(np.cumsum(met) - met, met)
            yield np.repeat(own, met), np.repeat(begin, met) + offset

    def spans(self, axis: int, index: int) -> bool:
        """Whether a plane across an array axis lies within the box, whatever is set on it."""
        return self.box[2 - axis] <= index < self.box[5 - axis]

    def rle(self) -> Rle:
        """As `schema.MASK_RLE` keeps it: zeros first, and runs that touch are one."""
        parted = np.flatnonzero(self.starts[1:] != self.stops[:-1])
        starts = self.starts[np.concatenate(([0], parted + 1))]
        stops = self.stops[np.concatenate((parted, [self.stops.size - 1]))]
        bounds = np.zeros(2 * starts.size + 1, dtype=np.int64)
        bounds[1::2], bounds[2::2] = starts, stops
        counts: list[int] = np.diff(bounds).tolist()
        depth, height, width = self.shape
        rest = depth * height * width - int(stops[-1])
        return Rle(height, width, [*counts, rest] if rest else counts, depth)

    def plane(self, axis: int, index: int) -> npt.NDArray[np.bool_]:
        """The mask on one plane across an array axis: the two other axes in the order of the array."""
        z, x, first, last = self._runs()
        depth, height, width = self.shape
        if axis == 1:
            chosen = (first <= index) & (index < last)
            plane = np.zeros((depth, width), dtype=bool)
            plane[z[chosen], x[chosen]] = True
            return plane
        across = z if axis == 0 else x
        along = x if axis == 0 else z
        chosen = across == index
        lines = np.zeros((width if axis == 0 else depth, height), dtype=bool)
        for line, start, stop in zip(
            along[chosen].tolist(), first[chosen].tolist(), last[chosen].tolist(), strict=True
        ):
            lines[line, start:stop] = True
        return lines.T if axis == 0 else lines

    def _runs(self) -> tuple[Places, Places, Places, Places]:
        """Slice, column, first row and last row plus one of each run."""
        _, height, width = self.shape
        column, first = np.divmod(self.starts, height)
        z, x = np.divmod(column, width)
        return z, x, first, first + (self.stops - self.starts)


def _joined(parent: Places, one: Places, other: Places) -> Places:
    """Trees of runs, each named by its smallest, after the pairs were joined (Shiloach and Vishkin 1982)."""
    while True:
        here, there = parent[one], parent[other]
        apart = here != there
        if not apart.any():
            return parent
        here, there = here[apart], there[apart]
        np.minimum.at(parent, np.maximum(here, there), np.minimum(here, there))
        while not np.array_equal(parent, shorter := parent[parent]):
            parent = shorter
        one, other = one[apart], other[apart]


def mask_runs(mask: Array, shape: Shape3, origin: Shape3 = (0, 0, 0)) -> VoxelRuns | None:
    """The runs of a mask [slice, row, column] whose first voxel is `origin` in an array of `shape`; None where empty.

    Raises:
        OverflowError: there are more than `MAX_RUNS`.
    """
    return label_runs(mask != 0, 0, shape, origin).get(1)


def label_runs(label_map: Array, background: int, shape: Shape3, origin: Shape3 = (0, 0, 0)) -> dict[int, VoxelRuns]:
    """The runs of every value of a label map but the background, by value, ascending.

    One pass over the map finds them all. The map [slice, row, column] begins at `origin` in an array of `shape` and
    lies within it.

    Raises:
        OverflowError: there are more than `MAX_RUNS`.
    """
    found = list(_slice_runs(label_map, background, shape, origin))
    if not found:
        return {}
    starts, stops, values = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(values, kind="stable")
    starts, stops, values = starts[order], stops[order], values[order]
    cuts = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *cuts.tolist(), values.size]
    return {
        int(values[begin]): VoxelRuns(shape, starts[begin:end], stops[begin:end])
        for begin, end in itertools.pairwise(bounds)
    }


def _slice_runs(
    label_map: Array, background: int, shape: Shape3, origin: Shape3
) -> Iterator[tuple[Places, Places, Array]]:
    """Starts, stops and values of the runs of each slice that has any."""
    depth, rows, columns = label_map.shape
    z0, y0, x0 = origin
    total = 0
    if not rows or not columns:
        return
    for z in range(depth):
        values = np.ascontiguousarray(label_map[z].T).ravel()
        if not (values != background).any():
            continue
        differs = np.empty(values.size + 1, dtype=bool)
        np.not_equal(values[1:], values[:-1], out=differs[1:-1])
        differs[0::rows] = True
        bounds = np.flatnonzero(differs)
        starts, stops = bounds[:-1], bounds[1:]
        held = values[starts]
        wanted = held != background
        starts, stops, held = starts[wanted], stops[wanted], held[wanted]
        total += starts.size
        if total > MAX_RUNS:
            raise OverflowError(f"more than {MAX_RUNS} runs of voxels")
        column, first = np.divmod(starts, rows)
        places = ((z + z0) * shape[2] + column + x0) * shape[1] + first + y0
        yield places, places + (stops - starts), held


def decode_volume(rle: Rle) -> npt.NDArray[np.bool_]:
    """The mask [slice, row, column] of run lengths with a depth."""
    if rle.depth is None:
        raise ValueError("run lengths of a volume state their depth")
    values = np.arange(len(rle.counts)) % 2 == 1
    whole = np.repeat(values, rle.counts).reshape((rle.depth, rle.width, rle.height))
    mask: npt.NDArray[np.bool_] = whole.transpose(0, 2, 1)
    return mask
