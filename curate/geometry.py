"""Places what a source says onto the one raster: conventions in, edges out; refusals where that cannot be right.

The frame is `raster` (see `schema`): float xyxy on the stored pixels, edges, 0-based, so pixel i covers [i, i+1) and
its centre lies at i + 0.5. Sizes are given as width, height in pixels; arrays are indexed [row, column].

A coordinate may overhang its image by up to `OVERHANG_PX`: it is clipped and the result says so. Anything further out
is refused, never moved.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy.typing as npt

from curate.rows import Rle
from curate.run_lengths import mask_area, mask_box, read_rle
from curate.schema import Reason, Refusal

__all__ = [
    "BOX_CONVENTIONS",
    "MIN_AREA_PX2",
    "OVERHANG_PX",
    "POINT_CONVENTIONS",
    "ROUNDING_PX",
    "Box",
    "Convention",
    "PlacedBox",
    "PlacedMask",
    "PlacedPoint",
    "PlacedPolygons",
    "Point",
    "displayed_size",
    "exif_box_to_stored",
    "exif_mask_to_stored",
    "exif_to_stored",
    "place_box",
    "place_mask",
    "place_point",
    "place_polygons",
]

OVERHANG_PX: Final = 1.0
"""How far a coordinate may lie outside its image and be clipped: what an off-by-one of the annotation tool explains."""

ROUNDING_PX: Final = 1e-6
"""What the arithmetic of fractions may add to a coordinate: snapped to the edge without calling it an overhang."""

MIN_AREA_PX2: Final = 1e-6
"""A ring that encloses less is a line, whatever rounding made of its area."""

Box = tuple[float, float, float, float]
Point = tuple[float, float]


class Convention(StrEnum):
    """How a source writes coordinates: the first six speak of boxes, the others of points and corners."""

    XYXY = "xyxy"  # left, top, right, bottom edges, 0-based
    XYWH = "xywh"  # left, top edge, width, height (COCO)
    VOC = "voc"  # first and last pixel, 1-based, inclusive (Pascal VOC)
    VOC0 = "voc0"  # first and last pixel, 0-based, inclusive
    YOLO = "yolo"  # centre x, centre y, width, height as fractions of the image
    XYXY_NORMALISED = "xyxy_normalised"  # left, top, right, bottom as fractions
    INDEX = "index"  # the number of a pixel from 0, whose centre is meant
    INDEX1 = "index1"  # the number of a pixel from 1, whose centre is meant
    CONTINUOUS = "continuous"  # edges, 0-based: the raster frame itself
    NORMALISED = "normalised"  # fractions of the image


class PlacedBox(msgspec.Struct, frozen=True, gc=False):
    """Left, top, right, bottom on the raster; `clipped` where an overhang was cut off."""

    box: Box
    clipped: bool


class PlacedPoint(msgspec.Struct, frozen=True, gc=False):
    """x, y on the raster; `clipped` where an overhang was cut off."""

    point: Point
    clipped: bool


class PlacedPolygons(msgspec.Struct, frozen=True):
    """Rings as x, y, x, y, ... on the raster, the box around them, and the sum of the areas that they enclose."""

    polygons: tuple[tuple[float, ...], ...]
    box: Box
    area_px: float
    clipped: bool


class PlacedMask(msgspec.Struct, frozen=True):
    """A mask on the whole raster, the box around its pixels and their number."""

    mask: Rle
    box: Box
    area_px: float


# --- boxes -----------------------------------------------------------------------------------------------------------

_ToEdges = Callable[[float, float, float, float, float, float], Box]

_BOX_TO_EDGES: Final[dict[str, _ToEdges]] = {
    Convention.XYXY: lambda a, b, c, d, _w, _h: (a, b, c, d),
    Convention.XYWH: lambda a, b, c, d, _w, _h: (a, b, a + c, b + d),
    Convention.VOC: lambda a, b, c, d, _w, _h: (a - 1.0, b - 1.0, c, d),
    Convention.VOC0: lambda a, b, c, d, _w, _h: (a, b, c + 1.0, d + 1.0),
    Convention.YOLO: lambda a, b, c, d, w, h: (
        (a - c / 2) * w,
        (b - d / 2) * h,
        (a + c / 2) * w,
        (b + d / 2) * h,
    ),
    Convention.XYXY_NORMALISED: lambda a, b, c, d, w, h: (a * w, b * h, c * w, d * h),
}

BOX_CONVENTIONS: Final = frozenset(Convention(name) for name in _BOX_TO_EDGES)


def place_box(coords: Sequence[float], convention: str, width: int, height: int) -> PlacedBox | Refusal:
    """A box on the raster of an image, or why it cannot be one.

    Not four finite numbers, an inverted box or one without area is `invalid_geometry`; one that overhangs by more than
    `OVERHANG_PX`, or of which clipping leaves nothing, is `outside_image`.

    Raises:
        ValueError: `convention` is not one of `BOX_CONVENTIONS`.
    """
    to_edges = _BOX_TO_EDGES.get(convention)
    if to_edges is None:
        raise ValueError(f"a box has one of the conventions {sorted(BOX_CONVENTIONS)}, got {convention!r}")
    if len(coords) != 4:
        return Refusal(Reason.INVALID_GEOMETRY, f"a box has 4 numbers, found {len(coords)}")
    a, b, c, d = coords
    x0, y0, x1, y1 = to_edges(a, b, c, d, width, height)
    if not (math.isfinite(x0) and math.isfinite(y0) and math.isfinite(x1) and math.isfinite(y1)):
        return Refusal(Reason.INVALID_GEOMETRY, f"the box {_show(coords)} ({convention}) is not finite")
    if x1 <= x0 or y1 <= y0:
        fault = "is inverted" if x1 < x0 or y1 < y0 else "has no area"
        return Refusal(Reason.INVALID_GEOMETRY, f"the box {_show(coords)} ({convention}) {fault}")
    overhang = max(-x0, -y0, x1 - width, y1 - height)
    left, top, right, bottom = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if overhang > OVERHANG_PX + ROUNDING_PX or right <= left or bottom <= top:
        return _outside(f"the box {_show(coords)} ({convention})", overhang, width, height)
    return PlacedBox((left, top, right, bottom), overhang > ROUNDING_PX)


# --- points and polygons ---------------------------------------------------------------------------------------------

_SHIFTS_PX: Final[dict[str, float]] = {Convention.INDEX: 0.5, Convention.INDEX1: -0.5, Convention.CONTINUOUS: 0.0}

POINT_CONVENTIONS: Final = frozenset({*(Convention(name) for name in _SHIFTS_PX), Convention.NORMALISED})


def _scale_and_shift(convention: str, width: int, height: int) -> tuple[float, float, float]:
    if convention == Convention.NORMALISED:
        return (float(width), float(height), 0.0)
    if convention in _SHIFTS_PX:
        return (1.0, 1.0, _SHIFTS_PX[convention])
    raise ValueError(f"a point has one of the conventions {sorted(POINT_CONVENTIONS)}, got {convention!r}")


def place_point(coords: Sequence[float], convention: str, width: int, height: int) -> PlacedPoint | Refusal:
    """A point on the raster, where the centre of pixel i lies at i + 0.5; refused as in `place_box`.

    Raises:
        ValueError: `convention` is not one of `POINT_CONVENTIONS`.
    """
    scale_x, scale_y, shift = _scale_and_shift(convention, width, height)
    if len(coords) != 2:
        return Refusal(Reason.INVALID_GEOMETRY, f"a point has 2 numbers, found {len(coords)}")
    x, y = coords[0] * scale_x + shift, coords[1] * scale_y + shift
    if not (math.isfinite(x) and math.isfinite(y)):
        return Refusal(Reason.INVALID_GEOMETRY, f"the point {_show(coords)} ({convention}) is not finite")
    overhang = max(-x, -y, x - width, y - height)
    if overhang > OVERHANG_PX + ROUNDING_PX:
        return _outside(f"the point {_show(coords)} ({convention})", overhang, width, height)
    return PlacedPoint((_clamp(x, width), _clamp(y, height)), overhang > ROUNDING_PX)


def place_polygons(
    rings: Sequence[Sequence[float]], convention: str, width: int, height: int
) -> PlacedPolygons | Refusal:
    """Rings of corners (x, y, x, y, ...) on the raster, each corner placed as a point is.

    One ring that is not one, with fewer than three corners or without area, refuses the whole object: what is left
    would be another shape than the source drew. Rings add up as in COCO: they are parts, never holes.

    Raises:
        ValueError: `convention` is not one of `POINT_CONVENTIONS`.
    """
    scale_x, scale_y, shift = _scale_and_shift(convention, width, height)
    if not rings:
        return Refusal(Reason.INVALID_GEOMETRY, "a polygon without rings")
    placed: list[tuple[float, ...]] = []
    corners_x: list[float] = []
    corners_y: list[float] = []
    area_px, overhang = 0.0, 0.0
    for number, ring in enumerate(rings):
        if len(ring) < 6 or len(ring) % 2:
            found = f"ring {number} has {len(ring)} numbers; a ring has at least 3 corners of 2 numbers"
            return Refusal(Reason.INVALID_GEOMETRY, found)
        xs = [x * scale_x + shift for x in ring[0::2]]
        ys = [y * scale_y + shift for y in ring[1::2]]
        refusal = _check_ring(xs, ys, width, height, f"ring {number}")
        if refusal is not None:
            return refusal
        overhang = max(overhang, _overhang(xs, ys, width, height))
        xs, ys = [_clamp(x, width) for x in xs], [_clamp(y, height) for y in ys]
        area_px += _enclosed(xs, ys)
        placed.append(tuple(itertools.chain.from_iterable(zip(xs, ys, strict=True))))
        corners_x += xs
        corners_y += ys
    box = (min(corners_x), min(corners_y), max(corners_x), max(corners_y))
    return PlacedPolygons(tuple(placed), box, area_px, overhang > ROUNDING_PX)


def _check_ring(xs: list[float], ys: list[float], width: int, height: int, what: str) -> Refusal | None:
    if not (all(map(math.isfinite, xs)) and all(map(math.isfinite, ys))):
        return Refusal(Reason.INVALID_GEOMETRY, f"{what} has a corner that is not finite")
    overhang = _overhang(xs, ys, width, height)
    if overhang > OVERHANG_PX + ROUNDING_PX:
        return _outside(what, overhang, width, height)
    if _enclosed(xs, ys) <= MIN_AREA_PX2:
        return Refusal(Reason.INVALID_GEOMETRY, f"{what} has no area")
    if _enclosed([_clamp(x, width) for x in xs], [_clamp(y, height) for y in ys]) <= MIN_AREA_PX2:
        return _outside(what, overhang, width, height)
    return None


def _overhang(xs: list[float], ys: list[float], width: int, height: int) -> float:
    return max(-min(xs), -min(ys), max(xs) - width, max(ys) - height)


def _enclosed(xs: Sequence[float], ys: Sequence[float]) -> float:
    # Measured from the first corner: far from the origin the products would drown a small ring's area in rounding.
    dx, dy = [x - xs[0] for x in xs], [y - ys[0] for y in ys]
    doubled = math.fsum(dx[i - 1] * dy[i] - dx[i] * dy[i - 1] for i in range(len(dx)))
    return abs(doubled) / 2


def _clamp(value: float, size: int) -> float:
    return min(max(value, 0.0), float(size))


def _show(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"


def _outside(what: str, overhang: float, width: int, height: int) -> Refusal:
    found = f"{what} overhangs the image of {width} x {height} by {overhang:g} pixels"
    return Refusal(Reason.OUTSIDE_IMAGE, found)


# --- masks -----------------------------------------------------------------------------------------------------------


def place_mask(counts: Sequence[int] | str, size: tuple[int, int], width: int, height: int) -> PlacedMask | Refusal:
    """A mask that a label file states on a raster of `size` (width, height), on the raster of its image.

    Another raster than the image's is a `size_mismatch`, never a resampling; a mask without a pixel is `empty_mask`.
    """
    if size != (width, height):
        found = f"the mask states a raster of {size[0]} x {size[1]}, the image has {width} x {height}"
        return Refusal(Reason.SIZE_MISMATCH, found)
    rle = read_rle(counts, width, height)
    if isinstance(rle, Refusal):
        return rle
    box = mask_box(rle)
    if box is None:
        return Refusal(Reason.EMPTY_MASK, "the run lengths set no pixel")
    return PlacedMask(rle, box, float(mask_area(rle)))


# --- EXIF orientation ------------------------------------------------------------------------------------------------

_TO_STORED: Final[dict[int, Callable[[float, float, float, float], Point]]] = {
    1: lambda x, y, _w, _h: (x, y),
    2: lambda x, y, w, _h: (w - x, y),
    3: lambda x, y, w, h: (w - x, h - y),
    4: lambda x, y, _w, h: (x, h - y),
    5: lambda x, y, _w, _h: (y, x),
    6: lambda x, y, _w, h: (y, h - x),
    7: lambda x, y, w, h: (w - y, h - x),
    8: lambda x, y, w, _h: (w - y, x),
}
"""Displayed x, y and the stored width, height -> stored x, y (EXIF 2.32, tag 0x0112)."""


def displayed_size(orientation: int, width: int, height: int) -> tuple[int, int]:
    """Width and height as a viewer that obeys the EXIF orientation (1 to 8) shows a stored raster."""
    return (height, width) if orientation >= 5 else (width, height)


def exif_to_stored(xy: Sequence[float], orientation: int, width: int, height: int) -> tuple[float, ...]:
    """A point or a ring (x, y, ...) drawn on the displayed picture, on the stored raster of `width` x `height`."""
    turn = _TO_STORED[orientation]
    return tuple(number for x, y in zip(xy[0::2], xy[1::2], strict=True) for number in turn(x, y, width, height))


def exif_box_to_stored(box: Box, orientation: int, width: int, height: int) -> Box:
    """A box drawn on the displayed picture, on the stored raster of `width` x `height`."""
    xa, ya, xb, yb = exif_to_stored(box, orientation, width, height)
    return (min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb))


def exif_mask_to_stored(mask: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A mask or label map [row, column] drawn on the displayed picture, as the stored raster has it (a view)."""
    turned = mask.T if orientation >= 5 else mask
    if orientation in (2, 3, 7, 8):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 6, 7):
        turned = turned[::-1, :]
    return turned
