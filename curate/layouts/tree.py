"""A data root as a listing: every file, every member of an opened archive, every embedded image, under one name each.

A virtual path is the path below the root with `/`; a member continues it (`images.zip/train/a.png`), so that patterns
and labels need not know what is an archive. Nothing here follows a link out of the root or opens a label.
"""

import io
import os
import stat
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import total_ordering
from operator import attrgetter
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final

from curate.errors import DataError
from curate.layouts.archives import (
    Archive,
    ArchiveError,
    is_archive,
    open_archive,
    refusal_of,
    row_member,
    row_number,
)
from curate.layouts.globs import compile_patterns, compile_template, reaches_into
from curate.layouts.parquet_rows import ParquetRows
from curate.schema import Reason, Refusal, item_key

__all__ = ["ArchiveError", "Entry", "Reader", "Tree", "in_order", "item_key"]

MAX_FILE_BYTES: Final = 2 << 30
"""What a reader holds in memory at once, unless told otherwise."""

_OPEN_FILES = 8


@total_ordering
@dataclass(frozen=True, slots=True)
class Entry:
    """One file below the root, one member of an archive, or one row of a Parquet file with embedded images."""

    path: str
    member: str | None = None
    bytes: int = 0

    @property
    def key(self) -> str:
        """The item key: `path` or `path!member`."""
        return item_key(self.path, self.member)

    @property
    def name(self) -> str:
        """The virtual path: `path` or `path/member`."""
        return self.path if self.member is None else f"{self.path}/{self.member}"

    @property
    def folder(self) -> str:
        """The virtual folder that the entry lies in; empty for the root itself."""
        return self.name.rpartition("/")[0]

    @property
    def row(self) -> int | None:
        """The row of a Parquet file that this entry is, or None."""
        return None if is_archive(self.path) else row_number(self.member)

    @property
    def order(self) -> tuple[str, int, str]:
        """What entries are sorted by: rows of a Parquet file by their number."""
        if self.member is None:
            return (self.path, -1, "")
        row = self.row
        return (self.path, -1 if row is None else row, self.member)

    def __lt__(self, other: "Entry") -> bool:
        return self.order < other.order


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries sorted; the key of each is made once, which comparing them pair by pair would not do."""
    return sorted(entries, key=_ORDER)


_ORDER: Final = attrgetter("order")


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below a data root.

    `entries` and `refusals` together are everything that was met, each thing once: a file in `archives` (opened as a
    folder) is an entry itself, beside its members; an archive that could not be opened is a refusal alone. Keys of
    refusals are item keys.
    """

    root: Path
    entries: tuple[Entry, ...]
    refusals: tuple[tuple[str, Refusal], ...] = ()
    archives: tuple[str, ...] = ()

    @classmethod
    def scan(cls, root: Path, patterns: Sequence[str] = ()) -> "Tree":
        """List the folder once; an archive is opened only where a pattern names it and goes on below it.

        Raises:
            DataError: there is no such folder.
        """
        try:
            root = root.resolve(strict=True)
        except (OSError, RuntimeError):
            raise DataError(f"there is no data folder {root}; give its place with --data or `data:`") from None
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; the data of a source is a folder")
        files: list[Entry] = []
        refusals: list[tuple[str, Refusal]] = []
        for key, found in _walk(root):
            if isinstance(found, Refusal):
                refusals.append((key, found))
            else:
                files.append(Entry(key, None, found))
        entries: list[Entry] = []
        archives: list[str] = []
        for file in in_order(files):
            if not (is_archive(file.path) and any(reaches_into(pattern, file.path) for pattern in patterns)):
                entries.append(file)
                continue
            members, refused = _members(root, file)
            refusals += refused
            if members is not None:
                entries += [file, *members]
                archives.append(file.path)
        return cls(root, tuple(in_order(entries)), _by_key(refusals), tuple(archives))

    def match(self, patterns: Sequence[str]) -> list[Entry]:
        """Entries whose virtual path one of the patterns matches, sorted, each once."""
        compiled = compile_patterns(patterns)
        return [entry for entry in self.entries if any(one.fullmatch(entry.name) for one in compiled)]

    def match_template(self, template: str) -> list[tuple[Entry, dict[str, str]]]:
        """Entries that fit a pattern with `{name}` in it, with what each name stands for."""
        compiled = compile_template(template)
        found = ((entry, compiled.fullmatch(entry.name)) for entry in self.entries)
        return [(entry, match.groupdict()) for entry, match in found if match]

    def with_embedded(self, patterns: Sequence[str], column: str) -> tuple["Tree", list[Entry]]:
        """Each row of the Parquet files that the patterns match, as an entry `row=<n>` (0-based), in row order.

        Bytes of a row are estimated from the footer. Rows are items, not files: they do not stand in the tree. A file
        without the column, or within an archive, becomes a refusal of the tree.
        """
        rows: list[Entry] = []
        refused: dict[Entry, Refusal] = {}
        for entry in self.match(patterns):
            if entry.member is not None:
                refused[entry] = Refusal(Reason.UNSUPPORTED_FORMAT, "a table within an archive; unpack the archive")
                continue
            try:
                with closing(ParquetRows(self.root / entry.path, column)) as file:
                    sizes = enumerate(file.row_bytes)
                    rows += [Entry(entry.path, row_member(number), size) for number, size in sizes]
            except OSError as problem:
                refused[entry] = refusal_of(problem)
        entries = tuple(entry for entry in self.entries if entry not in refused)
        refusals = [*self.refusals, *((entry.key, refusal) for entry, refusal in refused.items())]
        return replace(self, entries=entries, refusals=_by_key(refusals)), in_order(rows)

    def embedded(self, patterns: Sequence[str], column: str) -> list[Entry]:
        """The rows of `with_embedded` alone."""
        return self.with_embedded(patterns, column)[1]


