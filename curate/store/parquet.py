"""Parquet files as this house writes and reads them: checksummed pages, byte-sized row groups, identical bytes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import StoreError
from curate.schema import CATALOG_TABLES, TABLES
from curate.store.part import OutputFile
from curate.store.place import Place, is_remote, open_binary

__all__ = [
    "DAMAGE",
    "ROW_GROUP_BYTES",
    "HashingFile",
    "Range",
    "TableFile",
    "iter_tables",
    "open_parquet",
    "read_table",
]

ROW_GROUP_BYTES: Final = 32 * 2**20
"""A row group closes when its rows reach this size in memory: far below the 128 MB that readers cope with, and a
worker that streams images holds no more than this."""

CATALOG_GROUP_BYTES: Final = 96 * 2**20
"""For tables that are asked questions: some 130,000 rows of assets. Of smaller groups an engine reads more footer than
rows (bench/work7_catalog.py); no engine that opens them uses the page index either, which would treble the footer."""

IMAGE_GROUP_ROWS: Final = 100
"""About a hundred images a group keep a random access cheap (see performance.md, work 1)."""

REQUEST_GROUP_ROWS: Final = 500
"""Requests lie by id, and each part of rewrite reads a range of ids out of every file of them: a group is what it reads
too much. Some 2 MB; smaller ones compress worse."""

ZSTD_LEVEL: Final = 3

PLAIN_LEAVES: Final = frozenset({"image.bytes", "video.bytes"})
"""What is compressed already."""

DAMAGE: Final = (OSError, pa.ArrowException, ValueError)
"""What the reader raises on damaged bytes; a name in a damaged footer that is no text is a plain `ValueError`."""


@dataclass(frozen=True, slots=True)
class Range:
    """Rows whose text in `column` is at least `low` and below `below`; null: no upper end. Compared by code points."""

    column: str
    low: str
    below: str | None = None

    def may_lie_in(self, group: pq.RowGroupMetaData, index: int) -> bool:
        """False where the statistics of a group rule it out; `index` is that of the column."""
        told = group.column(index).statistics
        if told is None or not told.has_min_max:
            return True
        return bool(told.max >= self.low and (self.below is None or told.min < self.below))

    def rows(self, table: pa.Table) -> pa.Table:
        """Those of a table."""
        column = table.column(self.column)
        within = pc.greater_equal(column, self.low)
        if self.below is not None:
            within = pc.and_(within, pc.less(column, self.below))
        return table.filter(within)


class HashingFile:
    """A binary file that knows the digest and the size of what went through it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        """Write a buffer and fold it into the digest."""
        size = memoryview(data).nbytes
        if self._file is None:
            return size
        self._digest.update(data)
        self._file.write(data)
        self.bytes += size
        return size

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if self._file is not None:
            self._file.flush()

    def detach(self) -> None:
        """Swallow whatever comes from now on."""
        self._file = None

    def tell(self) -> int:
        """Bytes so far."""
        return self.bytes

    def writable(self) -> bool:
        """True: that is all it can do."""
        return True

    def readable(self) -> bool:
        """False."""
        return False

    def seekable(self) -> bool:
        """False: Parquet is written front to back."""
        return False

    def close(self) -> None:
        """Leave the file to its owner."""

    def hexdigest(self) -> str:
        """sha256 of everything written."""
        return self._digest.hexdigest()


class TableFile:
    """One table on its way into one Parquet file; rows leave for the disk a row group at a time."""

    def __init__(self, sink: HashingFile, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._pending_rows = 0
        self._writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, **_settings(schema))
        self._group_rows = _group_rows(schema)
        self._even = _is_of_catalog(schema)
        self._group_bytes = CATALOG_GROUP_BYTES if self._even else ROW_GROUP_BYTES

    def write(self, table: pa.Table) -> None:
        """Add rows; they must be of the file's schema exactly."""
        if not table.num_rows:
            return
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        self._pending_rows += table.num_rows
        if self._pending_bytes >= self._group_bytes or (self._group_rows and self._pending_rows >= self._group_rows):
            self._flush()

    def close(self) -> None:
        """Write what is pending and the footer."""
        self._flush(last=True)
        self._writer.close()

    def abandon(self) -> None:
        """Give up a file that nobody wants any more; its sink must swallow what the writer still has to say."""
        self._pending = []
        try:
            self._writer.close()
        except (OSError, pa.ArrowException, ValueError):
            self._writer.is_open = False  # else it tries again, and complains, when it is collected

    def _flush(self, *, last: bool = False) -> None:
        if not self._pending:
            return
        table = pa.concat_tables(self._pending)
        rows_a_group = max(1, int(table.num_rows * self._group_bytes / max(table.nbytes, 1)))
        if self._group_rows:
            rows_a_group = min(rows_a_group, self._group_rows)
        waiting = 0 if last or not self._even else table.num_rows % rows_a_group
        ready = table.slice(0, table.num_rows - waiting)
        self._writer.write_table(ready, row_group_size=rows_a_group)
        self.rows += ready.num_rows
        left = table.slice(ready.num_rows)
        self._pending = [left] if waiting else []
        self._pending_bytes, self._pending_rows = left.nbytes, left.num_rows


