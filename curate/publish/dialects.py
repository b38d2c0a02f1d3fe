"""Coordinates in the dialects of model families: arithmetic on whole numbers, and nothing of text.

Canonical is what the tasks write: whole pixels of the delivered raster, from 0 at the top left, before any EXIF
rotation. A box `x0, y0, x1, y1` names edges (0..width, 0..height, x0 < x1, y0 < y1); a point `x, y` names the pixel in
which it lies (0..width-1, 0..height-1) and is carried over by the centre of that pixel.

| dialect | a number n of a side of s pixels stands for | written |
|---|---|---|
| `pixels` | n | whole, 0..s |
| `resized` | n * s / r pixels, r the side after `resized_size` | whole, 0..r |
| `0-1000` | n * s / 1000 | whole, 0..1000 |
| `0-999` | n * s / 999 | whole, 0..999 |
| `loc` | the middle of bin n of 1000 | 0..999, rounded down |
| `0-1` | n * s | a fraction with fixed decimals |

All but `loc` round to the nearest number, ties to even. A box that would lose its area to the rounding is widened by
one step, so that x0 < x1 and y0 < y1 hold in every dialect.

Sources. Qwen2-VL: arXiv:2409.12191, 2.2 (boxes normalised to [0, 1000)). Qwen2.5-VL: arXiv:2502.13923, 2.1 (absolute
coordinates of the input); the image that it is given is resized by its processor, so training data must be counted
there. Qwen3-VL: its spatial understanding cookbook (relative, 0 to 1000). InternVL: its documentation on grounding data
(0 to 1000). MedRegA: arXiv:2410.18387 and its published demo data ("integers ranging from 0 to 999"), evaluated by
division by 999. Florence-2: arXiv:2311.06242, 1000 bins per axis, rounded down by its processor. LLaVA-1.5:
arXiv:2310.03744 (fractions of the sides).
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal

import msgspec

__all__ = [
    "DIALECTS",
    "MODEL_FAMILIES",
    "Dialect",
    "Frame",
    "box_from",
    "box_to",
    "frame_of",
    "point_from",
    "point_to",
    "resized_size",
]

Dialect = Literal["pixels", "resized", "0-1000", "0-999", "loc", "0-1"]
DIALECTS: Final[tuple[Dialect, ...]] = ("pixels", "resized", "0-1000", "0-999", "loc", "0-1")

MODEL_FAMILIES: Final[Mapping[str, Dialect]] = {
    "florence-2": "loc",
    "internvl": "0-1000",
    "llava-1.5": "0-1",
    "medrega": "0-999",
    "qwen2-vl": "0-1000",
    "qwen2.5-vl": "resized",
    "qwen3-vl": "0-1000",
}
"""Model family: the dialect in which it was trained to speak of places. Sources above."""

FACTOR: Final = 28
"""Patches of 14 pixels, merged two by two: the sides of what Qwen2.5-VL sees are multiples of it."""
MIN_PIXELS: Final = 4 * FACTOR**2
MAX_PIXELS: Final = 16384 * FACTOR**2
"""What the preprocessor configuration of the Qwen2.5-VL checkpoints states; trainers often set less."""
_MAX_RATIO: Final = 200
_BINS: Final = 1000


class Frame(msgspec.Struct, frozen=True):
    """A dialect on one image: `steps` numbers along the width and the height; `size`, where they count pixels."""

    dialect: Dialect
    width: int  # of the delivered raster
    height: int
    steps: tuple[int, int]

    @property
    def counts_pixels(self) -> bool:
        """True where a number names a pixel or an edge of pixels."""
        return self.dialect in ("pixels", "resized")


def frame_of(
    dialect: Dialect,
    width: int,
    height: int,
    *,
    min_pixels: int = MIN_PIXELS,
    max_pixels: int = MAX_PIXELS,
    decimals: int = 4,
) -> Frame | None:
    """The dialect on an image of this size; None where its published rules do not agree on one (`resized_size`)."""
    if dialect == "resized":
        size = resized_size(width, height, min_pixels=min_pixels, max_pixels=max_pixels)
        return None if size is None else Frame(dialect, width, height, size)
    if dialect == "pixels":
        return Frame(dialect, width, height, (width, height))
    steps = {"0-1000": 1000, "0-999": 999, "loc": _BINS, "0-1": 10**decimals}[dialect]
    return Frame(dialect, width, height, (steps, steps))


def resized_size(
    width: int, height: int, *, min_pixels: int = MIN_PIXELS, max_pixels: int = MAX_PIXELS
) -> tuple[int, int] | None:
    """Width and height at which Qwen2.5-VL sees an image; None where nothing definite can be said.

    Both sides go to the nearest multiple of 28 (ties to even); an area beyond `max_pixels` shrinks both by one ratio,
    rounded down, one below `min_pixels` grows both, rounded up. The rule is published twice, in `transformers`
    (`smart_resize` of the Qwen2-VL image processor) and in `qwen_vl_utils`. They differ where a side rounds to nothing
    (under 14 pixels, or after shrinking), and neither takes a side more than 200 times the other: such images are None.
    """
    if max(width, height) > _MAX_RATIO * min(width, height):
        return None
    near = tuple(round(side / FACTOR) * FACTOR for side in (width, height))
    grown = tuple(max(FACTOR, side) for side in near)
    sizes = {
        _within(near, width, height, min_pixels, max_pixels),
        _within(grown, width, height, min_pixels, max_pixels),
    }
    found = sizes.pop()
    return found if not sizes and min(found) > 0 else None


def _within(near: Sequence[int], width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    area = near[0] * near[1]
    if area > max_pixels:
        ratio = math.sqrt(width * height / max_pixels)
        return math.floor(width / ratio / FACTOR) * FACTOR, math.floor(height / ratio / FACTOR) * FACTOR
    if area < min_pixels:
        ratio = math.sqrt(min_pixels / (width * height))
        return math.ceil(width * ratio / FACTOR) * FACTOR, math.ceil(height * ratio / FACTOR) * FACTOR
    return near[0], near[1]


def box_to(box: Sequence[int], frame: Frame) -> tuple[int, int, int, int]:
    """A canonical box in numbers of the dialect; fractions as multiples of their last decimal."""
    x0, x1 = _edges(box[0], box[2], frame.width, frame.steps[0], bins=frame.dialect == "loc")
    y0, y1 = _edges(box[1], box[3], frame.height, frame.steps[1], bins=frame.dialect == "loc")
    return x0, y0, x1, y1


def box_from(numbers: Sequence[int], frame: Frame) -> tuple[int, int, int, int]:
    """The canonical box that numbers of the dialect stand for, edges at the nearest pixel."""
    half = Fraction(1, 2) if frame.dialect == "loc" else Fraction(0)
    x0, x1 = _rounded(*((numbers[n] + half) * frame.width / frame.steps[0] for n in (0, 2)))
    y0, y1 = _rounded(*((numbers[n] + half) * frame.height / frame.steps[1] for n in (1, 3)))
    return x0, y0, x1, y1


def point_to(point: Sequence[int], frame: Frame) -> tuple[int, int]:
    """The pixel of a point in numbers of the dialect, by its centre."""
    x, y = (
        _centre(at, side, steps, frame)
        for at, side, steps in zip(point, (frame.width, frame.height), frame.steps, strict=True)
    )
    return x, y


def point_from(numbers: Sequence[int], frame: Frame) -> tuple[int, int]:
    """The pixel in which a point of the dialect lies."""
    half = Fraction(1, 2) if frame.counts_pixels or frame.dialect == "loc" else Fraction(0)
    x, y = (
        min(side - 1, math.floor((number + half) * side / steps))
        for number, side, steps in zip(numbers, (frame.width, frame.height), frame.steps, strict=True)
    )
    return x, y


def _centre(at: int, side: int, steps: int, frame: Frame) -> int:
    place = Fraction(2 * at + 1, 2 * side) * steps
    return math.floor(place) if frame.counts_pixels or frame.dialect == "loc" else round(place)


def _edges(low: int, high: int, side: int, steps: int, *, bins: bool) -> tuple[int, int]:
    first, last = Fraction(low * steps, side), Fraction(high * steps, side)
    if not bins:
        return _rounded(first, last)
    start, end = (min(math.floor(place), steps - 1) for place in (first, last))
    if start < end:
        return start, end
    return (start, end + 1) if end < steps - 1 else (start - 1, end)


def _rounded(low: Fraction, high: Fraction) -> tuple[int, int]:
    """Both at the nearest number; where that is one and the same, at those around them. `low < high`."""
    start, end = round(low), round(high)
    return (start, end) if start < end else (math.floor(low), math.ceil(high))
