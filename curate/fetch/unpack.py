"""What a fetched file becomes below the data folder: itself, or what is in it, each file hashed as it is written.

An archive is judged as a whole before anything is written, by the limits of `curate.layouts.archives`: one with a
member that would leave its folder, that lies about its size, or that is encrypted is refused; links and devices in it
are left out and counted. Files are written with the rights of an ordinary file, whatever the archive asks for.
"""

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from curate.fetch.transport import RefusedError
from curate.layouts.archives import LINK, Archive, ArchiveError, open_archive, open_gzip

__all__ = ["Piece", "Unpacked", "below", "place", "unpack"]

BLOCK: Final = 1 << 20

_TARS: Final = ((b"\x1f\x8b", ".tar.gz"), (b"BZh", ".tar.bz2"), (b"\xfd7zXZ\x00", ".tar.xz"))
"""How a compressed tar begins, and what its name must end in to be opened as one."""


class Piece(msgspec.Struct, frozen=True):
    """One file below the data folder: where, how long, its digest, and its time stamp when it was put there."""

    path: str
    bytes: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of a file. `left_out` counts links and devices of an archive."""

    pieces: tuple[Piece, ...]
    left_out: int = 0


def below(into: str, name: str) -> str:
    """The path of `name` in the folder `into` of the data folder."""
    return f"{into}/{name}" if into else name


def place(file: Path, path: str, sha256: str, staged: Path) -> Unpacked:
    """Put a file that is proved to its place below `staged`."""
    target = staged / path
    _make_folder(target.parent, staged)
    status = file.stat()
    file.replace(target)
    return Unpacked((Piece(path, status.st_size, sha256, status.st_mtime_ns),))


def unpack(file: Path, kind: str, name: str, into: str, staged: Path) -> Unpacked:
    """Write what a zip, tar or gzip file holds to its place below `staged`. `name` is the file's own.

    Raises:
        RefusedError: it is damaged, or no honest archive.
        OSError: the disk would not have it.
    """
    try:
        if kind == "gzip":
            path = below(into, re.sub(r"\.gz$", "", name, flags=re.IGNORECASE) or name)
            with open_gzip(file) as blocks:
                return Unpacked((_write(blocks, path, staged),))
        with _named(file, kind) as named, contextlib.closing(open_archive(named)) as archive:
            return _all_members(archive, into, staged)
    except ArchiveError as problem:
        raise RefusedError(f"an archive that is refused: {problem.refusal.detail}") from None


def _all_members(archive: Archive, into: str, staged: Path) -> Unpacked:
    wrong = [(name, refusal) for name, refusal in archive.refusals if refusal != LINK]
    if wrong:
        raise RefusedError(f"an archive with {len(wrong):,} members that are refused, one since {wrong[0][1].detail}")
    if not archive.members:
        raise RefusedError("an archive that holds no file")
    pieces = []
    for member in archive.members:
        with archive.open(member.name) as stream:
            blocks = iter(lambda stream=stream: stream.read(BLOCK), b"")  # type: ignore[misc]
            piece = _write(blocks, below(into, member.name), staged)
        if piece.bytes != member.bytes:
            raise RefusedError("an archive with a member that is shorter or longer than it states")
        pieces.append(piece)
    return Unpacked(tuple(pieces), len(archive.refusals))


def _named(file: Path, kind: str) -> AbstractContextManager[Path]:
    """The archive under a name that says what it is: archives are told apart by their names."""
    suffix = ".zip"
    if kind == "tar":
        with file.open("rb") as opened:
            head = opened.read(8)
        suffix = next((name for magic, name in _TARS if head.startswith(magic)), ".tar")
    return _linked(file, file.with_name(file.name + suffix))


@contextlib.contextmanager
def _linked(file: Path, name: Path) -> Iterator[Path]:
    name.unlink(missing_ok=True)
    file.rename(name)
    try:
        yield name
    finally:
        name.rename(file)


def _write(blocks: Iterable[bytes], path: str, staged: Path) -> Piece:
    target = staged / path
    _make_folder(target.parent, staged)
    digest, size = hashlib.sha256(), 0
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    with temporary.open("wb") as opened:
        for block in blocks:
            opened.write(block)
            digest.update(block)
            size += len(block)
        opened.flush()
        os.fsync(opened.fileno())
    if target.is_dir():
        raise RefusedError("an archive in which one name is both a file and a folder")
    temporary.replace(target)
    return Piece(path, size, digest.hexdigest(), target.stat().st_mtime_ns)


def _make_folder(folder: Path, staged: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RefusedError("files of which one has the name of another's folder") from None
    if not folder.resolve().is_relative_to(staged.resolve()):
        raise RefusedError("a file that would lie outside the data folder")
