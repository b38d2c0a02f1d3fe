"""Planes of a stored volume: their samples, how they are shown, and where they lie in the patient."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import numpy as np

from curate.geometry_3d import Affine, Grid
from curate.images.volume_data import Array, VolumeData

__all__ = ["AXES", "Plane", "Stack", "evenly_spread", "oblique_degrees", "picture_of_plane", "slice_affine"]

Plane = Literal["axial", "coronal", "sagittal"]

AXES: Final[Mapping[str, int]] = {"axial": 0, "coronal": 1, "sagittal": 2}
"""The array axis (slice, row, column) that a plane's index counts along, in an array that lies nearest to LPS."""

WINDOW_SAMPLES: Final = 4 * 2**20
"""Voxels from which percentiles are found, evenly spread over the volume: more would not move them by a grey level."""

GATHER_BYTES: Final = 64 * 2**20
"""Of planes across the stored ones that are put together in one pass through the volume."""


def evenly_spread(count: int, length: int) -> list[int]:
    """At most `count` indices, each in the middle of its share of 0 to `length`."""
    return list(range(length)) if count >= length else [(2 * n + 1) * length // (2 * count) for n in range(count)]


class Stack:
    """The stored voxels of one volume, plane by plane; of several timepoints the first."""

    def __init__(self, array: Any, volume: VolumeData) -> None:
        self._array = array
        self._lead = (0,) * ("t" in volume.axes) + (slice(None),) * ("c" in volume.axes)
        self._coloured = "c" in volume.axes
        sizes = dict(zip(volume.axes, volume.shape, strict=True))
        self._shape = (sizes["z"], sizes["y"], sizes["x"])

    def axial(self, index: int) -> Array:
        """Rows, columns, and colours where there are any."""
        stored = np.asarray(self._array[(*self._lead, index)])
        return np.moveaxis(stored, 0, -1) if self._coloured else stored

    def sample(self) -> Array:
        """Evenly spread voxels."""
        depth, height, width = self._shape
        total = depth * height * width
        step = -(-total // WINDOW_SAMPLES)
        return np.concatenate([self.axial(k).reshape(-1)[-k * height * width % step :: step] for k in range(depth)])

    def planes(self, axis: int, indices: list[int], beat: Callable[[], None]) -> Iterator[tuple[int, Array]]:
        """The planes at some indices of an axis, in the order of the array: the two other axes."""
        if axis == 0:
            for index in indices:
                beat()
                yield index, self.axial(index)
            return
        plane_bytes = self._array.nbytes // max(1, self._shape[axis])
        batch = max(1, GATHER_BYTES // max(1, plane_bytes))
        for begin in range(0, len(indices), batch):
            some = indices[begin : begin + batch]
            rows = []
            for k in range(self._shape[0]):
                beat()
                rows.append(np.take(self.axial(k), some, axis=axis - 1))
            gathered = np.stack(rows)  # slice, row, column, with the cut axis as long as `some`
            for number, index in enumerate(some):
                yield index, np.take(gathered, number, axis=axis)


def picture_of_plane(samples: Array, axis: int) -> Array:
    """A plane in the order of the array as it is shown: slices run downwards where they are rows."""
    return samples if axis == 0 else samples[::-1]


def slice_affine(grid: Grid, axis: int, index: int) -> Affine:
    """Maps (column, row, 0, 1) of the picture of a plane to millimetres; the third column is the step to the next."""
    depth = grid.shape[0]
    columns = {
        0: ([1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, index]),
        1: ([1, 0, 0], [0, 0, -1], [0, 1, 0], [0, index, depth - 1]),
        2: ([0, 1, 0], [0, 0, -1], [1, 0, 0], [index, 0, depth - 1]),
    }[axis]
    volume_from_picture = np.eye(4)
    volume_from_picture[:3] = np.array(columns, dtype=np.float64).T
    product: Affine = grid.matrix @ volume_from_picture
    return product


def oblique_degrees(grid: Grid, axis: int) -> float:
    """Between the normal of a plane and the patient's axis that names it."""
    steps = grid.matrix[:3, :3]
    first, second = (steps[:, 2 - other] for other in range(3) if other != axis)
    normal = np.cross(first, second)
    cosine = abs(float(normal[2 - axis])) / float(np.linalg.norm(normal))
    return float(np.degrees(np.arccos(min(1.0, cosine))))
