"""One file, as it should be or not at all: resumed by range, capped, proved, then synced to the disk.

A file on its way lies beside a note of what the server said of it. It goes on only with a byte range that the server
itself ties to the same file: `If-Range` with a strong ETag or a date (RFC 9110, 13.1.5), and a `Content-Range` that
starts where the file on the disk ends. Whatever else comes begins the file anew. Where the card knows its digest, a
server without ETag and date may go on too, since the digest proves the whole.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate.fetch.transport import AGAIN, RefusedError, TransientError, Transport, Trust, retry_after_s
from curate.store.commit import replace_file

if TYPE_CHECKING:
    import urllib3

__all__ = ["MAX_UNSTATED_BYTES", "Got", "Wanted", "download"]

ATTEMPTS: Final = 6
"""In a row, without a byte beyond the furthest that any of them came."""

FIRST_WAIT_S: Final = 1.0
"""Before the second attempt; doubled before each further one."""

MAX_UNSTATED_BYTES: Final = 64 << 30
"""Of a file whose size the card does not say."""

STALL_S: Final = 60.0
STALL_BYTES: Final = 16 << 10
"""An answer that brings less than this in `STALL_S` seconds is taken for stalled."""

SNIFFED_BYTES: Final = 1024
_HTML: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head)\b", re.I | re.S
)
_MAGIC: Final[dict[str, tuple[bytes, ...]]] = {
    ".zip": (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ\x00",),
    ".parquet": (b"PAR1",),
    ".png": (b"\x89PNG",),
    ".jpg": (b"\xff\xd8",),
    ".jpeg": (b"\xff\xd8",),
    ".h5": (b"\x89HDF",),
}
_PACKED: Final = {"zip": ".zip", "gzip": ".gz"}
_RANGE: Final = re.compile(r"bytes (?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})/(?P<total>[0-9]{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to bring. `git_sha1` is the name of its git object, where that is the digest that is known."""

    name: str
    url: str
    trust: Trust
    bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    unpack: str = "none"

    @property
    def is_proved(self) -> bool:
        """True where its digest was known beforehand."""
        return self.sha256 is not None or self.git_sha1 is not None


class _WrongError(RefusedError):
    """What came is not the file."""


class Got(msgspec.Struct, frozen=True):
    """What a file turned out to be."""

    bytes: int
    sha256: str


class _Note(msgspec.Struct, frozen=True):
    """What the server said of the file of which a part lies on the disk."""

    url: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        return self.etag or self.modified


@dataclass(slots=True)
class _Part:
    """The file on its way."""

    path: Path
    bytes: int
    hash: Any
    note: _Note | None

    @classmethod
    def at(cls, path: Path, wanted: Wanted) -> "_Part":
        """What an earlier run left, where it is of the same address and can be gone on with."""
        part = cls(path, 0, hashlib.sha256(), None)
        try:
            note = msgspec.json.decode(_note_path(path).read_bytes(), type=_Note)
            if note.url != wanted.url or not (note.validator or wanted.is_proved):
                return part
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    part.hash.update(block)
                    part.bytes += len(block)
        except (FileNotFoundError, msgspec.MsgspecError):
            return cls(path, 0, hashlib.sha256(), None)
        part.note = note
        return part

    def begin(self, note: _Note) -> None:
        """Forget what came before."""
        self.path.unlink(missing_ok=True)
        self.bytes, self.hash, self.note = 0, hashlib.sha256(), note
        replace_file(_note_path(self.path), msgspec.json.encode(note))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        _note_path(self.path).unlink(missing_ok=True)
        self.bytes, self.hash, self.note = 0, hashlib.sha256(), None


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def download(
    transport: Transport,
    wanted: Wanted,
    path: Path,
    *,
    progress: Callable[[int], object] = lambda added: None,
    sleep: Callable[[float], object] = time.sleep,
    stall_s: float = STALL_S,
) -> Got:
    """Bring a file to `path`, which goes on from what an earlier call left there, and prove it.

    `progress` is told how many bytes came, below zero where some were thrown away.

    Raises:
        RefusedError: what came is not the file, or is more than it may be: nothing stays of it. Or nothing came, and
            asking again would not help: what came before stays.
        TransientError: it did not come as a whole, however often it was asked for; what came stays.
        OSError: the disk would not have it.
    """
    part = _Part.at(path, wanted)
    progress(part.bytes)
    resumed = part.bytes > 0
    furthest, failures = part.bytes, 0
    while True:
        try:
            continued = _attempt(transport, wanted, part, progress, stall_s)
            resumed = resumed and continued
            return _proved(wanted, part)
        except TransientError as problem:
            failures = 0 if part.bytes > furthest else failures + 1
            furthest = max(furthest, part.bytes)
            resumed = resumed or part.bytes > 0
            if failures >= ATTEMPTS:
                raise
            sleep(max(problem.wait_s, FIRST_WAIT_S * 2 ** max(failures - 1, 0)))
        except _WrongError:
            thrown, was_resumed = part.bytes, resumed
            part.discard()
            progress(-thrown)
            # put together from two answers it may be neither file: once more in one piece, before it is given up
            if not was_resumed:
                raise
            resumed, furthest, failures = False, 0, failures + 1
            if failures >= ATTEMPTS:
                raise


