"""Pascal VOC XML: one file per image, one `<object>` with a `<bndbox>` per box.

Boxes are 1-based and inclusive, as the VOC development kit defines them (PASCAL VOC 2012 devkit, section 3.2), unless
the card says `zero_based`. The file's own unit covers its image, also where it lists no object.
"""

import math
from collections.abc import Iterator
from typing import ClassVar, Final, Literal
from xml.etree.ElementTree import Element, ParseError
from xml.parsers.expat import ErrorString

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from curate.geometry import Convention
from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.image_index import ImageIndex
from curate.layouts.objects import labelled, number, object_unit, read_bytes, stem_of
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Unit

__all__ = ["Voc", "VocOptions"]

_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
_FLAGS: Final = ("difficult", "truncated", "occluded")


class VocOptions(LayoutOptions, frozen=True):
    """`image_from` null: the `<filename>`, and where no image has that name, the XML file's stem."""

    zero_based: bool = False
    image_from: Literal["filename", "stem"] | None = None


class Voc:
    """One XML file per image; objects are located as `object[0]`, `object[1]`, ... in the file's order."""

    name: ClassVar[str] = "voc"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = VocOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The XML files, sorted."""
        return context.tree.match(context.labels.files)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Per file one record that covers its image, then its objects."""
        images = context.image_index()
        for entry in self.label_files(context):
            yield from _scan_file(context, images, entry)


def _scan_file(context: Context, images: ImageIndex, entry: Entry) -> Iterator[Record | Refused]:
    options = context.options
    assert isinstance(options, VocOptions)
    root = _load(context, entry)
    image = _image_of(root, entry, images, options) if isinstance(root, Element) else root
    if isinstance(root, Refusal) or isinstance(image, Refusal):
        refusal = root if isinstance(root, Refusal) else image
        assert isinstance(refusal, Refusal)
        yield Refused(Unit.FILE, entry.key, "", refusal)
        return
    yield Record(Unit.FILE, entry.key, "", image)
    size = _size_of(root)
    convention = Convention.VOC0 if options.zero_based else Convention.VOC
    for position, element in enumerate(root.findall("object")):
        locator = f"object[{position}]"
        yield object_unit(entry, locator, image, _object(context, element, locator, size, convention))


def _load(context: Context, entry: Entry) -> Element | Refusal:
    data = read_bytes(context, entry)
    return data if isinstance(data, Refusal) else _parse(data)


def _parse(data: bytes) -> Element | Refusal:
    if not data.strip():
        return Refusal(Reason.EMPTY_FILE, "no XML in it")
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        return Refusal(Reason.INVALID_XML, "it declares a document type or entities; label files need neither")
    except ParseError as problem:
        return Refusal(Reason.INVALID_XML, f"line {problem.position[0]}: {ErrorString(problem.code)}")
    except (ValueError, LookupError, RecursionError):
        return Refusal(Reason.INVALID_XML, "its encoding is unknown or its nesting too deep")
    if root.tag != "annotation":
        return Refusal(Reason.INVALID_XML, "the root element is not <annotation>")
    return root


def _image_of(root: Element, entry: Entry, images: ImageIndex, options: VocOptions) -> ImageRef | Refusal:
    by_stem = ImageRef(stem_of(entry.name), entry.folder)
    filename = (root.findtext("filename") or "").strip()
    if options.image_from == "stem" or (not filename and options.image_from is None):
        return by_stem
    if not filename:
        return Refusal(Reason.MISSING_VALUE, "it has no <filename>; say `image_from: stem`")
    by_name = ImageRef(filename, entry.folder)
    found = images.resolve(by_name.name, by_name.near)
    if isinstance(found, Entry):
        return by_name
    if found.reason is Reason.AMBIGUOUS_IMAGE:
        # The same names in train/ and valid/: VOC keeps images in <folder>, a sibling of the XML's own folder.
        sibling = f"{entry.folder.rpartition('/')[0]}/{(root.findtext('folder') or 'JPEGImages').strip()}".lstrip("/")
        return ImageRef(filename, sibling) if isinstance(images.resolve(filename, sibling), Entry) else by_name
    if found.reason is Reason.MISSING_FILE and options.image_from is None:
        return by_stem if isinstance(images.resolve(by_stem.name, by_stem.near), Entry) else by_name
    return by_name


def _size_of(root: Element) -> tuple[int, int] | None:
    stated = (number(root.findtext(f"size/{side}") or "") for side in ("width", "height"))
    width, height = (int(side) if side and math.isfinite(side) and side.is_integer() else 0 for side in stated)
    return (width, height) if width > 0 and height > 0 else None


def _object(
    context: Context, element: Element, locator: str, size: tuple[int, int] | None, convention: Convention
) -> RawAnnotation | Refusal:
    label = (element.findtext("name") or "").strip()
    if not label:
        return Refusal(Reason.MISSING_VALUE, "the object has no <name>")
    box = element.find("bndbox")
    if box is None:
        return Refusal(Reason.INVALID_GEOMETRY, "the object has no <bndbox>")
    coords: list[float] = []
    for corner in _CORNERS:
        value = number(box.findtext(corner) or "")
        if value is None or not math.isfinite(value):
            return Refusal(Reason.INVALID_GEOMETRY, f"<{corner}> is absent or not a finite number")
        coords.append(value)
    annotation = RawAnnotation(
        kind=Kind.BOX,
        locator=locator,
        coords=tuple(coords),
        convention=convention,
        size=size,
        flags=tuple(flag for flag in _FLAGS if (element.findtext(flag) or "").strip().lower() in ("1", "true")),
    )
    return labelled(annotation, label, context.labels)
