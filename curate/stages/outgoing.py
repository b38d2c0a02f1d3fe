"""What read hands to the tables: bytes as they come, rows when they are complete, both in bounded batches."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from curate.schema import ANNOTATIONS, ASSETS, IMAGES, VIDEOS
from curate.store.commit import PartWriter

__all__ = ["Outgoing", "columns_of", "file_name"]

FLUSH_BYTES: Final = 16 * 2**20
FLUSH_PICTURES: Final = 100
"""Bytes, or pictures, held in Python before they go to their file: one row group of it."""

FLUSH_ROWS: Final = 4096

_SUFFIXES: Final = {
    "mp2t": "ts",
    "mpeg": "mpg",
    "quicktime": "mov",
    "x-flv": "flv",
    "x-matroska": "mkv",
    "x-ms-asf": "asf",
    "x-msvideo": "avi",
}
"""Of media types whose own name is no usual suffix."""


class Outgoing:
    """Gathers the output of one part."""

    def __init__(self, writer: PartWriter) -> None:
        self._writer = writer
        self._bytes: dict[str, list[tuple[str, bytes, str]]] = {"images": [], "videos": []}
        self._held = 0
        self._assets: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def picture(self, asset_id: str, data: bytes, media_type: str) -> None:
        """The bytes of one image or video."""
        table = "videos" if media_type.startswith("video/") else "images"
        self._bytes[table].append((asset_id, data, file_name(asset_id, media_type)))
        self._held += len(data)
        if self._held >= FLUSH_BYTES or len(self._bytes[table]) >= FLUSH_PICTURES:
            self._flush_bytes()

    def assets(self, rows: Iterable[dict[str, Any]]) -> None:
        """Complete rows of `assets`."""
        self._assets.extend(rows)
        if len(self._assets) >= FLUSH_ROWS:
            self._flush_rows()

    def annotations(self, rows: list[dict[str, Any]]) -> None:
        """Complete rows of `annotations`."""
        self._annotations += rows
        if len(self._annotations) >= FLUSH_ROWS:
            self._flush_rows()

    def close(self) -> None:
        """Write what is still held."""
        self._flush_bytes()
        self._flush_rows()

    def _flush_bytes(self) -> None:
        for table, schema in (("images", IMAGES), ("videos", VIDEOS)):
            if not self._bytes[table]:
                continue
            ids, data, paths = zip(*self._bytes[table], strict=True)
            cells = pa.StructArray.from_arrays([_binary(data), pa.array(paths, pa.string())], ["bytes", "path"])
            self._writer.write(table, pa.Table.from_arrays([pa.array(ids, pa.string()), cells], schema=schema))
            self._bytes[table].clear()
        self._held = 0

    def _flush_rows(self) -> None:
        self._writer.write("assets", columns_of(self._assets, ASSETS))
        self._writer.write("annotations", columns_of(self._annotations, ANNOTATIONS))
        self._assets.clear()
        self._annotations.clear()


def file_name(asset_id: str, media_type: str) -> str:
    """How the bytes of an asset are called where they are a file."""
    suffix = media_type.partition("/")[2]
    return f"{asset_id}.{_SUFFIXES.get(suffix, suffix)}"


def _binary(values: Sequence[bytes]) -> pa.Array:
    """The values as one array: copied once, a single one not at all; `pa.array` doubles its buffer as it grows."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    joined = values[0] if len(values) == 1 else b"".join(values)
    return pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])


def columns_of(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; a key that a row lacks is null. Columns without a value, which are most, cost nothing."""
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        known = pa.types.is_nested(field.type) or any(value is not None for value in values)
        columns.append(pa.array(values, field.type) if known else pa.nulls(len(rows), field.type))
    return pa.Table.from_arrays(columns, schema=schema)
