"""Atomic commit: temporary name, fsync, rename to the digest, and the sidecar last. The sidecar is the only switch.

What goes to an object store is put together the same way in a folder of this machine, then put under its digest name;
there the sidecar is a conditional put (see `objects`).
"""

import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa

from curate.errors import ConservationError, StoreError
from curate.schema import TABLES, Refusal, Unit, Verdict
from curate.store.durable import sync_folder
from curate.store.objects import put_file, put_tree, switch
from curate.store.parquet import HashingFile, TableFile
from curate.store.part import TEMPORARY_PREFIX, Count, OutputFile, Part, Sidecar, encode_sidecar
from curate.store.place import Place, is_remote, remove_file
from curate.store.spool import spool
from curate.store.trees import StoredTree, digest_of_tree, files_of, remove_tree

__all__ = ["PartWriter", "TreeWriter", "replace_file", "retire"]


class PartWriter:
    """Everything one part writes. Leaving the block without `commit` leaves nothing under a final name.

    Rows are counted as they pass: `saw` counts what came in, `used` what went on; `refuse` writes the row in `rejects`
    and counts it. `commit` refuses a part whose units do not balance.
    """

    def __init__(self, out: Place, part: Part, schemas: Mapping[str, pa.Schema] = TABLES, folder: str = "") -> None:
        self.out = out
        self._desk = out if isinstance(out, Path) else None  # where files are put together: the output, or a spool
        self._cleanup = contextlib.ExitStack()
        self.part = part
        self._schemas = schemas
        self._folder = folder
        self._open: dict[tuple[str, int | None], _Temporary] = {}
        self._seen: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._reasons: dict[str, dict[str, Counter[str]]] = {}
        self._rejects: list[dict[str, Any]] = []
        self._trees: dict[str, OutputFile] = {}
        self.emitted: Counter[str] = Counter()
        self.statistics: dict[str, Any] = {}

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for temporary in self._open.values():
            temporary.discard()
        self._open.clear()
        self._cleanup.close()

    def write(self, table: str, rows: pa.Table, bucket: int | None = None) -> None:
        """Add rows to one of the part's tables; `bucket` names the slice where that is not the part's own."""
        if not rows.num_rows:
            return
        slot = (table, self.part.bucket if bucket is None else bucket)
        if slot not in self._open:
            self._open[slot] = _Temporary(*self._home(table), self._schemas[table])
        self._open[slot].write(rows)
        self.emitted[table] += rows.num_rows

    def finish(self, table: str, bucket: int) -> None:
        """Close a slice that is complete, so that a part with many slices holds one file open at a time."""
        if (table, bucket) in self._open:
            self._open[table, bucket].close()

    @contextlib.contextmanager
    def tree(self, table: str, suffix: str) -> "Iterator[TreeWriter]":
        """A folder to fill, such as a zarr tree. `TreeWriter.commit` gives it its name; else it vanishes."""
        desk = self._place_to_write()
        with _disk_errors(desk):
            _make_folder(desk / table / self.part.folder)
        writer = TreeWriter(desk, desk / table / self.part.folder, suffix)
        try:
            yield writer
            if writer.stored is not None:
                self._add_tree(table, writer.stored)
        finally:
            remove_tree(writer.path)
            if writer.stored is not None and desk is not self.out:
                remove_tree(desk / writer.stored.name)

    def _add_tree(self, table: str, stored: StoredTree) -> None:
        """Two items of equal content share one tree."""
        if is_remote(self.out) and stored.name not in self._trees:
            with _store_errors(self.out):
                put_tree(files_of(self._place_to_write() / stored.name), self.out / stored.name)
        self._trees.setdefault(
            stored.name,
            OutputFile(
                table=table,
                bucket=self.part.bucket,
                name=stored.name,
                sha256=stored.sha256,
                bytes=stored.bytes,
                rows=stored.files,
            ),
        )
        self.emitted[table] += 1

    def saw(self, unit: Unit, n: int = 1) -> None:
        """Count input."""
        self._seen[unit] += n

    def used(self, unit: Unit, n: int = 1) -> None:
        """Count input that went on."""
        self._used[unit] += n

    def refuse(
        self, unit: Unit, item_key: str, refusal: Refusal, *, file: str | None = None, locator: str | None = None
    ) -> None:
        """One row in `rejects`."""
        self._refused[unit, refusal.verdict] += 1
        by_verdict = self._reasons.setdefault(str(unit), {})
        by_verdict.setdefault(str(refusal.verdict), Counter())[str(refusal.reason)] += 1
        self._rejects.append(
            {
                "source": self.part.source,
                "stage": self.part.stage,
                "unit": str(unit),
                "item_key": item_key,
                "file": file,
                "locator": locator,
                "verdict": str(refusal.verdict),
                "reason": str(refusal.reason),
                "detail": refusal.detail,
                "environmental": refusal.reason.is_environmental,
            }
        )

    def commit(self, fingerprint: dict[str, str], inputs: dict[str, str]) -> Sidecar:
        """Make the part exist.

        Raises:
            ConservationError: a unit does not balance.
            StoreError: the disk is full or the folder cannot be written.
        """
        counts = self._balance()
        if self._rejects:
            self.write("rejects", pa.Table.from_pylist(self._rejects, schema=TABLES["rejects"]))
        files = [
            self._commit_file(temporary, table, bucket)
            for (table, bucket), temporary in sorted(self._open.items(), key=lambda item: (item[0][0], item[0][1] or 0))
        ]
        self._open.clear()
        files = sorted([*files, *self._trees.values()], key=lambda file: (file.table, file.bucket or 0, file.name))
        sidecar = Sidecar(
            stage=self.part.stage,
            source=self.part.source,
            bucket=self.part.bucket,
            fingerprint=fingerprint,
            inputs=inputs,
            files=tuple(files),
            counts=counts,
            refusals={
                unit: {verdict: dict(reasons) for verdict, reasons in verdicts.items()}
                for unit, verdicts in self._reasons.items()
            },
            emitted=dict(sorted(self.emitted.items())),
            statistics=self.statistics,
        )
        replace_file(self.out / self.part.sidecar_path, encode_sidecar(sidecar))
        return sidecar

    def _commit_file(self, temporary: "_Temporary", table: str, bucket: int | None) -> OutputFile:
        desk = self._place_to_write()
        file = temporary.commit(table, bucket, desk)
        if is_remote(self.out):
            with _store_errors(self.out):
                put_file(desk / file.name, self.out / file.name)
            (desk / file.name).unlink()
        return file

    def _place_to_write(self) -> Path:
        if self._desk is None:
            with _disk_errors("the temporary folder"):
                self._desk = self._cleanup.enter_context(spool())
        return self._desk

    def _balance(self) -> tuple[Count, ...]:
        units = sorted(self._seen.keys() | self._used.keys() | {unit for unit, _ in self._refused})
        counts = tuple(
            Count(
                unit=str(unit),
                n_in=self._seen[unit],
                n_used=self._used[unit],
                n_rejected=self._refused[unit, Verdict.REJECTED],
                n_filtered=self._refused[unit, Verdict.FILTERED],
            )
            for unit in units
        )
        wrong = [count for count in counts if not count.balances]
        if wrong:
            raise ConservationError(
                f"part {self.part} does not balance: "
                + "; ".join(
                    f"{c.unit}: {c.n_in} in, {c.n_used} used + {c.n_rejected} rejected + {c.n_filtered} filtered"
                    for c in wrong
                )
                + ". This is a bug in the stage; nothing was committed"
            )
        return counts

    def _home(self, table: str) -> tuple[Path, str]:
        """Where a table's file will lie, and how its name begins."""
        if self._folder:
            return self._place_to_write() / self._folder, table
        return self._place_to_write() / table / self.part.folder, self.part.stage


