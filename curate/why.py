"""why: from a pair back to source bytes, or from a file forward to what became of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.catalog import connect
from curate.corpus import described
from curate.errors import UsageError
from curate.schema import ASSETS
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar, Sidecars

if TYPE_CHECKING:
    import duckdb

__all__ = ["Explanation", "why"]

_PREFIX: Final = re.compile(r"[0-9a-f]{6,64}")

SHOWN: Final = 20
"""How many rows of one kind an explanation lists; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a key is, and its story as titled blocks of plain values."""

    kind: str  # pair | asset | annotation | file
    key: str
    blocks: tuple[tuple[str, dict[str, Any]], ...]


def why(out: Path, key: str) -> Explanation:
    """The story of a pair, an asset or an annotation (by the first six or more digits of its id), or of a file.

    Raises:
        UsageError: nothing in the corpus goes by this key, or several things do.
    """
    connection = connect(out)
    if _PREFIX.fullmatch(key):
        for kind, table, column in (
            ("pair", "pairs", "pair_id"),
            ("asset", "assets", "asset_id"),
            ("annotation", "annotations", "annotation_id"),
        ):
            found = _rows(connection, f"SELECT {column} FROM {table} WHERE starts_with({column}, ?) LIMIT 3", [key])
            if len(found) > 1:
                raise UsageError(f"{key} begins several ids of {table}; give more digits")
            if found:
                return _explain(out, connection, kind, found[0][column])
    return _explain_file(out, connection, key)


def _explain(out: Path, connection: "duckdb.DuckDBPyConnection", kind: str, key: str) -> Explanation:
    if kind == "pair":
        return _explain_pair(out, connection, key)
    if kind == "asset":
        blocks = [*_asset_blocks(out, connection, key), *_said_about(connection, key), *_pairs_of(connection, key)]
        return Explanation("asset", key, tuple(blocks))
    row = _one(connection, "SELECT * FROM annotations WHERE annotation_id = ?", [key])
    return Explanation(
        "annotation", key, (("annotation", _plain(row)), *_asset_blocks(out, connection, row["asset_id"]))
    )


def _explain_pair(out: Path, connection: "duckdb.DuckDBPyConnection", key: str) -> Explanation:
    pair = _one(connection, "SELECT * FROM pairs WHERE pair_id = ?", [key])
    blocks: list[tuple[str, dict[str, Any]]] = [
        (
            "pair",
            {
                name: pair[name]
                for name in (
                    "pair_id",
                    "source",
                    "task",
                    "variant",
                    "wording",
                    "origin",
                    "language",
                    "split",
                    "source_split",
                    "licence",
                )
            },
        ),
        ("text", {message["role"]: message["content"] for message in pair["messages"]}),
        ("checks", dict(pair["checks"])),
    ]
    annotations = _rows(
        connection,
        "SELECT * FROM annotations WHERE list_contains(?, annotation_id) ORDER BY file, locator",
        [pair["annotation_ids"]],
    )
    for number, row in enumerate(annotations[:SHOWN], start=1):
        blocks.append((f"annotation {number} of {len(annotations)}", _plain(row)))
    for asset_id in pair["asset_ids"]:
        blocks += _asset_blocks(out, connection, asset_id)
    return Explanation("pair", key, tuple(blocks))


def _asset_blocks(
    out: Path, connection: "duckdb.DuckDBPyConnection", asset_id: str
) -> list[tuple[str, dict[str, Any]]]:
    asset = _one(connection, "SELECT * FROM assets WHERE asset_id = ?", [asset_id])
    place = _one(connection, "SELECT * FROM groups WHERE asset_id = ?", [asset_id])
    card = described(out).cards[asset["source"]]
    blocks = [
        ("asset", _plain(asset)),
        ("group", _plain(place)),
        (
            "source",
            {
                "card": card.id,
                "title": card.title,
                "home": card.source.home,
                "version": card.source.version,
                "licence": card.terms.licence,
                "quote": card.terms.quote,
                "quoted from": card.terms.read_at,
            },
        ),
    ]
    read = _read_part_of(out, asset["source"], asset_id)
    if read is not None:
        bucket = read.bucket
        chain = [
            Part("scan", read.source),
            read.part,
            Part("draft", read.source, bucket),
            Part("verify", read.source, bucket),
        ]
        sidecars = Sidecars(out)
        for part in chain:
            sidecar = sidecars.get(part)
            if sidecar is not None:
                files = {
                    f"file {file.name}": f"sha256 {file.sha256}"
                    for file in sidecar.files
                    if file.bucket in (None, bucket)
                }
                inputs = {f"input {name}": value for name, value in sidecar.inputs.items()}
                blocks.append((f"part {part}", {"part_id": part.part_id, **inputs, **files}))
    return blocks


def _read_part_of(out: Path, source: str, asset_id: str) -> Sidecar | None:
    for sidecar in Sidecars(out).listed("read"):
        if sidecar.source == source:
            ids = read_table(out, sidecar.of("assets"), ASSETS, ["asset_id"]).column("asset_id").to_pylist()
            if asset_id in ids:
                return sidecar
    return None


def _said_about(connection: "duckdb.DuckDBPyConnection", asset_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = _rows(
        connection,
        "SELECT kind, label_set, concept, state, count(*) AS n FROM annotations WHERE asset_id = ? "
        "GROUP BY ALL ORDER BY ALL",
        [asset_id],
    )
    said = {f"{row['kind']} {row['concept'] or ''} {row['state'] or ''} ({row['label_set']})": row["n"] for row in rows}
    return [("annotations", said)] if said else []


def _pairs_of(connection: "duckdb.DuckDBPyConnection", asset_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = _rows(
        connection,
        "SELECT pair_id, task FROM pairs WHERE list_contains(asset_ids, ?) ORDER BY task, pair_id",
        [asset_id],
    )
    return [("pairs", {row["pair_id"]: row["task"] for row in rows[:SHOWN]} | {"in all": len(rows)})]


def _explain_file(out: Path, connection: "duckdb.DuckDBPyConnection", key: str) -> Explanation:
    """Everything that goes by a path, by the end of one, or by a file name without its ending."""
    key = key.replace("\\", "/").removeprefix("./")
    stem = "regexp_replace(regexp_extract(name, '[^/!]*$'), '\\.[^.]*$', '')"
    matches = f"(name = ? OR ends_with(name, '/' || ?) OR {stem} = ?)"
    wanted = [key, key, key]
    assets = _rows(connection, f"SELECT asset_id, item_key AS name FROM assets WHERE {matches} ORDER BY name", wanted)
    # A refused row is shown for its own file, and for the image that it speaks of.
    rejects = _rows(
        connection,
        "SELECT * EXCLUDE (name) FROM (SELECT *, item_key AS name FROM rejects UNION ALL "
        "SELECT *, file AS name FROM rejects WHERE file IS NOT NULL AND file <> item_key) "
        f"WHERE {matches} ORDER BY stage, unit, item_key, locator",
        wanted,
    )
    label_files = _rows(
        connection,
        "SELECT name, kind, count(*) AS n, any_value(file_sha256) AS sha256 "
        f"FROM (SELECT *, file AS name FROM annotations) WHERE {matches} GROUP BY name, kind ORDER BY ALL",
        wanted,
    )
    blocks: list[tuple[str, dict[str, Any]]] = []
    for row in assets[:SHOWN]:
        blocks += [
            *_asset_blocks(out, connection, row["asset_id"]),
            *_said_about(connection, row["asset_id"]),
            *_pairs_of(connection, row["asset_id"]),
        ]
    for row in rejects[:SHOWN]:
        blocks.append((str(row["verdict"]), _plain(row)))
    if len(rejects) > SHOWN:
        blocks.append(("more", {"rows in rejects, in all": len(rejects)}))
    if label_files:
        blocks.append(
            (
                "label file",
                {
                    f"{row['name']}: {row['kind']}": f"{row['n']} annotations, sha256 {row['sha256']}"
                    for row in label_files
                },
            )
        )
    if not blocks:
        raise UsageError(
            f"nothing in {out} goes by {key!r}: no pair, asset or annotation id begins so, and no image, label file or "
            "reject is called so; on a card that hides paths, ask by id"
        )
    return Explanation("file", key, tuple(blocks))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Without nulls and empty lists; long geometry is told by its size."""
    shown = {name: value for name, value in row.items() if value not in (None, [], {}, "")}
    if "mask" in shown:
        shown["mask"] = f"{shown['mask']['width']} x {shown['mask']['height']}, {len(shown['mask']['counts'])} runs"
    if "polygons" in shown:
        shown["polygons"] = f"{len(shown['polygons'])} rings"
    return shown


def _rows(connection: "duckdb.DuckDBPyConnection", sql: str, values: list[Any]) -> list[dict[str, Any]]:
    answer = connection.execute(sql, values)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _one(connection: "duckdb.DuckDBPyConnection", sql: str, values: list[Any]) -> dict[str, Any]:
    return _rows(connection, sql, values)[0]
