"""COCO JSON: `images`, `categories` and `annotations` in one file, tied by ids.

Boxes are left, top, width, height; polygons are rings of edges; masks are run lengths, plain or compressed (the format
is that of the COCO API, "Data format", object detection). Each entry of `images` covers its image, also where no
annotation names it.
"""

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec

from curate.geometry import Convention
from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.objects import finite_numbers, labelled, object_unit, read_bytes
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Unit, Verdict

__all__ = ["Coco", "CocoOptions"]


class CocoOptions(LayoutOptions, frozen=True):
    """`auto` takes the mask or polygon where there is one, else the box; `box` always the box."""

    geometry: Literal["auto", "box"] = "auto"


class Coco:
    """One JSON file for many images; units are located as `images[3]` and `annotations[12]`."""

    name: ClassVar[str] = "coco"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = CocoOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The JSON files, sorted."""
        return context.tree.match(context.labels.files)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Per file first its images, then its annotations, in the file's order."""
        for entry in self.label_files(context):
            content = _load(read_bytes(context, entry))
            if isinstance(content, Refusal):
                yield Refused(Unit.FILE, entry.key, "", content)
                continue
            images, units = _images(content["images"], entry)
            yield from units
            categories = _categories(content.get("categories"))
            for position, annotation in enumerate(content["annotations"]):
                locator = f"annotations[{position}]"
                image = _image_of(annotation, images)
                if isinstance(image, Refusal):
                    yield Refused(Unit.OBJECT, entry.key, locator, image)
                else:
                    outcome = _object(context, annotation, locator, image, categories)
                    yield object_unit(entry, locator, image.ref, outcome)


@dataclass(frozen=True, slots=True)
class _Image:
    ref: ImageRef
    size: tuple[int, int] | None


def _load(data: bytes | Refusal) -> dict[str, Any] | Refusal:
    if isinstance(data, Refusal):
        return data
    if not data.strip():
        return Refusal(Reason.EMPTY_FILE, "no JSON in it")
    try:
        content = _decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return Refusal(Reason.INVALID_JSON, "not a JSON document")
    if not isinstance(content, dict):
        return Refusal(Reason.INVALID_JSON, "the document is not an object")
    for key in ("images", "annotations"):
        # A file without `annotations` lists images that nobody has labelled: that is no statement about them.
        if not isinstance(content.get(key), list):
            return Refusal(Reason.INVALID_JSON, f"there is no list `{key}`")
    return content


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)  # Python's own writers put NaN into JSON: that spoils one object, not the file


# --- images ----------------------------------------------------------------------------------------------------------


def _images(listed: list[Any], entry: Entry) -> tuple[dict[Hashable, _Image | Refusal], list[Record | Refused]]:
    """The images by their ids, and one unit per entry of `images`.

    An id that names two files names none: which of them an annotation means cannot be known.
    """
    parsed = [_image(item, entry) for item in listed]
    by_id: dict[Hashable, _Image | Refusal] = {}
    clashing: set[Hashable] = set()
    for item, image in zip(listed, parsed, strict=True):
        key = _id_of(item, "id")
        known = by_id.get(key)
        if isinstance(known, _Image) and isinstance(image, _Image) and known.ref != image.ref:
            clashing.add(key)
        if key is not None and not isinstance(known, _Image):
            by_id[key] = image
    clash = Refusal(Reason.INVALID_ROW, "its id is that of another image in the same file")
    repeat = Refusal(Reason.REPEATED, "the same image stands in the list already", Verdict.FILTERED)
    units: list[Record | Refused] = []
    seen: set[Hashable] = set()
    for position, (item, image) in enumerate(zip(listed, parsed, strict=True)):
        key = _id_of(item, "id")
        locator = f"images[{position}]"
        if isinstance(image, Refusal):
            units.append(Refused(Unit.ROW, entry.key, locator, image))
        elif key in clashing:
            units.append(Refused(Unit.ROW, entry.key, locator, clash, image.ref))
        elif key in seen:
            units.append(Refused(Unit.ROW, entry.key, locator, repeat, image.ref))
        else:
            units.append(Record(Unit.ROW, entry.key, locator, image.ref))
            seen.add(key)
    return {**by_id, **dict.fromkeys(clashing, clash)}, units


def _image(item: Any, entry: Entry) -> _Image | Refusal:
    if not isinstance(item, dict) or _id_of(item, "id") is None:
        return Refusal(Reason.MISSING_VALUE, "an image without an id")
    name = item.get("file_name")
    if not isinstance(name, str) or not name.strip():
        return Refusal(Reason.MISSING_VALUE, "an image without a file_name")
    return _Image(ImageRef(name, entry.folder), _size(item.get("width"), item.get("height")))


