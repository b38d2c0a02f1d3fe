"""What every layout yields: records in the source's own words and coordinates, or refusals. Never pixels.

A layout is one module with one frozen `Options` model and one class. It reads label files through the `Tree` and yields
one `Record` per unit that it met, in file order. Placing on the raster happens later, in `read`, where the size of the
image is known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec

from curate.card import Card, LabelSet, Struct
from curate.layouts.image_index import ImageIndex
from curate.layouts.tree import Entry, Tree
from curate.schema import Annotator, Kind, Refusal, State, Unit, item_key

if TYPE_CHECKING:
    from curate.images.dicom import Header

__all__ = ["Context", "ImageRef", "Layout", "LayoutOptions", "RawAnnotation", "RawMask", "Record", "Refused"]


class LayoutOptions(Struct, frozen=True):
    """Base of every layout's own keys."""


class RawMask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mask file, and which value of it means this object: null is any value but the background.

    `segment` is the number of a segment of a DICOM segmentation, `roi` that of a region of a structure set: they are
    found by their own number, and values mean nothing then. Whose space they are drawn in is read with the mask.
    """

    path: str
    member: str | None = None
    value: int | None = None
    background: int = 0
    per_instance: bool = False  # each value but the background is an object of its own
    segment: int | None = None
    roi: int | None = None
    may_be_empty: bool = False  # a mask without a voxel says that there is nothing, and is no mistake

    @property
    def key(self) -> str:
        """The item key of the file."""
        return item_key(self.path, self.member)


class RawAnnotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing the source says, before it is placed on its raster.

    `coords` and `convention` are read by `geometry.place`: for a box four numbers, for a point two, for a polygon
    `polygons`. The conventions are those of `geometry.Convention`.
    """

    kind: Kind
    locator: str
    label: str | None = None
    concept: str | None = None
    code: str | None = None
    code_system: str | None = None
    state: State | None = None
    side: str | None = None
    value: float | None = None
    unit: str | None = None
    question: str | None = None
    text: str | None = None
    language: str | None = None
    coords: tuple[float, ...] = ()
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: tuple[int, ...] | str | None = None  # COCO run lengths, plain or compressed, on a raster of `size`
    size: tuple[int, int] | None = None  # width, height that the label file states, checked against the image
    convention: str | None = None
    mask: RawMask | None = None
    annotator: Annotator | None = None  # where the label file says it of each; null: as the card says
    flags: tuple[str, ...] = ()
    qualifiers: dict[str, str] = {}
    source_split: str | None = None
    # filled in by scan, not by layouts:
    label_set: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """How a label file names its image; `Tree` keys are tried in the order of `ImageIndex.resolve`."""

    name: str  # a path, a file name or a stem
    near: str = ""  # virtual folder of the label file


@dataclass(frozen=True, slots=True)
class Record:
    """One unit of a label file that speaks of one image.

    `file` is the key of the label file, or of the image itself where the path is the label.

    A record without annotations still says that its label set has looked at the image: that is what makes a count of
    zero. `columns` are the row's plain values, for the card's subject, split, view and the like; an empty one says that
    there is such a column.
    """

    unit: Unit
    file: str
    locator: str
    image: ImageRef
    annotations: tuple[RawAnnotation, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    covers: bool = True  # False: the unit speaks of a part only, its label set has not looked at the whole image


@dataclass(frozen=True, slots=True)
class Refused:
    """One unit of a label file that yields nothing, and why.

    `image` is what the unit speaks of, where that much is known; `columns` are its plain values as in a `Record`, since
    the subject of an image does not depend on whether its labels could be read.
    """

    unit: Unit
    file: str
    locator: str
    refusal: Refusal
    image: ImageRef | None = None
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What a layout may know: the card, its own label set with its checked options, and the files.

    `read` gives a file's bytes and remembers their digest; it raises `OSError` where they cannot be had. `headers` are
    those that were read already, by item key.
    """

    card: Card
    labels: LabelSet
    options: LayoutOptions
    tree: Tree
    read: Callable[[Entry], bytes]
    images: Sequence[Entry]  # those that the card's image globs match, sorted
    headers: "Mapping[str, Header | Refusal]" = field(default_factory=dict)
    index: ImageIndex | None = None  # of these images, where there is one already
    members: Mapping[str, Sequence[Entry]] = field(default_factory=dict)  # the files of an image of several, by key

    def files_of(self, image: Entry) -> Sequence[Entry]:
        """The files of an image: of a series, its slices."""
        return self.members.get(image.key, (image,))

    def image_index(self) -> ImageIndex:
        """What finds an image by its name."""
        return ImageIndex(self.images) if self.index is None else self.index


class Layout(Protocol):
    """How one kind of label file lies on disk."""

    name: ClassVar[str]
    version: ClassVar[int]
    Options: ClassVar[type[LayoutOptions]]

    def label_files(self, context: Context) -> list[Entry]:
        """Files that `scan` reads, sorted: their digests are inputs of the scan part. Empty where paths say it all."""
        ...

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Every unit of every label file, file by file in sorted order, in the file's own order.

        A file that cannot be read as a whole yields one `Refused` of unit `file`; the others go on.
        """
        ...
