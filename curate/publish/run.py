"""publish: what may go of a built corpus, put together beside it and brought to a target, whole or not at all.

select -> stage (media, formats, index of rows) -> describe -> manifest -> target. Every step is kept, so that the same
command goes on where it stopped and does nothing where nothing changed.
"""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.catalog import connect
from curate.corpus import CORPUS_FILE, described
from curate.errors import DataError, StoreError, UsageError
from curate.publish.base import Format
from curate.publish.changes import CHANGELOG, changelog, difference, index_of, stage_index
from curate.publish.description import describe
from curate.publish.index import Difference
from curate.publish.manifest import FormatNote, Manifest, content_of
from curate.publish.rows import open_release
from curate.publish.selection import Selection, select
from curate.publish.staging import Desk, desk_of, format_settings, opened, stage_format, stage_media, sweep
from curate.publish.takedown import (
    TOMBSTONES,
    Entry,
    Tombstone,
    Withdrawn,
    decode_tombstones,
    encode_tombstones,
    merged,
    withdrawn,
)
from curate.publish.targets import Held, Parcel, Sent, Target
from curate.publish.targets.base import refuse_taken, target_errors
from curate.publish.writing import Staging
from curate.schema import identity
from curate.standing import misfits, shortfalls
from curate.store.part import Sidecars
from curate.store.place import Place, read_bytes