class TreeWriter:
    """A folder before it has a name: `path` is where to write."""

    def __init__(self, out: Path, home: Path, suffix: str) -> None:
        self._out = out
        self._home = home
        self._suffix = suffix
        self.path = home / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        self.stored: StoredTree | None = None

    def commit(self) -> StoredTree:
        """Make every file durable and give the folder its name; one that has it already holds the same bytes."""
        with _disk_errors(self._home):
            for _, file in files_of(self.path):
                _sync_file(file)
            for folder in sorted({file.parent for _, file in files_of(self.path)} | {self.path}, reverse=True):
                sync_folder(folder)
            digest, size, count = digest_of_tree(self.path)
            final = self._home / f"{digest[:32]}{self._suffix}"
            if final.is_dir() and digest_of_tree(final)[0] != digest:
                remove_tree(final)
            if not final.is_dir():
                self.path.rename(final)
                sync_folder(self._home)
        self.stored = StoredTree(final.relative_to(self._out).as_posix(), digest, size, count)
        return self.stored


class _Temporary:
    """One table's file before it has a name."""

    def __init__(self, home: Path, stem: str, schema: pa.Schema) -> None:
        with _disk_errors(home):
            _make_folder(home)
            self.home = home
            self.stem = stem
            self.path = home / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
            self._file: BinaryIO = self.path.open("wb", buffering=2**20)
            self.sink = HashingFile(self._file)
            try:
                self.table = TableFile(self.sink, schema)
            except BaseException:
                self._file.close()
                self.path.unlink(missing_ok=True)
                raise

    def write(self, rows: pa.Table) -> None:
        with _disk_errors(self.home):
            self.table.write(rows)

    def close(self) -> None:
        if self._file.closed:
            return
        with _disk_errors(self.home):
            self.table.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def commit(self, table: str, bucket: int | None, out: Path) -> OutputFile:
        self.close()
        with _disk_errors(self.home):
            digest = self.sink.hexdigest()
            stem = self.stem if bucket is None else f"{self.stem}-{bucket:05d}"
            final = self.home / f"{stem}-{digest[:32]}.parquet"
            self.path.rename(final)
            sync_folder(self.home)
        return OutputFile(
            table=table,
            bucket=bucket,
            name=final.relative_to(out).as_posix(),
            sha256=digest,
            bytes=self.sink.bytes,
            rows=self.table.rows,
        )

    def discard(self) -> None:
        self.sink.detach()
        self.table.abandon()
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


