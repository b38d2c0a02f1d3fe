"""Places: a folder of this machine, or a prefix of an S3-compatible store, and how bytes are read from either.

A local place is a plain `Path`. A remote one is a `UPath`, never asked what it remembers: its listings are not cached.
Whatever a store or the libraries that speak to it raise becomes an `OSError` whose words are ours.
"""

import contextlib
import errno
import hashlib
import importlib
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeGuard, cast

from upath import UPath

from curate.errors import UsageError

__all__ = [
    "Listed",
    "Place",
    "digest_of",
    "filesystem",
    "is_remote",
    "names_in",
    "open_binary",
    "open_sized",
    "place_of",
    "plain_error",
    "read_bytes",
    "read_many",
    "remove_file",
    "size_of",
    "status_of",
    "store_errors",
    "walk",
]

Place = Path | UPath
"""Where an output lies, or a file of it."""

WHOLE_BYTES: Final = 8 * 2**20
"""A remote file up to this size is fetched by one request; of a larger one, the ranges that are read."""

AT_ONCE: Final = 32
"""Small objects fetched at the same time."""

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file below a place: its name from there, with slashes, and its size in bytes.

    `seconds`, since the epoch, is when it was last changed as the disk or the store has it; null where it is not told.
    """

    name: str
    bytes: int
    seconds: float | None = field(default=None, compare=False)


def is_remote(place: Place) -> TypeGuard[UPath]:
    """True for a place in an object store."""
    return not isinstance(place, Path)


def place_of(text: str) -> Place:
    """The place that a command line names: a folder, or `s3://BUCKET/PREFIX`.

    Raises:
        UsageError: another kind of address, a bucket that none can be called, or a prefix that is no plain path.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return Path(text)
    if found[1].lower() not in ("s3", "s3a"):
        raise UsageError(f"{text}: a place is a folder, or s3://BUCKET/PREFIX for a store that speaks S3")
    bucket, _, prefix = found[2].partition("/")
    steps = prefix.removesuffix("/").split("/") if prefix.removesuffix("/") else []
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{text}: {bucket!r} cannot be the name of a bucket; write s3://BUCKET/PREFIX")
    if any(step in ("", ".", "..") or not step.isprintable() or set(step) & set("?#*[]") for step in steps):
        raise UsageError(f"{text}: the prefix must be plain names with single slashes between, without any of ?#*[]")
    try:
        importlib.import_module("s3fs")
    except ModuleNotFoundError:
        raise UsageError(f"{text}: install what speaks to S3: pip install 'medcurate[s3]'") from None
    return UPath("/".join((f"s3://{bucket}", *steps)), use_listings_cache=False)


def filesystem(place: UPath) -> Any:
    """The fsspec file system behind a remote place."""
    with store_errors(place):
        return place.fs


def read_bytes(place: Place) -> bytes:
    """The whole of a file.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
    """
    if isinstance(place, Path):
        return place.read_bytes()
    with store_errors(place):
        return cast(bytes, place.fs.cat_file(place.path, max_concurrency=1))


def read_many(places: Sequence[Place]) -> list[bytes | OSError]:
    """The whole of many small files, remote ones several at a time; for each that cannot be read the reason."""
    first = next(iter(places), None)
    if first is None or isinstance(first, Path):
        return [_read_or_told(place) for place in places]
    paths = [cast(UPath, place).path for place in places]
    with store_errors(first):
        said = first.fs.cat(paths, on_error="return", batch_size=AT_ONCE, max_concurrency=1)
    answers = [said[path] for path in paths]
    return [
        plain_error(answer, str(place)) if isinstance(answer, Exception) else answer
        for place, answer in zip(places, answers, strict=True)
    ]


def _read_or_told(place: Place) -> bytes | OSError:
    try:
        return read_bytes(place)
    except OSError as problem:
        return problem


def size_of(place: Place) -> int:
    """The bytes of a file.

    Raises:
        FileNotFoundError: it is not there.
        OSError: the store does not say.
    """
    if isinstance(place, Path):
        return place.stat().st_size
    with store_errors(place):
        said = place.fs.info(place.path)
    if said["type"] != "file":
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
    return int(said["size"])


def names_in(place: Place) -> set[str]:
    """The names of what lies directly in a place.

    Raises:
        OSError: it is not there or cannot be looked into; a prefix below which nothing lies is empty.
    """
    if isinstance(place, Path):
        return {path.name for path in place.iterdir()}
    try:
        with store_errors(place):
            said = place.fs.ls(place.path, detail=False)
    except FileNotFoundError:
        return set()
    return {name.rstrip("/").rpartition("/")[2] for name in said}