__all__ = ["Published", "publish"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")

_NOTHING: Final = Sent()


@dataclass(frozen=True, slots=True)
class Published:
    """What a publishing did, or with `dry_run` would do.

    `difference` is null where nothing was published there before, or nothing comparable. `strange` counts tombstones
    that name nothing in this corpus. Files and bytes are those of the whole release; null in a dry run.
    """

    target: str
    name: str
    number: int
    licence: str
    rows: Mapping[str, int]  # split -> rows
    withheld: Mapping[str, Mapping[str, int]]  # source -> why -> rows
    tombstones: int
    strange: int
    difference: Difference | None
    formats: tuple[FormatNote, ...] = ()
    files: int | None = None
    bytes: int | None = None
    sent: Sent = _NOTHING
    dry_run: bool = False

    @property
    def is_unchanged(self) -> bool:
        """True where the target held this very release already."""
        return not self.dry_run and not self.sent.files and not self.sent.removed


def publish(
    out: Place,
    target: Target,
    formats: Sequence[Format],
    *,
    name: str | None = None,
    sources: Collection[str] | None = None,
    where: str | None = None,
    digests: bool = False,
    takedown: Sequence[Entry] = (),
    replace: bool = False,
    dry_run: bool = False,
    desk: Path | None = None,
) -> Published:
    """Publish what may go of a built corpus.

    `name`: of the release; null is the recipe's. `sources`: take these alone. `where`: only rows of this condition or
    query (`selection.select`). `digests`: the recipe and digests of rows alone, in no format. `takedown`: what is
    taken back from now on. `replace`: over whatever lies at the target. `desk`: where the release is put together; null
    is OUT.release.

    Raises:
        GateError: no row may go, or the terms of two sources cannot both be met.
        UsageError: something was asked for that cannot be; another release lies at the target.
        DataError: the build fell short of what a card expects.
        StoreError: the corpus is not built to its end or is damaged, or the target failed; the same command goes on.
    """
    if not formats and not digests:
        raise UsageError("name at least one format in which the rows are to be written")
    if formats and digests:
        raise UsageError("a release of digests holds no rows and so no format of them; leave --format out")
    about = described(out)
    release_name = str(about.recipe["name"]) if name is None else name
    if not _NAME.fullmatch(release_name):
        raise UsageError(f"{release_name!r} cannot be the name of a release; use letters, digits, '.', '_' and '-'")
    _check_whole(out)
    _check_expected(out, sources)
    folder = desk_of(out) if desk is None else desk
    _check_apart(out, folder, target)
    corpus = identity("corpus", about.recipe["name"], about.key_fingerprint)[:32]
    held = target.look()
    refuse_taken(str(target), held, release_name, corpus, replace=replace)
    before = _before(held, release_name, corpus)
    tombstones = merged(_tombstones(target, before), takedown)
    gone = _gone(out, tombstones)
    chosen = select(out, sources=sources, withdrawn=gone.ids, where=where, digests=digests)
    with opened(folder) as work, target_errors(str(folder)):
        return _publish(
            _Task(out, target, held, before, release_name, corpus, tombstones, gone, chosen), formats, work, dry_run
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be published where."""

    out: Place
    target: Target
    held: Held
    before: Manifest | None  # the last whole release of the same name and corpus there
    name: str
    corpus: str
    tombstones: tuple[Tombstone, ...]
    gone: Withdrawn
    chosen: Selection


def _publish(task: _Task, formats: Sequence[Format], work: Desk, dry_run: bool) -> Published:
    index_of(task.chosen.connection)
    changes = _changes(task, work)
    number = 1 if task.before is None else task.before.number + 1
    told = Published(
        target=str(task.target),
        name=task.name,
        number=number,
        licence=task.chosen.licence,
        rows=task.chosen.rows_in,
        withheld=task.chosen.withheld,
        tombstones=len(task.tombstones),
        strange=task.gone.strange,
        difference=changes,
        dry_run=dry_run,
    )
    if dry_run:
        return told
    manifest, staging = _stage(task, formats, work, changes)
    parcel = Parcel(manifest, manifest.files, staging.local)
    sent = task.target.deliver(parcel, task.held)
    return _with(told, manifest, sent)


def _with(told: Published, manifest: Manifest, sent: Sent) -> Published:
    return dataclasses.replace(
        told,
        number=manifest.number,
        formats=manifest.formats,
        files=len(manifest.files),
        bytes=manifest.bytes,
        sent=sent,
    )


def _stage(task: _Task, formats: Sequence[Format], work: Desk, changes: Difference | None) -> tuple[Manifest, Staging]:
    """Put the release together on the desk."""
    release = open_release(task.chosen, task.name)
    staging = Staging(work.files)
    index = stage_index(task.chosen.connection, staging)
    state = identity(index, *_state(task.out), *(stone.digest for stone in task.tombstones))
    if any(form.names_files for form in formats):
        stage_media(work, staging, release)
    written, notes = [], []
    for form in sorted(formats, key=lambda one: one.name):
        settings = format_settings(form)
        one = stage_format(work, staging, release, form, identity(state, task.name, settings))
        written.append(one)
        notes.append(FormatNote(format=one.format, settings=settings, rows=one.rows, left_out=one.left_out))
    describe(task.out, release, staging, written)
    if task.tombstones:
        _write(staging, TOMBSTONES, encode_tombstones(task.tombstones))
    manifest = _manifest(task, tuple(notes), index, staging, changes)
    sweep(work, (file.path for file in manifest.files))
    return manifest, staging


def _manifest(
    task: _Task, notes: tuple[FormatNote, ...], index: str, staging: Staging, changes: Difference | None
) -> Manifest:
    """The manifest, and the changelog that it names. A release of the same content keeps its number."""
    content = content_of(staging.files)
    before = task.before
    same = before is not None and before.content == content
    number = 1 if before is None else before.number if same else before.number + 1
    log = None if before is None else task.target.read(CHANGELOG)
    text = "" if log is None else log.decode("utf-8", "replace")
    if not (same and text):
        rows = sum(task.chosen.rows_in.values())
        text = changelog(text, number, content, rows, None if same else changes)
    _write(staging, CHANGELOG, text.encode())
    return Manifest(
        name=task.name,
        corpus=task.corpus,
        number=number,
        content=content,
        licence=task.chosen.licence,
        rows=task.chosen.rows_in,
        withheld=task.chosen.withheld,
        formats=notes,
        index=index,
        files=tuple(sorted(staging.files, key=lambda file: ("/" not in file.path, file.path))),
    )


def _write(staging: Staging, path: str, data: bytes) -> None:
    with staging.create(path) as file:
        file.write(data)


def _changes(task: _Task, work: Desk) -> Difference | None:
    """What became of the rows since the release before."""
    if task.before is None:
        return None
    data = task.target.read(task.before.index)
    if data is None:
        return None
    with _kept_for_a_while(work.folder / "before.parquet", data) as path:
        return difference(task.chosen.connection, path)


@contextmanager
def _kept_for_a_while(path: Path, data: bytes) -> Iterator[Path]:
    path.write_bytes(data)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _before(held: Held, name: str, corpus: str) -> Manifest | None:
    """The last whole release at the target, where it is one of the same."""
    found = held.previous
    return found if found is not None and (found.name, found.corpus) == (name, corpus) else None


def _tombstones(target: Target, before: Manifest | None) -> tuple[Tombstone, ...]:
    """Those of the release before.

    Raises:
        StoreError: it has some, and they cannot be read.
    """
    if before is None or all(file.path != TOMBSTONES for file in before.files):
        return ()
    data = target.read(TOMBSTONES)
    return decode_tombstones(b"" if data is None else data, str(target))


def _gone(out: Place, tombstones: Sequence[Tombstone]) -> Withdrawn:
    if not tombstones:
        return Withdrawn()
    with connect(out) as connection:
        return withdrawn(connection, tombstones)


def _state(out: Place) -> Iterator[str]:
    """What the rows of a corpus come from: its description and every committed file."""
    yield identity(read_bytes(out / CORPUS_FILE).hex())
    for sidecar in Sidecars(out).each():
        yield identity(str(sidecar.part), *(file.sha256 for file in sidecar.files))


def _check_whole(out: Place) -> None:
    """Refuse a corpus whose parts do not fit each other.

    Raises:
        StoreError: a part is absent, or was made from other ones than stand beside it.
    """
    for misfit in misfits(out):
        raise StoreError(
            f"{out} is not built to its end: {misfit.subject}: {misfit.message}; `curate status {out}` tells how far "
            "it is, `curate build` finishes it"
        )


def _check_expected(out: Place, sources: Collection[str] | None) -> None:
    """Refuse sources of which the build fell short of what their cards expect.

    Raises:
        DataError: one did.
    """
    for found in shortfalls(out):
        if sources is None or found.source in sources:
            raise DataError(
                f"the build of {out} failed: {found.source}: {found.message}; mend the card or the data and build "
                "again, or publish other sources (--source)"
            )


def _check_apart(out: Place, desk: Path, target: Target) -> None:
    """Refuse a target within the corpus or the desk, and one that holds them.

    Raises:
        UsageError: it is such a place.
    """
    place = str(target) if "://" in str(target) else str(Path(str(target)).resolve())
    others = [str(out) if not isinstance(out, Path) else str(out.resolve()), str(desk.resolve())]
    for other in others:
        if place == other or place.startswith(f"{other}/") or other.startswith(f"{place}/"):
            raise UsageError(f"{target} and {other} lie within each other; publish to a place of its own")
