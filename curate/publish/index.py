"""What is another one on another side: rows added, removed and changed, and the cause of each.

A side is an **index**: one line per row with the digests of what it rests on. That of a corpus is asked of its catalog;
that of a release lies in it as a file. DuckDB joins the two, so neither side is ever held in memory.

A row is known by its pair id: the identity of its task, images, annotations and variant. So an annotation that came,
went or says another concept makes other rows, while a moved box, another wording or another answer changes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

__all__ = ["INDEX", "Cause", "Change", "Difference", "Kind", "compare", "index_query"]

EXAMPLES: Final = 3
"""Rows that a change names."""


class Kind(StrEnum):
    """What became of a row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Cause(StrEnum):
    """Why; of several, the first in this order."""

    SOURCE = "source"  # the source came or went as a whole
    TAKEDOWN = "takedown"  # it was taken back
    TERMS = "terms"  # its terms keep it now
    SOURCE_BYTES = "source bytes"  # its image came, went, or is another file
    ANNOTATION = "annotation"  # what the source says of the image
    TASK = "task"  # the task came or went
    WORDING = "template wording"  # another template spoke
    MODEL_ANSWER = "model answer"  # a model's words came, went, or are other ones
    TASK_VERSION = "task version"  # the same template and annotations in other words: the task's own change
    STORED_BYTES = "stored bytes"  # the same source file, delivered as other bytes
    SPLIT = "split"
    LICENCE = "licence"
    OTHER = "other"  # the same image, annotations and task: a variant more or less, a rule that decides otherwise


INDEX: Final = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("wording", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("response_id", pa.string()),
        pa.field("text", pa.string(), nullable=False),  # of the messages
        pa.field("source_bytes", pa.string(), nullable=False),  # of the source files that it shows
        pa.field("stored_bytes", pa.string(), nullable=False),  # of what is delivered of them
        pa.field("annotation", pa.string(), nullable=False),  # of what its annotations say
        pa.field("asset_keys", pa.list_(pa.uint64()), nullable=False),  # the first 64 bits of each id
        pa.field("annotation_keys", pa.list_(pa.uint64()), nullable=False),
    ]
)
"""One line per row of a side. Digests are the first 128 bits of a sha256, in hexadecimal."""

_SAID: Final = (
    "label_set", "world", "exhaustive", "kind", "label", "concept", "code", "code_system", "state", "side", "value",
    "unit", "question", "text", "language", "frame", "box", "point", "polygons", "mask", "area_px", "area_mm2",
    "volume_mm3", "extent_mm", "pieces", "mean_hu", "flags", "qualifiers", "annotator",
)  # fmt: skip
"""Columns of an annotation that say something; the others tell where it stands."""


