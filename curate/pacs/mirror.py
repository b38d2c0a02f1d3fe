"""The mirror of a DICOMweb query: files below a folder beside the output, fetched once, kept, and removed with theirs.

    <mirror>/files/<series token>/<instance token>.dcm    what a build reads; a token is no identifier
    <mirror>/series/<series token>.json                   what was received: bytes, sha256, how the file looked
    <mirror>/incoming/                                    what is on its way; locked while somebody fetches
    <mirror>/mirror.json                                  there while the mirror is whole: of which server and query

A file gets its name when all of it is on disk, and it states the SOP Instance UID that was asked for. An instance that
is there is not fetched again: by the standard a SOP Instance UID stands for the same content for ever (PS3.5, 9). Where
the server gave a strong entity tag, it is asked whether that still holds.
"""

import contextlib
import hashlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from curate.corpus import MIRRORED
from curate.errors import StoreError
from curate.pacs.instance import HEAD_BYTES, sop_instance_uid
from curate.store.commit import replace_file
from curate.store.durable import held_alone, sync_folder
from curate.store.freshness import FileStat, seen
from curate.store.seal import sealed, unsealed

__all__ = ["Mirror", "Received", "Whole", "stated_uid"]

SERIES: Final = "series"
INCOMING: Final = "incoming"


class Received(msgspec.Struct, frozen=True):
    """One file of the mirror as it came."""

    bytes: int
    sha256: str
    stat: FileStat  # when it was last seen to hold these bytes
    etag: str | None = None


class Whole(msgspec.Struct, frozen=True):
    """`mirror.json`."""

    query: str  # digest of server, query and key: a mirror of another one is no mirror of this one
    studies: int
    series: int
    instances: int
    bytes: int


class Mirror:
    """The folder of one source. Series and instances are named by their tokens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / MIRRORED
        self.incoming = folder / INCOMING
        self._whole = folder / "mirror.json"

    def prepare(self) -> None:
        """Make the folders."""
        for place in (self.files, self.folder / SERIES, self.incoming):
            place.mkdir(parents=True, exist_ok=True)

    def locked(self, source: str) -> AbstractContextManager[None]:
        """One build at a time.

        Raises:
            StoreError: another one has it.
        """
        busy = StoreError(f"source {source}: another build fetches into its mirror; wait for it")
        return held_alone(self.incoming, busy)

    def whole(self) -> Whole | None:
        """What the mirror is, where nothing is missing."""
        try:
            return msgspec.convert(unsealed(self._whole.read_bytes()), Whole)
        except (FileNotFoundError, ValueError):
            return None

    def set_whole(self, whole: Whole) -> None:
        """Say that nothing is missing."""
        replace_file(self._whole, sealed(msgspec.to_builtins(whole)))

    def changes(self) -> None:
        """Say that the mirror is neither the old one any more nor the new one yet."""
        self._whole.unlink(missing_ok=True)

    def received(self, series: str) -> dict[str, Received]:
        """What came of a series; nothing where that is not known: its files are then looked at again."""
        try:
            said = unsealed((self.folder / SERIES / f"{series}.json").read_bytes())
            return msgspec.convert(said.get("instances"), dict[str, Received])
        except (FileNotFoundError, ValueError):
            return {}

    def set_received(self, series: str, instances: dict[str, Received]) -> None:
        """Remember what came of a series."""
        plain = {name: msgspec.to_builtins(one) for name, one in sorted(instances.items())}
        replace_file(self.folder / SERIES / f"{series}.json", sealed({"instances": plain}))

    def all_received(self) -> dict[str, int]:
        """The bytes of every file that should be there, by its path below `files`."""
        return {
            f"{path.stem}/{name}.dcm": one.bytes
            for path in sorted((self.folder / SERIES).glob("*.json"))
            for name, one in self.received(path.stem).items()
        }

    def all_there(self) -> dict[str, int]:
        """The bytes of every file that is there, by its path below `files`."""
        found = (path for path in self.files.rglob("*") if path.is_symlink() or not path.is_dir())
        return {path.relative_to(self.files).as_posix(): path.lstat().st_size for path in found}

    def keep_only(self, series: set[str]) -> int:
        """Remove other series, and files that the records of these do not name; how many files that were."""
        for path in (self.folder / SERIES).glob("*.json"):
            if path.stem not in series:
                self.changes()
                path.unlink()
        gone = sorted(self.all_there().keys() - self.all_received().keys())
        for name in gone:
            self.changes()
            (self.files / name).unlink()
        for place in sorted((path for path in self.files.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):  # (one that still holds something stays)
                place.rmdir()
        for path in self.incoming.iterdir():
            path.unlink()
        sync_folder(self.files)
        return len(gone)

    @staticmethod
    def held(path: Path, before: Received | None, uid: str) -> Received | None:
        """The instance at hand, if its file is as it came; one without a record came when a build was killed."""
        try:
            stat = path.stat()
            if before is not None and seen(stat) == before.stat:
                return before
            if before is not None and stat.st_size != before.bytes:
                return None
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if before is None:
                return Received(stat.st_size, digest, seen(stat)) if stated_uid(path) == uid else None
        except FileNotFoundError:
            return None
        return msgspec.structs.replace(before, stat=seen(stat)) if digest == before.sha256 else None


def stated_uid(path: Path) -> str | None:
    """The SOP Instance UID that a file states."""
    with path.open("rb") as file:
        return sop_instance_uid(file.read(HEAD_BYTES))
