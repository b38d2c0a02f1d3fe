"""Objects at places where they are not: the geometry of false boxes and points."""

from typing import Final

import msgspec

from curate.rows import Annotation, Asset
from curate.tasks.places import pixel_box, pixel_point

__all__ = ["apart", "mirrored"]

_NEAR: Final = 0.1
"""Overlap (intersection over union) or distance (as a share of the longer side) up to which a place is the same."""


def mirrored(annotation: Annotation, asset: Asset, *, across: bool, down: bool) -> Annotation:
    """Its box or point, turned about the middle of the picture: left to right, top to bottom, or both."""
    box, point = annotation.box, annotation.point
    width, height = asset.width, asset.height
    if box is not None and len(box) == 4:
        x0, y0, x1, y1 = box
        x0, x1 = (width - x1, width - x0) if across else (x0, x1)
        y0, y1 = (height - y1, height - y0) if down else (y0, y1)
        box = [x0, y0, x1, y1]
    if point is not None and len(point) == 2:
        point = [width - point[0] if across else point[0], height - point[1] if down else point[1]]
    return msgspec.structs.replace(annotation, box=box, point=point)


def apart(new: Annotation, old: Annotation, asset: Asset) -> bool:
    """True where two boxes hardly overlap, or two points lie well apart; a box and a point are never told apart."""
    first, second = pixel_box(new, asset), pixel_box(old, asset)
    if first is not None and second is not None:
        width = max(0, min(first[2], second[2]) - max(first[0], second[0]))
        height = max(0, min(first[3], second[3]) - max(first[1], second[1]))
        areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
        return width * height < _NEAR * (areas - width * height)
    here, there = pixel_point(new, asset), pixel_point(old, asset)
    if here is None or there is None:
        return False
    return max(abs(here[0] - there[0]), abs(here[1] - there[1])) > _NEAR * max(asset.width, asset.height)
