"""diff: what is another one in another corpus or release: rows added, removed and changed, and the cause of each."""

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curate.catalog import connect
from curate.errors import StoreError
from curate.publish.base import MANIFEST
from curate.publish.index import INDEX, Difference, compare, index_query
from curate.publish.manifest import decode_manifest
from curate.store.place import Place, open_binary, read_bytes

__all__ = ["diff"]


def diff(before: Place, after: Place) -> Difference:
    """What is another one in `after`. Each side is a built corpus, or a release in a folder or store.

    Raises:
        UsageError: one of them is neither.
        StoreError: a release is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="curate-diff-") as folder:
        both = duckdb.connect(str(Path(folder) / "indices.duckdb"))  # on disk: two large sides need not fit in memory
        try:
            for name, side in (("before", before), ("after", after)):
                _take_in(both, name, side)
            return compare(both)
        finally:
            both.close()


def _take_in(both: duckdb.DuckDBPyConnection, name: str, side: Place) -> None:
    """The index of one side as a table."""
    try:
        data = read_bytes(side / MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        with connect(side) as connection:
            _copy(both, name, connection.sql(index_query("pairs")).to_arrow_reader())
        return
    index = side / decode_manifest(data, str(side)).index
    try:
        with open_binary(index) as file:
            parquet = pq.ParquetFile(file)
            if not parquet.schema_arrow.equals(INDEX):
                raise StoreError(f"{index} is an index of another version of curate; publish the release again")
            batches = parquet.iter_batches()
            _copy(both, name, pa.RecordBatchReader.from_batches(INDEX, batches))
    except (OSError, pa.ArrowException) as problem:
        raise StoreError(f"{index} cannot be read ({type(problem).__name__}); publish the release again") from None


def _copy(both: duckdb.DuckDBPyConnection, name: str, rows: pa.RecordBatchReader) -> None:
    both.register("_incoming", rows)
    both.execute(f'CREATE TABLE "{name}" AS SELECT * FROM _incoming')
    both.unregister("_incoming")
