"""Invariants of assets cut from others: sound rows break none, and each sentence is broken by what it forbids."""

from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from curate.check import _check_volumes
from curate.geometry_3d import Grid, flat
from curate.invariants import INVARIANTS
from curate.schema import CATALOG_TABLES
from curate.stages.media.volume import slice_affine
from curate.store.part import OutputFile, Sidecar

GRID = Grid((4, 6, 8), flat(np.array([[2.0, 0.1, 0, -7], [-0.1, 2.5, 0, -9], [0, 0, 5, 11], [0, 0, 0, 1]])))
STEPS = GRID.spacing_mm

Row = dict[str, Any]


def asset(name: str, form: str, **columns: Any) -> Row:
    usual = {"source": "s", "item_key": "i", "width": 8, "height": 6, "channels": 1, "bit_depth": 8}
    return {**usual, "asset_id": name, "form": form, "media_type": "image/png", "labelled_by": [], **columns}


def window(**columns: Any) -> Row:
    return {"center": 40.0, "width": 400.0, "function": "linear", "name": "header", **columns}


def cut(name: str, plane: str, axis: int, index: int, size: tuple[int, int], **columns: Any) -> Row:
    rows, across = (other for other in range(3) if other != axis)
    return asset(
        name,
        "slice",
        **{
            "derived_from": "volume",
            "plane": plane,
            "position": index,
            "width": size[0],
            "height": size[1],
            "spacing_mm": [STEPS[rows], STEPS[across]],
            "affine_lps": list(flat(slice_affine(GRID, axis, index))),
            "window": window(),
            **columns,
        },
    )


ASSETS = [
    asset(
        "volume",
        "volume",
        media_type="application/zarr",
        volume="volumes/s/v.zarr",
        voxels_sha256="v",
        dtype="int16",
        bit_depth=16,
        depth=4,
        spacing_mm=list(STEPS),
        affine_lps=list(GRID.affine_lps),
        labelled_by=["organs"],
    ),
    cut("axial", "axial", 0, 1, (8, 6)),
    cut("coronal", "coronal", 1, 5, (8, 4)),
    cut("sagittal", "sagittal", 2, 0, (6, 4)),
    cut("bone", "axial", 0, 1, (8, 6), rendering_of="axial"),
    asset("radiograph", "image", bit_depth=16),
    asset("shown", "rendering", rendering_of="radiograph", window=window(center=None, width=None, function="lut")),
    asset("slide", "slide", width=100, height=50, mpp=[8.0, 8.0]),
    asset("tile", "tile", derived_from="slide", region=[512, 0, 256, 256], mpp=[1.0, 1.0], width=256, height=256),
    asset("video", "video", media_type="video/mp4", depth=10, duration_s=1.0),
    asset("frame", "frame", derived_from="video", position=0, time_s=0.0),
    asset("later", "frame", derived_from="video", position=9, time_s=0.9),
    asset(
        "clip", "clip", media_type="video/mp4", derived_from="video", position=5, depth=5, time_s=0.5, duration_s=0.5
    ),
]
DETERMINANT = GRID.voxel_mm3
ANNOTATIONS = [
    {
        "annotation_id": "organ",
        "asset_id": "volume",
        "label_set": "organs",
        "frame": "volume",
        "box": [1.0, 2.0, 0.0, 2.0, 5.0, 1.0],
        "mask": {"height": 6, "width": 8, "depth": 4, "counts": [8, 3, 181]},
        "volume_mm3": 3 * DETERMINANT,
        "extent_mm": [STEPS[2], 3 * STEPS[1], STEPS[0]],
    }
]
ELSEWHERE = ("groups", "images", "videos", "pairs", "parts")
SENTENCES = tuple(name for name, sql in INVARIANTS.items() if not any(f" {other}" in sql for other in ELSEWHERE))
"""Those that speak of assets and annotations alone."""


def table(name: str, rows: list[Row]) -> pa.Table:
    """Rows as a table of the catalog; nulls wherever a row says nothing, required or not."""
    schema = pa.schema([field.with_nullable(True) for field in CATALOG_TABLES[name]])
    return pa.Table.from_pylist(rows, schema)


def broken(assets: list[Row], annotations: list[Row], sentences: tuple[str, ...] = SENTENCES) -> dict[str, set[str]]:
    """Sentence -> the keys that break it."""
    found = {}
    with duckdb.connect() as connection:
        connection.register("assets", table("assets", assets))
        connection.register("annotations", table("annotations", annotations))
        for sentence in sentences:
            keys = {row[0] for row in connection.sql(INVARIANTS[sentence]).fetchall()}
            if keys:
                found[sentence] = keys
    return found


def altered(rows: list[Row], key: str, **columns: Any) -> list[Row]:
    return [row | columns if key in (row.get("annotation_id"), row.get("asset_id")) else row for row in rows]


def test_sound_rows_break_no_sentence() -> None:
    assert broken(ASSETS, ANNOTATIONS) == {}


