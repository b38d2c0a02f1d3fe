"""Question-answer records in JSON, JSON lines, CSV, TSV or Parquet: one question about one image, with its answer."""

import re
from collections.abc import Callable, Iterator
from typing import ClassVar, cast

from msgspec import field

from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.cells import (
    FieldName,
    FieldSpec,
    field_columns,
    missing_cells,
    read_fields,
    read_qualifiers,
    stated_cells,
)
from curate.layouts.globs import compile_patterns
from curate.layouts.records import FileFormat, check_encoding, read_entry
from curate.layouts.row import Broken, Reading, Row
from curate.layouts.row_images import ImageBy, RowImages, image_columns, scan_rows
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Unit

__all__ = ["Qa", "QaOptions"]

ANSWER_TYPE = "answer_type"
"""The qualifier that tells a closed question from an open one, as the source writes it."""


_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")  # BCP 47, section 2.1, without its registry


class QaOptions(LayoutOptions, frozen=True):
    """Which columns hold the image, the question and the answer.

    The label set's `language` may name a column here: where the records have one of this name, each states its own.
    """

    image: str
    question: str
    answer: str
    image_by: ImageBy = "path"
    answer_type: str | None = None
    format: FileFormat | None = None
    encoding: str = "utf-8"
    records: str | None = None
    splits: dict[str, str] = field(default_factory=dict)  # file pattern -> split name; the first that fits counts
    fields: dict[FieldName, FieldSpec] = field(default_factory=dict)
    qualifiers: dict[str, str] = field(default_factory=dict)  # name -> column

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        if ANSWER_TYPE in self.qualifiers:
            raise ValueError(f"{ANSWER_TYPE} has a key of its own; take it out of `qualifiers`")


class Qa:
    """One record, one question with its answer."""

    name: ClassVar[str] = "qa"
    version: ClassVar[int] = 2
    Options: ClassVar[type[LayoutOptions]] = QaOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The files of records that `files` names."""
        return context.tree.match(context.labels.files)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Every record of every file; one without an image, a question or an answer is refused."""
        options = cast(QaOptions, context.options)
        images = RowImages(options.image, options.image_by, missing_cells(""))
        language = context.labels.language

        def read(entry: Entry) -> Reading | Refusal:
            return read_entry(
                context,
                entry,
                options.format,
                needed=_needed(options, language),
                encoding=options.encoding,
                delimiter=None,
                records=options.records,
            )

        def record_of(entry: Entry, reading: Reading, images: RowImages) -> Callable[[Row], Record | Refused]:
            spoken = language if language in reading.columns else None
            split = _split_of(entry, options.splits)
            return lambda row: _record(context, entry, row, images, split=split, language_column=spoken)

        return scan_rows(context, self.label_files(context), read, images, record_of, unit=Unit.ROW)


def _needed(options: QaOptions, language: str) -> list[str]:
    column = None if _LANGUAGE_TAG.fullmatch(language) else language
    single = [options.question, options.answer, options.answer_type, column]
    return [
        *image_columns(options.image),
        *(column for column in single if column),
        *options.qualifiers.values(),
        *field_columns(options.fields),
    ]


def _split_of(entry: Entry, splits: dict[str, str]) -> str | None:
    patterns = zip(compile_patterns(splits), splits.values(), strict=True)
    return next((split for pattern, split in patterns if pattern.fullmatch(entry.name)), None)


def _record(
    context: Context, entry: Entry, row: Row, images: RowImages, *, split: str | None, language_column: str | None
) -> Record | Refused:
    options = cast(QaOptions, context.options)
    missing = images.missing
    image: ImageRef | None = None
    columns: dict[str, str] = {}
    try:
        image = images.of(entry, row)
        images.check(image)
        columns = stated_cells(row.cells, missing)
        columns |= read_fields(row, options.fields, missing)
        question, answer = _stated(row, options.question), _stated(row, options.answer)
        wanted = {ANSWER_TYPE: options.answer_type} if options.answer_type else {}
        qualifiers = read_qualifiers(row, {**options.qualifiers, **wanted}, missing)
        language = (row.text(language_column) or None) if language_column else context.labels.language
    except Broken as problem:
        return Refused(Unit.ROW, entry.key, row.locator, problem.refusal, image, columns)
    asked = RawAnnotation(
        kind=Kind.QA,
        locator=row.locator,
        question=question,
        text=answer,
        language=language,
        qualifiers=qualifiers,
        source_split=split,
    )
    return Record(Unit.ROW, entry.key, row.locator, image, (asked,), columns)


def _stated(row: Row, column: str) -> str:
    text = row.text(column)
    if not text:
        raise Broken(Reason.MISSING_VALUE, f"column {column!r} is empty")
    return text
