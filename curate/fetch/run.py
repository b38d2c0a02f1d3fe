"""`curate fetch`: a source's files brought to the data folder, which is there as a whole or not at all.

What comes is staged beside the data folder and moved in one rename when all of it is proved. Whatever ends a fetch, the
same command goes on where it ended; a source that is whole is not downloaded again.
"""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Set
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from curate.card import Card, Download
from curate.errors import CurateError, DataError, GateError, StoreError
from curate.fetch import hub as hubs
from curate.fetch.acceptance import check_fetchable, terms_of
from curate.fetch.download import STALL_S, Wanted, download
from curate.fetch.receipt import Entry, Notes, Receipt
from curate.fetch.transport import RefusedError, TransientError, Transport, own_trust
from curate.fetch.unpack import Piece, Unpacked, below, place, unpack
from curate.schema import identity
from curate.store.durable import sync_folder, write_errors

__all__ = ["Fetched", "Progress", "fetch", "is_accepted"]

CONNECTIONS: Final = 4
"""Files brought at a time."""

Progress = Callable[[int, int | None], object]
"""Told the bytes that are here and, where it is known, of how many."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a fetch. `files` were wanted, `downloaded` of them came now, the others were here already.

    `unproved` are files of which no digest was known beforehand: the receipt keeps theirs, and a later fetch must find
    the same. `left_out` counts links and devices of archives.
    """

    source: str
    folder: Path
    receipt: Path
    terms_sha256: str
    files: int
    downloaded: int
    bytes_downloaded: int
    pieces: int
    bytes: int
    unproved: int
    left_out: int


@dataclass(frozen=True, slots=True)
class _Item:
    """A wanted file, and what becomes of it."""

    key: str
    wanted: Wanted
    into: str


def is_accepted(card: Card, data_root: Path) -> bool:
    """True where these terms, word for word, were accepted for this data root already."""
    found = Notes(data_root, card.id).acceptance()
    return found is not None and found.terms_sha256 == terms_of(card).sha256


def fetch(
    card: Card,
    data_root: Path,
    *,
    accepted: Literal["option", "prompt"] | None,
    allow_private: bool = False,
    environment: Mapping[str, str] | None = None,
    progress: Progress = lambda done, wanted: None,
    transport: Transport | None = None,
    sleep: Callable[[float], object] | None = None,
    stall_s: float = STALL_S,
) -> Fetched:
    """Bring what the card's addresses name to `data_root/<id>`. `accepted`: how a person accepted its terms now.

    Raises:
        GateError: the terms were not accepted, or need an agreement; the repository is gated.
        CardError: the card gives no address.
        DataError: a server, or what it sent, is refused; a folder is there that no fetch made.
        StoreError: the disk would not have it, or another fetch is at it.
        CurateError: a file did not come, which another attempt may bring.
    """
    check_fetchable(card)
    notes = Notes(data_root, card.id)
    terms = terms_of(card)
    if accepted is None and not is_accepted(card, data_root):
        raise GateError(
            f"source {card.id}: its terms are not accepted; read them, and if you do accept them run again with "
            "--accept-terms"
        )
    if not notes.is_ours and notes.data.is_dir() and any(notes.data.iterdir()):
        raise DataError(
            f"source {card.id}: {notes.data} is there and was not fetched; nothing is overwritten: move it away, or "
            "name another --data"
        )
    variables = os.environ if environment is None else environment
    with write_errors(f"source {card.id}: cannot write below the data root", "what came stays"):
        notes.prepare()
        with notes.locked(card.id):
            if accepted is not None and not is_accepted(card, data_root):
                notes.accept(terms.sha256, terms.licence, accepted)
            items = _items(card, notes, variables, allow_private=allow_private)
            work = _Work(card.id, notes, transport or Transport(), progress, sleep, stall_s)
            came = work.bring(items)
            return _settled(card, notes, items, came=came, came_bytes=work.bytes, terms_sha256=terms.sha256)


def _items(card: Card, notes: Notes, environment: Mapping[str, str], *, allow_private: bool) -> list[_Item]:
    items = []
    for one in card.source.files:
        trust = own_trust(one.url, environment, allow_private=allow_private)
        wanted = Wanted(one.file_name, one.url, trust, one.bytes, one.sha256, unpack=one.unpack)
        items.append(_Item(_key(one), wanted, one.into))
    if card.source.hub is not None:
        hub = card.source.hub
        key = hubs.listing_key(hub, hubs.endpoint_of(environment))
        kept = notes.listing(key)
        files = _listing(kept) or hubs.list_files(hub, card.id, environment)
        if kept is None:
            notes.set_listing(key, msgspec.json.encode(files))
        trust = hubs.hub_trust(environment, allow_private=allow_private)
        for file in hubs.wanted_files(hub, files, card.id):
            wanted = Wanted(file.path, file.url, trust, file.bytes, file.sha256, file.git_sha1)
            items.append(_Item(identity("hub file", hub.repo, hub.revision, file.path)[:32], wanted, ""))
    return list({item.key: item for item in items}.values())


