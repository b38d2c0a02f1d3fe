"""Takedown lists: what was taken back, and the tombstones by which it stays out of every later release.

An entry names a pair, an image (asset), an annotation, a model's answer, a subject, study or series token, or an item
key. With an image go its renderings, slices, tiles and frames, and every copy of it that grouping found, in whatever
source; with a subject all of its images. A release keeps no such name, only its digest: `identity("takedown", id)`.
"""

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate.card import Struct, convert_strictly, read_yaml
from curate.errors import StoreError, UsageError
from curate.schema import identity

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "TOMBSTONES",
    "Entry",
    "Tombstone",
    "Withdrawn",
    "decode_tombstones",
    "encode_tombstones",
    "load_takedown",
    "merged",
    "withdrawn",
]

TOMBSTONES: Final = "TAKEDOWN.json"
"""Where a release keeps them."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

_NAMED: Final = (
    ("pairs", "pair_id"),
    ("pairs", "response_id"),
    ("annotations", "annotation_id"),
    ("assets", "asset_id"),
    ("assets", "subject"),
    ("assets", "study"),
    ("assets", "series"),
    ("assets", "item_key"),
)
"""What an entry may name: view and column."""


class Entry(Struct, frozen=True):
    """One line of a takedown list. Reason and date are published as they stand."""

    id: str
    reason: str | None = None
    date: str | None = None


class Tombstone(Struct, frozen=True):
    """One entry as a release keeps it. `digest` is that of the id."""

    digest: str
    reason: str | None = None
    date: str | None = None


class _File(Struct, frozen=True):
    """`TAKEDOWN.json`."""

    tombstones: tuple[Tombstone, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What tombstones mean in one corpus: `ids` as `selection.select` takes them, and how many named nothing here."""

    ids: tuple[str, ...] = ()
    strange: int = 0


def load_takedown(path: Path) -> tuple[Entry, ...]:
    """The entries of a file.

    YAML (`.yaml`, `.yml`): a list of ids, or of mappings with id, reason and date. Any other file: an id a line, then
    reason and date behind tabs; empty lines and those that begin with # say nothing.

    Raises:
        UsageError: it cannot be read, or says something else.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        return _from_yaml(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"the takedown list {path} cannot be read ({type(problem).__name__})") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if not cells[0] or len(cells) > 3:
            raise UsageError(f"{path}, line {number}: a line is an id, and behind tabs a reason and a date")
        reason, date = (*(cell or None for cell in cells[1:]), None, None)[:2]
        found.append(Entry(id=cells[0], reason=reason, date=date))
    return tuple(found)


def _from_yaml(path: Path) -> tuple[Entry, ...]:
    raw = read_yaml(path, UsageError)
    if not isinstance(raw, list):
        raise UsageError(f"{path}: a takedown list is a list of ids, or of mappings with id, reason and date")
    return tuple(_entry(one, f"{path}, entry {number}") for number, one in enumerate(raw, 1))


def _entry(raw: Any, where: str) -> Entry:
    if isinstance(raw, str) and raw.strip():
        return Entry(id=raw.strip())
    if not isinstance(raw, dict):
        raise UsageError(f"{where}: it is an id, or a mapping with id, reason and date; put an id of digits in quotes")
    plain = {key: value.isoformat() if isinstance(value, datetime.date) else value for key, value in raw.items()}
    entry = convert_strictly(plain, Entry, where, UsageError)
    if not entry.id.strip():
        raise UsageError(f"{where}: its id is empty")
    return entry


def tombstone(entry: Entry) -> Tombstone:
    """An entry without its id."""
    return Tombstone(digest=identity("takedown", entry.id), reason=entry.reason, date=entry.date)


def merged(kept: Iterable[Tombstone], entries: Iterable[Entry]) -> tuple[Tombstone, ...]:
    """The tombstones of the release before and those of a list, by digest; the first that was kept stands."""
    found: dict[str, Tombstone] = {}
    for one in (*kept, *(tombstone(entry) for entry in entries)):
        found.setdefault(one.digest, one)
    return tuple(found[digest] for digest in sorted(found))


def withdrawn(connection: "duckdb.DuckDBPyConnection", tombstones: Sequence[Tombstone]) -> Withdrawn:
    """What tombstones take back in the corpus whose views stand on a connection."""
    if not tombstones:
        return Withdrawn()
    connection.execute("CREATE OR REPLACE TEMP TABLE _buried (digest VARCHAR PRIMARY KEY)")
    connection.execute("INSERT INTO _buried SELECT unnest(?)", [sorted({one.digest for one in tombstones})])
    prefix = f"{len('takedown')}:takedown"
    names = " UNION ".join(
        f'SELECT "{column}" AS id FROM "{view}" WHERE "{column}" IS NOT NULL' for view, column in _NAMED
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE _taken AS
        SELECT id, digest FROM (
            SELECT id, sha256('{prefix}' || strlen(id) || ':' || id) AS digest FROM ({names})
        ) SEMI JOIN _buried USING (digest)
        """
    )
    ids = {row[0] for row in connection.execute("SELECT id FROM _taken").fetchall()}
    (known,) = connection.execute("SELECT count(DISTINCT digest) FROM _taken").fetchone() or (0,)
    return Withdrawn((*sorted(ids | _with_them(connection)),), len({one.digest for one in tombstones}) - known)


