"""What annotations look like over their picture: boxes, polygons and points as SVG paths, masks as translucent layers.

Coordinates are those of the raster (`schema`, invariant 3): the SVG that holds them has the raster as its view box, so
that they coincide with the picture at whatever size it is shown.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.rows import Annotation, Rle
from curate.run_lengths import decode_mask
from curate.view.shown import Drawing, Layer, Shape

__all__ = ["COLOURS", "colours_of", "drawing_of", "slice_of"]

COLOURS: Final = ("#e69f00", "#56b4e9", "#f0e442", "#00b894", "#cc79a7", "#ff6b4a", "#a3a1ff", "#9be564")
"""Told apart by most people with a colour vision deficiency, on grey and on stained tissue."""

SHAPES_AT_MOST: Final = 600
FILL_ALPHA: Final = 88
EDGE_ALPHA: Final = 235


def colours_of(annotations: Iterable[Annotation]) -> dict[str, int]:
    """Concept -> its colour, by the order of the names."""
    names = sorted({_name(annotation) for annotation in annotations})
    return {name: number % len(COLOURS) for number, name in enumerate(names)}


def slice_of(mask: Rle, index: int) -> Rle:
    """One slice of a volume's mask as a mask of its own."""
    size = mask.height * mask.width
    ends = np.cumsum(np.asarray(mask.counts, np.int64))
    within = np.clip(ends, index * size, (index + 1) * size)
    lengths = np.diff(within, prepend=index * size)
    return Rle(mask.height, mask.width, [int(length) for length in lengths])


def _name(annotation: Annotation) -> str:
    return annotation.concept or annotation.label or ""


def drawing_of(
    numbered: Sequence[tuple[int, Annotation]], colours: dict[str, int], raster: tuple[int, int], shown: tuple[int, int]
) -> Drawing:
    """Everything with a place on a raster of `raster` = (width, height), whose picture is shown at `shown` pixels."""
    placed = [(number, one) for number, one in numbered if one.frame == "raster"]
    plain = [(number, one) for number, one in placed if one.mask is None and (one.box or one.point or one.polygons)]
    shapes = tuple(_shape(number, one, colours[_name(one)]) for number, one in plain[:SHAPES_AT_MOST])
    masks: dict[str, list[Rle]] = {}
    for _, one in placed:
        if one.mask is not None and one.mask.depth is None and (one.mask.width, one.mask.height) == raster:
            masks.setdefault(_name(one), []).append(one.mask)
    layers = tuple(
        Layer(name, colours[name], len(rles), _layer(rles, COLOURS[colours[name]], shown))
        for name, rles in sorted(masks.items())
    )
    return Drawing(shapes, layers, max(0, len(plain) - SHAPES_AT_MOST))


def _shape(number: int, one: Annotation, colour: int) -> Shape:
    name = _name(one)
    told = " ".join(word for word in (f"{number}:", name, "" if one.state is None else str(one.state)) if word)
    if one.polygons:
        path = "".join(_ring(ring) for ring in one.polygons)
        return Shape(number, "polygon", name, colour, path, told, (one.polygons[0][0], one.polygons[0][1]))
    if one.box:
        x0, y0, x1, y1 = one.box[:4]
        return Shape(number, "box", name, colour, f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z", told, (x0, y0))
    assert one.point is not None
    x, y = one.point[:2]
    return Shape(number, "point", name, colour, f"M{x:g} {y:g}h0", told, (x, y))


def _ring(ring: Sequence[float]) -> str:
    corners = [f"{x:g} {y:g}" for x, y in zip(ring[0::2], ring[1::2], strict=True)]
    return "M" + "L".join(corners) + "Z"


def _layer(rles: Sequence[Rle], colour: str, shown: tuple[int, int]) -> str:
    """Masks as a PNG of three values at the size shown: nothing, the inside, and the edge of each."""
    values = np.zeros((shown[1], shown[0]), np.uint8)
    for rle in rles:
        inside = _shrunk(decode_mask(rle), shown)
        edge = inside & ~_eroded(inside)
        values[inside & (values == 0)] = 1
        values[edge] = 2
    return _palette_png(values, colour)


def _shrunk(mask: npt.NDArray[np.bool_], shown: tuple[int, int]) -> npt.NDArray[np.bool_]:
    from PIL import Image

    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    if picture.size == shown:
        return mask
    larger = shown[0] >= mask.shape[1]
    resized = picture.resize(shown, Image.Resampling.NEAREST if larger else Image.Resampling.BOX)
    found: npt.NDArray[np.bool_] = np.asarray(resized) >= 128
    if not found.any():  # smaller than a pixel that is shown
        found = np.asarray(resized) > 0
    return found


def _eroded(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What has all four neighbours; the picture's rim counts as outside."""
    around = np.pad(mask, 1)
    inner: npt.NDArray[np.bool_] = mask & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return inner


def _palette_png(values: npt.NDArray[np.uint8], colour: str) -> str:
    from PIL import Image

    picture = Image.fromarray(values, mode=None)
    rgb = bytes.fromhex(colour[1:])
    indexed: Any = picture.convert("P")
    indexed.putdata(picture.tobytes())
    indexed.putpalette(b"\0\0\0" + rgb + rgb)
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", optimize=True, transparency=bytes([0, FILL_ALPHA, EDGE_ALPHA]))
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