def _attempt(
    transport: Transport, wanted: Wanted, part: _Part, progress: Callable[[int], object], stall_s: float
) -> bool:
    """Bring what is missing; True where the answer went on from what was there."""
    if part.note is not None and part.note.total == part.bytes and part.bytes > 0:
        return True
    headers = {}
    if part.bytes and part.note is not None and (part.note.validator or wanted.is_proved):
        headers["Range"] = f"bytes={part.bytes}-"
        if part.note.validator:
            headers["If-Range"] = part.note.validator
    with transport.get(wanted.url, headers, wanted.trust) as (response, chunks):
        continued = _begun(wanted, part, response, asked_range=bool(headers), progress=progress)
        _written(wanted, part, chunks, progress, stall_s)
    total = None if part.note is None else part.note.total
    if part.bytes < (total if total is not None else wanted.bytes or 0):
        raise TransientError("an answer that breaks off")
    return continued


def _begun(
    wanted: Wanted,
    part: _Part,
    response: "urllib3.BaseHTTPResponse",
    *,
    asked_range: bool,
    progress: Callable[[int], object],
) -> bool:
    """Judge the head of an answer; the part is begun anew unless the answer goes on where it ends."""
    status = response.status
    if status in AGAIN:
        raise TransientError(f"HTTP {status}", retry_after_s(response.headers.get("Retry-After"), time.time()))
    if asked_range and status in (412, 416):
        progress(-part.bytes)
        part.discard()
        raise TransientError("a file that is no longer what it was")
    if status not in (200, 206):
        told = {401: ": it asks for a token", 403: ": it is not allowed", 404: ": it is not there", 410: ": it is gone"}
        raise RefusedError(f"HTTP {status}{told.get(status, '')}")
    _check_kind(wanted, response)
    note = _Note(
        wanted.url,
        _strong(response.headers.get("ETag")),
        response.headers.get("Last-Modified"),
        _total(response),
    )
    if status == 206:
        if asked_range and _goes_on(part, note, response):
            return True
        progress(-part.bytes)
        part.discard()
        raise TransientError("a range that was not asked for")
    _check_total(wanted, note.total)
    progress(-part.bytes)
    part.begin(note)
    return False


def _goes_on(part: _Part, note: _Note, response: "urllib3.BaseHTTPResponse") -> bool:
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    before = part.note
    if found is None or before is None or int(found["first"]) != part.bytes:
        return False
    whole = None if found["total"] == "*" else int(found["total"])
    if before.total is not None and whole is not None and before.total != whole:
        return False
    both = [(before.etag, note.etag), (before.modified, note.modified)]
    return all(old is None or new is None or old == new for old, new in both)


