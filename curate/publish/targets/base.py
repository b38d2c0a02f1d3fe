"""Where releases go, and how a release gets there so that nobody takes half of it for whole.

Step by step, for a place in which files appear one by one (a folder, a store):

1.  `UNFINISHED.json` is put: which release comes, which one was whole before, and what may lie there of it.
2.  `MANIFEST.json` of the release before goes: from now on a reader finds nothing whole.
3.  Files that are not there with their digest are sent, data first, what describes them after.
4.  `MANIFEST.json` is put. The release is whole.
5.  Files of earlier releases that nothing names any more are removed, and `UNFINISHED.json` last.

Whoever runs the same command again goes on where it stopped. A place that knows transactions (the Hub) needs no marker.
"""

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from curate.card import Struct
from curate.errors import CurateError, StoreError, UsageError
from curate.publish.base import MANIFEST, File
from curate.publish.manifest import Manifest, decode_manifest, encode_manifest
from curate.publish.writing import plain_path

__all__ = [
    "UNFINISHED",
    "Held",
    "Marker",
    "Parcel",
    "Sent",
    "Shelf",
    "Target",
    "TargetError",
    "refuse_taken",
    "target_errors",
]

UNFINISHED: Final = "UNFINISHED.json"

PATIENT: Final = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE})
"""Errors that may be gone when the same command is run later."""


class TargetError(StoreError):
    """A target that could not be read or written. What is there is marked as unfinished, or as it was before."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Marker(Struct, frozen=True):
    """`UNFINISHED.json`: `manifest` is the digest of the one that comes, `previous` the release that was whole before.

    `sent` are the paths that this publishing or one before it may have put and no whole release names.
    """

    name: str
    corpus: str
    manifest: str
    previous: Manifest | None = None
    sent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What lies at a target: `whole` is the release that a reader finds, `marker` that of an unfinished one.

    `other` counts the files of a place in which no release lies; `version` is what the place calls its state.
    """

    whole: Manifest | None = None
    marker: Marker | None = None
    other: int = 0
    version: str | None = None

    @property
    def previous(self) -> Manifest | None:
        """The last release that was whole here."""
        return self.marker.previous if self.marker is not None and self.whole is None else self.whole

    @property
    def owned(self) -> frozenset[str]:
        """The paths that publishing put here."""
        whole = () if self.whole is None else tuple(file.path for file in self.whole.files)
        if self.marker is None:
            return frozenset(whole)
        before = () if self.marker.previous is None else tuple(file.path for file in self.marker.previous.files)
        return frozenset((*whole, *before, *self.marker.sent))


