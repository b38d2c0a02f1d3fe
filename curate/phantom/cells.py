"""Blood smears and fluorescent nuclei whose every cell is known to the pixel."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.phantom.shapes import WOBBLE, Blob, Bytes, Field, Patches, blobs, patches, place, smooth_noise, unit

__all__ = ["ERYTHROCYTE", "LEUKOCYTE", "PLATELET", "Cell", "SmearStyle", "nuclei", "smear"]

ERYTHROCYTE: Final = "erythrocyte"
LEUKOCYTE: Final = "leukocyte"
PLATELET: Final = "platelet"

GAP_PX: Final = 5.0
"""Least distance between two cells, so that no two masks touch and a count is a count of components."""


@dataclass(frozen=True, slots=True)
class SmearStyle:
    """What the erythrocytes of a smear look like, and how many cells of each kind there are (inclusive ranges)."""

    erythrocytes: tuple[int, int] = (10, 26)
    leukocytes: tuple[int, int] = (0, 2)
    platelets: tuple[int, int] = (0, 6)
    radius_px: tuple[float, float] = (24.0, 31.0)
    leukocyte_px: tuple[float, float] = (44.0, 58.0)
    platelet_px: tuple[float, float] = (5.0, 8.0)
    stretch: tuple[float, float] = (1.0, 1.2)  # long axis over short axis
    pallor: tuple[float, float] = (0.45, 0.7)  # radius of the pale centre as a fraction of the cell's
    pallor_depth: float = 0.55
    border: float = 1 / 3  # see `shapes.place`; 1 leaves every cell whole


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that can be seen, and where."""

    concept: str
    blob: Blob


def smear(
    rng: np.random.Generator, style: SmearStyle, width: int = 640, height: int = 480
) -> tuple[Bytes, tuple[Cell, ...]]:
    """A stained blood smear in transmitted light: RGB pixels (height, width, 3) and its cells, none overlapping."""
    ground = np.array([rng.integers(205, 232), rng.integers(203, 226), rng.integers(200, 226)], np.int16)
    canvas = _bright_field(rng, ground, width, height)
    cells: list[Cell] = []
    concepts = (LEUKOCYTE, ERYTHROCYTE, PLATELET)
    sizes = (style.leukocyte_px, style.radius_px, style.platelet_px)
    ranges = (style.leukocytes, style.erythrocytes, style.platelets)
    numbers = [int(rng.integers(low, high + 1)) for low, high in ranges]
    radii = np.concatenate([low + rng.random(n) * (high - low) for n, (low, high) in zip(numbers, sizes, strict=True)])
    kind = np.repeat(np.arange(3), numbers)
    stretch = np.where(kind == 1, style.stretch[0] + rng.random(len(kind)) * (style.stretch[1] - style.stretch[0]), 1.1)
    reach = radii * np.sqrt(stretch) * (1 + WOBBLE)
    kept, centres = place(rng, reach, width=width, height=height, gap_px=GAP_PX, border=style.border)
    for number, concept in enumerate(concepts):
        chosen = np.flatnonzero(kind[kept] == number)
        if len(chosen) == 0:
            continue
        own = kept[chosen]
        drawn = patches(rng, centres[chosen], radii[own], stretch[own], 2 * int(reach[own].max() + 4))
        _stain(canvas, drawn, _colours(rng, concept, drawn, style, ground))
        cells.extend(Cell(concept, blob) for blob in blobs(drawn, width, height))
    cells.sort(key=lambda cell: (cell.blob.y0, cell.blob.x0))
    return np.clip(canvas, 0, 255).astype(np.uint8).reshape(height, width, 3), tuple(cells)


def _bright_field(
    rng: np.random.Generator, ground: npt.NDArray[np.int16], width: int, height: int
) -> npt.NDArray[np.int16]:
    """An empty field (height, width * 3) with uneven light and the noise of a camera."""
    tilt = rng.integers(-5, 6, size=2)
    x = np.arange(width) / width * 2 - 1
    y = np.arange(height) / height * 2 - 1
    columns = np.repeat(tilt[0] * x - 6 * x * x, 3) + np.tile(ground, width)
    rows = tilt[1] * y - 6 * y * y - 3  # the mean of the grain
    field: npt.NDArray[np.int16] = columns.astype(np.int16)[None, :] + rows.astype(np.int16)[:, None]
    field += _grain(rng, height * width * 3).reshape(height, width * 3)
    return field