def _size(width: object, height: object) -> tuple[int, int] | None:
    sides = finite_numbers([width, height])
    if sides is None or not all(side > 0 and side.is_integer() for side in sides):
        return None
    return (int(sides[0]), int(sides[1]))


def _id_of(item: Any, key: str) -> int | str | None:
    value = item.get(key) if isinstance(item, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _image_of(annotation: Any, images: Mapping[Hashable, _Image | Refusal]) -> _Image | Refusal:
    if not isinstance(annotation, dict):
        return Refusal(Reason.INVALID_ROW, "an annotation that is not an object")
    key = _id_of(annotation, "image_id")
    image = images.get(key) if key is not None else None
    if isinstance(image, _Image):
        return image
    found = "there is no image of its image_id" if image is None else "the image of its image_id was refused"
    return Refusal(Reason.IMAGE_UNAVAILABLE, found)


# --- annotations -----------------------------------------------------------------------------------------------------


def _categories(listed: object) -> dict[Hashable, str | None]:
    """Names by category id; None where one id has several names."""
    names: dict[Hashable, str | None] = {}
    for item in listed if isinstance(listed, list) else []:
        key = _id_of(item, "id")
        name = item.get("name") if isinstance(item, dict) else None
        if key is None or not isinstance(name, str) or not name.strip():
            continue
        names[key] = name.strip() if names.get(key, name.strip()) == name.strip() else None
    return names


def _object(
    context: Context, annotation: dict[str, Any], locator: str, image: _Image, categories: Mapping[Hashable, str | None]
) -> RawAnnotation | Refusal:
    options = context.options
    assert isinstance(options, CocoOptions)
    shape = _shape(annotation, locator, image.size, options)
    if isinstance(shape, Refusal):
        return shape
    key = _id_of(annotation, "category_id")
    label = categories.get(key)
    if key is None or label is None:
        found = "names several categories" if key in categories else "names no category"
        return Refusal(Reason.UNKNOWN_CLASS, f"its category_id {found}")
    score = finite_numbers([annotation.get("score")])
    described = msgspec.structs.replace(
        shape,
        flags=("crowd",) if annotation.get("iscrowd") in (1, True) else (),
        qualifiers={"score": repr(score[0])} if score else {},
    )
    return labelled(described, label, context.labels)


def _shape(
    annotation: dict[str, Any], locator: str, size: tuple[int, int] | None, options: CocoOptions
) -> RawAnnotation | Refusal:
    segmentation = annotation.get("segmentation")
    if options.geometry == "auto" and segmentation:
        if isinstance(segmentation, dict):
            return _mask(segmentation, locator)
        return _polygon(segmentation, locator, size)
    coords = finite_numbers(annotation.get("bbox"))
    if coords is None or len(coords) != 4:
        return Refusal(Reason.INVALID_GEOMETRY, "its bbox is absent or not 4 finite numbers")
    return RawAnnotation(kind=Kind.BOX, locator=locator, coords=coords, convention=Convention.XYWH, size=size)


def _polygon(segmentation: object, locator: str, size: tuple[int, int] | None) -> RawAnnotation | Refusal:
    listed = segmentation if isinstance(segmentation, list) else []
    nested = listed if listed and isinstance(listed[0], list) else [listed]  # one ring is often left unwrapped
    rings = [finite_numbers(ring) for ring in nested]
    whole = tuple(ring for ring in rings if ring)
    if len(whole) != len(rings):
        return Refusal(Reason.INVALID_GEOMETRY, "its segmentation is not lists of finite numbers")
    return RawAnnotation(
        kind=Kind.POLYGON, locator=locator, polygons=whole, convention=Convention.CONTINUOUS, size=size
    )


def _mask(segmentation: dict[str, Any], locator: str) -> RawAnnotation | Refusal:
    stated = segmentation.get("size")
    size = _size(stated[1], stated[0]) if isinstance(stated, list) and len(stated) == 2 else None
    counts = segmentation.get("counts")
    if isinstance(counts, list) and all(isinstance(run, int) and not isinstance(run, bool) for run in counts):
        counts = tuple(counts)
    if size is None or not counts or not isinstance(counts, str | tuple):
        return Refusal(Reason.INVALID_GEOMETRY, "its run lengths lack a size [height, width] or counts")
    return RawAnnotation(kind=Kind.MASK, locator=locator, rle=counts, size=size)