def walk(place: Place) -> list[Listed]:
    """Every file below a place, sorted by name; links are listed and not followed. Empty where nothing is.

    Raises:
        OSError: a folder cannot be looked into, or the store does not list.
    """
    if isinstance(place, Path):
        return sorted(_walk_folder(str(place), ""), key=lambda one: one.name)
    start = place.path.rstrip("/") + "/"
    with store_errors(place):
        said = place.fs.find(place.path, detail=True)
    listed = (
        Listed(name.removeprefix(start), int(entry["size"]), _seconds(entry))
        for name, entry in said.items()
        if start in name
    )
    return sorted((one for one in listed if one.name), key=lambda one: one.name)


def _seconds(entry: Mapping[str, Any]) -> float | None:
    changed = entry.get("LastModified")
    return changed.timestamp() if isinstance(changed, datetime) else None


def _walk_folder(folder: str, prefix: str) -> Iterator[Listed]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk_folder(entry.path, f"{prefix}{entry.name}/")
                elif entry.is_file() or entry.is_symlink():
                    with contextlib.suppress(FileNotFoundError):  # it went while we looked, as in a build that goes on
                        stat = entry.stat(follow_symlinks=False)
                        yield Listed(prefix + entry.name, stat.st_size, stat.st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        return


def remove_file(place: Place) -> None:
    """Remove one file; one that is not there is no fault."""
    if isinstance(place, Path):
        place.unlink(missing_ok=True)
        return
    bucket, key, _ = filesystem(place).split_path(place.path)
    with store_errors(place):
        place.fs.call_s3("delete_object", Bucket=bucket, Key=key)


def digest_of(place: Place) -> tuple[str, int]:
    """The sha256 and the size of a file, read in pieces.

    Raises:
        OSError: as `read_bytes`.
    """
    digest, size = hashlib.sha256(), 0
    with open_binary(place) as file:
        while chunk := file.read(WHOLE_BYTES if is_remote(place) else 2**20):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def open_binary(place: Place) -> BinaryIO:
    """A file to read and seek in; of a large remote one only those ranges are fetched that are read.

    Raises:
        OSError: as `read_bytes`.
    """
    if isinstance(place, Path):
        return place.open("rb")
    return open_sized(place, size_of(place))


def open_sized(place: UPath, size: int) -> BinaryIO:
    """`open_binary` for a remote file whose size is known."""
    if size <= WHOLE_BYTES:
        return io.BytesIO(read_bytes(place))
    return io.BufferedReader(_Ranges(place, size), buffer_size=2**20)


class _Ranges(io.RawIOBase):
    """A remote file by its ranges, each of which is one request."""

    def __init__(self, place: UPath, size: int) -> None:
        self._place = place
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._size, self._at + len(buffer))
        if end <= self._at:
            return 0
        with store_errors(self._place):
            data = self._place.fs.cat_file(self._place.path, start=self._at, end=end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@contextlib.contextmanager
def store_errors(place: Place) -> Iterator[None]:
    """What a store or its libraries raise, as an `OSError` of a plain kind.

    `FileNotFoundError` is raised for a missing object alone: a missing bucket is another matter.
    """
    try:
        yield
    except Exception as problem:
        raise plain_error(problem, str(place)) from None


def status_of(problem: BaseException) -> tuple[int, str]:
    """The HTTP status and the S3 error code with which a store refused; 0 and nothing where it did not answer."""
    for raised in (problem, problem.__cause__):
        answer = getattr(raised, "response", None)
        if isinstance(answer, dict):
            code = str(answer.get("Error", {}).get("Code", ""))
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return int(status or (code if code.isdigit() else 0)), code if _CODE.fullmatch(code) else ""
    return 0, ""


def plain_error(problem: Exception, where: str) -> OSError:
    """The `OSError` that stands for whatever a store or its libraries raised."""
    status, code = status_of(problem)
    said = f"the store answered {status} {code}".rstrip() if status else ""
    if code == "NoSuchBucket":
        return OSError(errno.ENODEV, "the bucket is not there (NoSuchBucket)", where)
    if isinstance(problem, FileNotFoundError) or status == 404:
        return FileNotFoundError(errno.ENOENT, said or os.strerror(errno.ENOENT), where)
    if isinstance(problem, PermissionError) or status in (401, 403):
        return PermissionError(errno.EACCES, said or os.strerror(errno.EACCES), where)
    name = type(problem).__name__
    if "Credential" in name:
        return PermissionError(errno.EACCES, f"no credentials for the store were found ({name})", where)
    return OSError(errno.EIO, said or f"the store cannot be reached or broke off ({name})", where)
