"""The first rows of a file of records, with what its bytes tell of how it is written."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curate.layouts.archives import gunzip
from curate.layouts.records import FileFormat, format_of, read_rows
from curate.layouts.row import Row
from curate.layouts.sniff_files import MAX_SAMPLE_BYTES, Look
from curate.layouts.sniff_objects import parsed_json
from curate.layouts.tree import Entry
from curate.schema import Refusal

__all__ = ["SAMPLE_ROWS", "Records", "read_records"]

SAMPLE_ROWS: Final = 3000
"""Rows of one file whose cells are looked at."""


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of one file, as far as they were looked at."""

    entry: Entry
    options: Mapping[str, Any]  # format, delimiter and records, where they are not the default
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def cells(self, column: str) -> list[str]:
        """The filled cells of a column."""
        return [cell for row in self.rows if (cell := row.cells.get(column, "").strip())]


def read_records(look: Look, entry: Entry) -> Records | None:
    """A file as records, or None where it holds none."""
    form = format_of(entry.name.removesuffix(".gz"))
    data = _bytes_of(look, entry, form) if form is not None else None
    if form is None or not data:
        return None
    options: dict[str, Any] = {}
    if form != "parquet" and (encoding := _encoding(data)) is not None:
        options["encoding"] = encoding
    if form in ("csv", "tsv"):
        delimiter = _delimiter(data, options.get("encoding", "utf-8"))
        if delimiter != {"csv": ",", "tsv": "\t"}[form]:
            options["delimiter"] = delimiter
    if form == "json":
        place = _records_place(parsed_json(data))
        if place is None:
            return None
        options |= {"records": place} if place else {}
    reading = read_rows(data, form, needed=(), **options)
    if isinstance(reading, Refusal):
        return None
    rows = tuple(row for row in reading.rows if isinstance(row, Row))[:SAMPLE_ROWS]
    if not rows:
        return None
    columns = tuple(rows[0].cells) + tuple(sorted(reading.columns - set(rows[0].cells)))
    return Records(entry, options, tuple(column for column in columns if column not in reading.repeated), rows)


def _bytes_of(look: Look, entry: Entry, form: FileFormat | None) -> bytes | None:
    if not entry.name.lower().endswith(".gz"):
        return look.read_lines(entry) if form in ("csv", "tsv", "jsonl") else look.read(entry)
    packed = look.read(entry)
    data = gunzip(packed, MAX_SAMPLE_BYTES) if packed else None
    return data if isinstance(data, bytes) else None


def _encoding(data: bytes) -> str | None:
    """The encoding that the bytes show to be another than UTF-8; Latin-1, which fits any bytes, is a guess."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return None


def _delimiter(data: bytes, encoding: str) -> str:
    """The separator that parts the first lines into the same number of cells, more than one; a comma if none does."""
    lines = data[:65536].decode(encoding, "replace").removeprefix("\ufeff").splitlines()[:20]
    best, most = ",", 1
    for candidate in (",", "\t", ";", "|"):
        try:
            counts = Counter(
                len(cells) for cells in csv.reader(io.StringIO("\n".join(lines)), delimiter=candidate) if cells
            )
        except csv.Error:
            continue
        cells, times = counts.most_common(1)[0] if counts else (1, 0)
        if cells > most and times * 2 > len(lines):
            best, most = candidate, cells
    return best


def _records_place(content: object, depth: int = 2) -> str | None:
    """The dotted path to the first list of records in a JSON document; empty where the document is that list."""
    if isinstance(content, list):
        return "" if content and all(isinstance(record, dict) for record in content[:50]) else None
    if not isinstance(content, dict) or depth == 0:
        return None
    for key, value in content.items():
        place = _records_place(value, depth - 1)
        if place is not None and "." not in key:
            return f"{key}.{place}" if place else key
    return None
