"""Coordinates as text, in whole pixels of the delivered image.

A box is written `[x0, y0, x1, y1]` with its left and top edge rounded down and its right and bottom edge rounded up, so
that it still covers the object; a point is written as `[x, y]`, the column and row of the pixel in which it lies. Both
stay within the image. Pixels are numbered from 0 at the top left.
"""

import json
import math
from collections.abc import Iterable

from curate.rows import Annotation, Asset
from curate.tasks.base import ENGLISH, Language
from curate.tasks.wording import hash_of, load

__all__ = ["in_reading_order", "json_list", "pixel_box", "pixel_point", "sized"]

VOLUME = "volume"

PixelBox = tuple[int, int, int, int]
PixelPoint = tuple[int, int]


def pixel_box(annotation: Annotation, asset: Asset) -> PixelBox | None:
    """The box in whole pixels, or None where the annotation has none on a raster or its box is empty."""
    if annotation.box is None or annotation.frame == VOLUME:
        return None
    x0, y0, x1, y1 = annotation.box
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(asset.width, math.ceil(x1)), min(asset.height, math.ceil(y1))
    return (left, top, right, bottom) if left < right and top < bottom else None


def pixel_point(annotation: Annotation, asset: Asset) -> PixelPoint | None:
    """The pixel in which the point lies, or None where the annotation has none on a raster or it lies outside."""
    if annotation.point is None or annotation.frame == VOLUME:
        return None
    x, y = annotation.point
    if not (0 <= x <= asset.width and 0 <= y <= asset.height):
        return None
    return min(asset.width - 1, math.floor(x)), min(asset.height - 1, math.floor(y))


def in_reading_order(places: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """From top to bottom, then from left to right: an order that the picture gives."""
    return sorted(places, key=lambda place: (place[1], place[0], place[2:]))


def json_list(places: Iterable[tuple[int, ...]]) -> str:
    """The places as a JSON list of lists."""
    return json.dumps([list(place) for place in places])


def sized(task: str, exchange: str, asset: Asset, *key: object, language: Language = ENGLISH) -> str:
    """The sentence that states the form of coordinates and the size of the image."""
    pool = load(task, language)[exchange].tell
    template = pool[hash_of(asset.asset_id, exchange, *key) % len(pool)]
    return template.format(width=asset.width, height=asset.height)
