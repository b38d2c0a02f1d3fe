"""Chest radiographs whose lungs, heart and findings are known to the pixel.

The patient's right is at the picture's left. Lengths are fractions of the picture's width; `t` is the distance from the
midline towards one side.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.phantom.shapes import Blob, Bytes, Field, Mask, smooth_noise, unit
from curate.schema import Laterality

__all__ = ["ENLARGED", "Anatomy", "Chest", "Consolidation", "anatomy", "chest", "random_consolidation"]

SIDES: Final = ((Laterality.RIGHT, -1.0), (Laterality.LEFT, 1.0))
"""The patient's side, and where it lies from the midline of the picture."""

ENLARGED: Final = 0.5
"""Cardiothoracic ratio above which a heart counts as enlarged."""

AIR, LUNG, SOFT, DENSE = 0.03, 0.17, 0.52, 0.72
"""Brightness of what the rays went through, between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What stays the same from one visit of a subject to the next."""

    midline: float
    half_width: float  # of the inner chest wall
    apex: float
    dome: tuple[float, float]  # height of the diaphragm, right and left
    heart_width: float  # half of it
    rib_step: float


@dataclass(frozen=True, slots=True)
class Consolidation:
    """A patch of airless lung. `strength` is 1 where it is plain and less where a reader would hesitate."""

    side: Laterality
    across: float  # 0 at the midline, 1 at the chest wall
    down: float  # 0 at the apex, 1 at the diaphragm
    radius: float
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Chest:
    """A radiograph: brightness (size, size) between 0 and 1, and its organs, none of which overlap."""

    brightness: Field
    right_lung: Blob
    left_lung: Blob
    heart: Blob

    def pixels(self) -> Bytes:
        """The radiograph with 8 bits per pixel."""
        pixels: Bytes = np.floor(self.brightness * np.float32(255)).astype(np.uint8)
        return pixels

    @property
    def cardiothoracic_ratio(self) -> float:
        """Greatest width of the heart over the inner width of the chest, both between edges of pixels."""
        inner = self.left_lung.box[2] - self.right_lung.box[0]
        return (self.heart.box[2] - self.heart.box[0]) / inner


def anatomy(rng: np.random.Generator) -> Anatomy:
    """One subject's chest."""
    low = 0.70 + 0.03 * rng.random()
    return Anatomy(
        midline=0.49 + 0.02 * rng.random(),
        half_width=0.32 + 0.04 * rng.random(),
        apex=0.10 + 0.03 * rng.random(),
        dome=(low - 0.02, low + 0.015),
        heart_width=0.135 + 0.07 * rng.random(),
        rib_step=0.068 + 0.008 * rng.random(),
    )


def random_consolidation(rng: np.random.Generator, strength: float) -> Consolidation:
    """A consolidation somewhere in one lung, away from heart and chest wall."""
    return Consolidation(
        side=(Laterality.RIGHT, Laterality.LEFT)[int(rng.integers(2))],
        across=0.58 + 0.16 * rng.random(),
        down=0.3 + 0.4 * rng.random(),
        radius=0.065 + 0.035 * rng.random(),
        strength=strength,
    )