def _listing(kept: bytes | None) -> list[hubs.HubFile] | None:
    if kept is None:
        return None
    try:
        return msgspec.json.decode(kept, type=list[hubs.HubFile])
    except msgspec.MsgspecError:
        return None


def _key(one: Download) -> str:
    said = msgspec.to_builtins(one) | {"name": one.file_name}
    return identity("fetched file", *(f"{key}={said[key]}" for key in sorted(said)))[:32]


class _StoppedError(Exception):
    """Another file failed, or somebody interrupted."""


@dataclass(slots=True)
class _Work:
    """One fetch."""

    source: str
    notes: Notes
    transport: Transport
    progress: Progress
    sleep: Callable[[float], object] | None
    stall_s: float
    done: int = 0
    bytes: int = 0  # of the files that came
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def bring(self, items: list[_Item]) -> int:
        """Bring every file that is not here yet; how many that were."""
        disputed = _disputed(self.notes.entries().values())
        missing = [item for item in items if not self._is_whole(item, disputed)]
        if not missing:
            return 0
        self._check_space(missing)
        known = [item.wanted.bytes for item in missing]
        total = sum(size for size in known if size is not None) if None not in known else None
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            running = [pool.submit(self._one, item, total) for item in missing]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:  # after an error or an interrupt the others stop where they are, to go on the next time
                if not all(future.done() for future in running):
                    self.stopped.set()
                    pool.shutdown(wait=False, cancel_futures=True)
        problems = [future.exception() for future in running if not future.cancelled()]
        for problem in problems:
            if problem is not None and not isinstance(problem, _StoppedError):
                raise problem
        return len(missing)

    def _is_whole(self, item: _Item, disputed: Set[str]) -> bool:
        entry = self.notes.entry(item.key)
        return entry is not None and all(
            piece.path not in disputed and self.notes.is_there(piece) for piece in entry.pieces
        )

    def _one(self, item: _Item, total: int | None) -> None:
        wanted, before = item.wanted, self.notes.entry(item.key)
        part = self.notes.incoming / f"{item.key}.part"

        def told(added: int) -> None:
            if self.stopped.is_set():
                raise _StoppedError
            with self.lock:
                self.done += added
                self.progress(self.done, total)

        where = f"source {self.source}, file {wanted.name}"
        try:
            got = download(self.transport, wanted, part, progress=told, sleep=self._wait, stall_s=self.stall_s)
            if before is not None and before.sha256 != got.sha256:
                self._discard(part)
                raise RefusedError(
                    f"a file with another digest than when it was fetched first ({got.sha256}, {before.sha256} then): "
                    f"the server changed it; if that is well, remove {self.notes.folder.name} and the data folder"
                )
            unpacked = self._unpacked(item, part, got.sha256)
        except RefusedError as problem:
            raise DataError(f"{where}: the server gave {problem}") from None
        except TransientError as problem:
            raise CurateError(
                f"{where}: the server gave {problem}, several times; what came stays: run the same command again"
            ) from None
        self._discard(part)
        entry = Entry(
            wanted.name,
            wanted.url,
            got.bytes,
            got.sha256,
            wanted.is_proved,
            wanted.unpack,
            unpacked.pieces,
            unpacked.left_out,
        )
        self.notes.set_entry(item.key, entry)
        with self.lock:
            self.bytes += got.bytes

    def _wait(self, seconds: float) -> None:
        if self.sleep is not None:
            self.sleep(seconds)
        elif self.stopped.wait(seconds):
            raise _StoppedError

    def _unpacked(self, item: _Item, part: Path, sha256: str) -> Unpacked:
        wanted = item.wanted
        if wanted.unpack == "none":
            return place(part, below(item.into, wanted.name), sha256, self.notes.staged)
        try:
            return unpack(part, wanted.unpack, wanted.name, item.into, self.notes.staged)
        except RefusedError:
            self._discard(part)
            raise

    @staticmethod
    def _discard(part: Path) -> None:
        part.unlink(missing_ok=True)
        part.with_name(part.name + ".json").unlink(missing_ok=True)

    def _check_space(self, missing: list[_Item]) -> None:
        needed = sum(item.wanted.bytes or 0 for item in missing)
        free = shutil.disk_usage(self.notes.folder).free
        if needed > free:
            raise StoreError(
                f"source {self.source}: {needed:,} bytes are to come and {free:,} are free below "
                f"{self.notes.folder.parent}; make room, or name another --data"
            )


