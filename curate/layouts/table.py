"""Tables: CSV, TSV, JSON lines, a JSON list of records or Parquet; one row speaks of one image.

Cells are read as `cells` describes. With `box` or `point` a row is an object of its image; a row that leaves all of its
coordinates empty still says that the image was looked at. Sources: RFC 4180 (CSV), jsonlines.org.
"""

from collections.abc import Callable, Iterator
from typing import ClassVar, cast

from msgspec import field
from msgspec.structs import replace

from curate.card import LabelSet, Struct
from curate.geometry import Convention
from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.cells import (
    ColumnSpec,
    FieldName,
    FieldSpec,
    annotate,
    columns_of,
    field_columns,
    missing_cells,
    read_fields,
    stated_cells,
)
from curate.layouts.concepts import name_label
from curate.layouts.numbers import read_coordinate
from curate.layouts.records import FileFormat, check_encoding, read_entry
from curate.layouts.row import Broken, Reading, Row
from curate.layouts.row_images import ImageBy, RowImages, image_columns, scan_rows
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, State, Unit, Verdict

__all__ = ["Table", "TableOptions"]

_BOXES = (
    Convention.XYXY,
    Convention.XYWH,
    Convention.VOC,
    Convention.VOC0,
    Convention.YOLO,
    Convention.XYXY_NORMALISED,
)
_POINTS = (Convention.INDEX, Convention.INDEX1, Convention.CONTINUOUS, Convention.NORMALISED)


class Place(Struct, frozen=True):
    """Columns of coordinates, and the column of the object's label or the concept of all of them."""

    columns: list[str]
    convention: Convention
    label: str | None = None
    concept: str | None = None


class TableOptions(LayoutOptions, frozen=True):
    """How a table is written and what its columns say."""

    image: str
    image_by: ImageBy = "path"
    format: FileFormat | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    records: str | None = None
    missing: str | list[str] = ""
    columns: dict[str, ColumnSpec] = field(default_factory=dict)
    box: Place | None = None
    point: Place | None = None
    fields: dict[FieldName, FieldSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '\r\n"'):
            raise ValueError("delimiter is one character")
        _check_place(self.box, 4, _BOXES, "box")
        _check_place(self.point, 2, _POINTS, "point")


def _check_place(place: Place | None, count: int, conventions: tuple[Convention, ...], what: str) -> None:
    if place is None:
        return
    if len(place.columns) != count:
        raise ValueError(f"a {what} has {count} columns, got {len(place.columns)}")
    if place.convention not in conventions:
        raise ValueError(f"a {what} is written as one of {', '.join(conventions)}, got {place.convention.value}")
    if place.label is not None and place.concept is not None:
        raise ValueError(f"a {what} says its `label` column or its `concept`, not both")


class Table:
    """One row speaks of one image."""

    name: ClassVar[str] = "table"
    version: ClassVar[int] = 2
    Options: ClassVar[type[LayoutOptions]] = TableOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The tables that `files` names."""
        return context.tree.match(context.labels.files)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Every row of every table; with `box` or `point` a row is an object, else a row."""
        options = cast(TableOptions, context.options)
        unit = Unit.ROW if options.box is None and options.point is None else Unit.OBJECT
        images = RowImages(options.image, options.image_by, missing_cells(options.missing))

        def read(entry: Entry) -> Reading | Refusal:
            return read_entry(
                context,
                entry,
                options.format,
                needed=_needed(options),
                encoding=options.encoding,
                delimiter=options.delimiter,
                records=options.records,
            )

        def record_of(entry: Entry, _: Reading, images: RowImages) -> Callable[[Row], Record | Refused]:
            return lambda row: _record(context, entry, row, images, unit)

        return scan_rows(context, self.label_files(context), read, images, record_of, unit=unit)


def _needed(options: TableOptions) -> list[str]:
    places = [place for place in (options.box, options.point) if place is not None]
    return [
        *image_columns(options.image),
        *columns_of(options.columns),
        *field_columns(options.fields),
        *(column for place in places for column in (*place.columns, *([place.label] if place.label else ()))),
    ]


def _record(context: Context, entry: Entry, row: Row, images: RowImages, unit: Unit) -> Record | Refused:
    options = cast(TableOptions, context.options)
    missing = images.missing
    image: ImageRef | None = None
    columns: dict[str, str] = {}
    try:
        image = images.of(entry, row)
        images.check(image)
        columns = stated_cells(row.cells, missing)
        columns |= read_fields(row, options.fields, missing)
        said = annotate(row, options.columns, context.labels, missing)
        placed = [
            _object(row, place, kind, context.labels, missing)
            for kind, place in ((Kind.BOX, options.box), (Kind.POINT, options.point))
            if place is not None
        ]
    except Broken as problem:
        return Refused(unit, entry.key, row.locator, problem.refusal, image, columns)
    objects = [one for one in placed if isinstance(one, RawAnnotation)]
    ignored = next((one for one in placed if isinstance(one, Refusal)), said.ignored)
    if ignored is not None and not objects and not said.annotations:
        return Refused(unit, entry.key, row.locator, ignored, image, columns)
    if placed and not objects and ignored is None:
        unit = Unit.ROW  # no coordinates: somebody looked and found nothing here
    return Record(unit, entry.key, row.locator, image, (*said.annotations, *objects), columns, said.covers)


def _object(
    row: Row, place: Place, kind: Kind, label_set: LabelSet, missing: frozenset[str]
) -> RawAnnotation | Refusal | None:
    """The object of a row, a refusal where its class is ignored, None where all coordinates are empty."""
    cells = {column: row.text(column) for column in place.columns}
    empty = [column for column, cell in cells.items() if cell in missing or cell.lower() == "nan"]
    if len(empty) == len(cells):
        return None
    if empty:
        raise Broken(Reason.MISSING_VALUE, f"column {empty[0]!r} is empty, other coordinates are not")
    coords = tuple(read_coordinate(cell, column) for column, cell in cells.items())
    found = RawAnnotation(
        kind=kind,
        locator=row.locator_in(kind.value),
        state=State.PRESENT,
        coords=coords,
        convention=place.convention.value,
        concept=place.concept,
    )
    if place.label is None:
        return found
    label = row.text(place.label)
    if label in missing:
        raise Broken(Reason.MISSING_VALUE, f"column {place.label!r} is empty, the coordinates are not")
    concept = name_label(label, label_set)
    if not isinstance(concept, Refusal):
        return replace(found, label=label, concept=concept.name, code=concept.code, code_system=concept.system)
    if concept.verdict is Verdict.REJECTED:
        raise Broken(concept.reason, concept.detail)
    return concept
