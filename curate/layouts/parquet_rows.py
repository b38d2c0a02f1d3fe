"""Parquet files as folders of images: the bytes that one column embeds, row by row."""

import bisect
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.layouts.archives import ArchiveError, check_size
from curate.schema import Reason

__all__ = ["ParquetRows"]


class ParquetRows:
    """The images embedded in one column of a Parquet file, by row; the last row group stays decoded."""

    def __init__(self, file: Path, column: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as problem:
            if isinstance(problem, FileNotFoundError | PermissionError):
                raise
            raise ArchiveError(Reason.UNREADABLE_FILE, "not a Parquet file that can be read") from None
        self._column = column
        metadata = self._file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self._ends = list(itertools.accumulate(group.num_rows for group in groups))
        self._sizes = [_column_bytes(group, column) // max(group.num_rows, 1) for group in groups]
        self._cached: tuple[int, Any] | None = None
        try:
            _check_image_column(self._file.schema_arrow, column)
        except ArchiveError:
            self.close()
            raise

    @property
    def row_bytes(self) -> Iterator[int]:
        """An estimate of each row's bytes from the sizes in the footer; no image is read."""
        start = 0
        for end, size in zip(self._ends, self._sizes, strict=True):
            yield from itertools.repeat(size, end - start)
            start = end

    def read(self, row: int, max_bytes: int) -> bytes:
        """The image bytes of a row; raises `ArchiveError`."""
        import pyarrow as pa

        group = bisect.bisect_right(self._ends, row)
        if group == len(self._ends):
            raise ArchiveError(Reason.MISSING_FILE, "the Parquet file has fewer rows")
        try:
            if self._cached is None or self._cached[0] != group:
                self._cached = (group, self._file.read_row_group(group, columns=[self._column]).column(0))
            cell = self._cached[1][row - (self._ends[group - 1] if group else 0)].as_py()
        except (pa.ArrowException, OSError):
            raise ArchiveError(Reason.UNREADABLE_FILE, "the row group cannot be read") from None
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not data:
            raise ArchiveError(Reason.EMPTY_FILE, "the row embeds no bytes")
        check_size(len(data), max_bytes)
        return bytes(data)

    def close(self) -> None:
        """Give back the file."""
        self._cached = None
        self._file.close()


def _check_image_column(schema: Any, column: str) -> None:
    import pyarrow as pa

    if schema.get_field_index(column) < 0:
        raise ArchiveError(Reason.MISSING_COLUMN, f"there is no column {column!r}, or it stands twice")
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)):
        raise ArchiveError(Reason.UNSUPPORTED_FORMAT, f"column {column!r} holds {kind}, not the bytes of images")


def _column_bytes(group: Any, column: str) -> int:
    chunks = (group.column(number) for number in range(group.num_columns))
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema.split(".", 1)[0] == column.split(".", maxsplit=1)[0]
    )
