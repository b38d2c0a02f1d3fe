"""check: whether an output folder is what it says: digests, types, closed words, invariants, expectations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from curate import expectations
from curate.catalog import connect
from curate.corpus import described
from curate.errors import StoreError
from curate.invariants import INVARIANTS
from curate.records import RECORDS, closed_words, record_validator
from curate.schema import CATALOG_TABLES, TABLES, item_key
from curate.stages.base import Run
from curate.stages.item_files import rehash
from curate.standing import misfits, shortfalls
from curate.store.parquet import open_parquet
from curate.store.part import SIDECAR_FOLDER, OutputFile, Part, Sidecar, decode_sidecar
from curate.store.place import Place, digest_of, read_many, walk
from curate.store.trees import TREES, digest_of_tree

if TYPE_CHECKING:
    import duckdb

__all__ = ["Finding", "Report", "check"]

SHOWN: Final = 5
"""Keys that a finding names; the count says how many there are."""

MAX_RECORDS: Final = 200_000
"""Rows of one table that are looked at one by one as records; of a larger table about as many, as a sample."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    check: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, how much of it, and what was found; `not_run` says what could not be checked and why."""

    checked: dict[str, int]
    findings: tuple[Finding, ...]
    not_run: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.findings


def check(out: Place, run: Run | None = None) -> Report:
    """Run every check. `run`, with its data folders, adds the digests of the source files.

    Raises:
        UsageError: the folder holds no corpus.
    """
    described(out)
    checked: dict[str, int] = {}
    findings: list[Finding] = []
    not_run: list[str] = []
    sidecars = _sidecars(out, findings)
    checked["parts"] = len(sidecars)
    findings += [
        Finding("conservation", str(sidecar.part), f"{count.unit}: {count.n_in} in do not balance")
        for sidecar in sidecars
        for count in sidecar.counts
        if not count.balances
    ]
    files = [(sidecar.part, file) for sidecar in sidecars for file in sidecar.files]
    checked["files"] = len(files)
    for part, file in files:
        findings += _check_file(out, part, file)
    if findings:
        not_run.append("invariants, records and expectations: the files come first")
        return Report(checked, tuple(findings), tuple(not_run))
    findings += _check_chain(out)
    if findings:
        not_run.append("invariants, records and expectations: the build comes to its end first")
        return Report(checked, tuple(findings), tuple(not_run))
    findings += [Finding("ledger", one.source, one.message) for one in shortfalls(out)]
    connection = connect(out)
    checked["invariants"] = len(INVARIANTS)
    findings += _check_invariants(connection)
    findings += _check_volumes(connection, sidecars)
    checked["closed columns"] = len(closed_words())
    findings += _check_words(connection)
    for table in RECORDS:
        records = _check_records(out, table, sidecars)
        checked[f"records of {table}"] = records.looked_at
        findings += records.findings
        if records.looked_at < records.rows:
            not_run.append(f"records of {table}: {records.looked_at:,} of {records.rows:,} were looked at, as a sample")
    outcome = expectations.run(out)
    if outcome is None:
        not_run.append("expectations: great-expectations is not installed (pip install 'medcurate[expectations]')")
    else:
        checked["expectations"] = outcome.evaluated
        findings += [Finding("expectations", failed, "the expectation is not met") for failed in outcome.failed]
    if run is not None:
        checked["source files"], changed = _check_sources(run, sidecars)
        findings += changed
    return Report(checked, tuple(findings), tuple(not_run))


def _sidecars(out: Place, findings: list[Finding]) -> list[Sidecar]:
    found = []
    is_valid: Callable[[Any], bool] = record_validator("sidecar").is_valid
    base = out / SIDECAR_FOLDER
    names = [one.name for one in walk(base) if one.name.endswith(".json")]
    for within, data in zip(names, read_many([base / name for name in names]), strict=True):
        name = f"{SIDECAR_FOLDER}/{within}"
        try:
            sidecar = decode_sidecar(_bytes_or_raise(data))
        except (OSError, ValueError) as problem:
            findings.append(Finding("sidecar", name, f"{problem}; remove it and build again"))
            continue
        if not is_valid(msgspec.json.decode(_bytes_or_raise(data))):
            findings.append(Finding("record", name, "does not fit sidecar.schema.json; build again"))
        if sidecar.part.sidecar_path != name:
            findings.append(Finding("sidecar", name, f"is the sidecar of {sidecar.part}"))
        found.append(sidecar)
    return found


def _bytes_or_raise(data: bytes | OSError) -> bytes:
    if isinstance(data, OSError):
        raise data
    return data


def _check_file(out: Place, part: Part, file: OutputFile) -> Iterator[Finding]:
    path = out / file.name
    if file.table in TREES:
        yield from _check_tree(path, part, file)
        return
    try:
        digest, _ = digest_of(path)
    except OSError as problem:
        yield Finding("file", file.name, f"cannot be read: {problem.strerror}; build again")
        return
    if digest != file.sha256:
        found = f"sha256 is {digest[:12]}…, the sidecar of {part} says {file.sha256[:12]}…"
        yield Finding("digest", file.name, f"{found}; remove the file and build again")
        return
    try:
        parquet = open_parquet(path)
    except StoreError:
        yield Finding("file", file.name, "is not Parquet")
        return
    schema = (CATALOG_TABLES if part.stage == "catalog" else TABLES).get(file.table)
    if schema is None or not parquet.schema_arrow.equals(schema):
        yield Finding("schema", file.name, f"its columns are not those of the table {file.table} in this version")
    if parquet.metadata.num_rows != file.rows:
        yield Finding("rows", file.name, f"holds {parquet.metadata.num_rows} rows, the sidecar says {file.rows}")


