"""Volumes in the patient: affines, axis order, and what a mask measures there.

Arrays are indexed [slice, row, column] (z, y, x); `affine_lps` is 4 x 4 and maps (column, row, slice, 1), whole numbers
at voxel centres, to millimetres in LPS: x grows to the patient's left, y to posterior, z to superior (PS3.3
C.7.6.2.1.1). NIfTI's RAS+ becomes LPS by diag(-1, -1, 1, 1) from the left.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "RAS_TO_LPS",
    "Grid",
    "Reorientation",
    "flat",
    "lps_from_ras",
    "nearest_lps",
    "orientation_of",
    "reorient",
    "turned",
]

Affine = npt.NDArray[np.float64]

RAS_TO_LPS: Final[Affine] = np.diag([-1.0, -1.0, 1.0, 1.0])

LETTERS: Final = (("R", "L"), ("A", "P"), ("I", "S"))
"""Towards which side an axis grows: a negative and a positive step along x, y, z of LPS."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the voxels of an array lie: `shape` is (depth, height, width), `affine_lps` 16 numbers row by row."""

    shape: tuple[int, int, int]
    affine_lps: tuple[float, ...]

    @property
    def matrix(self) -> Affine:
        """The affine as an array of 4 x 4."""
        return np.array(self.affine_lps, dtype=np.float64).reshape(4, 4)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """The lengths of the steps along slice, row and column axis (array order)."""
        x, y, z = (float(length) for length in np.linalg.norm(self.matrix[:3, :3], axis=0))
        return (z, y, x)

    @property
    def voxel_mm3(self) -> float:
        """The volume of one voxel: sheared grids too."""
        return abs(float(np.linalg.det(self.matrix[:3, :3])))


@dataclass(frozen=True, slots=True)
class Reorientation:
    """How array axes are permuted, then flipped: new axis `n` is old axis `order[n]`, reversed where `flips[n]`."""

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def changes_nothing(self) -> bool:
        """True where the array stays as it is."""
        return self.order == (0, 1, 2) and not any(self.flips)


def flat(affine: Affine) -> tuple[float, ...]:
    """An affine as 16 numbers row by row, zeros without a sign."""
    return tuple(float(number) + 0.0 for number in np.asarray(affine, dtype=np.float64).reshape(16))


def lps_from_ras(affine_ras: Affine) -> Affine:
    """The affine of NIfTI and its kin, in LPS."""
    product: Affine = RAS_TO_LPS @ np.asarray(affine_ras, dtype=np.float64)
    return product


def orientation_of(affine_lps: Affine) -> str:
    """Three letters: towards which side column, row and slice index grow, by the nearest axis; each axis once."""
    axes = _nearest_axes(affine_lps)
    return "".join(LETTERS[axis][affine_lps[axis, column] > 0] for column, axis in enumerate(axes))


def nearest_lps(affine_lps: Affine) -> Reorientation:
    """What permutation and flips bring an array nearest to (slice: S, row: P, column: L), without resampling."""
    axes = _nearest_axes(affine_lps)  # column, row, slice index -> patient axis
    order, flips = [], []
    for patient_axis in (2, 1, 0):
        index_axis = axes.index(patient_axis)
        order.append(2 - index_axis)
        flips.append(bool(affine_lps[patient_axis, index_axis] < 0))
    return Reorientation((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))


def reorient(grid: Grid, how: Reorientation) -> Grid:
    """The grid of an array after its axes were permuted and flipped: every voxel stays where it is in the patient."""
    shape = tuple(grid.shape[axis] for axis in how.order)
    old_from_new = np.zeros((4, 4))
    old_from_new[3, 3] = 1
    for new_axis, (old_axis, flip) in enumerate(zip(how.order, how.flips, strict=True)):
        row, column = 2 - old_axis, 2 - new_axis  # array axis n is index axis 2 - n
        old_from_new[row, column] = -1 if flip else 1
        old_from_new[row, 3] = shape[new_axis] - 1 if flip else 0
    return Grid((shape[0], shape[1], shape[2]), flat(grid.matrix @ old_from_new))


def turned(array: npt.NDArray[Any], how: Reorientation, first_axis: int = 0) -> npt.NDArray[Any]:
    """A view of an array with the three axes from `first_axis` permuted and flipped."""
    axes = list(range(array.ndim))
    axes[first_axis : first_axis + 3] = [first_axis + axis for axis in how.order]
    view = array.transpose(axes)
    steps = [slice(None)] * first_axis + [slice(None, None, -1 if flip else 1) for flip in how.flips]
    result: npt.NDArray[Any] = view[tuple(steps)]
    return result


def _nearest_axes(affine_lps: Affine) -> tuple[int, int, int]:
    """The patient axis that each index axis (column, row, slice) lies nearest to: the largest cosines first."""
    directions = np.abs(affine_lps[:3, :3]) / np.linalg.norm(affine_lps[:3, :3], axis=0)
    found: dict[int, int] = {}
    for _ in range(3):
        patient, index = np.unravel_index(int(np.argmax(directions)), directions.shape)
        found[int(index)] = int(patient)
        directions[patient, :] = -1
        directions[:, index] = -1
    return (found[0], found[1], found[2])
