"""What the layouts of DICOM objects share: their headers, and the image that they name by UIDs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from curate.images.base import DEFAULT_LIMITS, quiet
from curate.images.dicom import Header, read_dataset
from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.dicom_codes import items_of, text_of, whole_number
from curate.layouts.image_index import ImageIndex
from curate.layouts.objects import read_bytes
from curate.layouts.stacks import uid_name
from curate.layouts.tree import Entry
from curate.schema import Reason, Refusal, Unit

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "Images",
    "ObjectOptions",
    "References",
    "numbered",
    "read_object",
    "referenced",
    "scanned",
    "uids",
    "unit_of",
]


class ObjectOptions(LayoutOptions, frozen=True):
    """`objects: true` where each segment or region is one object, so that they may be counted; else it is all of its
    kind.

    `empty` says what one without any pixel or contour is, as in `masks`.
    """

    objects: bool = False
    empty: Literal["reject", "absent"] = "reject"


@dataclass(frozen=True, slots=True)
class References:
    """The images that an object says it was drawn on: instances, and the series that these belong to."""

    instances: tuple[str, ...] = ()
    series: tuple[str, ...] = ()


class Images:
    """Finds the image that an object means: by its instances, which are exact, then by its series."""

    def __init__(self, context: Context) -> None:
        self._index: ImageIndex = context.image_index()
        self._alone: dict[str, list[Entry]] = {}  # images of one file, which no series gathers
        for entry in context.images:
            header = context.headers.get(entry.key)
            if isinstance(header, Header):
                for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
                    uid = header.identifiers.get(keyword)
                    if uid is not None:
                        self._alone.setdefault(uid, []).append(entry)

    def refer(self, references: References) -> ImageRef | Refusal:
        """The image, or why none is named; an image that is not there is named by its series."""
        for uids in (references.instances, references.series):
            found = dict.fromkeys(entry for uid in uids for entry in self._find(uid))
            if len(found) == 1:
                return ImageRef(next(iter(found)).name)
            if found:
                return Refusal(
                    Reason.AMBIGUOUS_IMAGE, f"it refers to {len(found)} images, and which one was drawn on is not said"
                )
        named = [*references.series, *references.instances]
        if not named:
            return Refusal(Reason.MISSING_VALUE, "it refers to no image; an object without a reference is not placed")
        return ImageRef(uid_name(named[0]))

    def _find(self, uid: str) -> Sequence[Entry]:
        alone = self._alone.get(uid)
        if alone is not None:
            return alone
        found = self._index.candidates(uid_name(uid))
        return found if isinstance(found, list) else []


Units = Callable[[Context, Entry, "Dataset", Images], Iterator[Record | Refused]]


def scanned(
    context: Context, files: Iterable[Entry], keyword: str, what: str, units: Units
) -> Iterator[Record | Refused]:
    """The units of each file; one that has no sequence `keyword`, and so is no `what`, is one refused file."""
    images = Images(context)
    for entry in files:
        dataset = read_object(context, entry, keyword, what)
        if isinstance(dataset, Refusal):
            yield Refused(Unit.FILE, entry.key, "header", dataset)
            continue
        with quiet():
            found = list(units(context, entry, dataset, images))
        yield from found


def unit_of(
    entry: Entry, locator: str, image: ImageRef | Refusal, outcome: RawAnnotation | Refusal
) -> Record | Refused:
    """What one segment or region comes to; where its image is refused, so is it."""
    if isinstance(image, Refusal) or isinstance(outcome, Refusal):
        refusal = outcome if isinstance(outcome, Refusal) else image
        assert isinstance(refusal, Refusal)
        return Refused(Unit.OBJECT, entry.key, locator, refusal, None if isinstance(image, Refusal) else image)
    return Record(Unit.OBJECT, entry.key, locator, image, (outcome,))


def numbered(
    dataset: "Dataset", sequence: str, keyword: str, *, what: str, locates: str
) -> "Iterator[tuple[Dataset, int | Refusal, str]]":
    """The items of a sequence, each with its number and what finds it: `locates` and the number.

    An item without a number, or with that of one before it, has the reason instead, and is found by its position.
    """
    seen: set[int] = set()
    for position, item in enumerate(items_of(dataset, sequence), start=1):
        number = whole_number(item, keyword)
        if number is None or number in seen:
            why = "has no number" if number is None else "has the number of another one"
            yield item, Refusal(Reason.INVALID_HEADER, f"a {what} {why}"), f"item {position}"
        else:
            seen.add(number)
            yield item, number, f"{locates} {number}"


def read_object(context: Context, entry: Entry, keyword: str, what: str) -> "Dataset | Refusal":
    """The header of a label file, which must have the sequence `keyword`: that of `what`."""
    data = read_bytes(context, entry)
    if isinstance(data, Refusal):
        return data
    if not data:
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    with quiet():
        read = read_dataset(data, DEFAULT_LIMITS, pixels=False)
        if isinstance(read, Refusal):
            return read
        dataset = read[0]
        if not items_of(dataset, keyword):
            return Refusal(Reason.INVALID_HEADER, f"the file is no {what}: it has no {keyword}")
    return dataset


def referenced(items: "Iterable[Dataset]", *path: str) -> "Iterator[Dataset]":
    """The items at the end of a path of sequences."""
    if not path:
        yield from items
        return
    for item in items:
        yield from referenced(items_of(item, path[0]), *path[1:])


def uids(items: "Iterable[Dataset]", keyword: str) -> tuple[str, ...]:
    """The distinct UIDs that items hold, in their order."""
    return tuple(dict.fromkeys(uid for item in items if (uid := text_of(item, keyword)) is not None))