def _settled(card: Card, notes: Notes, items: list[_Item], *, came: int, came_bytes: int, terms_sha256: str) -> Fetched:
    """Move what is staged into the data folder, and say that it is whole."""
    wanted = {item.key for item in items}
    every = notes.entries()
    now = {key: entry for key, entry in every.items() if key in wanted}
    pieces = _pieces(card.id, now)
    old = {piece.path: piece for key, entry in every.items() if key not in wanted for piece in entry.pieces}
    receipt = _receipt(card, now, pieces, terms_sha256)
    if came or old or not notes.receipt_path.is_file() or any(notes.staged.iterdir()):
        notes.changes()
        gone = [piece for path, piece in old.items() if path not in pieces]
        _move(notes, pieces)
        for piece in gone:
            if notes.is_there(piece):
                (notes.data / piece.path).unlink(missing_ok=True)
        for key in every.keys() - wanted:
            notes.drop_entry(key)
        notes.set_receipt(receipt)
    return Fetched(
        source=card.id,
        folder=notes.data,
        receipt=notes.receipt_path,
        terms_sha256=terms_sha256,
        files=len(items),
        downloaded=came,
        bytes_downloaded=came_bytes,
        pieces=len(pieces),
        bytes=receipt.bytes,
        unproved=sum(not entry.is_proved for entry in now.values()),
        left_out=sum(entry.left_out for entry in now.values()),
    )


def _disputed(entries: Iterable[Entry]) -> Set[str]:
    """Paths that several files brought with different bytes: whose lie there, size and time stamp need not tell."""
    first: dict[str, str] = {}
    pieces = [piece for entry in entries for piece in entry.pieces]
    return {piece.path for piece in pieces if first.setdefault(piece.path, piece.sha256) != piece.sha256}


def _pieces(source: str, entries: Mapping[str, Entry]) -> dict[str, Piece]:
    """Every file below the data folder, by its path."""
    found: dict[str, tuple[str, Piece]] = {}
    for entry in entries.values():
        for piece in entry.pieces:
            other = found.get(piece.path)
            if other is not None and other[1].sha256 != piece.sha256:
                raise DataError(
                    f"source {source}: the files {other[0]} and {entry.name} both bring {piece.path}; give one of them "
                    "another `into` on the card"
                )
            found[piece.path] = (entry.name, piece)
    return {path: piece for path, (_, piece) in sorted(found.items())}


def _receipt(card: Card, entries: Mapping[str, Entry], pieces: Mapping[str, Piece], terms_sha256: str) -> Receipt:
    digest = hashlib.sha256()
    for path, piece in pieces.items():
        digest.update(f"{path}\0{piece.bytes}\0{piece.sha256}\n".encode())
    files: list[dict[str, Any]] = [
        {"name": one.name, "url": one.url, "bytes": one.bytes, "sha256": one.sha256, "proved": one.is_proved}
        for one in sorted(entries.values(), key=lambda one: (one.name, one.url))
    ]
    return Receipt(
        source=card.id,
        home=card.source.home,
        version=card.source.version,
        terms_sha256=terms_sha256,
        files=tuple(files),
        pieces=len(pieces),
        bytes=sum(piece.bytes for piece in pieces.values()),
        pieces_sha256=digest.hexdigest(),
    )


def _move(notes: Notes, pieces: Mapping[str, Piece]) -> None:
    """Staged files to the data folder: by one rename where there is none, else file by file."""
    for folder, _, names in os.walk(notes.staged):
        for name in names:
            stray = Path(folder) / name
            if stray.relative_to(notes.staged).as_posix() not in pieces:  # of a fetch that was ended, or another card
                stray.unlink()
    if not notes.data.exists() or not any(notes.data.iterdir()):
        _sync_tree(notes.staged)
        if notes.data.is_dir():
            notes.data.rmdir()
        notes.staged.rename(notes.data)
        sync_folder(notes.data.parent)
        return
    for path in pieces:
        staged = notes.staged / path
        if staged.is_file():
            (notes.data / path).parent.mkdir(parents=True, exist_ok=True)
            staged.replace(notes.data / path)
    _sync_tree(notes.data)
    shutil.rmtree(notes.staged)


def _sync_tree(folder: Path) -> None:
    for place_, _, _ in os.walk(folder):
        sync_folder(Path(place_))
