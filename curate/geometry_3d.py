"""Volumes in the patient: affines, axis order, boxes, and where one grid lies in another.

Arrays are indexed [slice, row, column] (z, y, x); `affine_lps` is 4 x 4 and maps (column, row, slice, 1), whole numbers
at voxel centres, to millimetres in LPS: x grows to the patient's left, y to posterior, z to superior (PS3.3
C.7.6.2.1.1). NIfTI's RAS+ becomes LPS by diag(-1, -1, 1, 1) from the left.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "COINCIDENCE_VOXELS",
    "RAS_TO_LPS",
    "Alignment",
    "Box3",
    "Grid",
    "Reorientation",
    "Shape3",
    "aligned",
    "crop",
    "crop_box",
    "extent_mm",
    "flat",
    "inverse",
    "lps_from_ras",
    "nearest_lps",
    "orientation_of",
    "reorient",
    "reorient_box",
    "resize",
    "resize_box",
    "same_grid",
    "turned",
]

Affine = npt.NDArray[np.float64]

Shape3 = tuple[int, int, int]
"""Depth, height, width; also the index of a voxel in that order."""

Box3 = tuple[float, float, float, float, float, float]
"""x0, y0, z0, x1, y1, z1: edges along column, row and slice, 0-based; voxel i covers [i, i+1)."""

RAS_TO_LPS: Final[Affine] = np.diag([-1.0, -1.0, 1.0, 1.0])

LETTERS: Final = (("R", "L"), ("A", "P"), ("I", "S"))
"""Towards which side an axis grows: a negative and a positive step along x, y, z of LPS."""


COINCIDENCE_VOXELS: Final = 0.05
"""How far the voxel centres of two grids may lie apart, as a share of a step along each axis, to be the same voxels.

Headers round: a NIfTI keeps 32-bit floats, a DICOM decimal string often four decimals, which is a hundredth of a voxel
at most. What is a mistake is half a voxel or more: an origin at a corner, a grid that was resampled.
"""


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
        # Written out: a library's elimination rounds differently from machine to machine.
        a, b, c, _, d, e, f, _, g, h, i, *_ = self.affine_lps
        return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


@dataclass(frozen=True, slots=True)
class Reorientation:
    """How array axes are permuted, then flipped: new axis `n` is old axis `order[n]`, reversed where `flips[n]`."""

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def changes_nothing(self) -> bool:
        """True where the array stays as it is."""
        return self.order == (0, 1, 2) and not any(self.flips)


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the array of one grid lies in that of another: turned by `how`, its first voxel is at `origin` there.

    `origin` (slice, row, column) may lie outside: nothing is said of whether the whole part fits in.
    """

    how: Reorientation
    origin: Shape3


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
    return "".join(LETTERS[axis][int(affine_lps[axis, column] > 0)] for column, axis in enumerate(axes))


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


# --- the same voxels -------------------------------------------------------------------------------------------------