def replace_file(path: Place, data: bytes) -> None:
    """Put `data` under `path` so that a reader sees the old bytes or the new ones, whatever happens meanwhile.

    A file that holds them already is left alone.
    """
    if is_remote(path):
        with _store_errors(path.parent):
            switch(path, data)
        return
    assert isinstance(path, Path)
    with _disk_errors(path.parent):
        if path.is_file() and path.read_bytes() == data:
            return
        _make_folder(path.parent)
        temporary = path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def retire(out: Place, parts: Iterable[Part]) -> None:
    """Unlink the sidecars of parts that nothing wants any more; their files wait for `gc`."""
    for part in parts:
        with _store_errors(out) if is_remote(out) else _disk_errors(out):
            remove_file(out / part.sidecar_path)


@contextlib.contextmanager
def _store_errors(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"cannot write below {place}: {problem.strerror or type(problem).__name__}; see to the store, its bucket, "
            "credentials and rights, then run the same command again: what was committed stays"
        ) from None


@contextlib.contextmanager
def _disk_errors(folder: Place | str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"cannot write below {folder}: {problem.strerror or problem}; free space or fix the rights, then run the "
            "same command again: what was committed stays"
        ) from problem


def _make_folder(folder: Path) -> None:
    """Create a folder and those above it, each made durable in the one that holds it."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in reversed(missing):
        sync_folder(place.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
