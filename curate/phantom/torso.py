"""A torso in the scanner whose organs are ellipsoids: every voxel, volume and place of them is known.

Lengths are millimetres in LPS (x to the patient's left, y to posterior, z to superior); arrays are [slice, row, column]
with axes along superior, posterior and left. Only additions, multiplications, divisions and square roots are used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Grid, flat

__all__ = ["AIR_HU", "ORGANS", "Organ", "Torso", "torso"]

AIR_HU: Final = -1000
SOFT_HU: Final = 40
NOISE_HU: Final = 12

SHAPE: Final = (40, 76, 96)
"""Slices, rows and columns of every torso."""

SPACINGS_MM: Final = ((7.5, 4.0, 3.75), (6.0, 3.5, 3.5), (8.0, 3.75, 4.0))
"""Of the first, second and third torso, between slices, rows and columns: no two steps of the first are alike."""

MOST_SHIFT_MM: Final = 6.0

MOST_GROWTH: Final = 0.08


@dataclass(frozen=True, slots=True)
class Organ:
    """One ellipsoid: its centre from that of the torso, its half axes along x, y, z, and its CT number."""

    name: str
    centre_mm: tuple[float, float, float]
    reach_mm: tuple[float, float, float]
    hu: int


ORGANS: Final = (
    Organ("right lung", (-76.0, -6.0, 72.0), (54.0, 78.0, 66.0), -800),
    Organ("left lung", (76.0, -6.0, 72.0), (52.0, 78.0, 64.0), -810),
    Organ("liver", (-62.0, -20.0, -42.0), (76.0, 62.0, 40.0), 60),
    Organ("right kidney", (-62.0, 62.0, -78.0), (26.0, 24.0, 38.0), 170),
    Organ("left kidney", (64.0, 60.0, -70.0), (26.0, 24.0, 40.0), 175),
    Organ("spine", (0.0, 82.0, 0.0), (20.0, 18.0, 1000.0), 420),
    Organ("liver lesion", (-74.0, -24.0, -44.0), (17.0, 16.0, 18.0), 5),
)
"""In the order in which they are drawn: the value of an organ in a label map is its place here, from 1."""

BODY_MM: Final = (158.0, 124.0)


@dataclass(frozen=True, slots=True)
class Torso:
    """CT numbers in Hounsfield units and the label map, both (slice, row, column) int16, on one grid."""

    hu: npt.NDArray[np.int16]
    labels: npt.NDArray[np.int16]
    grid: Grid


def torso(rng: np.random.Generator, number: int) -> Torso:
    """One patient. Every second has a lesion in the liver; spacing follows the number, organs vary a little."""
    spacing = SPACINGS_MM[number % len(SPACINGS_MM)]
    x, y, z = _axes_mm(spacing)
    inside = (x / BODY_MM[0]) ** 2 + (y / BODY_MM[1]) ** 2 <= 1
    hu = np.where(np.broadcast_to(inside, SHAPE), np.int16(SOFT_HU), np.int16(AIR_HU))
    labels = np.zeros(SHAPE, np.int16)
    shift = (rng.random(3) * 2 - 1) * MOST_SHIFT_MM  # all organs of one patient move alike, so that none meet
    for value, organ in enumerate(ORGANS, start=1):
        growth = 1 + (rng.random() * 2 - 1) * MOST_GROWTH
        if organ.name == "liver lesion" and number % 2:
            continue
        away = [
            (axis - middle - moved) / (reach * growth)
            for axis, middle, moved, reach in zip((x, y, z), organ.centre_mm, shift, organ.reach_mm, strict=True)
        ]
        mask = away[0] * away[0] + away[1] * away[1] + away[2] * away[2] <= 1
        if organ.name == "liver lesion":
            mask &= labels == value_of("liver")
        else:
            mask &= labels == 0
        hu[mask], labels[mask] = organ.hu, value
    hu += (rng.integers(-NOISE_HU, NOISE_HU + 1, SHAPE) + rng.integers(-NOISE_HU, NOISE_HU + 1, SHAPE)).astype(np.int16)
    np.clip(hu, -1024, None, out=hu)
    return Torso(hu, labels, _grid(spacing, number))


def value_of(name: str) -> int:
    """The value of an organ in a label map."""
    return 1 + [organ.name for organ in ORGANS].index(name)


def _axes_mm(spacing: tuple[float, float, float]) -> list[npt.NDArray[np.float64]]:
    """Distances of the voxel centres from the middle of the torso along x, y, z, each ready to be broadcast."""
    axes = []
    for axis, shape in ((2, (1, 1, -1)), (1, (1, -1, 1)), (0, (-1, 1, 1))):
        steps = np.arange(SHAPE[axis], dtype=np.float64) - (SHAPE[axis] - 1) / 2
        axes.append((steps * spacing[axis]).reshape(shape))
    return axes


def _grid(spacing: tuple[float, float, float], number: int) -> Grid:
    """The isocentre lies neither in the middle nor at a corner."""
    z, y, x = spacing
    affine = np.diag([x, y, z, 1.0])
    affine[:3, 3] = (-x * 40.5 + number, -y * 36.25, 1200.5 - 100 * number)
    return Grid(SHAPE, flat(affine))
