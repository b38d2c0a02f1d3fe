"""catalog: everything but pixels in a few files that DuckDB and Polars open; joins split, licence and the ledger."""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.schema import (
    ANNOTATIONS,
    ASSETS,
    CATALOG_TABLES,
    FILES,
    GROUPS,
    PAIRS,
    PARTS,
    REJECTS,
    RESPONSES,
    STRINGS,
    TABLES,
    Identity,
    item_key,
)
from curate.stages.base import Beat, Run, bucket_parts, digest_of, stage_fingerprint
from curate.stages.group import read_sidecars
from curate.stages.rewrite import rewrite_parts
from curate.store.commit import PartWriter
from curate.store.parquet import iter_tables, read_table
from curate.store.part import Part, Sidecar
from curate.terms import terms_class

__all__ = ["CatalogStage", "ledger_rows"]

_READS: Final = {
    "assets": ("read",),
    "annotations": ("read",),
    "files": ("scan", "read"),
    "pairs": ("verify",),
    "responses": ("rewrite",),
    "rejects": ("scan", "read", "group", "draft", "rewrite", "verify"),
}
"""The tables that it copies, and whose they are."""


class CatalogStage:
    """One part for the whole corpus."""

    name = "catalog"
    version = 2
    tables: tuple[str, ...] = tuple(CATALOG_TABLES)
    after: tuple[str, ...] = ("scan", "read", "group", "draft", "rewrite", "verify")

    def parts(self, run: Run) -> list[Part]:
        """The one part."""
        return [Part(self.name)]

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """The terms of every source."""
        terms = {f"terms.{source.id}": _terms(run, source.id) for source in run.corpus.sources}
        return stage_fingerprint(self, terms, ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """Every committed row but images."""
        digests = {table: Identity() for table in _READS}
        ledger: list[str] = []
        for sidecar in _ledger_sidecars(run):
            for table, stages in _READS.items():
                if sidecar.stage in stages:
                    digests[table].add([sidecar.digest(table)])
            ledger += (str(row) for row in ledger_rows([sidecar]))
        return {
            **{table: digest.hexdigest() for table, digest in digests.items()},
            "groups": run.sidecars.need(Part("group")).digest("groups"),
            "ledger": digest_of(sorted(ledger)),
        }

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Copy each table bucket by bucket, with the bucket's slice of `groups` beside it."""
        groups = read_table(run.out, run.sidecars.need(Part("group")).of("groups"), GROUPS)
        writer.write("groups", groups)
        start, source = 0, ""
        labels: dict[str, str] = {}
        for sidecar in read_sidecars(run):
            beat(str(sidecar.part))
            assets = read_table(run.out, sidecar.of("assets"), ASSETS)
            if sidecar.source != source:  # the buckets of a source follow one another
                source = sidecar.source
                labels = _file_digests(run, run.sidecars.need(Part("scan", source)))
            digests = ChainMap(_file_digests(run, sidecar), labels)
            classes = _classes(run, source, assets)
            bucket = _Bucket(assets, groups.slice(start, assets.num_rows), _terms(run, source), classes, digests)
            start += assets.num_rows
            writer.write("assets", bucket.assets_joined())
            for table in iter_tables(run.out, sidecar.of("annotations"), ANNOTATIONS):
                writer.write("annotations", bucket.annotations_joined(table))
            verified = run.sidecars.need(Part("verify", sidecar.source, sidecar.bucket))
            for table in iter_tables(run.out, verified.of("pairs"), PAIRS):
                writer.write("pairs", bucket.pairs_joined(table))
        for sidecar in _rewritten(run):
            for table in iter_tables(run.out, sidecar.of("responses"), RESPONSES):
                writer.write("responses", table)
        for sidecar in _ledger_sidecars(run):
            for table in iter_tables(run.out, sidecar.of("rejects"), REJECTS):
                writer.write("rejects", table)
        writer.write("parts", pa.Table.from_pylist(ledger_rows(_ledger_sidecars(run)), schema=PARTS))
        return self.inputs(run, part)


def _terms(run: Run, source: str) -> list[str]:
    card = run.corpus.source(source).card
    return [card.terms.licence, str(terms_class(card))]


def _classes(run: Run, source: str, assets: pa.Table) -> dict[str, str]:
    """The class of each licence that rows of a source state of their own."""
    card = run.corpus.source(source).card
    stated = pc.unique(assets.column("row_licence")).to_pylist()
    return {licence: str(terms_class(card, licence)) for licence in stated if licence is not None}


def _of_buckets(run: Run, stage: str) -> Iterator[Sidecar]:
    return (run.sidecars.need(part) for part in bucket_parts(run, stage))


def _rewritten(run: Run) -> Iterator[Sidecar]:
    return (run.sidecars.need(part) for part in rewrite_parts(run))


def _ledger_sidecars(run: Run) -> Iterator[Sidecar]:
    """Every part that the catalog stands on, stage by stage."""
    for source in sorted(source.id for source in run.corpus.sources):
        yield run.sidecars.need(Part("scan", source))
    yield from read_sidecars(run)
    yield run.sidecars.need(Part("group"))
    yield from _of_buckets(run, "draft")
    yield from _rewritten(run)
    yield from _of_buckets(run, "verify")


def ledger_rows(sidecars: Iterable[Sidecar]) -> list[dict[str, Any]]:
    """The rows of `parts`: one per part and unit."""
    return [
        {
            "stage": sidecar.stage,
            "source": sidecar.source,
            "bucket": sidecar.bucket,
            "unit": count.unit,
            "n_in": count.n_in,
            "n_used": count.n_used,
            "n_rejected": count.n_rejected,
            "n_filtered": count.n_filtered,
        }
        for sidecar in sidecars
        for count in sidecar.counts
    ]


def _file_digests(run: Run, built: Sidecar) -> dict[str, str]:
    """Item key -> digest of every source file that a part read."""
    rows = read_table(run.out, built.of("files"), FILES).to_pylist()
    return {item_key(row["path"], row["member"]): row["sha256"] for row in rows}


class _Bucket:
    """What is joined to the rows of one bucket: its slice of `groups`, the source's terms, the digests of its files."""

    def __init__(
        self,
        assets: pa.Table,
        place: pa.Table,
        terms: list[str],
        classes: Mapping[str, str],
        digests: Mapping[str, str],
    ) -> None:
        self._assets = assets
        self._place = place
        licence, terms_of_card = terms
        self._licences = pc.fill_null(assets.column("row_licence"), licence)
        self._classes = [classes.get(row, terms_of_card) for row in assets.column("row_licence").to_pylist()]
        self._digests = digests
        ids, contents = assets.column("asset_id").to_pylist(), assets.column("content_sha256").to_pylist()
        self._rests_on: dict[str, str] = dict(zip(ids, contents, strict=True))  # asset or annotation -> file digest

    def assets_joined(self) -> pa.Table:
        """The bucket's assets with their place and terms: their row's licence where rows state one, else the card's."""
        return _cast(
            self._assets,
            "assets",
            pixel_sha256=self._place.column("pixel_sha256"),
            group_id=self._place.column("group_id"),
            split=self._place.column("split"),
            licence=self._licences,
            terms_class=pa.array(self._classes, pa.string()),
        )

    def annotations_joined(self, table: pa.Table) -> pa.Table:
        """Annotations with their split and the digest of the file that says them; remembers the digests for pairs."""
        digests = [self._digests[file] for file in table.column("file").to_pylist()]
        self._rests_on |= zip(table.column("annotation_id").to_pylist(), digests, strict=True)
        split = self._splits(table.column("asset_id"))
        return _cast(table, "annotations", split=split, file_sha256=pa.array(digests, pa.string()))

    def pairs_joined(self, table: pa.Table) -> pa.Table:
        """Pairs with their split, licence and the digests of all files that they rest on."""
        rests_on = [
            sorted({self._rests_on[key] for key in (*asset_ids, *annotation_ids)})
            for asset_ids, annotation_ids in zip(
                table.column("asset_ids").to_pylist(), table.column("annotation_ids").to_pylist(), strict=True
            )
        ]
        first = pc.list_element(table.column("asset_ids"), 0)  # all assets of a pair are of one source and one split
        return _cast(
            table,
            "pairs",
            split=self._splits(first),
            licence=self._licences_of(first),
            source_sha256=pa.array(rests_on, STRINGS),
        )

    def _licences_of(self, asset_ids: pa.ChunkedArray) -> pa.ChunkedArray:
        where = pc.index_in(asset_ids, value_set=self._assets.column("asset_id").combine_chunks())
        return self._licences.take(where)

    def _splits(self, asset_ids: pa.ChunkedArray) -> pa.ChunkedArray:
        where = pc.index_in(asset_ids, value_set=self._place.column("asset_id").combine_chunks())
        return self._place.column("split").take(where)


def _cast(table: pa.Table, name: str, **more: Any) -> pa.Table:
    """`table` with further columns, in the schema of the catalog's table."""
    columns = {column: table.column(column) for column in TABLES[name].names} | more
    schema = CATALOG_TABLES[name]
    return pa.Table.from_arrays([columns[column] for column in schema.names], schema=schema)
