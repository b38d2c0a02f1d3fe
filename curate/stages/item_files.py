"""The files of a bucket as they are read: bytes, digests, and how each file looked before."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from curate.corpus import ResolvedSource
from curate.layouts.tree import Reader, Tree
from curate.schema import FILES, item_key
from curate.stages.base import UNREADABLE, RealPaths, Run, digest_of, source_patterns
from curate.stages.media import SourceFile
from curate.store.freshness import NEVER, FileStat, seen
from curate.store.parquet import read_table
from curate.store.part import Sidecar

__all__ = ["ItemFiles", "Read", "digest_of_files", "files_of", "real_paths", "rehash"]

Read = dict[tuple[str, str | None], tuple[int, str, str]]
"""(path, member) -> bytes, sha256 and role of what was read."""

CHUNK_BYTES = 2**20


def files_of(item: Mapping[str, Any]) -> list[tuple[str, str | None, int]]:
    """Path, member and size of each of an item's files."""
    several = item["files"]
    if several is None:
        return [(item["path"], item["member"], item["bytes"])]
    return [(file["path"], file["member"], file["bytes"]) for file in several]


def real_paths(run: Run, source: ResolvedSource) -> RealPaths:
    """Token -> path and member, for a card that hides paths; empty where the inventory names them itself."""
    if not source.card.hides_paths:
        return {}
    if source.id not in run.real_paths:
        tree = Tree.scan(Path(source.root), source_patterns(source.card))
        column = source.card.images.column
        rows = [] if column is None else tree.embedded(source.card.images.globs, column)
        run.real_paths[source.id] = {
            run.visible(source.id, entry.key): (entry.path, entry.member) for entry in (*tree.entries, *rows)
        }
    return run.real_paths[source.id]


def digest_of_files(read: Read) -> str:
    """One digest over all that was read, in the order of names."""
    return digest_of(f"{path}\0{member}\0{read[path, member][1]}" for path, member in sorted(read, key=_by_name))


def rehash(run: Run, built: Sidecar) -> Iterator[tuple[dict[str, Any], str]]:
    """Each row of a built part's `files`, with the digest that the source file has now."""
    source = run.corpus.source(built.source)
    real = real_paths(run, source)
    with Reader(Path(source.root), column=source.card.images.column) as reader:
        for row in read_table(run.out, built.of("files"), FILES).to_pylist():
            path, member = real.get(row["path"], (row["path"], row["member"]))
            try:
                if member is not None:
                    yield row, sha256(reader.read(path, member)).hexdigest()
                    continue
                with reader.local(path) as place:
                    yield row, _hashed(place)[0]
            except OSError:
                yield row, UNREADABLE


class ItemFiles:
    """Reads the files of one source; each digest is taken once, by whoever reads the file first."""

    def __init__(self, source: ResolvedSource, reader: Reader, real: RealPaths) -> None:
        self.read: Read = {}
        self.stats: dict[str, FileStat] = {}
        self._root = source.root
        self._reader = reader
        self._real = real

    def file(self, path: str, member: str | None, size: int, role: str = "image") -> SourceFile:
        """One file as media get it."""
        real = self._real.get(path, (path, member))
        return SourceFile(
            key=item_key(path, member),
            name=real[0] if real[1] is None else f"{real[0]}/{real[1]}",
            size=size,
            read=lambda: self.open(path, member, role),
            local=lambda: self.local(path, member, role),
            head=lambda count: self._reader.head(*real, count),
        )

    def content(self, item: Mapping[str, Any]) -> str:
        """The digest of an item's bytes; of its files' digests where there are several."""
        digests = [self.read[path, member][1] for path, member, _ in files_of(item)]
        return digests[0] if len(digests) == 1 else digest_of(digests)

    def open(self, path: str, member: str | None, role: str) -> bytes:
        """A file's bytes.

        Raises:
            OSError: they cannot be had, which is remembered too.
        """
        real = self._real.get(path, (path, member))
        try:
            self._look_at(real[0])
            data = self._reader.read(*real)
        except OSError:
            self._unreadable(path, member, role)
            raise
        if not self._is_known(path, member):
            self.read[path, member] = (len(data), sha256(data).hexdigest(), role)
        return data

    @contextmanager
    def local(self, path: str, member: str | None, role: str) -> Iterator[Path]:
        """Where a file lies on disk, a member unpacked for as long as it is needed."""
        real = self._real.get(path, (path, member))
        try:
            self._look_at(real[0])
            with self._reader.local(*real) as place:
                if not self._is_known(path, member):
                    digest, size = _hashed(place)
                    self.read[path, member] = (size, digest, role)
                yield place
        except OSError:
            if not self._is_known(path, member):
                self._unreadable(path, member, role)
            raise

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `files`, in the order of names."""
        return [
            {"path": path, "member": member, "bytes": size, "sha256": digest, "role": role}
            for (path, member), (size, digest, role) in sorted(self.read.items(), key=lambda item: _by_name(item[0]))
        ]

    def _is_known(self, path: str, member: str | None) -> bool:
        return self.read.get((path, member), (0, UNREADABLE, ""))[1] != UNREADABLE

    def _look_at(self, real: str) -> None:
        if real not in self.stats:
            before = os.stat(f"{self._root}/{real}")  # noqa: PTH116  (once per image: a Path costs ten times more)
            self.stats[real] = seen(before)

    def _unreadable(self, path: str, member: str | None, role: str) -> None:
        self.stats[self._real.get(path, (path, member))[0]] = NEVER
        self.read[path, member] = (0, UNREADABLE, role)


def _hashed(place: Path) -> tuple[str, int]:
    digest, size = sha256(), 0
    with place.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _by_name(place: tuple[str, str | None]) -> tuple[str, str]:
    return (place[0], place[1] or "")