def _grain(rng: np.random.Generator, count: int) -> Bytes:
    """Bytes from 0 to 6, mostly near 3: two of four levels added, eight bytes at a time."""
    words = rng.integers(0, 2**64, size=(count + 15) // 16, dtype=np.uint64).astype("<u8", copy=False)
    low = np.uint64(0x0303030303030303)
    two, four, six = np.uint64(2), np.uint64(4), np.uint64(6)
    first = (words & low) + ((words >> two) & low)
    second = ((words >> four) & low) + ((words >> six) & low)
    return np.concatenate((first, second)).view(np.uint8)[:count]


def _stain(canvas: npt.NDArray[np.int16], drawn: Patches, change: npt.NDArray[np.int16]) -> None:
    """Add each window's change of colour (n, size, size, 3) to the canvas, cut at its borders."""
    height, width = canvas.shape[0], canvas.shape[1] // 3
    size = drawn.size
    flat = change.reshape(len(change), size, size * 3)
    for index in range(len(flat)):
        left, top = int(drawn.left[index]), int(drawn.top[index])
        x0, x1 = max(0, left), min(width, left + size)
        y0, y1 = max(0, top), min(height, top + size)
        canvas[y0:y1, 3 * x0 : 3 * x1] += flat[index, y0 - top : y1 - top, 3 * (x0 - left) : 3 * (x1 - left)]


def _colours(
    rng: np.random.Generator, concept: str, drawn: Patches, style: SmearStyle, ground: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    """How each window changes the colour of the empty field: int16 of shape (n, size, size, 3)."""
    if concept == ERYTHROCYTE:
        return _erythrocytes(rng, drawn, style, ground)
    if concept == LEUKOCYTE:
        return _leukocytes(rng, drawn, ground)
    inside = _inside(drawn, 2.0)
    grain = 0.75 + 0.5 * rng.random(inside.shape, np.float32)
    return _mixed(inside * grain * (1 - 0.35 * drawn.rho2), np.array([132, 98, 168], np.int16), ground)


def _inside(drawn: Patches, softness_px: float) -> Field:
    """Cover of each pixel: 0 outside, 1 inside, one half on the outline."""
    return unit(drawn.depth_px / np.float32(softness_px) + np.float32(0.5))


def _mixed(cover: Field, colour: npt.NDArray[np.int16], ground: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    change = np.clip(cover * 256, 0, 256).astype(np.int16)
    result = np.empty((*cover.shape, 3), np.int16)
    for channel, step in enumerate((colour - ground).clip(-127, 127)):
        result[..., channel] = (change * step) >> 8
    return result


def _erythrocytes(
    rng: np.random.Generator, drawn: Patches, style: SmearStyle, ground: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    count = len(drawn.rho2)
    low, high = style.pallor
    pallor = (low + rng.random(count) * (high - low)).astype(np.float32)[:, None, None]
    stain = (0.8 + 0.2 * rng.random(count)).astype(np.float32)[:, None, None]
    hollow = np.clip(1 - drawn.rho2 / (pallor * pallor), 0, 1)
    cover = _inside(drawn, 2.5)
    cover *= stain * (0.82 + 0.18 * drawn.rho2 - style.pallor_depth * hollow * (2 - hollow))
    return _mixed(cover, np.array([184, 112, 126], np.int16), ground)


def _leukocytes(rng: np.random.Generator, drawn: Patches, ground: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Pale granular cytoplasm around a nucleus of two to four lobes."""
    inside = _inside(drawn, 3.0)
    size = drawn.size
    nucleus = np.zeros_like(inside)
    steps = np.arange(size, dtype=np.float32) + np.float32(0.5 - size / 2)
    reach = np.sqrt(np.count_nonzero(drawn.depth_px >= 0, axis=(1, 2)) / 3.14159)  # mean radius
    for index, radius in enumerate(reach):
        spots = (rng.random((int(rng.integers(2, 5)), 2)) - 0.5) * radius * 0.85
        for x, y in spots.astype(np.float32):
            lobe = np.float32(radius * (0.36 + 0.14 * rng.random()))
            away = np.sqrt((steps[None, :] - x) ** 2 + (steps[:, None] - y) ** 2)
            np.maximum(nucleus[index], np.clip((lobe - away) / 4 + 0.5, 0, 1), out=nucleus[index])
    nucleus *= inside
    chromatin = np.stack([smooth_noise(rng, size, size, 5) for _ in reach])
    grain = (rng.random(inside.shape, np.float32) - 0.5) * np.float32(0.5)
    cytoplasm = _mixed(inside * (0.55 + grain) * (1 - nucleus), np.array([170, 140, 190], np.int16), ground)
    return cytoplasm + _mixed(nucleus * (0.9 + 0.12 * chromatin), np.array([96, 58, 142], np.int16), ground)


def nuclei(rng: np.random.Generator, width: int = 320, height: int = 256) -> tuple[Bytes, tuple[Blob, ...]]:
    """Stained nuclei in fluorescence: grey pixels (height, width), and each nucleus; at least one, none touching."""
    count = int(rng.integers(6, 34))
    radii = 7.0 + rng.random(count) * 7.0
    stretch = 1.0 + rng.random(count) * 0.7
    kept, centres = place(rng, radii * np.sqrt(stretch) * (1 + WOBBLE), width=width, height=height, gap_px=2.0)
    drawn = patches(rng, centres, radii[kept], stretch[kept], 48)
    light = (45 + rng.random(len(kept)) * 150).astype(np.float32)[:, None, None]
    texture = np.stack([smooth_noise(rng, 48, 48, 6) for _ in kept])
    glow = _inside(drawn, 2.5) * (1 - 0.3 * drawn.rho2) * (1 + 0.22 * texture) * light
    haze = np.float32(7) + 4 * smooth_noise(rng, height, width, 64)
    canvas = haze + rng.random((height, width), np.float32) * 6
    for index in range(len(kept)):
        left, top = int(drawn.left[index]), int(drawn.top[index])
        x0, x1, y0, y1 = max(0, left), min(width, left + 48), max(0, top), min(height, top + 48)
        canvas[y0:y1, x0:x1] += glow[index, y0 - top : y1 - top, x0 - left : x1 - left]
    return np.clip(canvas, 0, 255).astype(np.uint8), tuple(blobs(drawn, width, height))