def _check_tree(path: Place, part: Part, file: OutputFile) -> Iterator[Finding]:
    """A volume is a folder: its digest is that of every file in it, so that a chunk that is gone or altered shows."""
    try:
        digest, _, count = digest_of_tree(path)
    except (OSError, StoreError) as problem:
        yield Finding("file", file.name, f"cannot be read: {problem}; build again")
        return
    if (digest, count) != (file.sha256, file.rows):
        found = f"{count} files of digest {digest[:12]}…, the sidecar of {part} says {file.rows} of {file.sha256[:12]}…"
        yield Finding("digest", file.name, f"{found}; remove the folder and build again")


def _check_chain(out: Place) -> Iterator[Finding]:
    """Every part that the description wants is there, and was made from the parts that stand beside it now."""
    yield from (Finding("part", misfit.subject, misfit.message) for misfit in misfits(out))


def _check_invariants(connection: "duckdb.DuckDBPyConnection") -> Iterator[Finding]:
    for sentence, sql in INVARIANTS.items():
        broken = [row[0] for row in connection.sql(sql).fetchall()]
        if broken:
            shown = ", ".join(str(key) for key in sorted(map(str, broken))[:SHOWN])
            yield Finding("invariant", sentence, f"broken by {len(broken)}: {shown}")


def _check_volumes(connection: "duckdb.DuckDBPyConnection", sidecars: list[Sidecar]) -> Iterator[Finding]:
    """The trees that assets name are those that the sidecars of their sources name: none is missing, none left over."""
    named = {(source, tree) for source, tree in connection.sql("SELECT source, volume FROM assets").fetchall() if tree}
    stored = {(sidecar.source, file.name) for sidecar in sidecars for table in TREES for file in sidecar.of(table)}
    for wrong, what in ((named - stored, "an asset names it, no part holds it"), (stored - named, "no asset names it")):
        yield from (Finding("volume", tree, f"{what}; build again") for _, tree in sorted(wrong)[:SHOWN])


def _check_words(connection: "duckdb.DuckDBPyConnection") -> Iterator[Finding]:
    for (table, column), words in closed_words().items():
        listed = ", ".join(f"'{word}'" for word in words)
        sql = f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL AND "{column}" NOT IN ({listed})'
        unknown = sorted(str(row[0]) for row in connection.sql(sql).fetchall())
        if unknown:
            yield Finding("closed words", f"{table}.{column}", f"{len(unknown)} words outside the closed list")


@dataclass(frozen=True, slots=True)
class _Records:
    """How many rows a table has, how many of them were looked at, and what was found."""

    rows: int
    looked_at: int
    findings: tuple[Finding, ...] = ()


def _check_records(out: Place, table: str, sidecars: list[Sidecar]) -> _Records:
    """The rows of a table of the catalog as the JSON records that others read, against their schema."""
    schema = RECORDS[table]
    is_valid: Callable[[Any], bool] = record_validator(schema).is_valid
    catalog = next(sidecar for sidecar in sidecars if sidecar.stage == "catalog")
    rows, looked_at, start, broken = sum(file.rows for file in catalog.of(table)), 0, 0, []
    for file in catalog.of(table):
        for batch in open_parquet(out / file.name).iter_batches(4096):
            numbers = _sample(start, batch.num_rows, rows)
            start += batch.num_rows
            for number, record in zip(numbers, batch.take(numbers - start + batch.num_rows).to_pylist(), strict=True):
                looked_at += 1
                if not _fits(is_valid, record):
                    broken.append(str(record.get(f"{schema}_id") or f"row {number}"))
    if not broken:
        return _Records(rows, looked_at)
    found = f"{len(broken)} do not fit {schema}.schema.json: {', '.join(broken[:SHOWN])}"
    return _Records(rows, looked_at, (Finding("record", table, found),))


def _sample(start: int, count: int, rows: int) -> npt.NDArray[np.int64]:
    """The numbers, among `count` from `start`, of the rows to look at: all, or where there are too many a fixed sample.

    A row is chosen by a multiplicative hash of its number, so that two runs look at the same rows.
    """
    numbers = np.arange(start, start + count, dtype=np.int64)
    if rows <= MAX_RECORDS:
        return numbers
    hashed = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    return numbers[hashed < int(2**32 * MAX_RECORDS / rows)]


def _fits(is_valid: Callable[[Any], bool], record: dict[str, Any]) -> bool:
    try:
        return is_valid(record)
    except ValueError:  # a number that JSON has no words for
        return False


def _check_sources(run: Run, sidecars: list[Sidecar]) -> tuple[int, list[Finding]]:
    """The digest of every source file that a part was made from, label files included, taken again."""
    count, findings = 0, []
    for sidecar in sidecars:
        if sidecar.stage not in ("scan", "read"):
            continue
        for row, now in rehash(run, sidecar):
            count += 1
            if row["sha256"] != now:
                key = item_key(row["path"], row["member"])
                findings.append(
                    Finding(
                        "source", key, f"was {row['sha256'][:12]}… when {sidecar.part} was built, is {now[:12]}… now"
                    )
                )
    return count, findings
