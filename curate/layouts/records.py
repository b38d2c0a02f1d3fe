"""Rows of CSV, TSV, JSON, JSON lines and Parquet as cells of plain text.

Every format ends as the same thing: a row number (1-based, headers and blank lines not counted) and cells by column.
Null, NaN and an absent key are the empty text; JSON's true and false are `true` and `false`; numbers are written as
Python writes them, but a whole one always without a fraction: whether a column of Parquet or JSON holds `1` or `1.0`
depends on whether some other row of it is empty. A row that is broken by itself is a `BadRow` in its place; the others
go on.
"""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final, Literal

from curate.layouts.archives import gunzip, is_parquet
from curate.layouts.base import Context
from curate.layouts.objects import read_bytes
from curate.layouts.row import BadRow, Broken, Reading, Row
from curate.layouts.tree import MAX_FILE_BYTES, Entry
from curate.schema import Reason, Refusal

__all__ = ["FileFormat", "check_encoding", "format_of", "read_entry", "read_rows"]

FileFormat = Literal["csv", "tsv", "jsonl", "json", "parquet"]

_FORMATS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
_NOT_TEXT = re.compile("[\ud800-\udfff]")
_BATCH_ROWS = 4096

MAX_WHOLE: Final = 2**53
"""Above this a float no longer holds every whole number; it is written as the float that it is."""


def format_of(name: str) -> FileFormat | None:
    """The format that a file's name tells, or None."""
    if is_parquet(name):
        return "parquet"
    return next((form for suffix, form in _FORMATS.items() if name.lower().endswith(suffix)), None)


def check_encoding(encoding: str) -> None:
    """Raise `ValueError` where Python knows no such text encoding."""
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError):
        raise ValueError(f"encoding {encoding!r} is not known; write for example utf-8, latin-1 or gb18030") from None


def read_entry(
    context: Context,
    entry: Entry,
    form: FileFormat | None,
    *,
    needed: Iterable[str],
    encoding: str,
    delimiter: str | None,
    records: str | None,
) -> Reading | Refusal:
    """All rows of a label file, unpacked where its name ends in `.gz`; its format by its name where the card has none.

    Neither a needed column nor one that the card's subject, study or split stands in may stand twice.
    """
    packed = entry.name.lower().endswith(".gz")
    form = form or format_of(entry.name[: -len(".gz")] if packed else entry.name)
    if form is None:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "the file's name tells no format; say its `format`")
    data = read_bytes(context, entry)
    if not isinstance(data, Refusal) and packed:
        data = gunzip(data, MAX_FILE_BYTES)
    if isinstance(data, Refusal):
        return data
    reading = read_rows(data, form, needed=needed, encoding=encoding, delimiter=delimiter, records=records)
    if isinstance(reading, Refusal):
        return reading
    card = context.card
    named = [rule.column for rule in (card.subject, card.study, card.split) if rule is not None and rule.column]
    return _refuse_repeated(reading, named) or reading


def _refuse_repeated(reading: Reading, columns: Iterable[str]) -> Refusal | None:
    twice = sorted(reading.repeated.intersection(columns))
    return Refusal(Reason.MISSING_COLUMN, f"column {twice[0]!r} stands twice; rename one of them") if twice else None


def read_rows(
    data: bytes,
    form: FileFormat,
    *,
    needed: Iterable[str],
    encoding: str = "utf-8",
    delimiter: str | None = None,
    records: str | None = None,
) -> Reading | Refusal:
    """All rows of a file, or why the file as a whole says nothing: it does not parse, or a needed column is missing."""
    if not data:
        return Refusal(Reason.EMPTY_FILE, "the file has no bytes")
    try:
        match form:
            case "parquet":
                reading = _read_parquet(data)
            case "csv" | "tsv":
                reading = _read_csv(_decoded(data, encoding), delimiter or {"csv": ",", "tsv": "\t"}[form])
            case "jsonl":
                reading = _collected(_json_lines(_decoded(data, encoding)))
            case "json":
                reading = _collected(_json_records(_decoded(data, encoding), records))
    except Broken as problem:
        return problem.refusal
    wanted = set(needed)
    absent = sorted(wanted - reading.columns)
    if absent and (reading.columns or reading.rows):
        hint = "; is its `delimiter` right?" if form in ("csv", "tsv") and len(reading.columns) == 1 else ""
        detail = f"there is no column {absent[0]!r} among the {len(reading.columns)} of the file{hint}"
        return Refusal(Reason.MISSING_COLUMN, detail)
    return _refuse_repeated(reading, wanted) or reading


