"""How planes stand in the patient, and whether they are a volume: order, spacing, tilt, or why not.

A plane is what PS3.3 C.7.6.2.1.1 makes of one slice: the position of the centre of its first pixel, the directions in
which the column index (first three cosines) and the row index (last three) grow, and the distances of rows and columns.
Order and regularity are highdicom's (`get_volume_positions`); what it refuses without a reason is told apart here.
Nothing is straightened: the third column of an affine is the step from one position to the next as it is, sheared or
not, never the planes' normal.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Grid, flat
from curate.schema import Reason, Refusal

__all__ = ["MIN_SLICES", "Plane", "Stack", "same_places", "stacked", "tilt_word"]

Floats = npt.NDArray[np.float64]

MIN_SLICES: Final = 3
"""With two slices there is one distance: nothing tells a neighbour from one slice with others missing between."""

COSINE_TOLERANCE: Final = 1e-3
"""How far a direction may be from length 1, two of a slice from a right angle, a slice's from another's (per cosine).
Headers round cosines to between four and sixteen digits; a milliradian moves the far side of a 256 mm field by
a quarter of a millimetre, below the size of its pixels."""

PIXEL_SPACING_TOLERANCE: Final = 1e-4
"""Relative, between slices: decimals that were rounded. It adds up to a twentieth of a pixel over 512."""

SPACING_TOLERANCE: Final = 0.01
"""Relative, each distance between neighbours against their mean: highdicom's own. A missing slice is 1.0."""

POSITION_TOLERANCE: Final = 0.1
"""How far a slice may lie from where the affine puts it, in slice distances along the normal and in pixels within the
plane: distances that are each within `SPACING_TOLERANCE` could still add up to slices."""

SAME_POSITION: Final = 0.01
"""In pixels: planes that are nearer to each other than this lie at one position."""

TILT_DEGREES: Final = 0.1
"""From this angle between step and normal on, a stack is called tilted; it moves the last of 300 mm by half one."""

MAX_TILT_DEGREES: Final = 45.0
"""Gantries tilt by 30 degrees. Beyond this, planes lie beside rather than behind each other."""

MAX_COORDINATE_MM: Final = 1e6
MIN_SPACING_MM, MAX_SPACING_MM = 1e-6, 1e4
"""A kilometre, a nanometre, ten metres: what lies outside was never measured."""

COLUMN_FIRST: Final = ("R", "D")
"""The order of indices for which highdicom's normal is the cross product of the cosines as they are stated."""

ANY_SHEAR: Final = 2.0
"""A tolerance of one minus a cosine that every direction meets: the shear is judged here."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one slice lies: mm in LPS, cosines, and the distances (rows, columns) in mm."""

    position: tuple[float, float, float]
    cosines: tuple[float, ...]  # six, as ImageOrientationPatient has them
    spacing_mm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stack:
    """Planes that are a volume. `order` are their indices along the right-handed normal; `grid` follows that order."""

    order: tuple[int, ...]
    grid: Grid
    tilt_degrees: float


def tilt_word(stack: Stack) -> tuple[str, ...]:
    """What `changes` says of a stack whose step does not run along its normal."""
    return () if stack.tilt_degrees < TILT_DEGREES else (f"gantry_tilt:degrees={stack.tilt_degrees:.1f}",)


def stacked(planes: Sequence[Plane], rows: int, columns: int) -> Stack | Refusal:
    """The volume that planes of `rows` x `columns` make, in any order of theirs, or why they make none."""
    refused = _impossible(planes)
    if refused:
        return refused
    if len(planes) < MIN_SLICES:
        return Refusal(Reason.NOT_A_VOLUME, f"{len(planes)} slices; {MIN_SLICES} are the fewest that prove a spacing")
    cosines = np.array([plane.cosines for plane in planes])
    usual = np.array(_most_frequent([plane.cosines for plane in planes]))
    astray = int((np.abs(cosines - usual).max(axis=1) > COSINE_TOLERANCE).sum())
    if astray:
        return Refusal(Reason.MIXED_ORIENTATION, f"{astray} of {len(planes)} slices have another orientation")
    spacing = np.array(_most_frequent([plane.spacing_mm for plane in planes]))
    astray = int((np.abs(_spacings(planes) / spacing - 1).max(axis=1) > PIXEL_SPACING_TOLERANCE).sum())
    if astray:
        return Refusal(Reason.INCONSISTENT_SERIES, f"{astray} of {len(planes)} slices have another pixel spacing")
    along_row, along_column = (part / np.linalg.norm(part) for part in (usual[:3], usual[3:]))
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal)
    positions = np.array([plane.position for plane in planes])
    order = _order(positions, usual, normal, float(spacing.min()))
    if isinstance(order, Refusal):
        return order
    ordered = positions[list(order)]
    step = (ordered[-1] - ordered[0]) / (len(order) - 1)
    refused = _off_the_line(ordered, step, normal, float(spacing.min()))
    if refused:
        return refused
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along_row * spacing[1], along_column * spacing[0], step
    affine[:3, 3] = ordered[0]
    cosine = min(1.0, float(step @ normal) / float(np.linalg.norm(step)))
    tilt = float(np.degrees(np.arccos(cosine)))
    if tilt > MAX_TILT_DEGREES:
        return Refusal(Reason.GANTRY_TILT, f"slices are sheared by {tilt:.0f} degrees, {MAX_TILT_DEGREES:.0f} are kept")
    return Stack(order, Grid((len(order), rows, columns), flat(affine)), tilt)