def _by_key(refusals: Iterable[tuple[str, Refusal]]) -> tuple[tuple[str, Refusal], ...]:
    return tuple(sorted(refusals, key=lambda pair: pair[0]))


def _members(root: Path, file: Entry) -> tuple[list[Entry] | None, list[tuple[str, Refusal]]]:
    if not file.bytes:
        return None, [(file.key, Refusal(Reason.EMPTY_FILE, "an archive of zero bytes"))]
    try:
        with closing(open_archive(root / file.path)) as archive:
            members = [Entry(file.path, member.name, member.bytes) for member in archive.members]
            return members, [(item_key(file.path, name), refusal) for name, refusal in archive.refusals]
    except OSError as problem:
        return None, [(file.key, refusal_of(problem))]


def _walk(root: Path) -> Iterator[tuple[str, int | Refusal]]:
    """Every file below the root as (path, bytes or why not). A linked folder is entered once, links in it are not."""
    waiting: list[tuple[Path, str, bool]] = [(root, "", False)]
    while waiting:
        folder, below, linked = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                children = list(listing)
        except OSError as problem:
            yield below or ".", refusal_of(problem)
            continue
        for child in children:
            path = f"{below}/{child.name}" if below else child.name
            refusal = _refuse_child(root, child, path, linked)
            if refusal:
                yield path.encode("utf-8", "backslashreplace").decode(), refusal
            elif _is_folder(child):
                waiting.append((Path(child.path), path, linked or child.is_symlink()))
            else:
                yield path, _size_of(child)


def _refuse_child(root: Path, child: os.DirEntry[str], path: str, linked: bool) -> Refusal | None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return Refusal(Reason.BAD_ENCODING, "the name is not UTF-8; rename the file or folder")
    return _refuse_link(root, Path(child.path), linked) if child.is_symlink() else None


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:
        return False


def _size_of(child: os.DirEntry[str]) -> int | Refusal:
    try:
        status = child.stat()
    except OSError as problem:
        return refusal_of(problem)
    if not stat.S_ISREG(status.st_mode):
        return Refusal(Reason.UNREADABLE_FILE, "not a regular file")
    return status.st_size


def _refuse_link(root: Path, link: Path, linked: bool) -> Refusal | None:
    try:
        target = link.resolve()
    except (OSError, RuntimeError):
        return Refusal(Reason.UNREADABLE_FILE, "a link that leads to itself")
    if not target.is_relative_to(root):
        return Refusal(Reason.OUTSIDE_ROOT, "a link that leaves the data root; copy the file or move the root")
    if target.is_dir() and (linked or link.parent.resolve().is_relative_to(target)):
        return Refusal(Reason.UNREADABLE_FILE, "a linked folder within itself or within a linked folder")
    return None


