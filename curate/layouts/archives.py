"""Archives as folders: what lies in them, and the bytes of one member.

Nothing is ever unpacked below a member's own name: a compressed tar is decompressed once into an unnamed temporary
file, everything else is read in place. Archives within archives stay closed.
"""

import io
import itertools
import lzma
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

from curate.schema import Reason, Refusal

__all__ = [
    "LINK",
    "Archive",
    "ArchiveError",
    "Member",
    "check_size",
    "gunzip",
    "is_archive",
    "is_parquet",
    "open_archive",
    "open_gzip",
    "refusal_of",
    "row_member",
    "row_number",
]

MAX_MEMBERS: Final = 1_000_000
"""Members of one archive; the largest public image archives hold about a tenth of this."""

MAX_TOTAL_BYTES: Final = 1 << 42
"""Uncompressed bytes of one archive: 4 TiB."""

MAX_RATIO: Final = 200
"""Uncompressed over compressed bytes. Label maps may shrink a hundredfold, bombs a thousandfold."""

RATIO_FREE_BYTES: Final = 16 << 20
"""Below this size a member may shrink as it likes: a blank mask is honest, and 16 MiB hurt nobody."""

_SPOOL_BYTES = 32 << 20
_COPY_BYTES = 1 << 20
_TAR = (".tar",)
_PACKED_TAR = {".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tbz2": "bz2", ".tar.xz": "xz", ".txz": "xz"}
_SUFFIXES = (".zip", *_TAR, *_PACKED_TAR)
_DRIVE = re.compile(r"[A-Za-z]:")
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


LINK: Final = Refusal(Reason.UNSAFE_ARCHIVE, "the member is a link or a device")
"""Why a member is refused that honest archives may hold as well."""