def _group_rows(schema: pa.Schema) -> int | None:
    """The most rows of a group; null where bytes alone decide."""
    if schema.equals(TABLES["images"]):
        return IMAGE_GROUP_ROWS
    return REQUEST_GROUP_ROWS if schema.equals(TABLES["requests"]) else None


def _is_of_catalog(schema: pa.Schema) -> bool:
    """True for tables with columns that only the catalog has."""
    return any(schema.equals(asked) for name, asked in CATALOG_TABLES.items() if asked != TABLES.get(name))


def _settings(schema: pa.Schema) -> dict[str, Any]:
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    plain = {leaf for leaf in leaves if leaf in PLAIN_LEAVES}
    settings: dict[str, Any] = {
        "version": "2.6",
        "compression": {leaf: "NONE" if leaf in plain else "ZSTD" for leaf in leaves},
        "compression_level": {leaf: ZSTD_LEVEL for leaf in leaves if leaf not in plain},
        "write_page_checksum": True,
        "write_page_index": True,
        "store_schema": True,
    }
    if _is_of_catalog(schema):
        settings |= {"write_page_index": False, "max_rows_per_page": 2**20}
    if plain:
        settings |= {"use_dictionary": False, "write_statistics": ["asset_id"]}
    return settings


def _leaves(name: str, dtype: pa.DataType) -> Iterator[str]:
    """The column paths of a field as Parquet spells them."""
    if pa.types.is_struct(dtype):
        for field in dtype:
            yield from _leaves(f"{name}.{field.name}", field.type)
    elif pa.types.is_map(dtype):
        yield from _leaves(f"{name}.key_value.key", dtype.key_type)
        yield from _leaves(f"{name}.key_value.value", dtype.item_type)
    elif pa.types.is_list(dtype):
        yield from _leaves(f"{name}.list.element", dtype.value_type)
    else:
        yield name


def open_parquet(path: Place) -> pq.ParquetFile:
    """A committed file, its pages checked against their checksums while they are read.

    Raises:
        StoreError: the file is gone or its footer is no longer Parquet.
    """
    try:
        if is_remote(path):  # what a row group needs is fetched by few and long ranges
            return pq.ParquetFile(open_binary(path), page_checksum_verification=True, pre_buffer=True)
        return pq.ParquetFile(path, page_checksum_verification=True)
    except DAMAGE as problem:
        raise _unreadable(path, problem, "cannot be opened") from None


def read_table(
    out: Place, files: Sequence[OutputFile], schema: pa.Schema, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of committed files one after another, in full or some columns; an empty table where there are none.

    Raises:
        StoreError: a file is gone, damaged, or of another schema than this version writes.
    """
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    tables = list(iter_tables(out, files, schema, columns))
    return pa.concat_tables(tables) if tables else wanted.empty_table()


def iter_tables(
    out: Place,
    files: Sequence[OutputFile],
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    within: Range | None = None,
) -> Iterator[pa.Table]:
    """The row groups of committed files, one table each; with `within` only its rows, of the groups that hold some.

    The column of `within` must be among the columns.
    """
    for file in files:
        parquet = open_parquet(out / file.name)
        try:
            if not parquet.schema_arrow.equals(schema):
                raise StoreError(f"{out / file.name} has other columns than this version writes; build again")
            for group in _groups(parquet, within):
                table = parquet.read_row_group(group, columns=list(columns) if columns else None)
                yield table if within is None else within.rows(table)
        except DAMAGE as problem:
            raise _unreadable(out / file.name, problem, "is damaged") from None


def _groups(parquet: pq.ParquetFile, within: Range | None) -> list[int]:
    """The row groups to read."""
    groups = range(parquet.num_row_groups)
    if within is None:
        return list(groups)
    index = parquet.schema.names.index(within.column)
    return [group for group in groups if within.may_lie_in(parquet.metadata.row_group(group), index)]


def _unreadable(path: Place, problem: BaseException, what: str) -> StoreError:
    """What a reader met: bytes that are not Parquet, or a disk or a store that did not give them."""
    if isinstance(problem, OSError) and problem.errno is not None and not isinstance(problem, FileNotFoundError):
        return StoreError(f"{path} cannot be read ({problem.strerror}); see to the disk or store, then run it again")
    return StoreError(f"{path} {what} ({_first_line(problem)}); remove it and build again")


def _first_line(problem: BaseException) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]
