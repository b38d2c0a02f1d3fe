"""The label is in the DICOM header of the image itself; columns are DICOM keywords (PS3.6)."""

from collections.abc import Iterator
from typing import ClassVar, cast

from msgspec import field

from curate.card import check_known
from curate.images.dicom import HEADER_KEYWORDS, Header, read_header
from curate.layouts.base import Context, ImageRef, LayoutOptions, Record, Refused
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
from curate.layouts.objects import read_bytes
from curate.layouts.row import Broken, Row
from curate.layouts.tree import Entry
from curate.schema import Refusal, Unit

__all__ = ["Headers", "HeadersOptions"]


class HeadersOptions(LayoutOptions, frozen=True):
    """What the keywords say, as the columns of a table do."""

    columns: dict[str, ColumnSpec]
    missing: str | list[str] = ""
    fields: dict[FieldName, FieldSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for keyword in (*columns_of(self.columns), *field_columns(self.fields)):
            check_known(keyword, HEADER_KEYWORDS, "a DICOM keyword that can be read")


class Headers:
    """Each image by itself says what its header says."""

    name: ClassVar[str] = "headers"
    version: ClassVar[int] = 3
    has_files: ClassVar[bool] = False
    Options: ClassVar[type[LayoutOptions]] = HeadersOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The images themselves."""
        return list(context.images)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """One record per image, whose unit is its own file, or the first of several.

        A keyword that a header lacks says nothing.
        """
        options = cast(HeadersOptions, context.options)
        for entry in context.images:
            yield _record(context, entry, options)


def _read(context: Context, entry: Entry) -> Header | Refusal:
    data = read_bytes(context, entry)
    return data if isinstance(data, Refusal) else read_header(data)


def _record(context: Context, entry: Entry, options: HeadersOptions) -> Record | Refused:
    image, file = ImageRef(entry.name), context.files_of(entry)[0].key
    header = context.headers.get(entry.key) or _read(context, entry)
    if isinstance(header, Refusal):
        return Refused(Unit.FILE, file, "header", header, image)
    missing = missing_cells(options.missing)
    row = Row(0, dict(header.values), place="header")
    columns = stated_cells(row.cells, missing)
    try:
        columns |= read_fields(row, options.fields, missing)
        said = annotate(row, options.columns, context.labels, missing)
    except Broken as problem:
        return Refused(Unit.FILE, file, "header", problem.refusal, image, columns)
    if said.ignored is not None and not said.annotations:
        return Refused(Unit.FILE, file, "header", said.ignored, image, columns)
    return Record(Unit.FILE, file, "header", image, said.annotations, columns, said.covers)