def aligned(part: Grid, whole: Grid) -> Alignment | None:
    """How `part` lies in `whole` where each of its voxel centres is one of the (continued) grid of `whole`, else None.

    Axes may be permuted and flipped. Each of the eight outermost centres may miss by `COINCIDENCE_VOXELS`, and so may
    all others, which lie between them. Along an axis with one voxel only its place counts: the step there is nothing
    that a mask of one slice could state.
    """
    try:
        index_from_part = np.linalg.solve(whole.matrix, part.matrix)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(index_from_part).all():
        return None
    steps = _whole_steps(index_from_part[:3, :3], part.shape)
    if steps is None:
        return None
    first = np.rint(index_from_part[:3, 3])
    last = np.array(part.shape[::-1], dtype=np.float64) - 1
    corners = np.array([[i, j, k] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])]).T
    found = index_from_part[:3, :3] @ corners + index_from_part[:3, 3:]
    if np.abs(found - (steps @ corners + first[:, None])).max() > COINCIDENCE_VOXELS:
        return None
    order, flips, origin = [], [], []
    for axis in (2, 1, 0):  # of the whole, as an index axis: slice, row, column
        own = int(np.flatnonzero(steps[axis])[0])
        backwards = bool(steps[axis, own] < 0)
        order.append(2 - own)
        flips.append(backwards)
        origin.append(int(first[axis] - (last[own] if backwards else 0)))
    how = Reorientation((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))
    return Alignment(how, (origin[0], origin[1], origin[2]))


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two arrays have the same voxels at the same indices, within `COINCIDENCE_VOXELS`."""
    found = aligned(one, other)
    return found is not None and one.shape == other.shape and found.how.changes_nothing and not any(found.origin)


def _whole_steps(steps: npt.NDArray[Any], shape: Shape3) -> Affine | None:
    """The nearest matrix of whole steps, if it permutes and flips; columns of axes with one voxel are free."""
    whole: Affine = np.rint(np.clip(steps, -9, 9)) + 0.0
    free = [axis for axis in range(3) if shape[2 - axis] == 1]
    whole[:, free] = 0
    taken = np.abs(whole).sum(axis=1)
    bound = [axis for axis in range(3) if axis not in free]
    if (taken > 1).any() or (np.abs(whole[:, bound]).sum(axis=0) != 1).any():
        return None
    for axis in free:  # each takes the row that is left and nearest to its own direction
        left = np.flatnonzero(np.abs(whole).sum(axis=1) == 0)
        row = left[np.argmax(np.abs(steps[left, axis]))]
        whole[row, axis] = 1
    return whole


# --- crop, resize, reorient ------------------------------------------------------------------------------------------


def inverse(how: Reorientation) -> Reorientation:
    """What undoes a reorientation."""
    order = tuple(how.order.index(axis) for axis in range(3))
    flips = tuple(how.flips[axis] for axis in order)
    return Reorientation((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))


def reorient_box(box: Box3, shape: Shape3, how: Reorientation) -> Box3:
    """A box of an array of `shape` after the array was permuted and flipped."""
    low, high = [0.0] * 3, [0.0] * 3
    for new_axis, (old_axis, flip) in enumerate(zip(how.order, how.flips, strict=True)):
        first, last = box[2 - old_axis], box[5 - old_axis]
        size = shape[old_axis]
        low[2 - new_axis], high[2 - new_axis] = (size - last, size - first) if flip else (first, last)
    return (low[0], low[1], low[2], high[0], high[1], high[2])


def crop(grid: Grid, origin: Shape3, shape: Shape3) -> Grid:
    """The grid of the part of an array that begins at `origin`: every voxel stays where it is in the patient."""
    shift = np.eye(4)
    shift[:3, 3] = origin[::-1]
    return Grid(shape, flat(grid.matrix @ shift))


def crop_box(box: Box3, origin: Shape3, shape: Shape3) -> Box3 | None:
    """What a crop leaves of a box, in the crop's own indices; None where that is nothing."""
    z, y, x = origin
    depth, height, width = shape
    x0, y0, z0 = max(box[0] - x, 0.0), max(box[1] - y, 0.0), max(box[2] - z, 0.0)
    x1, y1, z1 = min(box[3] - x, float(width)), min(box[4] - y, float(height)), min(box[5] - z, float(depth))
    return (x0, y0, z0, x1, y1, z1) if x0 < x1 and y0 < y1 and z0 < z1 else None


def resize(grid: Grid, shape: Shape3) -> Grid:
    """The grid of an array that was resampled to `shape`: its outer edges stay, so centres move by half a voxel."""
    scale = np.array(grid.shape[::-1]) / np.array(shape[::-1])
    old_from_new = np.diag([*scale, 1.0])
    old_from_new[:3, 3] = (scale - 1) / 2
    return Grid(shape, flat(grid.matrix @ old_from_new))


def resize_box(box: Box3, old: Shape3, new: Shape3) -> Box3:
    """A box after its array was resampled from one shape to another; coordinates scale exactly."""
    x0, y0, z0, x1, y1, z1 = (edge * new[2 - axis % 3] / old[2 - axis % 3] for axis, edge in enumerate(box))
    return (x0, y0, z0, x1, y1, z1)


def extent_mm(box: Box3, grid: Grid) -> tuple[float, float, float]:
    """How long a box is along column, row and slice, measured along these axes (a sheared axis too)."""
    z, y, x = grid.spacing_mm
    return ((box[3] - box[0]) * x, (box[4] - box[1]) * y, (box[5] - box[2]) * z)
