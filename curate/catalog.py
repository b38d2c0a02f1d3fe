"""Query a built corpus: DuckDB views and Polars lazy frames over the files that sidecars name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from upath import UPath

from curate.corpus import described
from curate.errors import StoreError, UsageError
from curate.schema import CATALOG_TABLES, IMAGES, VIDEOS
from curate.store.committed import CommittedFiles
from curate.store.part import Part, Sidecars
from curate.store.place import Place, filesystem, is_remote, place_of

if TYPE_CHECKING:
    import duckdb
    import polars

__all__ = ["Catalog", "catalog_files", "connect", "only_reads", "open_catalog", "query"]

_WITH_BYTES: Final = {"images": IMAGES, "videos": VIDEOS}


@dataclass(frozen=True, slots=True)
class Catalog:
    """A built corpus as Polars lazy frames, one per table of the catalog; `images` and `videos` hold bytes too."""

    assets: "polars.LazyFrame"
    annotations: "polars.LazyFrame"
    groups: "polars.LazyFrame"
    pairs: "polars.LazyFrame"
    responses: "polars.LazyFrame"
    rejects: "polars.LazyFrame"
    parts: "polars.LazyFrame"
    images: "polars.LazyFrame"
    videos: "polars.LazyFrame"


def catalog_files(out: Place) -> dict[str, list[Place]]:
    """The committed files of each table, those of `images` and `videos` included.

    Raises:
        UsageError: the folder holds no corpus, or one whose catalog is not built yet.
    """
    described(out)
    sidecars = Sidecars(out)
    catalog = sidecars.get(Part("catalog"))
    if catalog is None:
        raise UsageError(
            f"{out} has no catalog yet; run `curate build` to the end, or `curate status {out}` to see how far it is"
        )
    files = {table: [out / file.name for file in catalog.of(table)] for table in CATALOG_TABLES}
    reads = sidecars.listed("read")
    return files | {table: [out / file.name for one in reads for file in one.of(table)] for table in _WITH_BYTES}


def open_catalog(out: str | Place) -> Catalog:
    """The tables of a built corpus as Polars lazy frames."""
    import polars as pl

    frames: dict[str, pl.LazyFrame] = {}
    for table, files in catalog_files(place_of(out) if isinstance(out, str) else out).items():
        remote = [file for file in files if is_remote(file)]
        if remote:
            frames[table] = pl.scan_pyarrow_dataset(_dataset(remote, _schema(table)))
        elif files:
            frames[table] = pl.scan_parquet([str(file) for file in files])
        else:
            frames[table] = pl.DataFrame(_schema(table).empty_table()).lazy()
    return Catalog(**frames)


def _dataset(files: Sequence[UPath], schema: pa.Schema) -> Any:
    """Files of a store, of which columns and row groups are fetched as they are needed.

    They are reached as everything else of the output is, with the same credentials and endpoint.
    """
    import pyarrow.dataset

    paths = [file.path for file in files]
    return pyarrow.dataset.dataset(paths, schema=schema, filesystem=filesystem(files[0]), format="parquet")


def connect(out: Place) -> "duckdb.DuckDBPyConnection":
    """A DuckDB connection in memory with a view per table."""
    import duckdb

    connection = duckdb.connect(":memory:")
    if is_remote(out):
        connection.register_filesystem(CommittedFiles(out))
    try:
        _make_views(connection, out)
    except duckdb.Error as problem:
        first = str(problem).splitlines()[0]
        raise StoreError(f"a file of {out} cannot be opened ({first}); `curate check {out}` says which") from None
    return connection


def _make_views(connection: "duckdb.DuckDBPyConnection", out: Place) -> None:
    for table, files in catalog_files(out).items():
        if files:
            names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
            connection.execute(f'CREATE VIEW "{table}" AS SELECT * FROM read_parquet([{names}])')
        else:
            connection.register(f"_{table}", _schema(table).empty_table())
            connection.execute(f'CREATE VIEW "{table}" AS SELECT * FROM "_{table}"')


def _schema(table: str) -> pa.Schema:
    return _WITH_BYTES[table] if table in _WITH_BYTES else CATALOG_TABLES[table]


def only_reads(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """Refuse what is not one statement that reads rows.

    Raises:
        UsageError: it is another statement, or several.
        duckdb.Error: DuckDB cannot parse it.
    """
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise UsageError(f"the query holds {len(statements)} statements; ask one thing at a time")
    if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI):  # MULTI: a PIVOT
        kind = statements[0].type.name
        raise UsageError(f"the query is a statement of kind {kind}; only those that read rows are run, as SELECT is")


def query(out: Place, sql: str) -> "duckdb.DuckDBPyRelation":
    """The answer to one SQL statement over the views named as the tables.

    Raises:
        UsageError: it is not one SELECT (or what reads like one: FROM, WITH, SHOW, DESCRIBE, PIVOT), or DuckDB does
            not accept it; then its message follows.
    """
    import duckdb

    connection = connect(out)
    try:
        only_reads(connection, sql)
        answer = connection.sql(sql)
    except duckdb.Error as problem:
        raise UsageError(f"the query was not accepted: {problem}") from None
    if answer is None:
        raise UsageError("the query returns no rows; ask with SELECT, or SHOW TABLES to see what there is")
    return answer
