"""catalog: everything but pixels in a few files that DuckDB and Polars open; joins split, licence and the ledger."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.schema import ANNOTATIONS, ASSETS, CATALOG_TABLES, GROUPS, PAIRS, PARTS, REJECTS, TABLES
from curate.stages.base import Beat, Run, digest_of, stage_fingerprint
from curate.stages.group import read_sidecars
from curate.store.commit import PartWriter
from curate.store.parquet import iter_tables, read_table
from curate.store.part import Part, Sidecar
from curate.terms import terms_class

__all__ = ["CatalogStage", "ledger_rows"]


class CatalogStage:
    """One part for the whole corpus."""

    name = "catalog"
    version = 1
    tables: tuple[str, ...] = tuple(CATALOG_TABLES)
    after: tuple[str, ...] = ("scan", "read", "group", "draft", "verify")
    isolated = False

    def parts(self, run: Run) -> list[Part]:
        """The one part."""
        return [Part(self.name)]

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """The terms of every source."""
        terms = {f"terms.{source.id}": _terms(run, source.id) for source in run.corpus.sources}
        return stage_fingerprint(self, terms, ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """Every committed row but images."""
        reads, verifies = read_sidecars(run), _of_buckets(run, "verify")
        everything = _ledger_sidecars(run)
        return {
            "assets": digest_of(sidecar.digest("assets") for sidecar in reads),
            "annotations": digest_of(sidecar.digest("annotations") for sidecar in reads),
            "pairs": digest_of(sidecar.digest("pairs") for sidecar in verifies),
            "groups": run.sidecars.need(Part("group")).digest("groups"),
            "rejects": digest_of(sidecar.digest("rejects") for sidecar in everything),
            "ledger": digest_of(sorted(str(row) for row in ledger_rows(everything))),
        }

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Copy each table bucket by bucket, with the bucket's slice of `groups` beside it."""
        groups = read_table(run.out, run.sidecars.need(Part("group")).of("groups"), GROUPS)
        writer.write("groups", groups)
        start = 0
        for sidecar in read_sidecars(run):
            beat(str(sidecar.part))
            assets = read_table(run.out, sidecar.of("assets"), ASSETS)
            place = groups.slice(start, assets.num_rows)
            start += assets.num_rows
            licence, terms = _terms(run, sidecar.source)
            writer.write("assets", _joined(assets, place, licence, terms))
            for table in iter_tables(run.out, sidecar.of("annotations"), ANNOTATIONS):
                writer.write("annotations", _cast(table, "annotations", split=_splits(table.column("asset_id"), place)))
            verified = run.sidecars.need(Part("verify", sidecar.source, sidecar.bucket))
            for table in iter_tables(run.out, verified.of("pairs"), PAIRS):
                first = pc.list_element(table.column("asset_ids"), 0)
                columns = {"split": _splits(first, place), "licence": pa.array([licence] * table.num_rows, pa.string())}
                writer.write("pairs", _cast(table, "pairs", **columns))
        everything = _ledger_sidecars(run)
        for sidecar in everything:
            for table in iter_tables(run.out, sidecar.of("rejects"), REJECTS):
                writer.write("rejects", table)
        writer.write("parts", pa.Table.from_pylist(ledger_rows(everything), schema=PARTS))
        return self.inputs(run, part)


def _terms(run: Run, source: str) -> list[str]:
    card = run.corpus.source(source).card
    return [card.terms.licence, str(terms_class(card))]


def _of_buckets(run: Run, stage: str) -> list[Sidecar]:
    return [run.sidecars.need(Part(stage, sidecar.source, sidecar.bucket)) for sidecar in read_sidecars(run)]


def _ledger_sidecars(run: Run) -> list[Sidecar]:
    """Every part that the catalog stands on, stage by stage."""
    scans = [
        run.sidecars.need(Part("scan", source.id))
        for source in sorted(run.corpus.sources, key=lambda source: source.id)
    ]
    return [
        *scans,
        *read_sidecars(run),
        run.sidecars.need(Part("group")),
        *_of_buckets(run, "draft"),
        *_of_buckets(run, "verify"),
    ]


def ledger_rows(sidecars: Sequence[Sidecar]) -> list[dict[str, Any]]:
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


def _splits(asset_ids: pa.ChunkedArray, place: pa.Table) -> pa.ChunkedArray:
    where = pc.index_in(asset_ids, value_set=place.column("asset_id").combine_chunks())
    return place.column("split").take(where)


def _joined(assets: pa.Table, place: pa.Table, licence: str, terms: str) -> pa.Table:
    rows = assets.num_rows
    return _cast(
        assets,
        "assets",
        pixel_sha256=place.column("pixel_sha256"),
        group_id=place.column("group_id"),
        split=place.column("split"),
        licence=pa.array([licence] * rows, pa.string()),
        terms_class=pa.array([terms] * rows, pa.string()),
    )


def _cast(table: pa.Table, name: str, **more: Any) -> pa.Table:
    """`table` with further columns, in the schema of the catalog's table."""
    columns = {column: table.column(column) for column in TABLES[name].names} | more
    schema = CATALOG_TABLES[name]
    return pa.Table.from_arrays([columns[column] for column in schema.names], schema=schema)