def test_a_slice_that_was_shrunk_still_lies_where_it_lay() -> None:
    """Half the size: the centre of the first pixel moves inwards by half a pixel of the grid, the corner stays."""
    halved = np.array([[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    affine = list(flat(slice_affine(GRID, 1, 5) @ halved))
    spacing = [2 * STEPS[0], 2 * STEPS[2]]
    shrunk = altered(ASSETS, "coronal", width=4, height=2, affine_lps=affine, spacing_mm=spacing)
    assert broken(shrunk, ANNOTATIONS) == {}
    moved = list(flat(slice_affine(GRID, 1, 5) @ np.diag([2.0, 2.0, 1.0, 1.0])))
    wrong = altered(shrunk, "coronal", affine_lps=moved)
    assert broken(wrong, ANNOTATIONS) == {"a slice lies where its volume has it": {"coronal"}}


UPSIDE_DOWN = list(flat(GRID.matrix @ np.array([[1.0, 0, 0, 0], [0, 0, 1, 5], [0, 1, 0, 0], [0, 0, 0, 1]])))


@pytest.mark.parametrize(
    ("sentence", "key", "columns"),
    [
        ("what is cut names the whole that it comes from", "axial", {"derived_from": "slide"}),
        ("what is cut names the whole that it comes from", "tile", {"derived_from": None}),
        ("what is cut names the whole that it comes from", "frame", {"item_key": "another"}),
        ("what is cut names the whole that it comes from", "radiograph", {"derived_from": "volume"}),
        ("a rendering names what it shows, which has its raster", "shown", {"rendering_of": None}),
        ("a rendering names what it shows, which has its raster", "shown", {"rendering_of": "nobody"}),
        ("a rendering names what it shows, which has its raster", "shown", {"height": 7}),
        ("a rendering names what it shows, which has its raster", "shown", {"frame": 1}),
        ("a rendering names what it shows, which has its raster", "bone", {"rendering_of": "coronal"}),
        ("a window is that of 8 bits for the eye", "axial", {"bit_depth": 16}),
        ("a window is that of 8 bits for the eye", "shown", {"window": None}),
        ("a window is that of 8 bits for the eye", "radiograph", {"bit_depth": 8, "window": window()}),
        ("a window is that of 8 bits for the eye", "axial", {"window": window(width=0.0)}),
        ("a window is that of 8 bits for the eye", "axial", {"window": window(center=None)}),
        ("an array has its tree, type and digest, and nothing else has", "volume", {"voxels_sha256": None}),
        ("an array has its tree, type and digest, and nothing else has", "radiograph", {"dtype": "uint16"}),
        ("an affine is one, and belongs to its spacing", "volume", {"spacing_mm": [STEPS[1], STEPS[0], STEPS[2]]}),
        ("an affine is one, and belongs to its spacing", "volume", {"spacing_mm": [1.0, STEPS[1], STEPS[2]]}),
        ("an affine is one, and belongs to its spacing", "axial", {"spacing_mm": [STEPS[2], STEPS[1]]}),
        ("an affine is one, and belongs to its spacing", "radiograph", {"affine_lps": [1.0, 0.0, 0.0]}),
        ("a slice lies where its volume has it", "axial", {"position": 2}),
        ("a slice lies where its volume has it", "axial", {"position": 4}),
        ("a slice lies where its volume has it", "coronal", {"affine_lps": UPSIDE_DOWN}),
        ("a slice lies where its volume has it", "sagittal", {"plane": None}),
        ("a region lies on its slide", "tile", {"region": [512, 0, 256]}),
        ("a region lies on its slide", "tile", {"region": [600, 0, 256, 256]}),
        ("a region lies on its slide", "tile", {"region": [0, 200, 256, 256]}),
        ("a region lies on its slide", "tile", {"region": None}),
        ("a frame or clip lies in its video", "frame", {"position": None}),
        ("a frame or clip lies in its video", "clip", {"position": 6}),
        ("a frame or clip lies in its video", "clip", {"duration_s": 0.6}),
        ("later pictures have later times", "later", {"time_s": 0.0}),
        ("a scale is positive or unknown", "slide", {"mpp": [8.0, 0.0]}),
        ("nothing is said of pieces and other views", "tile", {"labelled_by": ["organs"]}),
        ("nothing is said of pieces and other views", "bone", {"labelled_by": ["organs"]}),
    ],
)
def test_each_sentence_is_broken_by_what_it_forbids(sentence: str, key: str, columns: Row) -> None:
    assert key in broken(altered(ASSETS, key, **columns), ANNOTATIONS, (sentence,)).get(sentence, set())


@pytest.mark.parametrize(
    "columns",
    [
        {"volume_mm3": 3.0},
        {"volume_mm3": None},
        {"extent_mm": [STEPS[0], 3 * STEPS[1], STEPS[2]]},
        {"extent_mm": [STEPS[2], 3 * STEPS[1]]},
        {"extent_mm": None},
        {"area_mm2": 4.0},
    ],
)
def test_what_is_measured_follows_from_mask_box_and_grid(columns: Row) -> None:
    found = broken(ASSETS, altered(ANNOTATIONS, "organ", **columns))
    assert found == {"what is measured follows from its geometry": {"organ"}}


def test_an_annotation_on_a_rendering_breaks_a_sentence() -> None:
    moved = [{"annotation_id": "word", "asset_id": "shown", "kind": "class"}]
    assert broken(ASSETS, moved) == {"nothing is said of pieces and other views": {"shown"}}


def test_a_volume_that_no_part_holds_and_one_that_no_asset_names_are_found() -> None:
    """Trees are folders beside the tables: that both name the same ones, no query over tables alone can tell."""
    held = OutputFile(table="volumes", bucket=0, name="volumes/s/other.zarr", sha256="", bytes=1, rows=1)
    part = Sidecar(stage="read", source="s", bucket=0, fingerprint={}, inputs={}, files=(held,))
    with duckdb.connect() as connection:
        connection.register("assets", table("assets", ASSETS))
        found = [finding.subject for finding in _check_volumes(connection, [part])]
        assert found == ["volumes/s/v.zarr", "volumes/s/other.zarr"]
        same = msgspec.structs.replace(part, files=(msgspec.structs.replace(held, name="volumes/s/v.zarr"),))
        assert list(_check_volumes(connection, [same])) == []
