"""`CHANGELOG.md` and the index of rows: what became of each row since the release before, and why."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from curate.publish.base import File
from curate.publish.index import INDEX, Difference, Kind, compare, index_query
from curate.publish.writing import Staging
from curate.store.parquet import HashingFile, TableFile
from curate.store.part import TEMPORARY_PREFIX

if TYPE_CHECKING:
    import duckdb

__all__ = ["CHANGELOG", "INDEX_FOLDER", "changelog", "difference", "index_of", "stage_index"]

CHANGELOG: Final = "CHANGELOG.md"
INDEX_FOLDER: Final = "index"

AT_ONCE: Final = 50_000
"""Rows of the index held at a time."""

_HEAD: Final = "# Changelog\n\nWhat became of the rows from release to release, by source and cause.\n"
_ENTRY: Final = re.compile(r"^## Release (\d+)\b", re.MULTILINE)
_CHOSEN: Final = "(SELECT pairs.* FROM pairs SEMI JOIN chosen USING (pair_id))"


def index_of(connection: "duckdb.DuckDBPyConnection") -> None:
    """Make the table `after` of a selection's connection: the index of the rows that go."""
    connection.execute(f"CREATE OR REPLACE TABLE after AS {index_query(_CHOSEN)}")


def stage_index(connection: "duckdb.DuckDBPyConnection", staging: Staging) -> str:
    """The index of the rows that go as a file of the release, by source and pair id; its path.

    Its name carries its digest, so that the index of the release before stays readable until it is no longer wanted.
    """
    folder = staging.local(f"{INDEX_FOLDER}/x").parent
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{TEMPORARY_PREFIX}{os.getpid()}"
    columns = ", ".join(INDEX.names)
    cursor = connection.cursor()
    reader = cursor.sql(f"SELECT {columns} FROM after ORDER BY source, pair_id").to_arrow_reader(AT_ONCE)
    try:
        with temporary.open("wb") as file:
            sink = HashingFile(file)
            table = TableFile(sink, INDEX)
            for batch in reader:
                table.write(pa.Table.from_batches([batch]).cast(INDEX))
            table.close()
            file.flush()
            os.fsync(file.fileno())
        digest = sink.hexdigest()
        path = f"{INDEX_FOLDER}/rows-{digest[:32]}.parquet"
        temporary.replace(staging.local(path))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    staging.keep(File(path=path, sha256=digest, bytes=sink.bytes))  # it holds no rows of the release
    return path


def difference(connection: "duckdb.DuckDBPyConnection", before: Path) -> Difference | None:
    """What became of the rows since the release whose index lies in a file; null where that is of another form."""
    import pyarrow.parquet as pq

    if not pq.read_schema(before).equals(INDEX):
        return None
    name = str(before).replace("'", "''")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW before AS SELECT * FROM read_parquet('{name}')")
    return compare(connection, kept="judged")


def changelog(before: str, number: int, content: str, rows: int, changes: Difference | None) -> str:
    """The changelog with the entry of this release on top; an entry of this number or a later one is replaced."""
    entries = [entry for its, entry in _entries(before) if its < number]
    return "\n".join((_HEAD, _entry(number, content, rows, changes), *entries))


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each entry."""
    found = list(_ENTRY.finditer(text))
    ends = [*(one.start() for one in found), len(text)][1:]
    for one, end in zip(found, ends, strict=True):
        yield int(one[1]), text[one.start() : end].rstrip("\n") + "\n"


def _entry(number: int, content: str, rows: int, changes: Difference | None) -> str:
    head = f"## Release {number}\n\nContent `{content[:16]}`, {rows:,} rows."
    if changes is None:
        told = " The first of this place." if number == 1 else " Not compared row by row with the release before."
        return f"{head}{told}\n"
    counts = ", ".join(f"{changes.rows(kind):,} {kind}" for kind in Kind)
    told = f"{head} {counts}, {changes.unchanged:,} unchanged.\n"
    return told + (
        f"\n{_table(changes)}" if changes.changes else "\nThe same rows; files or their description changed.\n"
    )


def _table(changes: Difference) -> str:
    lines = [f"| {change.source} | {change.kind} | {change.cause} | {change.rows:,} |" for change in changes.changes]
    return "\n".join(("| source | rows | cause | number |", "|---|---|---|---:|", *lines)) + "\n"