def _decoded(data: bytes, encoding: str) -> str:
    """The text; bytes that do not decode stay as lone surrogates, so that only their rows are refused."""
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii", "us-ascii")
    if plain and data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Broken(Reason.BAD_ENCODING, "the file is UTF-16; say `encoding: utf-16`")
    try:
        return data.decode("utf-8-sig" if plain else encoding, "surrogateescape")
    except UnicodeError:
        raise Broken(Reason.BAD_ENCODING, f"the file is not {encoding}; say its `encoding`") from None


def _read_csv(text: str, delimiter: str) -> Reading:
    suspicious = "\0" in text or _NOT_TEXT.search(text) is not None
    rows: list[Row | BadRow] = []
    header: list[str] | None = None
    number = 0
    for cells, problem in _csv_records(text, delimiter):
        if not cells:
            continue
        refusal = problem or _refuse_cells(cells, header, suspicious)
        if header is None:
            if refusal:
                raise Broken(refusal.reason, f"the header: {refusal.detail}")
            header = [cell.strip() for cell in cells]
            continue
        number += 1
        if refusal:
            rows.append(_bad_row(number, refusal, header, cells, aligned=problem is None))
        else:
            rows.append(Row(number, dict(zip(header, cells, strict=True))))
    counts = Counter(header or [])
    return Reading(frozenset(counts), tuple(rows), frozenset(name for name, count in counts.items() if count > 1))


def _csv_records(text: str, delimiter: str) -> Iterator[tuple[list[str], Refusal | None]]:
    """The cells of each record; with why, those of a line that is none.

    A quote that is never closed, or closed in the middle of a cell, costs the line that it stands in and no more: what
    it swallowed is read again from the next line on.
    """
    lines = list(io.StringIO(text, newline=""))
    first = 0
    while first < len(lines):
        reader = csv.reader((lines[at] for at in range(first, len(lines))), delimiter=delimiter, strict=True)
        begun = first
        try:
            for cells in reader:
                yield cells, None
                begun = first + reader.line_num
            return
        except csv.Error as problem:
            refusal = Refusal(Reason.INVALID_ROW, f"line {begun + 1}: {problem}")
        yield _leniently(lines[begun], delimiter), refusal
        first = begun + 1


def _leniently(line: str, delimiter: str) -> list[str]:
    """The cells of one line, whatever its quotes are worth."""
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), []) or [""]
    except csv.Error:
        return [""]


def _bad_row(number: int, refusal: Refusal, header: list[str], cells: list[str], *, aligned: bool) -> BadRow:
    """A broken row with those of its cells that are text."""
    pairs = zip(header, cells, strict=False)
    whole = {column: cell for column, cell in pairs if not _NOT_TEXT.search(cell) and "\0" not in cell}
    return BadRow(number, refusal, Row(number, whole), aligned and len(cells) == len(header))


def _refuse_cells(cells: list[str], header: list[str] | None, suspicious: bool) -> Refusal | None:
    if suspicious and any(_NOT_TEXT.search(cell) for cell in cells):
        return Refusal(Reason.BAD_ENCODING, "bytes that the file's encoding does not know")
    if suspicious and any("\0" in cell for cell in cells):
        return Refusal(Reason.INVALID_ROW, "a cell holds a NUL character")
    if header is not None and cells and len(cells) != len(header):
        return Refusal(Reason.INVALID_ROW, f"{len(cells)} cells, the header has {len(header)}")
    return None