def chest(
    rng: np.random.Generator, shape: Anatomy, consolidation: Consolidation | None = None, size: int = 512
) -> Chest:
    """A frontal radiograph of `size` times `size` pixels."""
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = axis[None, :] - np.float32(shape.midline), axis[:, None]
    apart = rng.spawn(1)[0]  # so that a finding leaves everything else as it was
    heart_px = _heart(x, y, shape) * size
    lungs_px = [_lung(x * np.float32(sign), y, shape, number) * size for number, (_, sign) in enumerate(SIDES)]
    heart = heart_px >= 0
    right, left = ((lung >= 0) & ~heart for lung in lungs_px)

    picture = _torso(x, y)
    clear = 1 - _vessels(rng, np.abs(x), y, size)
    for lung_px, (side, sign) in zip(lungs_px, SIDES, strict=True):
        cover = _cover(lung_px, 3) * (1 - _cover(heart_px, 5))
        depth = unit(lung_px / np.float32(0.09 * size))
        air = cover * (0.62 + 0.38 * depth * (2 - depth))
        air *= clear
        if consolidation is not None and consolidation.side is side:
            air *= 1 - _patch(apart, consolidation, x * np.float32(sign), y, shape)
        picture += air * (LUNG - picture)
    picture += _cover(heart_px, 14) * (DENSE - picture) * np.float32(0.62)
    picture += _bones(x, y, shape) * (1 - picture)
    picture -= np.float32(0.13) * _band(x, 0.016) * unit((0.42 - y) * 12)  # the trachea
    picture += np.float32(0.02) * smooth_noise(rng, size, size, size // 6)
    picture += np.float32(0.012) * (rng.random((size, size), np.float32) + rng.random((size, size), np.float32) - 1)
    return Chest(unit(picture), _crop(right), _crop(left), _crop(heart))


def _cover(depth_px: Field, softness_px: float) -> Field:
    return unit(depth_px / np.float32(softness_px) + np.float32(0.5))


def _band(away: Field, half: float) -> Field:
    """1 on a line, falling smoothly to 0 at `half` from it."""
    near = unit(1 - (away / np.float32(half)) ** 2)
    return near * near


def _away(dx: Field, dy: Field) -> Field:
    """Distance; numpy's own asks the mathematical library, whose last digit depends on the system."""
    distance: Field = np.sqrt(dx * dx + dy * dy)
    return distance


def _lung(t: Field, y: Field, shape: Anatomy, number: int) -> Field:
    """Depth within the lung field, as if there were no heart: chest wall, mediastinum and diaphragm bound it."""
    v = unit((y - shape.apex) / np.float32(0.52))
    wall = np.float32(shape.half_width) * np.sqrt(1 - (1 - v) ** 2)
    high = (1 - v) ** 2
    middle = 0.062 - 0.02 * v + 0.05 * high * high * high
    away = (t - np.float32(0.17)) / np.float32(0.17)
    dome = np.float32(shape.dome[number]) + 0.075 * away * away
    depth: Field = np.minimum(np.minimum(wall - t, t - middle), dome - y)
    return depth


def _heart(x: Field, y: Field, shape: Anatomy) -> Field:
    """Depth within the shadow of the heart: an ellipse whose apex points down and to the patient's left."""
    half = np.float32(shape.heart_width)
    cosine, sine = np.float32(0.92), np.float32(0.392)
    dx, dy = x - half * np.float32(0.36), y - np.float32(shape.dome[1] - 0.115)
    u = (dx * cosine + dy * sine) / half
    v = (dy * cosine - dx * sine) / np.float32(0.122)
    return (1 - _away(u, v)) * np.float32(0.122)


def _torso(x: Field, y: Field) -> Field:
    """Neck, shoulders, mediastinum, abdomen, and the dark beside the body."""
    t = np.abs(x)
    shoulder = 0.03 + 1.1 * unit(t - 0.11) ** 2
    side = 0.43 + 0.5 * unit(0.44 - y)
    body = unit(np.minimum((y - shoulder) * 9, (side - t) * 14) + 0.15)
    body = body * (2 - body)
    tissue = SOFT + 0.2 * unit((y - 0.62) * 5) - 0.10 * unit(t * 2 - 0.5)
    middle = 0.17 - 0.13 * unit((y - 0.6) * 5)
    tissue = tissue + middle * _band(x, 0.13) + 0.10 * _band(_away(x - 0.05, (y - 0.34) * 0.8), 0.06)
    picture: Field = (AIR + body * (tissue - AIR)).astype(np.float32)
    return picture


def _bones(x: Field, y: Field, shape: Anatomy) -> Field:
    """Spine, clavicles, and the ribs from the spine outward and back to the front; added cover between 0 and 1."""
    t = np.abs(x)
    step = np.float32(shape.rib_step)
    turn = y / step - np.floor(y / step)
    spine = _band(x, 0.045) * (0.10 + 0.07 * _band(turn - 0.5, 0.42))
    total = unit(spine)
    out = t / np.float32(shape.half_width)
    inside = unit((1.04 - out) * 24)
    for number in range(10):
        top = shape.apex + 0.005 + number * shape.rib_step
        v = np.float32(min(1.0, max(0.0, (top - shape.apex + 0.05) / 0.5)))
        reach = np.sqrt(v * (2 - v))  # the wall at the height of this rib
        along = np.clip(out / reach, 0, 1.2)
        behind = np.float32(top) - 0.045 * along * (1.1 - along) * 2 + 0.10 * along * along * along
        ends = unit((1.02 - along) * 30) * unit((t - 0.035) * 60) * inside
        rows = _rows(y, top - 0.05, top + 0.13)
        total[rows] += np.float32(0.15) * ends * _rib(y[rows] - behind, 0.0145)
        if number < 7:
            front = np.float32(top) + 0.215 - 0.135 * along * along
            stop = unit((along - 0.42) * 14) * unit((1.02 - along) * 30) * inside
            rows = _rows(y, top + 0.05, top + 0.24)
            total[rows] += np.float32(0.07) * stop * _rib(y[rows] - front, 0.016)
    collar = np.float32(shape.apex) + 0.105 - 0.42 * t + 0.33 * t * t
    total = total + 0.20 * unit((t - 0.035) * 50) * unit((0.36 - t) * 12) * _rib(y - collar, 0.016)
    return unit(total)


def _rows(y: Field, low: float, high: float) -> slice:
    """The rows between two heights, so that a rib costs no more than its band."""
    return slice(int(low * len(y)), int(high * len(y)) + 1)


def _rib(away: Field, half: float) -> Field:
    """A flat bone with brighter edges."""
    flat = unit((half - np.abs(away)) / np.float32(0.004))
    bone: Field = flat * (0.75 + 0.25 * unit(np.abs(away) / half) ** 2)
    return bone


def _vessels(rng: np.random.Generator, t: Field, y: Field, size: int) -> Field:
    """Markings that thin out away from the hilum."""
    near = 1 / (1 + (_away(t - 0.085, y - 0.44) / np.float32(0.10)) ** 2)
    ridges: Field = np.zeros((size, size), np.float32)
    for cell, weight in ((size // 16, 1.0), (size // 28, 0.7)):
        ridges += np.float32(weight) * unit(1 - np.abs(smooth_noise(rng, size, size, cell)) * 7)
    cloud: Field = 0.30 * near + ridges * (0.05 + 0.30 * near)
    return np.minimum(cloud, np.float32(0.7))


def _patch(rng: np.random.Generator, finding: Consolidation, t: Field, y: Field, shape: Anatomy) -> Field:
    """How much air a consolidation takes from each pixel."""
    size = t.shape[1]
    height = shape.apex + finding.down * (min(shape.dome) - shape.apex)
    away = _away(t - np.float32(finding.across * shape.half_width), (y - np.float32(height)) * np.float32(0.85))
    rough = 1 + 0.3 * smooth_noise(rng, size, size, size // 14) + 0.25 * smooth_noise(rng, size, size, size // 36)
    full = unit((1.25 - away / np.float32(finding.radius) * rough) * 1.2)
    return np.float32(0.85 * finding.strength) * full


def _crop(mask: Mask) -> Blob:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    own = mask[y0:y1, x0:x1]
    down, across = np.nonzero(own)
    centre: npt.NDArray[np.int64] = np.array([across.sum(), down.sum()]) // len(across)
    return Blob(x0=x0, y0=y0, mask=own, centre=(x0 + int(centre[0]), y0 + int(centre[1])))
