"""What a release is put together from, step by step, in a folder beside the corpus: OUT.release.

    files/      the release as it will lie at its target
    steps/      what each step made and of what, so that a step whose inputs are the same is not done again
    lock        held by whoever works here

All of it may be deleted at any time; then the next publishing makes it anew.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from curate._version import __version__
from curate.card import Struct
from curate.errors import StoreError, UsageError
from curate.publish.base import File, Format, Medium, Release, Written
from curate.publish.writing import Staging
from curate.schema import identity
from curate.store.durable import held_alone
from curate.store.freshness import cache_folder
from curate.store.part import TEMPORARY_PREFIX
from curate.store.place import Place, digest_of, open_binary, walk

__all__ = ["Desk", "desk_of", "format_settings", "opened", "stage_format", "stage_media", "sweep"]

WRITTEN_AT_ONCE: Final = 8
"""Files that are made durable at the same time."""

BATCH: Final = 2**14
"""Media that are written before they are made durable all together."""


class _Step(Struct, frozen=True):
    """What a step made: `of` is the digest of all that it was made from, `seen` the size and mtime_ns of each file."""

    of: str
    files: tuple[File, ...]
    seen: tuple[tuple[int, int], ...]
    written: Written | None = None


class Desk:
    """The folder of one corpus in which releases are put together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.steps = folder / "steps"

    def kept(self, step: str, of: str) -> _Step | None:
        """What a step made before, where that was of the same and lies there as it was left."""
        try:
            found = msgspec.json.decode((self.steps / f"{step}.json").read_bytes(), type=_Step)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if found.of != of:
            return None
        looks = (self.look(file.path) for file in found.files)
        return found if all(seen == look for seen, look in zip(found.seen, looks, strict=True)) else None

    def note(self, step: str, of: str, files: Iterable[File], written: Written | None = None) -> None:
        """Remember what a step made."""
        listed = tuple(files)
        seen = tuple(self.look(file.path) or (-1, -1) for file in listed)
        self.steps.mkdir(parents=True, exist_ok=True)
        home = self.steps / f"{step}.json"
        temporary = home.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{home.name}")
        temporary.write_bytes(msgspec.json.encode(_Step(of=of, files=listed, seen=seen, written=written)))
        temporary.replace(home)

    def look(self, path: str) -> tuple[int, int] | None:
        """How a file of the release looks now: size and time of its last change; null where it is not there."""
        try:
            stat = (self.files / path).stat(follow_symlinks=False)
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns


def desk_of(out: Place) -> Path:
    """Where releases of a corpus are put together; of one in a store, among the user's caches."""
    if isinstance(out, Path):
        place = out.resolve()
        return place.parent / f"{place.name}.release"
    return cache_folder(out) / "release"


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Desk]:
    """The desk, for one publishing at a time.

    Raises:
        UsageError: another one works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    busy = UsageError(
        f"{folder} is in use by another publishing of this corpus; let it end, then run the command again"
    )
    (folder / "lock").touch()
    with held_alone(folder / "lock", busy):
        yield Desk(folder)


def format_settings(form: Format) -> str:
    """The digest of a format's version and options, and of what writes its bytes."""
    options = getattr(form, "options", None)
    told = msgspec.json.encode(options, order="sorted") if isinstance(options, msgspec.Struct) else repr(options)
    return identity(form.name, form.version, told, version("pyarrow"), __version__)


def stage_format(desk: Desk, staging: Staging, release: Release, form: Format, of: str) -> Written:
    """One format's files, made unless they lie there of the same."""
    step = f"format-{form.name}"
    kept = desk.kept(step, of)
    if kept is not None and kept.written is not None:
        for file in kept.files:
            staging.keep(file)
        return kept.written
    before = {file.path for file in staging.files}
    written = form.write(release, staging)
    desk.note(step, of, (file for file in staging.files if file.path not in before), written)
    return written