def same_places(planes: Sequence[Plane]) -> list[list[int]]:
    """Groups of two or more planes that lie at one position, each in the order given."""
    width = min(min(plane.spacing_mm) for plane in planes) * SAME_POSITION
    left = sorted(range(len(planes)), key=lambda index: (planes[index].position, index))
    groups: list[list[int]] = []
    for index in left:
        here = np.array(planes[index].position)
        if groups and np.linalg.norm(here - np.array(planes[groups[-1][0]].position)) <= width:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [sorted(group) for group in groups if len(group) > 1]


def _impossible(planes: Sequence[Plane]) -> Refusal | None:
    """Numbers that no plane has: not finite, beyond all measure, directions of no length or of no right angle."""
    positions = np.array([plane.position for plane in planes])
    cosines = np.array([plane.cosines for plane in planes])
    spacings = _spacings(planes)
    with np.errstate(all="ignore"):
        if not (np.abs(positions) <= MAX_COORDINATE_MM).all():
            return Refusal(Reason.INVALID_AFFINE, "a position that is not finite or more than a kilometre away")
        if not ((spacings >= MIN_SPACING_MM) & (spacings <= MAX_SPACING_MM)).all():
            return Refusal(Reason.INVALID_AFFINE, "a pixel spacing that is not finite, not positive, or of no picture")
        lengths = np.linalg.norm(cosines.reshape(-1, 2, 3), axis=2)
        if not (np.abs(lengths - 1) <= COSINE_TOLERANCE).all():
            return Refusal(Reason.INVALID_AFFINE, "an orientation whose directions have not the length 1")
        if not (np.abs((cosines[:, :3] * cosines[:, 3:]).sum(axis=1)) <= COSINE_TOLERANCE).all():
            return Refusal(Reason.INVALID_AFFINE, "an orientation whose directions have no right angle")
    return None


def _order(positions: Floats, cosines: Floats, normal: Floats, pixel_mm: float) -> tuple[int, ...] | Refusal:
    """The planes' indices along the normal, if they stand at equal distances."""
    from highdicom.spatial import get_volume_positions

    by_distance = np.argsort(positions @ normal, kind="stable")
    gaps = np.diff((positions @ normal)[by_distance])
    touching = gaps <= SAME_POSITION * pixel_mm
    if touching.any():
        beside = np.linalg.norm(np.diff(positions[by_distance], axis=0)[touching], axis=1) > SAME_POSITION * pixel_mm
        if beside.any():
            return Refusal(Reason.NOT_A_VOLUME, f"{_counted(beside)} beside another one, in its plane")
        if touching.all():
            return Refusal(Reason.NOT_A_VOLUME, f"all {len(positions)} slices lie at one position")
        return Refusal(Reason.DUPLICATE_POSITION, f"{_counted(touching)} where another one lies")
    spacing, places = get_volume_positions(
        positions.tolist(),
        cosines.tolist(),
        rtol=SPACING_TOLERANCE,
        perpendicular_tol=ANY_SHEAR,
        index_convention=COLUMN_FIRST,
    )
    if spacing is None or places is None:
        return _uneven(gaps)
    return tuple(int(index) for index in np.argsort(places))


def _uneven(gaps: Floats) -> Refusal:
    """Why distances are not equal: some are whole multiples of the usual one, or they are simply different."""
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    multiples = np.round(gaps / usual)
    if (multiples >= 1).all() and (np.abs(gaps - multiples * usual) <= SPACING_TOLERANCE * multiples * usual).all():
        missing = int((multiples - 1).sum())
        if missing:
            return Refusal(Reason.MISSING_SLICE, f"{missing} missing between slices that are {usual:.4g} mm apart")
    return Refusal(Reason.UNEVEN_SPACING, f"slices are between {gaps.min():.4g} and {gaps.max():.4g} mm apart")


def _off_the_line(ordered: Floats, step: Floats, normal: Floats, pixel_mm: float) -> Refusal | None:
    """Planes that do not lie where the affine puts them: shifted sideways, or distances that drift."""
    off = ordered - (ordered[0] + np.arange(len(ordered))[:, None] * step)
    along = off @ normal
    sideways = np.linalg.norm(off - along[:, None] * normal, axis=1)
    if (sideways > POSITION_TOLERANCE * pixel_mm).any():
        return Refusal(Reason.NOT_A_VOLUME, f"slices lie up to {sideways.max():.4g} mm beside the line through them")
    if (np.abs(along) > POSITION_TOLERANCE * abs(float(step @ normal))).any():
        return Refusal(Reason.UNEVEN_SPACING, f"slices drift up to {np.abs(along).max():.4g} mm from equal distances")
    return None


def _counted(slices: npt.NDArray[np.bool_]) -> str:
    count = int(slices.sum())
    return "1 slice lies" if count == 1 else f"{count} slices lie"


def _spacings(planes: Sequence[Plane]) -> Floats:
    return np.array([plane.spacing_mm for plane in planes])


def _most_frequent(values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """The value that stands most often; of several the least, so that the order of files does not matter."""
    counted = Counter(values)
    return min(counted, key=lambda value: (-counted[value], value))