@dataclass(frozen=True, slots=True)
class Change:
    """Rows of one source that share what became of them, and why. `examples` are the smallest of their pair ids."""

    source: str
    kind: Kind
    cause: Cause
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is another one in `after`; `unchanged + added + changed == rows_after`."""

    rows_before: int
    rows_after: int
    changes: tuple[Change, ...]

    def rows(self, kind: Kind) -> int:
        """How many rows this became of."""
        return sum(change.rows for change in self.changes if change.kind is kind)

    @property
    def unchanged(self) -> int:
        """Rows that are the same on both sides."""
        return self.rows_after - self.rows(Kind.ADDED) - self.rows(Kind.CHANGED)

    @property
    def is_empty(self) -> bool:
        """True where both sides hold the same rows."""
        return not self.changes


def index_query(pairs: str) -> str:
    """The index of some pairs, as SQL over the views of a corpus; `pairs` is a table or query with their rows."""
    said = ", ".join(f"{name} := {name}" for name in _SAID)
    return f"""
        WITH wanted AS (FROM {pairs}),
        spoken AS (
            SELECT annotation_id, {_digest(f"CAST(to_json(struct_pack({said})) AS VARCHAR)")} AS said FROM annotations
            SEMI JOIN (SELECT DISTINCT unnest(annotation_ids) AS annotation_id FROM wanted) USING (annotation_id)
        ),
        by_annotation AS (
            SELECT pair_id, {_digest("string_agg(said, ' ' ORDER BY n)")} AS annotation
            FROM (SELECT pair_id, unnest(annotation_ids) AS annotation_id,
                    generate_subscripts(annotation_ids, 1) AS n FROM wanted)
            JOIN spoken USING (annotation_id) GROUP BY pair_id
        ),
        by_asset AS (
            SELECT pair_id, {_digest("string_agg(content_sha256, ' ' ORDER BY n)")} AS source_bytes,
                {_digest("string_agg(image_sha256, ' ' ORDER BY n)")} AS stored_bytes
            FROM (SELECT pair_id, unnest(asset_ids) AS asset_id, generate_subscripts(asset_ids, 1) AS n FROM wanted)
            JOIN (SELECT asset_id, content_sha256, image_sha256 FROM assets) USING (asset_id) GROUP BY pair_id
        )
        SELECT pair_id, source, task, split, licence, wording, origin, response_id,
            {_digest("array_to_string(list_transform(messages, lambda m: m.role || chr(1) || m.content), chr(2))")}
                AS text,
            source_bytes, stored_bytes, coalesce(annotation, '') AS annotation,
            list_transform(asset_ids, lambda i: {_key("i")}) AS asset_keys,
            list_transform(annotation_ids, lambda i: {_key("i")}) AS annotation_keys
        FROM wanted JOIN by_asset USING (pair_id) LEFT JOIN by_annotation USING (pair_id)
    """


def _digest(text: str) -> str:
    return f"left(sha256({text}), 32)"


def _key(identifier: str) -> str:
    return f"CAST('0x' || left({identifier}, 16) AS UBIGINT)"


def compare(connection: "duckdb.DuckDBPyConnection", kept: str | None = None) -> Difference:
    """What is another one in the table `after` against the table `before` of a connection: two indices.

    `kept` names a table with pair_id and why (`takedown`, or what of its terms) of rows that are kept out of `after`.
    """
    nothing = "SELECT NULL::VARCHAR AS pair_id, NULL::VARCHAR AS why WHERE false"
    some = f"SELECT pair_id, why FROM {kept} WHERE why IS NOT NULL"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW _kept AS {nothing if kept is None else some}")
    rows = connection.execute(_COMPARE).fetchall()
    (n_before,), (n_after,) = (connection.execute(f"SELECT count(*) FROM {side}").fetchone() or (0,) for side in _SIDES)
    changes = (
        Change(source, Kind(kind), Cause(cause), n, tuple(examples)) for source, kind, cause, n, examples in rows
    )
    return Difference(n_before, n_after, tuple(sorted(changes, key=_order)))


_SIDES: Final = ("before", "after")
_ORDER: Final[Mapping[StrEnum, int]] = {one: place for place, one in enumerate((*Kind, *Cause))}


def _order(change: Change) -> tuple[str, int, int]:
    return change.source, _ORDER[change.kind], _ORDER[change.cause]


def _one_sided(here: str, there: str, kind: Kind) -> str:
    """Rows that stand on one side alone, each with its cause."""
    told = f"CASE WHEN why = 'takedown' THEN '{Cause.TAKEDOWN}' WHEN why IS NOT NULL THEN '{Cause.TERMS}'"
    return f"""
        SELECT source, '{kind}' AS kind, pair_id, {told if kind is Kind.REMOVED else "CASE"}
            WHEN source NOT IN (SELECT DISTINCT source FROM {there}) THEN '{Cause.SOURCE}'
            WHEN pair_id IN (FROM {kind}_without_asset) THEN '{Cause.SOURCE_BYTES}'
            WHEN pair_id IN (FROM {kind}_without_annotation) THEN '{Cause.ANNOTATION}'
            WHEN (source, task) NOT IN (SELECT DISTINCT (source, task) FROM {there}) THEN '{Cause.TASK}'
            ELSE '{Cause.OTHER}' END AS cause
        FROM (FROM {here} ANTI JOIN {there} USING (pair_id)) LEFT JOIN _kept USING (pair_id)
    """


def _without(here: str, there: str, kind: Kind, what: str) -> str:
    """Rows of one side alone that rest on something that no row of the other side rests on."""
    return f"""{kind}_without_{what} AS (
        SELECT DISTINCT pair_id
        FROM (SELECT pair_id, unnest({what}_keys) AS k FROM {here} ANTI JOIN {there} USING (pair_id))
        ANTI JOIN (SELECT unnest({what}_keys) AS k FROM {there}) USING (k)
    )"""


_COMPARE: Final = f"""
    WITH {_without("after", "before", Kind.ADDED, "asset")},
    {_without("after", "before", Kind.ADDED, "annotation")},
    {_without("before", "after", Kind.REMOVED, "asset")},
    {_without("before", "after", Kind.REMOVED, "annotation")},
    changed AS (
        SELECT a.source, '{Kind.CHANGED}' AS kind, a.pair_id, CASE
            WHEN a.source_bytes <> b.source_bytes THEN '{Cause.SOURCE_BYTES}'
            WHEN a.annotation <> b.annotation THEN '{Cause.ANNOTATION}'
            WHEN a.wording <> b.wording THEN '{Cause.WORDING}'
            WHEN a.response_id IS DISTINCT FROM b.response_id THEN '{Cause.MODEL_ANSWER}'
            WHEN a.text <> b.text OR a.origin <> b.origin THEN '{Cause.TASK_VERSION}'
            WHEN a.stored_bytes <> b.stored_bytes THEN '{Cause.STORED_BYTES}'
            WHEN a.split <> b.split THEN '{Cause.SPLIT}'
            WHEN a.licence <> b.licence THEN '{Cause.LICENCE}'
            END AS cause
        FROM after a JOIN before b USING (pair_id)
    ),
    told AS (
        SELECT * FROM changed WHERE cause IS NOT NULL
        UNION ALL {_one_sided("after", "before", Kind.ADDED)}
        UNION ALL {_one_sided("before", "after", Kind.REMOVED)}
    )
    SELECT source, kind, cause, count(*), list_sort(min(pair_id, {EXAMPLES})) FROM told GROUP BY source, kind, cause
"""