class _Repeating(dict[str, Any]):
    """A JSON object with a key that stands twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else _Repeating(plain)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as problem:
        detail = f"line {problem.lineno}, column {problem.colno}: {problem.msg}"
        raise Broken(Reason.INVALID_JSON, detail) from None
    except RecursionError:
        raise Broken(Reason.INVALID_JSON, "nested too deeply") from None
    except ValueError:  # an integer of more digits than Python converts
        raise Broken(Reason.INVALID_JSON, "a number with too many digits") from None


def _json_lines(text: str) -> Iterator[Any]:
    for line in text.split("\n"):
        if line.strip():
            try:
                yield _parsed(line)
            except Broken as problem:
                yield problem.refusal


def _json_records(text: str, records: str | None) -> Iterator[Any]:
    found = _parsed(text)
    for key in records.split(".") if records else ():
        if not isinstance(found, dict) or key not in found:
            raise Broken(Reason.INVALID_JSON, f"`records: {records}` leads nowhere: there is no key {key!r}")
        found = found[key]
    if not isinstance(found, list):
        kind = "a mapping" if isinstance(found, dict) else "a plain value"
        raise Broken(Reason.INVALID_JSON, f"found {kind}, not a list of records; say its place with `records`")
    yield from found


def _collected(values: Iterable[Any]) -> Reading:
    rows: list[Row | BadRow] = []
    columns: dict[str, None] = {}
    for number, value in enumerate(values, start=1):
        if isinstance(value, Refusal):
            rows.append(BadRow(number, value))
        elif not isinstance(value, dict):
            rows.append(BadRow(number, Refusal(Reason.INVALID_ROW, "the record is not a mapping of names to values")))
        else:
            columns.update(dict.fromkeys(value))
            try:
                rows.append(_row_of(number, value))
            except Broken as problem:
                rows.append(BadRow(number, problem.refusal, _legible(number, value), aligned=True))
    return Reading(frozenset(columns), tuple(rows))


def _legible(number: int, record: dict[str, Any]) -> Row | None:
    """The cells of a broken record that are text; none where keys repeat, since any may be the wrong one."""
    if isinstance(record, _Repeating):
        return None
    cells = {name: _plain(value) for name, value in record.items()}
    return Row(
        number, {name: text for name, text in cells.items() if text and not _refuse_cells([name, text], None, True)}
    )


def _row_of(number: int, record: dict[str, Any]) -> Row:
    if isinstance(record, _Repeating):
        raise Broken(Reason.INVALID_ROW, "a key of the record stands twice")
    cells: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    nested: list[str] = []
    for name, value in record.items():
        if isinstance(value, list | tuple):
            parts = [_plain(part) for part in value]
            if None in parts:
                nested.append(name)
            else:
                lists[name] = tuple(part for part in parts if part is not None)
        elif (text := _plain(value)) is None:
            nested.append(name)
        else:
            cells[name] = text
    texts = [*record, *cells.values(), *(part for parts in lists.values() for part in parts)]
    refusal = _refuse_cells(texts, None, suspicious=True)
    if refusal:
        raise Broken(refusal.reason, refusal.detail)
    return Row(number, cells, lists, frozenset(nested))


def _plain(value: Any) -> str | None:
    if isinstance(value, dict | list | tuple | bytes):
        return None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal):
        whole = math.isfinite(value) and -MAX_WHOLE <= value <= MAX_WHOLE and value == int(value)
        return str(int(value)) if whole else str(value)
    return str(value)  # UUID and the like of Parquet by their text


def _read_parquet(data: bytes) -> Reading:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            schema = file.schema_arrow
            counts = Counter(schema.names)
            plain = [one.name for one in schema if counts[one.name] == 1 and not _holds_bytes(one.type)]
            batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=plain) if plain else ()
            records = [record for batch in batches for record in _without_times(batch).to_pylist()]
            records = records or [{} for _ in range(file.metadata.num_rows)]
    except (pa.ArrowException, OSError, ValueError):
        raise Broken(Reason.UNREADABLE_FILE, "not a Parquet file that can be read") from None
    rows = _collected(records).rows
    return Reading(frozenset(schema.names), rows, frozenset(name for name, count in counts.items() if count > 1))


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return any(_holds_bytes(kind.field(number).type) for number in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _without_times(batch: Any) -> Any:
    """Dates and times as ISO text: their Python objects depend on pandas and on the host's time zones."""
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    for number, one in enumerate(table.schema):
        if pa.types.is_temporal(one.type) and not pa.types.is_duration(one.type):
            table = table.set_column(number, one.name, table.column(number).cast(pa.string()))
    return table
