"""Views of a slide: the whole of it as a raster at a wanted scale, of which windows are read.

A scale is how many pixels of level 0 lie along one of the view, column and row. A view is read from the coarsest level
that is at least as fine, reduced by the greatest whole factor that still is, and brought to the exact scale by a
windowed resampler. Where level and factor together are within `SCALE_TOLERANCE` of what is asked, their pixels are the
view's. Nothing is enlarged.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from curate.images.resize import FILTER
from curate.images.slides import Level, Pixels, Slide, Window
from curate.schema import Refusal

__all__ = ["SCALE_TOLERANCE", "View", "Whole", "read_view", "read_whole", "view_at", "view_of_size"]

SCALE_TOLERANCE: Final = 0.02
"""Relative. Scanners of one nominal power state microns per pixel that differ by more (0.2325, 0.2465, 0.2527)."""

BLOCK: Final = 128
"""Side, in pixels of the view, of the windows that a whole view is read in."""

SOURCE_PIXELS: Final = 4_000_000
"""Of a level, that one such window may need before it is halved."""


@dataclass(frozen=True, slots=True)
class View:
    """A slide at a scale: each pixel is `step` pixels (column, row) of a level reduced by `factor`."""

    level: int
    factor: int
    step: tuple[float, float]  # 1, 1: the reduced level's own pixels
    width: int
    height: int
    scale: tuple[float, float]  # pixels of level 0 along one of the view

    @property
    def exact(self) -> bool:
        """True where the view is the reduced level itself."""
        return self.step == (1.0, 1.0)

    def region(self, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
        """A window of the view in pixels of level 0: x, y, width, height, edges rounded to the nearest."""
        x0, y0 = round(x * self.scale[0]), round(y * self.scale[1])
        return x0, y0, round((x + width) * self.scale[0]) - x0, round((y + height) * self.scale[1]) - y0


class Whole(NamedTuple):
    """A whole view; `unknown` marks pixels that rest on something that did not decode."""

    samples: npt.NDArray[np.uint8]
    filled: bool
    unknown: npt.NDArray[np.bool_] | None
    damage: Refusal | None


def view_at(levels: tuple[Level, ...], scale: tuple[float, float]) -> View | None:
    """The view at a scale; null where it would enlarge level 0. Parts of a pixel at the far edges are left out."""
    if min(scale) < 1 - SCALE_TOLERANCE:
        return None
    finest = min(scale) * (1 + SCALE_TOLERANCE)
    number, factor = _source(levels, finest)
    level = levels[number]
    reduced = (level.width // factor, level.height // factor)
    own = (level.downsample[0] * factor, level.downsample[1] * factor)
    if all(abs(wanted / has - 1) <= SCALE_TOLERANCE for wanted, has in zip(scale, own, strict=True)):
        return View(number, factor, (1.0, 1.0), *reduced, own)
    step = (max(1.0, scale[0] / own[0]), max(1.0, scale[1] / own[1]))
    width, height = int(reduced[0] / step[0] + 1e-9), int(reduced[1] / step[1] + 1e-9)
    return View(number, factor, step, width, height, (own[0] * step[0], own[1] * step[1]))


def view_of_size(levels: tuple[Level, ...], width: int, height: int) -> View:
    """The view of the whole slide as a raster of a size, no larger than level 0."""
    scale = (levels[0].width / width, levels[0].height / height)
    number, factor = _source(levels, min(scale) * (1 + 1e-9))
    level = levels[number]
    reduced = (level.width // factor, level.height // factor)
    step = (reduced[0] / width, reduced[1] / height)
    return View(number, factor, step, width, height, scale)


def _source(levels: tuple[Level, ...], finest: float) -> tuple[int, int]:
    """The coarsest level of at most this downsample, and the greatest factor that it still allows."""
    number = max(
        (n for n, level in enumerate(levels) if max(level.downsample) <= finest or n == 0),
        key=lambda n: (levels[n].downsample, -n),
    )
    level = levels[number]
    factor = next((f for f in level.factors if max(level.downsample) * f <= finest), 1)
    return number, factor


def read_view(slide: Slide, view: View, window: Window) -> Pixels:
    """A window of a view; holes are in its own pixels."""
    x, y, width, height = window
    if view.exact:
        return slide.read(view.level, window, view.factor)
    level = slide.levels[view.level]
    across = _span(x, width, view.step[0], level.width // view.factor)
    down = _span(y, height, view.step[1], level.height // view.factor)
    x0, y0 = across[0], down[0]
    pixels = slide.read(view.level, (x0, y0, across[1] - x0, down[1] - y0), view.factor)
    box = (across[2] - x0, down[2] - y0, across[3] - x0, down[3] - y0)
    samples = np.asarray(Image.fromarray(pixels.samples).resize((width, height), FILTER, box=box))
    holes = tuple(
        (
            max(0, math.floor((left - box[0]) / view.step[0]) - 1),
            max(0, math.floor((top - box[1]) / view.step[1]) - 1),
            min(width, math.ceil((right - box[0]) / view.step[0]) + 1),
            min(height, math.ceil((bottom - box[1]) / view.step[1]) + 1),
        )
        for left, top, right, bottom in pixels.holes
    )
    return Pixels(samples, pixels.filled, holes, pixels.damage)


def _span(start: int, count: int, step: float, limit: int) -> tuple[int, int, float, float]:
    """First and last pixel to read along one axis, and the exact stretch within: the resampler sees its neighbours."""
    begin, end = min(start * step, limit - 1.0), min((start + count) * step, float(limit))
    margin = math.ceil(step) + 1
    return max(0, math.floor(begin) - margin), min(limit, math.ceil(end) + margin), begin, end


def read_whole(slide: Slide, view: View, beat: Callable[[], None]) -> Whole:
    """All of a view, window by window; `beat` is called before each."""
    samples = np.empty((view.height, view.width, 3), np.uint8)
    unknown = np.zeros((view.height, view.width), np.bool_)
    filled, damage = False, None
    cost = view.factor * view.factor * view.step[0] * view.step[1]
    side = max(1, min(BLOCK, int(math.sqrt(SOURCE_PIXELS / cost))))
    for y in range(0, view.height, side):
        for x in range(0, view.width, side):
            beat()
            width, height = min(side, view.width - x), min(side, view.height - y)
            pixels = read_view(slide, view, (x, y, width, height))
            samples[y : y + height, x : x + width] = pixels.samples
            for left, top, right, bottom in pixels.holes:
                unknown[y + top : y + bottom, x + left : x + right] = True
            filled = filled or pixels.filled
            damage = damage or pixels.damage
    return Whole(samples, filled, unknown if damage is not None else None, damage)