def stage_media(desk: Desk, staging: Staging, release: Release) -> None:
    """Every picture, video and volume that rows show, as files.

    A file that lies there is kept where it was seen to hold these bytes, or holds them.

    Raises:
        StoreError: the corpus does not hold the bytes of one, or others than it says.
    """
    known = _Known(desk)
    for batch in _batches(release.media()):
        absent = []
        for medium in batch:
            if medium.is_volume:
                _stage_volume(staging, release, medium, known)
            elif (kept := known.file(medium.path, medium.sha256)) is not None:
                staging.keep(kept)
            else:
                absent.append(medium)
        _write_all(staging, release, absent)
    media = [file for file in staging.files if file.path.partition("/")[0] in ("images", "videos", "volumes")]
    desk.note("media", "media", media)


class _Known:
    """Media files that lie on the desk already."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        try:
            found = msgspec.json.decode((desk.steps / "media.json").read_bytes(), type=_Step)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            found = _Step(of="", files=(), seen=())
        self._seen = {file.path: (file, seen) for file, seen in zip(found.files, found.seen, strict=True)}

    def file(self, path: str, sha256: str) -> File | None:
        """The file under a path where it holds the bytes of this digest."""
        look = self._desk.look(path)
        if look is None:
            return None
        known, seen = self._seen.get(path, (None, None))
        if known is not None and seen == look:
            return known if known.sha256 == sha256 else None
        digest, size = digest_of(self._desk.files / path)
        return File(path=path, sha256=digest, bytes=size) if digest == sha256 else None

    def any_file(self, path: str) -> File | None:
        """The file under a path whose bytes were noted, and that looks as it did."""
        known, seen = self._seen.get(path, (None, None))
        return known if seen is not None and seen == self._desk.look(path) else None


def _batches(media: Iterable[Medium]) -> Iterator[list[Medium]]:
    batch: list[Medium] = []
    for medium in media:
        batch.append(medium)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _write_all(staging: Staging, release: Release, media: list[Medium]) -> None:
    """Write media in the order in which they are stored, and make them durable all together: far faster than each."""
    pending: list[tuple[Path, Path]] = []
    folders: set[Path] = set()
    for medium, data in release.medium_bytes(media):
        home = staging.local(medium.path)
        if home.parent not in folders:
            home.parent.mkdir(parents=True, exist_ok=True)
            folders.add(home.parent)
        temporary = home.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{home.name}"[:255])
        temporary.write_bytes(data)
        pending.append((temporary, home))
        staging.keep(File(path=medium.path, sha256=medium.sha256, bytes=len(data)))
    with ThreadPoolExecutor(WRITTEN_AT_ONCE) as pool:
        list(pool.map(lambda pair: _land(*pair), pending))


def _land(temporary: Path, home: Path) -> None:
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(home)


def _stage_volume(staging: Staging, release: Release, medium: Medium, known: _Known) -> None:
    """The files of one volume. Together they must have the volume's digest.

    Raises:
        StoreError: they have not.
    """
    listed: list[str] = []
    for path, place in release.volume_files(medium):
        kept = known.any_file(path)
        if kept is None:
            kept = _copied(staging, path, place)
        else:
            staging.keep(kept)
        listed += [path.removeprefix(f"{medium.path}/"), kept.sha256]
    if identity(*listed) != medium.sha256:
        raise StoreError(
            f"the volume {medium.path} of {medium.item_key} is not that of its digest; `curate check` names the part, "
            "`curate build` makes it anew"
        )


def _copied(staging: Staging, path: str, place: Place) -> File:
    with staging.create(path) as written, open_binary(place) as read:
        digest = hashlib.sha256()
        size = 0
        while chunk := read.read(2**20):
            digest.update(chunk)
            size += written.write(chunk)
    return File(path=path, sha256=digest.hexdigest(), bytes=size)


def sweep(desk: Desk, wanted: Iterable[str]) -> None:
    """Remove what lies on the desk and is no part of the release: what was taken back does not stay here either."""
    names = frozenset(wanted)
    for one in walk(desk.files):
        if one.name not in names:
            (desk.files / one.name).unlink()