def _total(response: "urllib3.BaseHTTPResponse") -> int | None:
    """The bytes of the whole file, as an answer with all of it says."""
    said = response.headers.get("Content-Length", "").strip()
    return int(said) if response.status == 200 and re.fullmatch(r"[0-9]{1,18}", said) else None


def _check_kind(wanted: Wanted, response: "urllib3.BaseHTTPResponse") -> None:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not _is_page(wanted):
        raise RefusedError("a web page instead of the file: an error page, or a page that asks to log in")
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    packed_by_itself = coding in ("gzip", "x-gzip") and wanted.name.lower().endswith((".gz", ".tgz"))
    if coding not in ("", "identity") and not packed_by_itself:
        raise RefusedError("an answer in an encoding that was not asked for")


def _is_page(wanted: Wanted) -> bool:
    return wanted.name.lower().endswith((".html", ".htm", ".xhtml"))


def _check_total(wanted: Wanted, total: int | None) -> None:
    if total is None:
        return
    if wanted.bytes is not None and total != wanted.bytes:
        raise RefusedError(f"a file of {total:,} bytes, its card says {wanted.bytes:,}")
    if total > MAX_UNSTATED_BYTES and wanted.bytes is None:
        raise RefusedError(f"a file of {total:,} bytes; say `bytes` on its card for one over {MAX_UNSTATED_BYTES:,}")


def _written(
    wanted: Wanted, part: _Part, chunks: Iterator[bytes], progress: Callable[[int], object], stall_s: float
) -> None:
    limit = wanted.bytes if wanted.bytes is not None else MAX_UNSTATED_BYTES
    since, lately = time.monotonic(), 0
    head = b"" if part.bytes == 0 else None
    with part.path.open("ab") as file:
        for chunk in chunks:
            if part.bytes + len(chunk) > limit:
                raise _WrongError(f"more than the {limit:,} bytes that it may have")
            if head is not None and len(head) < SNIFFED_BYTES:
                head += chunk[:SNIFFED_BYTES]
            file.write(chunk)
            part.hash.update(chunk)
            part.bytes += len(chunk)
            lately += len(chunk)
            progress(len(chunk))
            now = time.monotonic()
            if now - since > stall_s:
                if lately < STALL_BYTES:
                    raise TransientError("an answer that has all but stopped")
                since, lately = now, 0
        file.flush()
        os.fsync(file.fileno())


def _proved(wanted: Wanted, part: _Part) -> Got:
    """What came, judged as a whole."""
    if wanted.bytes is not None and part.bytes != wanted.bytes:
        raise _WrongError(f"a file of {part.bytes:,} bytes, its card says {wanted.bytes:,}")
    if part.bytes == 0 and not wanted.is_proved:
        raise _WrongError("a file of no bytes")
    with part.path.open("rb") as file:
        _check_head(wanted, file.read(SNIFFED_BYTES))
    digest = part.hash.hexdigest()
    if wanted.sha256 is not None and digest != wanted.sha256:
        raise _WrongError(f"a file with the sha256 {digest}, {wanted.sha256} is expected")
    if wanted.git_sha1 is not None and _git_sha1(part.path, part.bytes) != wanted.git_sha1:
        raise _WrongError("a file that is not the git object it should be")
    return Got(part.bytes, digest)


def _check_head(wanted: Wanted, head: bytes) -> None:
    if _HTML.match(head) and not _is_page(wanted):
        raise _WrongError("a web page instead of the file: an error page, or a page that asks to log in")
    suffix = _PACKED.get(wanted.unpack) or "." + wanted.name.lower().rpartition(".")[2]
    if suffix in _MAGIC and not head.startswith(_MAGIC[suffix]):
        raise _WrongError(f"a file that does not begin as one of the kind {suffix} does")


def _git_sha1(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _strong(etag: str | None) -> str | None:
    """The tag, where it vouches for every byte and is fit to be sent back."""
    if etag is None or etag.startswith("W/") or len(etag) > 256:
        return None
    return etag if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) else None
