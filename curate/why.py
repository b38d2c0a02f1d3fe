"""why: from a pair back to source bytes, or from a file forward to what became of it."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curate.catalog import connect
from curate.corpus import described, project_key
from curate.errors import UsageError
from curate.schema import ASSETS
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar, Sidecars
from curate.store.place import Place
from curate.why_answers import answers_story, rewriting_story
from curate.why_rows import one_of, plain, rows_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["Explanation", "why"]

_PREFIX: Final = re.compile(r"[0-9a-f]{6,64}")

SHOWN: Final = 20
"""How many rows of one kind an explanation lists; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a key is, and its story as titled blocks of plain values."""

    kind: str  # pair | request | answer | asset | annotation | file
    key: str
    blocks: tuple[tuple[str, dict[str, Any]], ...]


def why(out: Place, key: str) -> Explanation:
    """The story of a pair, request, answer, asset or annotation (by six or more digits of its id), or of a file.

    Raises:
        UsageError: nothing in the corpus goes by this key, or several things do.
    """
    connection = connect(out)
    if _PREFIX.fullmatch(key):
        for kind, table, column in (
            ("pair", "pairs", "pair_id"),
            ("request", "responses", "request_id"),
            ("answer", "responses", "response_id"),
            ("asset", "assets", "asset_id"),
            ("annotation", "annotations", "annotation_id"),
        ):
            sql = f"SELECT DISTINCT {column} FROM {table} WHERE starts_with({column}, ?) LIMIT 3"
            found = rows_of(connection, sql, [key])
            if len(found) > 1:
                raise UsageError(f"{key} begins several ids of {table}; give more digits")
            if found:
                return _explain(out, connection, kind, found[0][column])
    return _explain_file(out, connection, key)


def _explain(out: Place, connection: "duckdb.DuckDBPyConnection", kind: str, key: str) -> Explanation:
    if kind == "pair":
        return _explain_pair(out, connection, key)
    if kind == "asset":
        return Explanation("asset", key, tuple(_asset_story(out, connection, key)))
    if kind == "request":
        return Explanation("request", key, tuple(rewriting_story(out, connection, key)))
    if kind == "answer":  # the second one to a request
        answer = one_of(connection, "SELECT request_id FROM responses WHERE response_id = ?", [key])
        return Explanation("answer", key, tuple(rewriting_story(out, connection, answer["request_id"])))
    row = one_of(connection, "SELECT * FROM annotations WHERE annotation_id = ?", [key])
    return Explanation(
        "annotation", key, (("annotation", plain(row)), *_asset_blocks(out, connection, row["asset_id"]))
    )


def _explain_pair(out: Place, connection: "duckdb.DuckDBPyConnection", key: str) -> Explanation:
    pair = one_of(connection, "SELECT * FROM pairs WHERE pair_id = ?", [key])
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
                    "request_id",
                    "response_id",
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
    if pair["request_id"] is not None:
        blocks += answers_story(out, connection, pair["request_id"], key)
    annotations = rows_of(
        connection,
        "SELECT * FROM annotations WHERE list_contains(?, annotation_id) ORDER BY file, locator",
        [pair["annotation_ids"]],
    )
    for number, row in enumerate(annotations[:SHOWN], start=1):
        blocks.append((f"annotation {number} of {len(annotations)}", plain(row)))
    for asset_id in pair["asset_ids"]:
        blocks += _asset_blocks(out, connection, asset_id)
    return Explanation("pair", key, tuple(blocks))


def _asset_story(out: Place, connection: "duckdb.DuckDBPyConnection", key: str) -> list[tuple[str, dict[str, Any]]]:
    """All about one asset: itself, what it was cut from, what was cut from it, what is said and asked about it."""
    return [
        *_asset_blocks(out, connection, key),
        *_cut_from(connection, key),
        *_refused_regions(connection, key),
        *_said_about(connection, key),
        *_pairs_of(connection, key),
    ]


def _cut_from(connection: "duckdb.DuckDBPyConnection", asset_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The assets that were made of this one."""
    rows = rows_of(
        connection,
        "SELECT * FROM assets WHERE derived_from = $1 OR rendering_of = $1 "
        "ORDER BY form, plane, position, region, time_s, frame, asset_id",
        [asset_id],
    )
    made = {row["asset_id"]: _described(row) for row in rows[:SHOWN]}
    return [("made of it", made | {"in all": len(rows)})] if rows else []