def _with_them(connection: "duckdb.DuckDBPyConnection") -> set[str]:
    """Every asset that goes with those that were named: of a subject, cut from one, drawn after one, a copy of one."""
    named = " OR ".join(f"{column} IN (SELECT id FROM _taken)" for view, column in _NAMED if view == "assets")
    connection.execute(
        """
        CREATE OR REPLACE TEMP VIEW _kin AS
        SELECT asset_id, derived_from, rendering_of, coalesce(duplicate_of, asset_id) AS alike
        FROM assets JOIN (SELECT asset_id, duplicate_of FROM groups) USING (asset_id)
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE _gone AS
        SELECT asset_id, alike FROM _kin SEMI JOIN (SELECT asset_id FROM assets WHERE {named}) USING (asset_id)
        """
    )
    while _grown(connection):
        pass
    return {row[0] for row in connection.execute("SELECT asset_id FROM _gone").fetchall()}


def _grown(connection: "duckdb.DuckDBPyConnection") -> int:
    """Add what goes with those that are known to go; how many there were."""
    (added,) = connection.execute(
        """
        INSERT INTO _gone SELECT DISTINCT asset_id, alike FROM (
            FROM _kin SEMI JOIN _gone USING (alike)
            UNION ALL FROM _kin WHERE derived_from IN (SELECT asset_id FROM _gone)
            UNION ALL FROM _kin WHERE rendering_of IN (SELECT asset_id FROM _gone)
        ) ANTI JOIN _gone USING (asset_id)
        """
    ).fetchone() or (0,)
    return int(added)


def encode_tombstones(tombstones: Sequence[Tombstone]) -> bytes:
    """The bytes of `TAKEDOWN.json`."""
    return msgspec.json.format(msgspec.json.encode(_File(tombstones=tuple(tombstones))), indent=1) + b"\n"


def decode_tombstones(data: bytes, where: str) -> tuple[Tombstone, ...]:
    """The tombstones of a release.

    Raises:
        StoreError: the file is damaged; publishing without it would bring back what was taken out.
    """
    try:
        found = msgspec.json.decode(data, type=_File).tombstones
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        found, told = (), type(problem).__name__
    else:
        told = "" if all(_DIGEST.fullmatch(one.digest) for one in found) else "a digest is none"
    if told:
        raise StoreError(
            f"{where}: {TOMBSTONES} is damaged ({told}), so that what was taken out cannot be kept out; put it back as "
            "it was"
        )
    return found
