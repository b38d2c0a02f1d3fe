"""Rows of a release, read from a built corpus in the order in which its assets lie there, in bounded memory."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate.errors import StoreError
from curate.publish.base import Medium, Release, Row
from curate.publish.selection import Selection, view_of_drafts
from curate.rows import Brief, Subject, subjects
from curate.schema import ANNOTATIONS, ASSETS, IMAGES, VIDEOS, Form
from curate.stages.draft import vocabulary_in
from curate.stages.outgoing import file_name
from curate.store.parquet import DAMAGE, open_parquet, read_table
from curate.store.part import Part, Sidecar, Sidecars
from curate.store.place import Place, walk
from curate.vocabulary import Vocabulary

__all__ = ["CorpusReader", "open_release"]

AT_ONCE: Final = 2048
"""Rows held at a time."""

_MEDIUM: Final = (
    "asset_id", "media_type", "image_sha256", "form", "width", "height", "source", "licence", "item_key", "group_id",
    "modality", "anatomy", "view", "laterality", "exif_orientation", "duration_s", "frame_rate",
    "rendering_of", "volume",
)  # fmt: skip
_WITH_BYTES: Final = {"images": IMAGES, "videos": VIDEOS}

_PICTURES: Final = """
    CREATE TABLE IF NOT EXISTS pictures AS
    WITH renderings AS (
        SELECT rendering_of, arg_min(asset_id, place) AS rendering FROM assets JOIN placed USING (asset_id)
        WHERE rendering_of IS NOT NULL GROUP BY rendering_of
    )
    SELECT asset_id,
        CASE WHEN media_type IN ('image/jpeg', 'image/png') AND bit_depth <= 8 THEN asset_id
            ELSE coalesce(rendering, asset_id) END AS shown_by
    FROM assets LEFT JOIN renderings ON renderings.rendering_of = assets.asset_id
"""
"""Which asset shows which: itself, or its first rendering."""


def open_release(chosen: Selection, name: str | None = None) -> Release:
    """The rows that were chosen, ready to be rendered. `name`: null is the recipe's."""
    return Release(
        name=chosen.name if name is None else name,
        splits=tuple(chosen.rows_in),
        rows_in=chosen.rows_in,
        cards=chosen.cards,
        withheld=chosen.withheld,
        licence=chosen.licence,
        where=chosen.where,
        reader=CorpusReader.of(chosen),
    )


