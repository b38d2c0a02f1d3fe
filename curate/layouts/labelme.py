"""Labelme JSON: one file per image, one of `shapes` per object.

Corners are places on the raster, whose first pixel reaches from 0 to 1, in the orientation in which labelme shows the
image: that of its EXIF tag. Polygons of one label and one `group_id` are one object. The file's own unit covers its
image, also where it lists no shape.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import msgspec

from curate.geometry import Convention
from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.image_index import ImageIndex
from curate.layouts.objects import finite_numbers, labelled, object_unit, read_bytes, stem_of
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Unit

__all__ = ["Labelme", "LabelmeOptions", "is_labelme"]

CIRCLE_CORNERS: Final = 64
"""A circle is told as a polygon of so many corners, whose area is 0.2 % smaller."""

_FLAGS: Final = ("difficult", "truncated", "occluded", "crowd")


class LabelmeOptions(LayoutOptions, frozen=True):
    """Labelme files say all themselves."""


class Labelme:
    """One JSON file per image; objects are located as `shapes[0]`, `shapes[1]`, ... in the file's order."""

    name: ClassVar[str] = "labelme"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = LabelmeOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The JSON files, sorted."""
        return context.tree.match(context.labels.files)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Per file one record that covers its image, then its objects."""
        images = context.image_index()
        for entry in self.label_files(context):
            content = _load(read_bytes(context, entry))
            if isinstance(content, Refusal):
                yield Refused(Unit.FILE, entry.key, "", content)
                continue
            image = _image_of(content, entry, images)
            yield Record(Unit.FILE, entry.key, "", image)
            size = _size_of(content)
            for locator, shapes in _objects(content["shapes"]):
                yield object_unit(entry, locator, image, _object(context, shapes, locator, size))


def is_labelme(content: object) -> bool:
    """The document is one image's: an object with a list `shapes` and a key `imagePath`."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _load(data: bytes | Refusal) -> dict[str, Any] | Refusal:
    if isinstance(data, Refusal):
        return data
    if not data.strip():
        return Refusal(Reason.EMPTY_FILE, "no JSON in it")
    try:
        content = _decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return Refusal(Reason.INVALID_JSON, "not a JSON document")
    if not is_labelme(content):
        return Refusal(Reason.INVALID_JSON, "no object with a list `shapes` and a key `imagePath`")
    found: dict[str, Any] = content
    return found


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)  # Python's own writers put NaN into JSON: that spoils one object, not the file


def _image_of(content: dict[str, Any], entry: Entry, images: ImageIndex) -> ImageRef:
    """The image of `imagePath`, which is relative to the file; where none is there, that of the file's stem."""
    by_stem = ImageRef(stem_of(entry.name), entry.folder)
    path = content["imagePath"]
    if not isinstance(path, str) or not path.strip():
        return by_stem
    by_path = ImageRef(path, entry.folder)
    if isinstance(images.resolve(by_path.name, by_path.near), Entry):
        return by_path
    return by_stem if isinstance(images.resolve(by_stem.name, by_stem.near), Entry) else by_path


def _size_of(content: dict[str, Any]) -> tuple[int, int] | None:
    sides = finite_numbers([content.get("imageWidth"), content.get("imageHeight")])
    if sides is None or not all(side > 0 and side.is_integer() for side in sides):
        return None
    return (int(sides[0]), int(sides[1]))


def _objects(shapes: list[Any]) -> list[tuple[str, list[Any]]]:
    """Each object by the locator of its first shape: several polygons where they share a label and a group."""
    objects: list[tuple[str, list[Any]]] = []
    grouped: dict[tuple[str, int], list[Any]] = {}
    for position, shape in enumerate(shapes):
        key = _group_of(shape)
        if key is not None and key in grouped:
            grouped[key].append(shape)
            continue
        objects.append((f"shapes[{position}]", [shape]))
        if key is not None:
            grouped[key] = objects[-1][1]
    return objects


def _group_of(shape: object) -> tuple[str, int] | None:
    if not isinstance(shape, dict) or _type_of(shape) != "polygon":
        return None
    label, group = shape.get("label"), shape.get("group_id")
    if not isinstance(label, str) or not isinstance(group, int) or isinstance(group, bool):
        return None
    return label, group


def _type_of(shape: dict[str, Any]) -> object:
    return shape.get("shape_type") or "polygon"  # files of before version 3.5 hold polygons alone and do not say so


def _object(context: Context, shapes: list[Any], locator: str, size: tuple[int, int] | None) -> RawAnnotation | Refusal:
    drawn = [_drawn(shape, locator, size) for shape in shapes]
    refused = next((one for one in drawn if isinstance(one, Refusal)), None)
    if refused is not None:
        return refused
    rings = tuple(ring for one in drawn if isinstance(one, RawAnnotation) for ring in one.polygons)
    first = drawn[0]
    assert isinstance(first, RawAnnotation)
    label = shapes[0].get("label")
    if not isinstance(label, str) or not label.strip():
        return Refusal(Reason.MISSING_VALUE, "the shape has no label")
    flags = tuple(flag for flag in _FLAGS if any(_flagged(shape, flag) for shape in shapes))
    return labelled(msgspec.structs.replace(first, polygons=rings, flags=flags), label.strip(), context.labels)


def _flagged(shape: dict[str, Any], flag: str) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and flags.get(flag) is True


def _drawn(shape: Any, locator: str, size: tuple[int, int] | None) -> RawAnnotation | Refusal:
    """What one shape marks, without its label."""
    if not isinstance(shape, dict):
        return Refusal(Reason.INVALID_ROW, "a shape that is not an object")
    kind, listed = _type_of(shape), shape.get("points")
    found = [finite_numbers(point) for point in listed] if isinstance(listed, list) else []
    points = [point for point in found if point is not None and len(point) == 2]
    if not points or len(points) != len(found):
        return Refusal(Reason.INVALID_GEOMETRY, "its points are not pairs of finite numbers")
    if kind in ("polygon", "rotation"):
        return _ring(tuple(value for point in points for value in point), locator, size)
    if kind == "rectangle" and len(points) in (2, 4):
        xs, ys = [point[0] for point in points], [point[1] for point in points]
        if len(points) == 4 and (len(set(xs)), len(set(ys))) != (2, 2):
            return _ring(tuple(value for point in points for value in point), locator, size)
        box = (min(xs), min(ys), max(xs), max(ys))
        return RawAnnotation(kind=Kind.BOX, locator=locator, coords=box, convention=Convention.XYXY, size=size)
    if kind == "circle" and len(points) == 2:
        (x, y), radius = points[0], math.dist(points[0], points[1])
        angles = [2 * math.pi * corner / CIRCLE_CORNERS for corner in range(CIRCLE_CORNERS)]
        corners = [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
        return _ring(tuple(round(value, 3) for corner in corners for value in corner), locator, size)
    if kind == "point" and len(points) == 1:
        return RawAnnotation(
            kind=Kind.POINT, locator=locator, coords=points[0], convention=Convention.CONTINUOUS, size=size
        )
    told = "polygons, rectangles of 2 corners, circles of 2 points and single points are read"
    return Refusal(Reason.INVALID_GEOMETRY, f"a shape of another kind or with {len(points)} points; {told}")


def _ring(ring: tuple[float, ...], locator: str, size: tuple[int, int] | None) -> RawAnnotation:
    return RawAnnotation(
        kind=Kind.POLYGON, locator=locator, polygons=(ring,), convention=Convention.CONTINUOUS, size=size
    )
