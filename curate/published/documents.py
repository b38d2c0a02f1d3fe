"""Files of records as bytes: their digest, their encoding, and the rows that lie in them, whatever the file is called.

JSON, JSON lines, comma and tab separated text, Parquet and plain lines are told apart by what stands in them. A file
that is broken is read as far as it goes; what is broken is told with its place.
"""

import codecs
import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from curate.published.digests import within
from curate.published.json_stream import Element, JsonProblem, Notes, elements, parse, without_trailing_commas
from curate.published.values import is_picture

__all__ = ["Container", "Document", "Problem", "Raw", "open_document", "raw_rows"]

Container = Literal["json", "jsonl", "csv", "tsv", "parquet", "lines", "binary"]

_CHUNK: Final = 1 << 20
_HEAD: Final = 1 << 16
MAX_REPAIR_BYTES: Final = 1 << 26
"""A broken JSON file above this is not read again without its trailing commas."""
_BATCH_ROWS: Final = 64
_PICTURED: Final = frozenset({"index", "image"})
_IDENTIFIER: Final = re.compile(r"[\w .()/%#:+-]{1,60}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that makes a file, or a place in it, unreadable. `rule` names the rule that it breaks."""

    rule: str
    locator: str
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file before its rows are read."""

    path: Path
    container: Container
    encoding: str
    sha256: str
    size: int
    marked: bool  # begins with a byte order mark
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Raw:
    """The rows of a document, one pass: values of JSON, or cells by column. `problems` fill while it is read."""

    rows: Iterator[tuple[int, Any]]
    whole: bool = False
    columns: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)


def open_document(path: Path) -> Document:
    """What a file is. Raises `OSError` where it cannot be read."""
    digest, size, head = hashlib.sha256(), 0, b""
    utf8 = codecs.getincrementaldecoder("utf-8")("strict")
    bad_at: int | None = None
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            head = head or chunk[:_HEAD]
            if bad_at is None:
                bad_at = _first_bad(utf8, chunk, size)
            size += len(chunk)
    if bad_at is None:
        bad_at = _first_bad(utf8, b"", size, final=True)
    marked = head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if head.startswith(b"PAR1"):
        return Document(path, "parquet", "", digest.hexdigest(), size, marked=False)
    encoding, problems = _encoding(path, head, bad_at)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    container: Container = "binary" if "\0" in text else _container(path, text, whole=size <= _HEAD)
    return Document(path, container, encoding, digest.hexdigest(), size, marked, problems)


def _first_bad(decoder: codecs.IncrementalDecoder, chunk: bytes, before: int, *, final: bool = False) -> int | None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as problem:
        return before - pending + problem.start
    return None


def _encoding(path: Path, head: bytes, bad_at: int | None) -> tuple[str, tuple[Problem, ...]]:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", (Problem("encoding", "byte 0", "the file is UTF-16; readers of JSON and CSV expect UTF-8"),)
    if bad_at is None:
        return "utf-8-sig", ()
    encoding = "gb18030" if _decodes(path, "gb18030") else "utf-8-sig"
    read_as = "read as GB 18030" if encoding == "gb18030" else "bytes that are no UTF-8 are replaced"
    return encoding, (Problem("encoding", f"byte {bad_at}", f"the file is not UTF-8 from byte {bad_at} on; {read_as}"),)


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _container(path: Path, head: str, *, whole: bool) -> Container:
    text = head.lstrip()
    lines = [line for line in text.splitlines() if line.strip()]
    if text[:1] in "[{" and text:
        suffix = path.suffix.lower()
        follows = len(lines) > 1 and lines[0].rstrip().endswith("}") and lines[1].lstrip().startswith("{")
        by_line = text[0] == "{" and follows and _is_json(lines[0])
        return "jsonl" if by_line or suffix in {".jsonl", ".ndjson"} else "json"
    if not whole and lines:
        lines = lines[:-1] or lines
    for container, delimiter in (("tsv", "\t"), ("csv", ",")):
        if _is_table(lines, delimiter, certain=path.suffix.lower() == f".{container}"):
            return container  # type: ignore[return-value]
    return "json" if path.suffix.lower() == ".json" else "lines"


def _is_json(line: str) -> bool:
    try:
        parse(line, Notes())
    except JsonProblem:
        return False
    return True


def _is_table(lines: list[str], delimiter: str, *, certain: bool) -> bool:
    """True where the first line reads as a header and most of the others have as many cells."""
    try:
        rows = list(csv.reader(lines[:200], delimiter=delimiter))
    except csv.Error:
        return certain
    if not rows or (len(rows) < 2 and not certain):
        return False
    header = [cell.strip() for cell in rows[0]]
    if certain:
        return True
    named = len(header) > 1 and len(set(header)) == len(header) and all(_IDENTIFIER.fullmatch(cell) for cell in header)
    same = sum(len(row) == len(header) for row in rows[1:])
    return named and same >= 0.8 * (len(rows) - 1)


def raw_rows(document: Document) -> Raw:
    """The rows of a document; see `Raw`. A JSON document that is no list gives itself as its only row."""
    if document.container == "json":
        return _json(document)
    if document.container == "jsonl":
        return _json_lines(document)
    if document.container in ("csv", "tsv"):
        return _cells(document, "\t" if document.container == "tsv" else ",")
    if document.container == "parquet":
        return _parquet(document)
    return _lines(document)


def _json(document: Document) -> Raw:
    raw = Raw(iter(()))
    stream = elements(document.path, document.encoding, raw.notes)
    try:
        first = next(stream, None)
    except JsonProblem as problem:
        first, stream = _repaired(document, raw, problem)
    if first is not None and first.whole:
        raw.whole, raw.rows = True, iter([(0, first.value)])
    elif first is not None:
        raw.rows = _guarded(document, raw, first, stream)
    return raw


def _guarded(document: Document, raw: Raw, first: Element, stream: Iterator[Element]) -> Iterator[tuple[int, Any]]:
    yield 1, first.value
    number = 1
    while True:
        try:
            element = next(stream, None)
        except JsonProblem as problem:
            again, rest = _repaired(document, raw, problem)
            for index, later in enumerate([again, *rest] if again else []):
                if index >= number and later is not None:
                    yield index + 1, later.value
            return
        if element is None:
            return
        number += 1
        yield number, element.value


def _repaired(document: Document, raw: Raw, problem: JsonProblem) -> tuple[Element | None, Iterator[Element]]:
    """Tell the problem; what the file says when its trailing commas are taken out, else nothing."""
    said = f"not JSON: a strict parser stops at {problem.place}"
    again = _without_commas(document, raw) if document.size <= MAX_REPAIR_BYTES else None
    mended = "; without its trailing commas it can be read" if again else ""
    raw.problems.append(Problem("invalid_json", f"line {problem.line}", said + mended))
    if isinstance(again, list):
        made = iter([Element(value, whole=False) for value in again])
        return next(made, None), made
    return (Element(again, whole=True) if again else None), iter(())


def _without_commas(document: Document, raw: Raw) -> Any:
    text = document.path.read_bytes().decode(document.encoding, "replace")
    mended = without_trailing_commas(text)
    try:
        return parse(mended, raw.notes) if mended != text else None
    except JsonProblem:
        return None


def _json_lines(document: Document) -> Raw:
    raw = Raw(iter(()))
    raw.rows = _parsed_lines(document, raw)
    return raw


def _parsed_lines(document: Document, raw: Raw) -> Iterator[tuple[int, Any]]:
    number = 0
    for at, line in _text_lines(document):
        if not line.strip():
            continue
        number += 1
        try:
            yield number, parse(line, raw.notes)
        except JsonProblem as problem:
            place = f"line {at} column {problem.column} (char {problem.at} of the line)"
            raw.problems.append(Problem("invalid_json", f"line {at}", f"not JSON: a strict parser stops at {place}"))


def _text_lines(document: Document) -> Iterator[tuple[int, str]]:
    with document.path.open(encoding=document.encoding, errors="replace", newline="\n") as file:
        yield from enumerate(file, 1)


def _lines(document: Document) -> Raw:
    said = (line.strip() for _, line in _text_lines(document))
    return Raw(iter(enumerate((line for line in said if line), 1)) if document.container == "lines" else iter(()))


def _cells(document: Document, delimiter: str) -> Raw:
    raw = Raw(iter(()))
    records = _records(document, delimiter, raw)
    _, header = next(records, (0, []))
    columns = [name.strip() for name in header]
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raw.problems.append(Problem("broken_table", "line 1", f"{len(repeated)} column names stand twice"))
    raw.columns = tuple(columns)
    raw.rows = _table_rows(records, columns, raw)
    return raw


def _table_rows(records: Iterator[tuple[int, list[str]]], columns: list[str], raw: Raw) -> Iterator[tuple[int, Any]]:
    number = 0
    pictures: dict[str, str] = {}
    for line, cells in records:
        number += 1
        if len(cells) != len(columns):
            said = f"{len(cells)} cells, the header has {len(columns)}"
            raw.problems.append(Problem("broken_table", f"line {line}", said))
            continue
        row = dict(zip(columns, cells, strict=True))
        yield number, _with_picture(row, pictures) if row.keys() >= _PICTURED else row


def _with_picture(row: dict[str, str], pictures: dict[str, str]) -> dict[str, str]:
    """A row of VLMEvalKit: `image` holds the picture in base64, or the `index` of an earlier row that does.

    `image_path` is then the name under which the kit writes it out, and names no file of the publisher.
    """
    held = row["image"]
    if is_picture(held):
        found = pictures[row["index"]] = within(held)
    elif held in pictures:
        found = pictures[held]
    else:
        return row
    return row | {"image": found} | ({"image_path": ""} if "image_path" in row else {})


def _records(document: Document, delimiter: str, raw: Raw) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record with the line that it ends in.

    The standard reader refuses cells of more than 131,072 characters, as pictures in base64 are; its limit belongs to
    the whole process, so it is raised for such a line alone. A quote that is never closed still meets it.
    """
    usual = csv.field_size_limit()
    numbered = _text_lines(document)
    line = 0

    def feed() -> Iterator[str]:
        nonlocal line
        for line, text in numbered:
            if "\0" in text:
                raw.problems.append(Problem("broken_table", f"line {line}", "a NUL character"))
            csv.field_size_limit(max(usual, len(text)))
            yield text.replace("\0", "")

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raw.problems.append(Problem("broken_table", f"line {line}", "a quote that is never closed, or in a cell"))
            reader = csv.reader(feed(), delimiter=delimiter, strict=True)
            continue
        finally:
            csv.field_size_limit(usual)
        if cells is None:
            return
        if cells:
            yield line, cells


def _parquet(document: Document) -> Raw:
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = Raw(iter(()))
    try:
        file = pq.ParquetFile(document.path)
    except (pa.ArrowException, OSError, ValueError):
        raw.problems.append(Problem("unreadable", "file", "begins as Parquet and cannot be read as such"))
        return raw
    raw.columns = tuple(file.schema_arrow.names)
    raw.rows = _batches(file, raw)
    return raw


def _batches(file: Any, raw: Raw) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa

    number = 0
    with file:
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):  # few: a row may hold its pictures
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError, ValueError):
            raw.problems.append(Problem("unreadable", f"row {number + 1}", "the Parquet file is broken from here on"))
