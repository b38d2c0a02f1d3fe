"""Closed contours, filled on the grid of a volume: a voxel is inside when its centre is.

Coordinates are indices of voxels (column, row, slice), whole numbers at their centres. Contours of one plane combine
by the even-odd rule, so that a contour within a contour is a hole, and a keyhole (one contour that leads into the hole
and back along the same line) is one too. A centre on a contour is inside: many tools draw through the centres of the
outermost voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Grid, Shape3
from curate.schema import Reason, Refusal

__all__ = ["ON_CONTOUR_VOXELS", "PLANE_STEPS", "Filled", "filled"]

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PLANE_STEPS: Final = 0.1
"""How far a corner may lie from the plane of a slice, as a share of the step between slices.

Contours are drawn on slices, and their coordinates are rounded to a hundredth of a millimetre at the coarsest; what
lies further off was drawn on other slices.
"""

ON_CONTOUR_VOXELS: Final = 1e-3
"""How near to a contour a voxel's centre is on it: what decimal coordinates in millimetres leave uncertain."""

OVERHANG_VOXELS: Final = 1.0
"""How far a contour may leave the image within its plane and be clipped, as in `geometry`."""

ROUNDING_VOXELS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Filled:
    """The voxels within contours: a mask [slice, row, column] whose first voxel is `origin` in the volume."""

    mask: npt.NDArray[np.bool_] = field(repr=False)
    origin: Shape3
    clipped: bool  # an overhang was cut off
    gaps: bool  # planes between the first and the last bear no contour; nothing is filled in


def filled(contours_mm: Sequence[Points], grid: Grid) -> Filled | Refusal:
    """Closed contours (each n x 3, LPS, in mm) filled on a grid.

    All of them must lie in planes of voxel centres across one axis of the grid (`geometry_mismatch` otherwise), and
    within the volume but for an overhang of a voxel (`outside_image`).
    """
    try:
        index_from_mm = np.linalg.inv(grid.matrix)
    except np.linalg.LinAlgError:
        return Refusal(Reason.INVALID_AFFINE, "the image's affine is singular")
    rings = [points @ index_from_mm[:3, :3].T + index_from_mm[:3, 3] for points in contours_mm]
    across = _axis_across(rings)
    if isinstance(across, Refusal):
        return across
    size = grid.shape[::-1]  # columns, rows, slices: as the coordinates come
    planes = [round(float(ring[0, across])) for ring in rings]
    if min(planes) < 0 or max(planes) >= size[across]:
        return Refusal(Reason.GEOMETRY_MISMATCH, "a contour lies on a plane that the image does not have")
    u, v = (axis for axis in range(3) if axis != across)
    overhang = max(_overhang(ring, axis, size[axis]) for ring in rings for axis in (u, v))
    if overhang > OVERHANG_VOXELS + ROUNDING_VOXELS:
        return Refusal(Reason.OUTSIDE_IMAGE, f"a contour overhangs the image by {overhang:.3g} voxels")
    first, last = min(planes), max(planes)
    stack = np.zeros((last - first + 1, size[v], size[u]), dtype=bool)
    drawn: dict[int, list[Points]] = {}
    for ring, plane in zip(rings, planes, strict=True):
        drawn.setdefault(plane, []).append(ring[:, (u, v)])
    for plane, there in drawn.items():
        stack[plane - first] = _even_odd(there, size[u], size[v])
    # `stack` is [across, v, u]; u < v are coordinates, so that the array axes follow by how often each was passed over.
    mask = np.moveaxis(stack, 0, 2 - across)
    origin = [0, 0, 0]
    origin[2 - across] = first
    return Filled(
        mask,
        (origin[0], origin[1], origin[2]),
        clipped=overhang > ROUNDING_VOXELS,
        gaps=len(drawn) < last - first + 1,
    )


def _axis_across(rings: Sequence[Points]) -> int | Refusal:
    """The axis across whose planes all contours were drawn: the slice axis where several would do."""
    nearest = np.inf
    for axis in (2, 1, 0):
        off = max(float(np.abs(ring[:, axis] - np.rint(ring[0, axis])).max()) for ring in rings)
        if off <= PLANE_STEPS:
            return axis
        nearest = min(nearest, off)
    return Refusal(
        Reason.GEOMETRY_MISMATCH,
        f"a contour lies {nearest:.3g} steps from a plane of voxels, the limit is {PLANE_STEPS}",
    )


def _overhang(ring: Points, axis: int, size: int) -> float:
    return float(max(-0.5 - ring[:, axis].min(), ring[:, axis].max() - (size - 0.5)))


def _even_odd(rings: Sequence[Points], width: int, height: int) -> npt.NDArray[np.bool_]:
    """The pixels [row, column] within an odd number of rings (n x 2: column, row), and those on a ring."""
    turns = np.zeros((height, width + 1), dtype=np.int32)
    on_ring = np.zeros((height, width), dtype=bool)
    for ring in rings:
        ends = np.roll(ring, -1, axis=0)
        rows, crossed_at = _crossings(ring[:, ::-1], ends[:, ::-1], height, 0.0)
        np.add.at(turns, (rows, np.clip(np.ceil(crossed_at), 0, width).astype(np.int64)), 1)
        _mark(on_ring, *_crossings(ring[:, ::-1], ends[:, ::-1], height, ON_CONTOUR_VOXELS))
        _mark(on_ring.T, *_crossings(ring, ends, width, ON_CONTOUR_VOXELS))
    inside: npt.NDArray[np.bool_] = np.cumsum(turns[:, :width], axis=1) % 2 == 1
    return inside | on_ring


def _crossings(begins: Points, ends: Points, lines: int, slack: float) -> tuple[Indices, Points]:
    """Where edges (n x 2) cross the lines 0, 1, ... `lines` - 1 of the first coordinate: (line, other coordinate).

    Without slack an edge crosses a line that its lower end touches, and not one that its upper end touches, so that
    each corner counts once. With slack it also reaches lines that either end nearly touches.
    """
    (along, across), (along_end, across_end) = begins.T, ends.T
    low, high = np.minimum(along, along_end), np.maximum(along, along_end)
    begin = np.clip(np.ceil(low - slack), 0, lines).astype(np.int64)
    stop = np.clip(np.floor(high + slack) + 1 if slack else np.ceil(high), 0, lines).astype(np.int64)
    counts = np.maximum(stop - begin, 0)
    edges = np.repeat(np.arange(along.size), counts)
    line = np.arange(edges.size) - np.repeat(np.cumsum(counts) - counts, counts) + begin[edges]
    length = along_end - along
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (line - along[edges]) / length[edges]
    share = np.clip(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return line, across[edges] + share * (across_end - across)[edges]


def _mark(on_ring: npt.NDArray[np.bool_], lines: Indices, places: Points) -> None:
    nearest = np.rint(places)
    near = (np.abs(places - nearest) <= ON_CONTOUR_VOXELS) & (nearest >= 0) & (nearest < on_ring.shape[1])
    on_ring[lines[near], nearest[near].astype(np.int64)] = True
