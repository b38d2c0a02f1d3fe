"""Which image a row of a table or a question-answer record names, and how such rows are gone through."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from curate.layouts.archives import row_member
from curate.layouts.base import Context, ImageRef, Record, Refused
from curate.layouts.cells import fill_template, stated_cells, template_columns
from curate.layouts.row import BadRow, Broken, Reading, Row
from curate.layouts.tree import Entry
from curate.schema import Reason, Refusal, Unit

__all__ = ["ImageBy", "RowImages", "image_columns", "scan_rows"]

ROW: Final = "@row"
"""The image of a row is embedded in the row itself."""

ImageBy = Literal["path", "name"]
"""What of a row's image counts: all of it, or its file name alone."""


def image_columns(image: str) -> list[str]:
    """The columns that name the image; none where the row embeds it."""
    return [] if image == ROW else template_columns(image)


@dataclass(frozen=True, slots=True)
class RowImages:
    """How the rows of one label set name their images.

    `shared` holds the file names, where only these count, by which several full names mean one image.
    """

    image: str
    by: ImageBy
    missing: frozenset[str]
    shared: frozenset[str] = frozenset()

    def of(self, entry: Entry, row: Row) -> ImageRef:
        """The image that a row names, or the one that it embeds. Raises `Broken`."""
        if self.image == ROW:
            return ImageRef(Entry(entry.path, row_member(row.number - 1)).name)
        name = fill_template(self.image, row, self.missing)
        return ImageRef(name, entry.folder) if self.by == "path" else ImageRef(_file_name(name))

    def check(self, image: ImageRef) -> None:
        """Raise `Broken` where the image's file name is that of another one to the source."""
        if image.name in self.shared:
            raise Broken(Reason.AMBIGUOUS_IMAGE, "rows give several full names that end with this file name")

    def knowing(self, context: Context, readings: Iterable[tuple[Entry, Reading | Refusal]]) -> "RowImages":
        """The same with the file names that several full names of these rows share; by path, no row is looked at."""
        if self.by != "name":
            return self
        full_names: dict[str, set[str]] = {}
        file_names: dict[str, set[str]] = {}
        index = context.image_index()
        for _, reading in readings:
            for row in () if isinstance(reading, Refusal) else reading.rows:
                name = self._named(row)
                found = None if name is None else index.resolve(_file_name(name))
                if name is not None and isinstance(found, Entry):
                    full_names.setdefault(found.key, set()).add(_plain(name))
                    file_names.setdefault(found.key, set()).add(_file_name(name))
        several = (key for key, names in full_names.items() if len({_stem_path(name) for name in names}) > 1)
        return RowImages(self.image, self.by, self.missing, frozenset().union(*(file_names[key] for key in several)))

    def _named(self, row: Row | BadRow) -> str | None:
        if isinstance(row, BadRow):
            return None
        try:
            return fill_template(self.image, row, self.missing)
        except Broken:
            return None


RecordOf = Callable[[Entry, Reading, RowImages], Callable[[Row], Record | Refused]]
"""What a row of this file comes to."""


def scan_rows(
    context: Context,
    files: Sequence[Entry],
    read: Callable[[Entry], Reading | Refusal],
    images: RowImages,
    record_of: RecordOf,
    *,
    unit: Unit,
) -> Iterator[Record | Refused]:
    """What every row of every file comes to; a file that cannot be read is one refused file, a broken row one `unit`.

    By file name, the files are read twice: which names mean several images is known after the last row only.
    """
    images = images.knowing(context, ((entry, read(entry)) for entry in files))
    for entry in files:
        reading = read(entry)
        if isinstance(reading, Refusal):
            yield Refused(Unit.FILE, entry.key, "", reading)
            continue
        record = record_of(entry, reading, images)
        for row in reading.rows:
            yield record(row) if isinstance(row, Row) else _refused_row(context, entry, row, images, unit)


def _refused_row(context: Context, entry: Entry, bad: BadRow, images: RowImages, unit: Unit) -> Refused:
    """A broken row, with the image that it speaks of and its other cells as far as they can be told.

    A cell of a row with too many or too few of them may be another column's: it counts where an image has that name.
    """
    row = bad.partial or Row(bad.number, {})
    image: ImageRef | None
    columns: dict[str, str] = {}
    try:
        image = images.of(entry, row)
        images.check(image)
        columns = stated_cells(row.cells, images.missing) if bad.aligned else {}
    except Broken:
        image = None
    if image is not None and not bad.aligned and images.image != ROW:
        found = context.image_index().resolve(image.name, image.near)
        image = image if isinstance(found, Entry) else None
    return Refused(unit, entry.key, row.locator, bad.refusal, image, columns)


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _file_name(name: str) -> str:
    return _plain(name).rpartition("/")[2]


def _stem_path(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.rpartition('.')[0] or file}"