class ArchiveError(OSError):
    """Bytes that cannot be had, with the reason as `rejects` counts it. The message names no path."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


def refusal_of(problem: OSError) -> Refusal:
    """Why bytes could not be had: as the archive says it, or as the operating system does, without the path."""
    if isinstance(problem, ArchiveError):
        return problem.refusal
    return Refusal(Reason.UNREADABLE_FILE, problem.strerror or type(problem).__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """One file within an archive: its name with `/`, without a leading `./`, and its uncompressed size."""

    name: str
    bytes: int


class Archive(Protocol):
    """An opened archive.

    `members` are sorted by name and safe to read; `refusals` are the rest, by the name that the archive gives them.
    """

    members: tuple[Member, ...]
    refusals: tuple[tuple[str, Refusal], ...]

    def read(self, name: str, max_bytes: int) -> bytes:
        """A member's bytes; raises `ArchiveError`."""
        ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A member as a stream that ends after the bytes that it states, or raises `ArchiveError` within the block."""
        ...

    def close(self) -> None:
        """Give back the file."""
        ...


def is_archive(path: str) -> bool:
    """True for the names of archives that can be opened as a folder."""
    return path.lower().endswith(_SUFFIXES)


def is_parquet(path: str) -> bool:
    """True for the names of Parquet files."""
    return path.lower().endswith((".parquet", ".pq"))


def row_member(number: int) -> str:
    """The member name of a row of a Parquet file, 0-based."""
    return f"row={number}"


def row_number(member: str | None) -> int | None:
    """The row that a member names, or None."""
    found = re.fullmatch(r"row=(0|[1-9][0-9]{0,17})", member or "")
    return int(found[1]) if found else None


def open_archive(file: Path) -> Archive:
    """The archive at `file`, listed and checked.

    Raises:
        ArchiveError: it is not what its name says, is cut short, or no honest archive is like it.
        OSError: the operating system does not give it.
    """
    with _broken_is_unreadable("the archive"):
        return _Zip(file) if file.name.lower().endswith(".zip") else _Tar(file)


class _Zip:
    """A zip archive, read in place."""

    def __init__(self, file: Path) -> None:
        self._zip = zipfile.ZipFile(file)
        infos = [(info.filename, info) for info in self._zip.infolist() if not info.is_dir()]
        try:
            _check_total(len(infos), sum(info.file_size for _, info in infos), file.stat().st_size)
        except ArchiveError:
            self._zip.close()
            raise
        self._infos, self.refusals = _sort_out(infos, _refuse_zip_member)
        self.members = tuple(Member(name, info.file_size) for name, info in sorted(self._infos.items()))

    def read(self, name: str, max_bytes: int) -> bytes:
        info = _find(self._infos, name)
        check_size(info.file_size, max_bytes)
        with _broken_is_unreadable("the member"), self._zip.open(info) as stream:
            return stream.read()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        with _broken_is_unreadable("the member"), self._zip.open(_find(self._infos, name)) as stream:
            yield stream

    def close(self) -> None:
        self._zip.close()


class _Tar:
    """A tar archive; a compressed one is decompressed once, so that members may be asked in any order."""

    def __init__(self, file: Path) -> None:
        self._stream = _plain_tar(file)
        try:
            self._tar = tarfile.open(fileobj=self._stream, mode="r:")  # noqa: SIM115
            infos = [(info.name, info) for info in itertools.islice(self._tar, MAX_MEMBERS + 1) if not info.isdir()]
            _check_total(len(infos), sum(info.size for _, info in infos if info.isreg()), None)
            _check_end(self._tar, self._stream)
        except BaseException:
            self._stream.close()
            raise
        self._infos, self.refusals = _sort_out(infos, _refuse_tar_member)
        self.members = tuple(Member(name, info.size) for name, info in sorted(self._infos.items()))

    def read(self, name: str, max_bytes: int) -> bytes:
        info = _find(self._infos, name)
        check_size(info.size, max_bytes)
        with _broken_is_unreadable("the member"):
            stream = cast(IO[bytes], self._tar.extractfile(info))
            data = stream.read()
        if len(data) != info.size:
            raise ArchiveError(Reason.UNREADABLE_FILE, "the member is cut short")
        return data

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        info = _find(self._infos, name)
        with _broken_is_unreadable("the member"):
            yield cast(IO[bytes], self._tar.extractfile(info))

    def close(self) -> None:
        self._tar.close()
        self._stream.close()


def gunzip(data: bytes, max_bytes: int) -> bytes | Refusal:
    """What a gzip file holds, as long as that is no more than `max_bytes`."""
    from isal import igzip

    try:
        with _broken_is_unreadable("the gzip file"), igzip.IGzipFile(fileobj=io.BytesIO(data)) as stream:  # type: ignore[no-untyped-call]
            plain = stream.read(max_bytes + 1)
        check_size(len(plain), max_bytes)
    except ArchiveError as problem:
        return problem.refusal
    return plain


@contextmanager
def _broken_is_unreadable(what: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except OSError as problem:  # gzip's and bz2's complaints are OSErrors without a number
        if problem.errno is not None:
            raise
        raise ArchiveError(Reason.UNREADABLE_FILE, f"{what} is damaged or cut short") from None
    except _BROKEN:
        raise ArchiveError(Reason.UNREADABLE_FILE, f"{what} is damaged or cut short") from None


@contextmanager
def open_gzip(file: Path) -> Iterator[Iterator[bytes]]:
    """What a gzip file holds, block by block, as long as no honest file shrinks like it; raises `ArchiveError`."""
    with _broken_is_unreadable("the gzip file"), _decompressed(file, "gz") as stream:
        yield _honest_blocks(stream, file.stat().st_size)


def _honest_blocks(stream: io.BufferedIOBase, packed: int) -> Iterator[bytes]:
    unpacked = 0
    while block := stream.read(_COPY_BYTES):
        unpacked += len(block)
        _check_total(0, unpacked, packed)
        yield block


def _find(infos: dict[str, Any], name: str) -> Any:
    info = infos.get(name)
    if info is None:
        raise ArchiveError(Reason.MISSING_FILE, "the archive has no such member, or it was refused")
    return info


def check_size(size: int, max_bytes: int) -> None:
    """Raise `ArchiveError` where there is more than one wants to hold."""
    if size > max_bytes:
        raise ArchiveError(Reason.TOO_LARGE, f"more than the limit of {max_bytes} bytes")


def _check_total(members: int, unpacked: int, packed: int | None) -> None:
    if members > MAX_MEMBERS:
        raise ArchiveError(Reason.UNSAFE_ARCHIVE, f"more than {MAX_MEMBERS} members")
    if unpacked > MAX_TOTAL_BYTES:
        raise ArchiveError(Reason.UNSAFE_ARCHIVE, f"{unpacked} bytes unpacked, the limit is {MAX_TOTAL_BYTES}")
    if packed is not None and unpacked > MAX_RATIO * max(packed, RATIO_FREE_BYTES):
        raise ArchiveError(Reason.UNSAFE_ARCHIVE, f"{unpacked} bytes out of {packed}: a decompression bomb")


def _check_end(tar: tarfile.TarFile, stream: IO[bytes]) -> None:
    """A damaged header in the middle looks to `tarfile` like the end: the end is a block of zeros, or of the file."""
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise ArchiveError(Reason.UNREADABLE_FILE, "the archive is damaged: a header in its middle does not parse")


def _plain_tar(file: Path) -> IO[bytes]:
    suffix = next((suffix for suffix in _PACKED_TAR if file.name.lower().endswith(suffix)), None)
    if suffix is None:
        return file.open("rb")
    packed = file.stat().st_size
    spool = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES))  # noqa: SIM115
    try:
        with _decompressed(file, _PACKED_TAR[suffix]) as stream:
            for block in _honest_blocks(stream, packed):
                spool.write(block)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def _decompressed(file: Path, kind: str) -> io.BufferedIOBase:
    match kind:
        case "gz":
            from isal import igzip

            return cast(io.BufferedIOBase, igzip.open(file, "rb"))  # type: ignore[no-untyped-call]
        case "bz2":
            import bz2

            return bz2.open(file, "rb")
        case _:
            return lzma.open(file, "rb")


def _sort_out(infos: list[tuple[str, Any]], refuse: Any) -> tuple[dict[str, Any], tuple[tuple[str, Refusal], ...]]:
    """Members by their safe name, and the rest. Of a name that stands twice the last one counts, as in both formats."""
    safe: dict[str, Any] = {}
    refused: dict[str, Refusal] = {}
    for name, info in infos:
        refusal = _refuse_name(name) or refuse(info)
        plain = _plain_name(name)
        if refusal:
            refused[name.encode("utf-8", "backslashreplace").decode()] = refusal
        else:
            safe[plain] = info
    # a refused twin must not hide behind an accepted one: an item key names one thing
    for name in [name for name in refused if _plain_name(name) in safe]:
        del safe[_plain_name(name)]
    return safe, tuple(sorted(refused.items(), key=lambda pair: pair[0]))


def _plain_name(name: str) -> str:
    segments = name.replace("\\", "/").split("/")
    return "/".join(segment for segment in segments if segment not in ("", "."))


def _refuse_name(name: str) -> Refusal | None:
    slashed = name.replace("\\", "/")
    if slashed.startswith("/") or _DRIVE.match(slashed):
        return Refusal(Reason.UNSAFE_ARCHIVE, "the member's name is absolute")
    if ".." in slashed.split("/"):
        return Refusal(Reason.UNSAFE_ARCHIVE, "the member's name leaves its folder")
    if "\0" in name or not _plain_name(name):
        return Refusal(Reason.UNSAFE_ARCHIVE, "the member has no usable name")
    try:
        name.encode()
    except UnicodeEncodeError:
        return Refusal(Reason.BAD_ENCODING, "the member's name is not UTF-8")
    return None


def _refuse_zip_member(info: zipfile.ZipInfo) -> Refusal | None:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return LINK
    if info.flag_bits & 0x1:
        return Refusal(Reason.UNREADABLE_FILE, "the member is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return Refusal(Reason.UNREADABLE_FILE, f"zip compression method {info.compress_type} is not known; repack it")
    if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        return Refusal(Reason.UNSAFE_ARCHIVE, f"{info.file_size} bytes out of {info.compress_size}: a bomb")
    return None


def _refuse_tar_member(info: tarfile.TarInfo) -> Refusal | None:
    if not info.isreg():
        return LINK
    if info.sparse is not None:
        return Refusal(Reason.UNSAFE_ARCHIVE, "the member is a sparse file")
    return None
