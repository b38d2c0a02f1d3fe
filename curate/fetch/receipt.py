"""What was fetched, noted beside the data folder: `.ID.fetch`, which no build reads but to see that a fetch is whole.

    acceptance.json     which terms were accepted, by their digest, and when
    entries/KEY.json    one file that came: its address, digest, and what it became below the data folder
    incoming/           files on their way
    staged/             files that are whole, until all of them are
    moved               there from the moment on when files are moved into the data folder
    receipt.json        there if and only if the data folder is whole

A note holds no token and nothing that a server said but ETag, date and size of a file on its way.
"""

import hashlib
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from curate.errors import StoreError
from curate.fetch.unpack import Piece
from curate.store.commit import replace_file
from curate.store.durable import held_alone
from curate.store.seal import sealed, unsealed

__all__ = ["Acceptance", "Entry", "Notes", "Receipt"]

T = TypeVar("T")

How = Literal["option", "prompt"]

RECEIPT: Final = "receipt.json"
MOVED: Final = "moved"


class Acceptance(msgspec.Struct, frozen=True):
    """Somebody accepted these terms: the digest is of the text that was shown."""

    terms_sha256: str
    licence: str
    how: How
    at: str  # UTC, ISO 8601


class Entry(msgspec.Struct, frozen=True):
    """One file that came. `is_proved`: its digest was known before it came."""

    name: str
    url: str
    bytes: int
    sha256: str
    is_proved: bool
    unpack: str
    pieces: tuple[Piece, ...]
    left_out: int = 0


class Receipt(msgspec.Struct, frozen=True):
    """The data folder as a whole. `pieces_sha256` is over path, size and digest of every file, sorted by path."""

    source: str
    home: str
    version: str | None
    terms_sha256: str
    files: tuple[dict[str, Any], ...]
    pieces: int
    bytes: int
    pieces_sha256: str


class Notes:
    """The notes of one source below a data root."""

    def __init__(self, data_root: Path, source: str) -> None:
        self.data = data_root / source
        self.folder = data_root / f".{source}.fetch"
        self.incoming = self.folder / "incoming"
        self.staged = self.folder / "staged"
        self._entries = self.folder / "entries"
        self._moved = self.folder / MOVED
        self.receipt_path = self.folder / RECEIPT

    def prepare(self) -> None:
        """Make the folders."""
        for place in (self.incoming, self.staged, self._entries):
            place.mkdir(parents=True, exist_ok=True)

    def locked(self, source: str) -> AbstractContextManager[None]:
        """One fetch at a time.

        Raises:
            StoreError: another one has it.
        """
        busy = StoreError(f"source {source}: another `curate fetch` brings it; wait for that one")
        return held_alone(self.incoming, busy)

    def acceptance(self) -> Acceptance | None:
        """The terms that were accepted last."""
        return _read(self.folder / "acceptance.json", Acceptance)

    def accept(self, terms_sha256: str, licence: str, how: How) -> None:
        """Note that somebody accepted the terms, now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        _write(self.folder / "acceptance.json", Acceptance(terms_sha256, licence, how, at))

    def entries(self) -> dict[str, Entry]:
        """Every file that came, by its key."""
        found = {path.stem: _read(path, Entry) for path in sorted(self._entries.glob("*.json"))}
        return {key: entry for key, entry in found.items() if entry is not None}

    def entry(self, key: str) -> Entry | None:
        """The file of this key, if it came."""
        return _read(self._entries / f"{key}.json", Entry)

    def set_entry(self, key: str, entry: Entry) -> None:
        """Note a file that came."""
        _write(self._entries / f"{key}.json", entry)

    def drop_entry(self, key: str) -> None:
        """Forget a file that the card names no more."""
        (self._entries / f"{key}.json").unlink(missing_ok=True)

    def listing(self, key: str) -> bytes | None:
        """What was kept under a key: the files of a repository at a commit never change."""
        try:
            return (self.folder / f"hub-{key}.json").read_bytes()
        except FileNotFoundError:
            return None

    def set_listing(self, key: str, data: bytes) -> None:
        """Keep something under a key."""
        replace_file(self.folder / f"hub-{key}.json", data)

    def is_there(self, piece: Piece) -> bool:
        """True where a file is as it was put there, in the data folder or still among the staged ones.

        Its bytes are read where its time stamp is another.
        """
        for root in (self.staged, self.data):
            try:
                status = (root / piece.path).lstat()
            except OSError:
                continue
            if status.st_size != piece.bytes:
                return False
            if status.st_mtime_ns == piece.mtime_ns:
                return True
            with (root / piece.path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == piece.sha256
        return False

    @property
    def is_ours(self) -> bool:
        """True where a fetch made the data folder."""
        return self._moved.is_file()

    def changes(self) -> None:
        """Say that the data folder is this fetch's, and not whole until `set_receipt`."""
        replace_file(self._moved, b"")
        self.receipt_path.unlink(missing_ok=True)

    def set_receipt(self, receipt: Receipt) -> None:
        """Say that the data folder is whole."""
        _write(self.receipt_path, receipt)


def _read(path: Path, model: type[T]) -> T | None:
    """A note; nothing where there is none or it is damaged: what it spoke of is then looked at again."""
    try:
        return msgspec.convert(unsealed(path.read_bytes()).get("note"), model)
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, note: msgspec.Struct) -> None:
    replace_file(path, sealed({"note": msgspec.to_builtins(note)}))
