"""What the voxels below a mask are worth: means in Hounsfield units, one pass over the planes of a volume.

A plane is read once for all masks that meet it, and only planes that a mask meets are read. Sums of whole numbers are
exact, so that no order of the masks changes a bit of a mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.images.volume_data import VolumeData
from curate.images.windows import HU

__all__ = ["Hounsfield", "add_means", "hounsfield_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Hounsfield:
    """The values of a volume of one timepoint and one channel [slice, row, column]: times `slope` plus `intercept` HU.

    `open` opens the stored array, which is read plane by plane.
    """

    open: Callable[[], Any] = field(repr=False)
    slope: float
    intercept: float


def hounsfield_of(volume: VolumeData, opened: Callable[[], Any]) -> Hounsfield | None:
    """The stored values of a volume, where they are proved to be Hounsfield units and it has one timepoint."""
    if volume.rescale_unit != HU or volume.axes != "zyx":
        return None
    slope = 1.0 if volume.rescale_slope is None else volume.rescale_slope
    return Hounsfield(opened, slope, volume.rescale_intercept or 0.0)


@dataclass(slots=True)
class _Sum:
    """The runs of one mask, ascending, and the sum of the values below them."""

    row: dict[str, Any]
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    total: int | float = 0


def add_means(rows: Sequence[dict[str, Any]], values: Hounsfield, beat: Callable[[], None]) -> None:
    """Fill `mean_hu` of those rows of `annotations` that hold a mask in the volume of these values.

    A mean that is not finite (a value that is no number) stays null. `beat` is called before each plane.
    """
    sums = [_begun(row) for row in rows if row["mask"] is not None]
    if not sums:
        return
    stored = values.open()
    met = sorted({z for one in sums for z in range(int(one.row["box"][2]), int(one.row["box"][5]))})
    for z in met:
        beat()
        plane: Array = np.asarray(stored[z])
        size = plane.size
        wide = np.int64 if plane.dtype.kind in "iub" else np.float64
        column_major = np.zeros(size + 1, dtype=wide)  # one more, so that a run may end at the last voxel
        column_major[:size] = plane.T.ravel()
        for one in sums:
            if one.row["box"][2] <= z < one.row["box"][5]:
                _add(one, column_major, z * size, size)
    for one in sums:
        mean = float(one.total) / int((one.stops - one.starts).sum()) * values.slope + values.intercept
        one.row["mean_hu"] = mean if np.isfinite(mean) else None


def _begun(row: dict[str, Any]) -> _Sum:
    ends = np.cumsum(np.asarray(row["mask"]["counts"], dtype=np.int64))
    return _Sum(row, ends[:-1:2], ends[1::2])


def _add(one: _Sum, column_major: Array, first: int, size: int) -> None:
    """Add the values of one plane, whose first voxel is `first` in the volume."""
    low = int(np.searchsorted(one.stops, first, side="right"))
    high = int(np.searchsorted(one.starts, first + size, side="left"))
    if low == high:
        return
    bounds = np.empty(2 * (high - low), dtype=np.int64)
    bounds[0::2] = np.maximum(one.starts[low:high] - first, 0)
    bounds[1::2] = np.minimum(one.stops[low:high] - first, size)
    one.total += np.add.reduceat(column_major, bounds)[::2].sum().item()