@dataclass(frozen=True, slots=True)
class CorpusReader:
    """What `Release` reads from: the corpus behind a selection."""

    chosen: Selection
    reads: tuple[Sidecar, ...]  # in the order in which the catalog lists their assets

    @classmethod
    def of(cls, chosen: Selection) -> "CorpusReader":
        """A reader of a selection, once for all formats."""
        sidecars = Sidecars(chosen.out)
        view_of_drafts(chosen.connection, chosen.out)
        chosen.connection.execute(_PICTURES)
        fields = ", ".join(f"{name} := a.{name}" for name in _MEDIUM)
        chosen.connection.execute(
            f"""
            CREATE TABLE IF NOT EXISTS shown AS
            SELECT pair_id, list(struct_pack({fields}) ORDER BY n) AS media
            FROM (
                SELECT pair_id, unnest(asset_ids) AS asset_id, generate_subscripts(asset_ids, 1) AS n
                FROM pairs SEMI JOIN chosen USING (pair_id)
            ) JOIN pictures USING (asset_id) JOIN assets a ON a.asset_id = pictures.shown_by GROUP BY pair_id
            """
        )
        ordered = sorted(sidecars.listed("read"), key=lambda one: (one.source, one.bucket or 0))
        return cls(chosen, tuple(ordered))

    def rows(self, split: str | None) -> Iterator[Row]:
        """See `Release.rows`."""
        for row, _ in self._placed(split):
            yield row

    def _placed(self, split: str | None) -> Iterator[tuple[Row, int]]:
        query = f"""
            SELECT p.pair_id, p.source, p.task, p.variant, c.split, p.source_split, p.language, p.origin, p.wording,
                p.licence, p.annotation_ids, p.response_id, p.messages, s.media, d.constraints, d.brief, c.place
            FROM chosen c JOIN pairs p USING (pair_id) JOIN shown s USING (pair_id)
                JOIN drafts d ON d.draft_id = c.pair_id
            {"" if split is None else "WHERE c.split = ?"} ORDER BY c.place, c.pair_id
            """
        for batch in self._batches(query, [] if split is None else [split]):
            for plain in batch.to_pylist():
                place = plain.pop("place")
                yield _row(plain), place

    def media(self) -> Iterator[Medium]:
        """See `Release.media`."""
        names = ", ".join(f"a.{name}" for name in _MEDIUM)
        query = f"""
            SELECT {names} FROM (SELECT DISTINCT unnest(media).asset_id AS asset_id FROM shown) w
            JOIN assets a USING (asset_id) JOIN placed p USING (asset_id) ORDER BY p.place
            """
        for batch in self._batches(query, []):
            for plain in batch.to_pylist():
                yield _medium(plain)

    def _batches(self, query: str, values: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self.chosen.connection.cursor().sql(query, params=values).to_arrow_reader(AT_ONCE)

    def medium_bytes(self, media: Iterable[Medium]) -> Iterator[tuple[Medium, bytes]]:
        """See `Release.medium_bytes`."""
        cursors = {
            table: _Bytes(self.chosen.out, [file.name for one in self.reads for file in one.of(table)], table)
            for table in _WITH_BYTES
        }
        for medium in media:
            if medium.is_volume:
                raise ValueError("a volume is a tree of files; see volume_files")
            data = cursors["videos" if medium.is_video else "images"].of(medium.asset_id)
            if hashlib.sha256(data).hexdigest() != medium.sha256:
                raise StoreError(
                    f"{self.chosen.out}: the bytes of {medium.item_key} ({medium.asset_id}) are not those of its "
                    "digest; `curate check` names the file, `curate build` makes it anew"
                )
            yield medium, data

    def volume_files(self, medium: Medium) -> Iterator[tuple[str, Place]]:
        """See `Release.volume_files`."""
        tree = self.chosen.out / medium.path
        for listed in sorted(walk(tree), key=lambda one: one.name):
            yield f"{medium.path}/{listed.name}", tree / listed.name

    def annotated(self, split: str | None) -> Iterator[tuple[Row, tuple[Subject, ...]]]:
        """See `Release.annotated`."""
        buckets = _Buckets(self.chosen.out, self.reads)
        for row, place in self._placed(split):
            known = buckets.at(place)
            yield row, tuple(known[medium.shows] for medium in row.media)

    def vocabulary(self, source: str) -> Vocabulary:
        """See `Release.vocabulary`."""
        scanned = Sidecars(self.chosen.out).need(Part("scan", source))
        return vocabulary_in(scanned, self.chosen.cards[source])


class _Buckets:
    """What is known of the assets of one bucket, the last that was asked for."""

    def __init__(self, out: Place, reads: tuple[Sidecar, ...]) -> None:
        self._out = out
        self._reads = reads
        self._start = self._end = 1  # places count from 1
        self._next = 0
        self._known: dict[str, Subject] = {}

    def at(self, place: int) -> dict[str, Subject]:
        if place < self._start:
            self._start = self._end = 1
            self._next = 0
        while place >= self._end:
            part = self._reads[self._next]
            assets = read_table(self._out, part.of("assets"), ASSETS)
            self._next += 1
            self._start, self._end = self._end, self._end + assets.num_rows
            if place < self._end:
                annotations = read_table(self._out, part.of("annotations"), ANNOTATIONS)
                self._known = {one.asset.asset_id: one for one in subjects(assets, annotations)}
        return self._known


class _Bytes:
    """The bytes of assets, sought forward through the files of one table, and once more from the beginning."""

    def __init__(self, out: Place, names: list[str], table: str) -> None:
        self._out = out
        self._names = names
        self._table = table
        self._groups = self._listed()
        self._ids: dict[str, int] = {}
        self._cells: pa.ChunkedArray | None = None

    def of(self, asset_id: str) -> bytes:
        row = self._ids.get(asset_id)
        if row is None:
            row = self._seek(asset_id)
        assert self._cells is not None
        data: bytes = self._cells[row]["bytes"].as_py()
        return data

    def _listed(self) -> Iterator[tuple[Any, int]]:
        for name in self._names:
            with open_parquet(self._out / name) as file:
                for group in range(file.num_row_groups):
                    yield file, group

    def _column(self, file: Any, group: int, name: str) -> pa.ChunkedArray:
        try:
            return file.read_row_group(group, columns=[name]).column(name)
        except DAMAGE as problem:
            raise StoreError(
                f"{self._out}: a file of {self._table} is damaged or cannot be read ({type(problem).__name__}); "
                f"`curate check {self._out}` names it, `curate build` makes it anew"
            ) from None

    def _seek(self, asset_id: str) -> int:
        for again in (False, True):
            if again:
                self._groups = self._listed()
            for file, group in self._groups:
                ids = self._column(file, group, "asset_id").to_pylist()
                if asset_id in ids:
                    self._ids = {one: row for row, one in enumerate(ids)}
                    struct = "image" if self._table == "images" else "video"
                    self._cells = self._column(file, group, struct)
                    return self._ids[asset_id]
        raise StoreError(
            f"{self._out}: the bytes of asset {asset_id} are gone; `curate check {self._out}` names the part, "
            "`curate build` makes it anew"
        )


def _row(plain: dict[str, Any]) -> Row:
    constraints, brief = json.loads(plain.pop("constraints")), plain.pop("brief")
    said = Brief("", "") if brief is None else msgspec.json.decode(brief, type=Brief)
    slots = said.slots if plain["language"] == "en" else {**said.slots, **said.zh}
    plain["media"] = [_medium(one) for one in plain["media"]]
    return msgspec.convert(plain | {"constraints": constraints, "slots": slots, "fixed": said.fixed}, Row)


def _medium(plain: dict[str, Any]) -> Medium:
    known = dict(plain)
    volume, digest = known.pop("volume"), known.pop("image_sha256")
    asset_id, source = known["asset_id"], known["source"]
    if known["form"] == Form.VOLUME:
        path = volume
    else:
        folder = "videos" if known["media_type"].startswith("video/") else "images"
        path = f"{folder}/{source}/{asset_id[:2]}/{file_name(asset_id, known['media_type'])}"
    return msgspec.convert(known | {"path": path, "sha256": digest}, Medium)