class Reader:
    """The bytes of entries, with the last few archives and Parquet files kept open.

    Members may be asked in any order; rows of a Parquet file should be asked in row order, since only the last row
    group stays decoded. Used as a context manager.
    """

    def __init__(self, root: Path, column: str | None = None, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._root = root.resolve()
        self._column = column
        self._max_bytes = max_bytes
        self._archives: OrderedDict[str, Archive | ParquetRows] = OrderedDict()
        self._folders: dict[str, str | None] = {}  # as a path names it -> its real path, null outside the root

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back every open file."""
        while self._archives:
            self._archives.popitem()[1].close()

    def read(self, path: str, member: str | None = None) -> bytes:
        """The bytes of a file or member.

        Raises:
            OSError: they cannot be had. `ArchiveError` where `refusal` says more than the operating system does: a
                path outside the root, a file over the limit, a damaged or refused member.
        """
        if member is None:
            return self._read_file(path)
        opened = self._open(path, Path(self._inside(path)[0]))
        if isinstance(opened, ParquetRows):
            row = row_number(member)
            if row is None:
                raise ArchiveError(Reason.MISSING_FILE, "a member of a Parquet file is named row=<number>")
            return opened.read(row, self._max_bytes)
        return opened.read(member, self._max_bytes)

    def head(self, path: str, member: str | None, count: int) -> bytes:
        """The first bytes of a file; of a member, which is read whole, no fewer."""
        if member is not None:
            return self.read(path, member)[:count]
        with io.FileIO(self._regular(path)) as opened:
            return opened.read(count)

    @contextmanager
    def local(self, path: str, member: str | None = None) -> Iterator[Path]:
        """Where a file lies, for libraries that seek; a member lies in a temporary folder for as long as the block.

        Its name keeps only the suffix: a folder or a name may identify a person, and libraries quote names in errors.
        """
        if member is None:
            yield Path(self._regular(path))
            return
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            unpacked = Path(folder) / f"member{PurePosixPath(member).suffix}"
            unpacked.write_bytes(self.read(path, member))
            yield unpacked

    def _regular(self, path: str) -> str:
        file, status = self._inside(path)
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveError(Reason.UNREADABLE_FILE, "not a regular file")
        return file

    def _inside(self, path: str) -> tuple[str, os.stat_result]:
        """Where a path below the root leads; the folder it names is followed once, the file itself every time."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            real = None if "\0" in folder else (self._root / folder).resolve()
            self._folders[folder] = str(real) if real is not None and real.is_relative_to(self._root) else None
        home = self._folders[folder]
        if home is None or "\0" in name or name in {"", ".", ".."}:
            raise ArchiveError(Reason.OUTSIDE_ROOT, "the path leaves the data root")
        file = f"{home}/{name}"
        status = os.lstat(file)
        if stat.S_ISLNK(status.st_mode):
            if not Path(file).resolve().is_relative_to(self._root):
                raise ArchiveError(Reason.OUTSIDE_ROOT, "the path leaves the data root")
            status = Path(file).stat()
        return file, status

    def _read_file(self, path: str) -> bytes:
        file, status = self._inside(path)
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveError(Reason.UNREADABLE_FILE, "not a regular file")
        if status.st_size > self._max_bytes:
            raise ArchiveError(Reason.TOO_LARGE, f"{status.st_size} bytes, the limit is {self._max_bytes}")
        with io.FileIO(file) as opened:
            return opened.readall()

    def _open(self, path: str, file: Path) -> Archive | ParquetRows:
        if path in self._archives:
            self._archives.move_to_end(path)
            return self._archives[path]
        if is_archive(path):
            opened: Archive | ParquetRows = open_archive(file)
        elif self._column is None:
            raise ArchiveError(Reason.UNSUPPORTED_FORMAT, "rows of Parquet need the name of the image column")
        else:
            opened = ParquetRows(file, self._column)
        self._archives[path] = opened
        if len(self._archives) > _OPEN_FILES:
            self._archives.popitem(last=False)[1].close()
        return opened