@dataclass(frozen=True, slots=True)
class Parcel:
    """A release on its way: its manifest, its files in the order of sending, and where each lies on this machine."""

    manifest: Manifest
    files: Sequence[File]
    local: Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a delivery did."""

    files: int = 0
    bytes: int = 0
    kept: int = 0
    removed: int = 0


class Target(Protocol):
    """A place for one release."""

    def __str__(self) -> str:
        """As the command line names it."""
        ...

    def look(self) -> Held:
        """What is there.

        Raises:
            TargetError: it cannot be reached or read.
        """
        ...

    def read(self, path: str) -> bytes | None:
        """A file of what is there; null where it is not."""
        ...

    def deliver(self, parcel: Parcel, held: Held) -> Sent:
        """Make the parcel what is there.

        Raises:
            TargetError: not all of it could be sent; the same call goes on.
        """
        ...


class Shelf(Protocol):
    """A target in which files appear one by one, each whole or not at all."""

    at_once: int

    def __str__(self) -> str: ...

    def look(self) -> Held:
        """See `Target.look`."""
        return _look(self)

    def deliver(self, parcel: Parcel, held: Held) -> Sent:
        """See `Target.deliver`."""
        return _deliver(self, parcel, held)

    def read(self, path: str) -> bytes | None: ...

    def listed(self) -> Mapping[str, int]:
        """Path -> bytes of every file there, but for what interrupted uploads left."""
        ...

    def holds(self, file: File, local: Path) -> bool:
        """Whether the file there, of the right size, has the digest too."""
        ...

    def check_space(self, files: Sequence[File], local: Callable[[str], Path]) -> None:
        """Refuse what will not fit, where that is known before."""
        ...

    def put(self, file: File, local: Path) -> None: ...

    def put_control(self, path: str, data: bytes) -> None: ...

    def remove(self, paths: Sequence[str]) -> None: ...

    def settle(self) -> None:
        """Make all that was put durable."""
        ...

    def tidy(self) -> None:
        """Give up what interrupted uploads left."""
        ...


def _look(shelf: Shelf) -> Held:
    """What lies on a shelf."""
    with target_errors(str(shelf)):
        listed = shelf.listed()
        manifest = shelf.read(MANIFEST) if MANIFEST in listed else None
        marker = shelf.read(UNFINISHED) if UNFINISHED in listed else None
    return Held(
        whole=None if manifest is None else decode_manifest(manifest, str(shelf)),
        marker=None if marker is None else _decode_marker(marker, str(shelf)),
        other=len(listed) if manifest is None and marker is None else 0,
    )


def _deliver(shelf: Shelf, parcel: Parcel, held: Held) -> Sent:
    """Steps 1 to 5 above."""
    with target_errors(str(shelf)):
        listed = shelf.listed()
        wanted = {file.path: file for file in parcel.files}
        if held.marker is None and held.whole == parcel.manifest and _all_there(wanted, listed):
            return Sent(kept=len(wanted))
        shelf.tidy()
        vouched = {} if held.whole is None or held.marker is not None else _digests(held.whole)
        absent = [file for file in parcel.files if not _kept(shelf, parcel, file, listed, vouched)]
        shelf.check_space(absent, parcel.local)
        owned = held.owned
        marker = _marker(parcel, held)
        shelf.put_control(UNFINISHED, marker)
        if MANIFEST in listed:
            shelf.remove([MANIFEST])
        _put_all(shelf, absent, parcel.local)
        shelf.settle()
        if shelf.read(UNFINISHED) != marker:
            raise TargetError(
                f"{shelf}: another publishing took this place over while this one sent its files; let it end, then run "
                "the same command again"
            )
        shelf.put_control(MANIFEST, encode_manifest(parcel.manifest))
        gone = sorted(path for path in owned - wanted.keys() - {MANIFEST, UNFINISHED} if path in listed)
        shelf.remove(gone)
        shelf.remove([UNFINISHED])
        shelf.settle()
    sent = sum(file.bytes for file in absent)
    return Sent(files=len(absent), bytes=sent, kept=len(wanted) - len(absent), removed=len(gone))


def _kept(shelf: Shelf, parcel: Parcel, file: File, listed: Mapping[str, int], vouched: Mapping[str, str]) -> bool:
    """Whether a file lies there already: by the manifest of a whole release, else by its bytes."""
    if listed.get(file.path) != file.bytes:
        return False
    if file.path in vouched:
        return vouched[file.path] == file.sha256
    return shelf.holds(file, parcel.local(file.path))


def _put_all(shelf: Shelf, files: Sequence[File], local: Callable[[str], Path]) -> None:
    """Data first, what describes them after: never a description beside data that are not there."""
    for group in _groups(files):
        with ThreadPoolExecutor(shelf.at_once) as pool:
            pending = [pool.submit(shelf.put, file, local(file.path)) for file in group]
            done, left = wait(pending, return_when=FIRST_EXCEPTION)
            for future in left:
                future.cancel()
            for future in done:
                future.result()


def _groups(files: Sequence[File]) -> Iterator[list[File]]:
    """What lies in folders, then what lies at the top."""
    yield [file for file in files if "/" in file.path]
    yield [file for file in files if "/" not in file.path]


def _marker(parcel: Parcel, held: Held) -> bytes:
    previous = held.previous
    named = frozenset() if previous is None else frozenset(file.path for file in previous.files)
    paths = (held.owned | {file.path for file in parcel.files}) - named
    marker = Marker(
        name=parcel.manifest.name,
        corpus=parcel.manifest.corpus,
        manifest=parcel.manifest.digest,
        previous=previous,
        sent=tuple(sorted(paths)),
    )
    return msgspec.json.encode(marker, order="deterministic")


def _decode_marker(data: bytes, where: str) -> Marker:
    try:
        marker = msgspec.json.decode(data, type=Marker)
        for path in (*marker.sent, *(file.path for file in (marker.previous.files if marker.previous else ()))):
            plain_path(path)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as problem:
        raise TargetError(
            f"{where}: {UNFINISHED} is damaged or not ours ({type(problem).__name__}); remove it or name another place",
            retryable=False,
        ) from None
    return marker


def _digests(manifest: Manifest) -> dict[str, str]:
    return {file.path: file.sha256 for file in manifest.files}


def _all_there(wanted: Mapping[str, File], listed: Mapping[str, int]) -> bool:
    return all(listed.get(path) == file.bytes for path, file in wanted.items())


@contextlib.contextmanager
def target_errors(where: str) -> Iterator[None]:
    """What a disk or a store raises, as an error that says what to do."""
    try:
        yield
    except CurateError:
        raise
    except OSError as problem:
        said = problem.strerror or type(problem).__name__
        if isinstance(problem, PermissionError) or problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "see to its rights and to the credentials"
        elif problem.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "free space there"
        else:
            advice = "see to it"
        raise TargetError(
            f"{where}: {said}; {advice}, then run the same command again: no reader finds a whole release there until "
            "it is one",
            retryable=problem.errno in PATIENT,
        ) from None


def refuse_taken(target: str, held: Held, name: str, corpus: str, *, replace: bool) -> None:
    """Refuse a place in which something else lies.

    Raises:
        UsageError: a release of another corpus or name, or files that are no release, without `replace`.
    """
    found = held.marker or held.whole
    if replace or (found is None and not held.other):
        return
    if found is None:
        raise UsageError(
            f"{target} holds {held.other} files that are no release of curate; name an empty place, or publish over "
            "them with --replace (what has none of the release's names stays)"
        )
    if (found.name, found.corpus) != (name, corpus):
        told = (
            "of another corpus (its recipe or its project key is another)" if found.name == name else repr(found.name)
        )
        raise UsageError(
            f"{target} holds the release {told}, and this one is {name!r}; name another place, or publish over it with "
            "--replace, which removes what that release put there"
        )