def _refused_regions(connection: "duckdb.DuckDBPyConnection", asset_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The parts of an item that yielded no asset; told where the asset is the item as a whole."""
    rows = rows_of(
        connection,
        "SELECT r.verdict || ' ' || r.reason AS what, count(*) AS n, min(r.locator) AS first FROM rejects r "
        "JOIN assets a ON a.item_key = r.item_key AND a.source = r.source "
        "WHERE a.asset_id = ? AND a.derived_from IS NULL AND a.rendering_of IS NULL AND r.unit = 'region' "
        "GROUP BY ALL ORDER BY ALL",
        [asset_id],
    )
    said = {row["what"]: f"{row['n']}, the first at {row['first']}" for row in rows}
    return [("regions without an asset", said)] if said else []


def _lineage(connection: "duckdb.DuckDBPyConnection", asset: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """From an asset to the item that it was cut from or drawn after, step by step."""
    chain: dict[str, str] = {}
    at = asset
    while above := at["rendering_of"] or at["derived_from"]:
        how = "a rendering of" if at["rendering_of"] else "cut from"
        found = rows_of(connection, "SELECT * FROM assets WHERE asset_id = ?", [above])
        if not found or above in chain:
            break
        at = found[0]
        chain[above] = f"{how} {_described(at)}"
    return [("made of", dict(chain))] if chain else []


def _described(asset: dict[str, Any]) -> str:
    """What of its item an asset is, in a few words."""
    words = [str(asset["form"])]
    if asset["frame"] is not None:
        words.append(f"frame {asset['frame']}")
    if asset["plane"] is not None:
        words.append(f"{asset['plane']} {asset['position']}")
    if asset["region"] is not None:
        words.append("at " + ", ".join(str(value) for value in asset["region"]))
    if asset["time_s"] is not None:
        words.append(f"at {asset['time_s']:g} s")
    if asset["duration_s"] is not None:
        words.append(f"of {asset['duration_s']:g} s")
    if asset["window"] is not None:
        words.append(f"through the window {asset['window']['name']}")
    return " ".join(words)


def _asset_blocks(
    out: Place, connection: "duckdb.DuckDBPyConnection", asset_id: str
) -> list[tuple[str, dict[str, Any]]]:
    asset = one_of(connection, "SELECT * FROM assets WHERE asset_id = ?", [asset_id])
    place = one_of(connection, "SELECT * FROM groups WHERE asset_id = ?", [asset_id])
    card = described(out).cards[asset["source"]]
    blocks = [
        ("asset", plain(asset)),
        *_lineage(connection, asset),
        ("group", plain(place)),
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


def _read_part_of(out: Place, source: str, asset_id: str) -> Sidecar | None:
    for sidecar in Sidecars(out).listed("read"):
        if sidecar.source == source:
            ids = read_table(out, sidecar.of("assets"), ASSETS, ["asset_id"]).column("asset_id").to_pylist()
            if asset_id in ids:
                return sidecar
    return None


def _said_about(connection: "duckdb.DuckDBPyConnection", asset_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = rows_of(
        connection,
        "SELECT kind, label_set, concept, state, count(*) AS n FROM annotations WHERE asset_id = ? "
        "GROUP BY ALL ORDER BY ALL",
        [asset_id],
    )
    said = {f"{row['kind']} {row['concept'] or ''} {row['state'] or ''} ({row['label_set']})": row["n"] for row in rows}
    return [("annotations", said)] if said else []


def _pairs_of(connection: "duckdb.DuckDBPyConnection", asset_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = rows_of(
        connection,
        "SELECT pair_id, task FROM pairs WHERE list_contains(asset_ids, ?) ORDER BY task, pair_id",
        [asset_id],
    )
    return [("pairs", {row["pair_id"]: row["task"] for row in rows[:SHOWN]} | {"in all": len(rows)})]


def _explain_file(out: Place, connection: "duckdb.DuckDBPyConnection", key: str) -> Explanation:
    """Everything that goes by a path, by the end of one, or by a file name without its ending; by any file of a series.

    On a card that hides paths, by the whole path below the data folder: its token is computed as the build did.
    """
    key = key.replace("\\", "/").removeprefix("./")
    tokens = _tokens(out, key)
    stem = "regexp_replace(regexp_extract(name, '[^/!]*$'), '\\.[^.]*$', '')"
    matches = f"(name = $1 OR ends_with(name, '/' || $1) OR {stem} = $1 OR list_contains($2, name))"
    wanted = [key, tokens]
    items = _items_of(out, connection, matches, wanted)
    # The item itself comes first; what was cut from it is told with it.
    assets = rows_of(
        connection,
        f"SELECT asset_id, item_key AS name FROM assets WHERE ({matches} OR list_contains($3, item_key)) "
        "AND derived_from IS NULL AND rendering_of IS NULL ORDER BY name, frame, asset_id",
        [*wanted, items],
    )
    # A refused row is shown for its own file, for the image that it speaks of, and for the series that a file is of.
    rejects = rows_of(
        connection,
        "SELECT * EXCLUDE (name) FROM (SELECT *, item_key AS name FROM rejects UNION ALL "
        "SELECT *, file AS name FROM rejects WHERE file IS NOT NULL AND file <> item_key) "
        f"WHERE {matches} OR list_contains($3, name) ORDER BY stage, unit, item_key, locator",
        [*wanted, items],
    )
    label_files = rows_of(
        connection,
        "SELECT name, kind, count(*) AS n, any_value(file_sha256) AS sha256 "
        f"FROM (SELECT *, file AS name FROM annotations) WHERE {matches} GROUP BY name, kind ORDER BY ALL",
        wanted,
    )
    blocks: list[tuple[str, dict[str, Any]]] = []
    if items:
        blocks += _members(out, connection, matches, wanted)
    for row in assets[:SHOWN]:
        blocks += _asset_story(out, connection, row["asset_id"])
    for row in rejects[:SHOWN]:
        blocks.append((str(row["verdict"]), plain(row)))
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
            "reject is called so; on a card that hides paths, ask by id, or by the whole path below its data folder "
            "with the project key of the build"
        )
    return Explanation("file", key, tuple(blocks))


def _tokens(out: Place, key: str) -> list[str]:
    """What a path is called on the cards that hide paths; nothing where the project key is not that of the build."""
    project = project_key()
    said = described(out)
    if project.fingerprint != said.key_fingerprint:
        return []
    return [project.token("path", card.id, key) for card in said.cards.values() if card.hides_paths]


def _members(
    out: Place, connection: "duckdb.DuckDBPyConnection", matches: str, wanted: list[Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Files of an item that has several: their bytes as they were read."""
    files = [str(out / file.name) for sidecar in Sidecars(out).listed("read") for file in sidecar.of("files")]
    if not files:
        return []
    rows = rows_of(
        connection,
        "SELECT name, bytes, sha256 FROM (SELECT *, path || coalesce('!' || member, '') AS name FROM read_parquet($3)) "
        f"WHERE {matches} ORDER BY name",
        [*wanted, files],
    )
    return [("file", {row["name"]: f"{row['bytes']} bytes, sha256 {row['sha256']}" for row in rows})] if rows else []


def _items_of(out: Place, connection: "duckdb.DuckDBPyConnection", matches: str, wanted: list[Any]) -> list[str]:
    """The items of several files, one of which goes by the name that is asked for."""
    scans = Sidecars(out).listed("scan")
    inventory = [str(out / file.name) for sidecar in scans for file in sidecar.of("inventory")]
    if not inventory:
        return []
    rows = rows_of(
        connection,
        "SELECT DISTINCT item_key FROM (SELECT item_key, file.path || coalesce('!' || file.member, '') AS name "
        f"FROM (SELECT item_key, unnest(files) AS file FROM read_parquet($3))) WHERE {matches} ORDER BY item_key",
        [*wanted, inventory],
    )
    return [row["item_key"] for row in rows]
