"""group: subject links, frames of one file, duplicates across all sources, and the split of each group."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curate import images
from curate.corpus import dealing_of
from curate.groups.links import Components, split_of
from curate.groups.near import candidates
from curate.schema import ASSETS, GROUPS, IMAGES, Unit
from curate.stages.base import PIXEL_LIBRARIES, Beat, Run, bucket_parts, stage_fingerprint
from curate.store.commit import PartWriter
from curate.store.parquet import iter_tables, read_table
from curate.store.part import Part, Sidecar

__all__ = ["GroupStage", "read_sidecars"]

_COLUMNS = (
    "asset_id",
    "source",
    "item_key",
    "image_sha256",
    "voxels_sha256",
    "subject",
    "study",
    "source_split",
    "width",
    "height",
    "phash",
)


def read_sidecars(run: Run) -> Iterator[Sidecar]:
    """The sidecars of all read parts that the recipe wants, in order."""
    return (run.sidecars.need(part) for part in bucket_parts(run, "read"))


class GroupStage:
    """One part for the whole corpus."""

    name = "group"
    version = 2
    tables: tuple[str, ...] = ("groups",)
    after: tuple[str, ...] = ("scan", "read")

    def parts(self, run: Run) -> list[Part]:
        """The one part."""
        return [Part(self.name)]

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """How the splits are dealt, and the libraries that decode."""
        dealing = dealing_of(run.corpus.recipe)
        config = {"recipe.split": [dealing["fractions"], dealing["seed"]]}
        return stage_fingerprint(self, config, PIXEL_LIBRARIES | {"pyarrow", "numpy"})

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The assets of every bucket."""
        return {f"assets {sidecar.part}": sidecar.digest("assets") for sidecar in read_sidecars(run)}

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Link, confirm duplicates by pixels, split."""
        rows: list[dict[str, Any]] = []
        homes: list[Sidecar] = []
        for sidecar in read_sidecars(run):
            found = read_table(run.out, sidecar.of("assets"), ASSETS, _COLUMNS).to_pylist()
            rows += found
            homes += [sidecar] * len(found)
        writer.saw(Unit.ASSET, len(rows))
        writer.used(Unit.ASSET, len(rows))
        pixels = _confirm(run, rows, homes, beat)
        writer.statistics = {"pixels_confirmed": len(pixels)}
        table = _place(rows, pixels, run.corpus.recipe.split.fractions, run.corpus.recipe.split.seed)
        writer.write("groups", pa.Table.from_pylist(table, schema=GROUPS))
        return self.inputs(run, part)


def _confirm(run: Run, rows: list[dict[str, Any]], homes: list[Sidecar], beat: Beat) -> dict[str, str]:
    """Asset id -> digest of its decoded pixels, for every picture whose cheap hash collides with another's.

    A volume's voxels were digested when they were read.
    Files of equal bytes are decoded once; a file that only collides with its own copies is not decoded at all.
    """
    distinct: dict[str, int] = {}
    for index, row in enumerate(rows):
        distinct.setdefault(row["image_sha256"], index)
    chosen = sorted(distinct.values())
    chosen = [index for index in chosen if rows[index]["phash"] is not None]
    close = candidates([rows[i]["phash"] for i in chosen], [(rows[i]["width"], rows[i]["height"]) for i in chosen])
    wanted = {rows[chosen[k]]["asset_id"]: chosen[k] for k in close}
    parts = {homes[index].part: homes[index] for index in wanted.values()}
    by_bytes: dict[str, str] = {}
    for sidecar in parts.values():
        for asset_id, data in _bytes_of(run, sidecar, set(wanted)):
            beat(asset_id)
            by_bytes[rows[wanted[asset_id]]["image_sha256"]] = images.pixel_sha256(data)
    confirmed = {row["asset_id"]: row["voxels_sha256"] for row in rows if row["voxels_sha256"] is not None}
    return confirmed | {
        row["asset_id"]: by_bytes[row["image_sha256"]] for row in rows if row["image_sha256"] in by_bytes
    }


def _bytes_of(run: Run, sidecar: Sidecar, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    for table in iter_tables(run.out, sidecar.of("images"), IMAGES):
        ids = table.column("asset_id").to_pylist()
        images_column = table.column("image")
        for number, asset_id in enumerate(ids):
            if asset_id in wanted:
                yield asset_id, images_column[number].as_py()["bytes"]


def _place(
    rows: list[dict[str, Any]], pixels: dict[str, str], fractions: dict[str, float], seed: str
) -> list[dict[str, Any]]:
    """The rows of `groups`, in the order of the assets."""
    same = Components.of(len(rows))
    same.join_equal((row["image_sha256"] for row in rows), "bytes")
    same.join_equal((pixels.get(row["asset_id"]) for row in rows), "pixels")
    groups = Components(list(same.parents), {member: set(links) for member, links in same.linked_by.items()})
    groups.join_equal(((row["source"], row["item_key"]) for row in rows), "file")
    groups.join_equal((row["subject"] for row in rows), "subject")
    groups.join_equal((row["study"] for row in rows), "study")
    names: dict[int, tuple[int, str]] = {}
    clusters: dict[int, str] = {}
    for index, row in enumerate(rows):
        root = groups.find(index)
        names[root] = min(names.get(root, _name(row)), _name(row))
        cluster = same.find(index)
        clusters[cluster] = min(clusters.get(cluster, row["asset_id"]), row["asset_id"])
    table = []
    for index, row in enumerate(rows):
        group_id = names[groups.find(index)][1]
        original = clusters[same.find(index)]
        links = same.linked_by.get(index, set())
        table.append(
            {
                "asset_id": row["asset_id"],
                "source": row["source"],
                "pixel_sha256": pixels.get(row["asset_id"]),
                "duplicate_of": original if original != row["asset_id"] else None,
                "duplicate_kind": None if not links else "bytes" if "bytes" in links else "pixels",
                "group_id": group_id,
                "linked_by": sorted(groups.linked_by.get(index, set())),
                "split": split_of(group_id, fractions, seed),
                "source_split": row["source_split"],
            }
        )
    return table


def _name(row: dict[str, Any]) -> tuple[int, str]:
    """What a group may be called after: a subject, a study, an asset, so that a subject's next image moves nothing."""
    for rank, value in enumerate((row["subject"], row["study"])):
        if value is not None:
            return rank, value
    return 2, row["asset_id"]
