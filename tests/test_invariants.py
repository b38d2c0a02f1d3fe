"""Invariants of assets cut from others, and of what a model said: sound rows break none, and each sentence is broken
by what it forbids."""

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
from curate.stages.volume_planes import slice_affine
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
        "pieces": 1,
    }
]
ELSEWHERE = ("groups", "images", "videos", "pairs", "parts", "responses")
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
        {"pieces": None},
        {"pieces": 2},
        {"mean_hu": 40.0},  # of values that nothing proves to be in Hounsfield units
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


def pair(name: str, request: str | None, response: str | None, origin: str) -> Row:
    return {"pair_id": name, "request_id": request, "response_id": response, "origin": origin}


def said(request: str, attempt: int, response: str, verdict: str) -> Row:
    fault = "negation" if verdict == "refused" else None
    return {
        "request_id": request,
        "attempt": attempt,
        "response_id": response,
        "text": "{}",
        "verdict": verdict,
        "reason": fault,
    }


def refused(stage: str, unit: str, key: str, locator: str | None) -> Row:
    return {
        "source": "*" if stage == "rewrite" else "s",
        "stage": stage,
        "unit": unit,
        "item_key": key,
        "locator": locator,
        "verdict": "rejected",
        "reason": "negation",
        "detail": "",
        "environmental": False,
    }


def counted(stage: str, unit: str, n_in: int, n_used: int) -> Row:
    source = "*" if stage == "rewrite" else "s"
    counts = {"n_in": n_in, "n_used": n_used, "n_rejected": n_in - n_used, "n_filtered": 0}
    return {"stage": stage, "source": source, "bucket": 0, "unit": unit, **counts}


MODEL: dict[str, list[Row]] = {
    "pairs": [
        pair("at once", "good", "good", "llm"),
        pair("not this one", "good", None, "template"),
        pair("repaired", "late", "late repair", "llm"),
        pair("never", "bad", None, "template"),
        pair("would not", "mute", None, "template"),
        pair("unasked", None, None, "template"),
        pair("quoted", None, None, "source"),
    ],
    "responses": [
        said("good", 1, "good", "accepted"),
        said("late", 1, "late", "refused"),
        said("late", 2, "late repair", "accepted"),
        said("bad", 1, "bad", "refused"),
        said("bad", 2, "bad repair", "refused"),
        said("mute", 1, "mute", "refused") | {"text": None, "reason": "model_refused"},
    ],
    "rejects": [
        refused("rewrite", "answer", "late", "attempt 1"),
        refused("rewrite", "answer", "bad", "attempt 1"),
        refused("rewrite", "answer", "bad", "attempt 2"),
        refused("rewrite", "answer", "mute", "attempt 1"),
        refused("rewrite", "request", "bad", None),
        refused("rewrite", "request", "mute", None),
        refused("verify", "answer", "good", "count not this one"),
    ],
    "parts": [
        counted("rewrite", "answer", 6, 2),
        counted("rewrite", "request", 4, 2),
        counted("verify", "answer", 3, 2),
        counted("verify", "draft", 7, 7),
    ],
}
WORDS = (
    "a pair in a model's words names an accepted answer to what it asked, and no other pair names one",
    "text of a source is asked of nobody",
    "a request has one first answer, and a second only where the first was refused",
    "a first answer has its request's own name, a second that of its repair",
    "an answer is refused for a reason, and without a text it is",
    "what a pair asked has an answer",
    "an accepted answer serves a pair, or was refused for each that asked",
    "a pair that keeps its template although its request was answered well says why",
    "every answer is in the ledger, and every pair that it serves",
)
"""The sentences about what a model said."""


def untrue(tables: dict[str, list[Row]]) -> dict[str, set[str]]:
    """Sentence -> the keys that break it."""
    found = {}
    with duckdb.connect() as connection:
        for name, rows in tables.items():
            connection.register(name, table(name, rows))
        for sentence in (*WORDS, "each refusal in the ledger is a row in rejects", "the ledger balances"):
            keys = {row[0] for row in connection.sql(INVARIANTS[sentence]).fetchall()}
            if keys:
                found[sentence] = keys
    return found


def but(name: str, place: int, **columns: Any) -> dict[str, list[Row]]:
    """The sound tables with one row altered."""
    rows = [row | columns if at == place else row for at, row in enumerate(MODEL[name])]
    return MODEL | {name: rows}


def without(name: str, place: int) -> dict[str, list[Row]]:
    return MODEL | {name: [row for at, row in enumerate(MODEL[name]) if at != place]}


def test_every_sentence_about_a_model_is_one_that_check_asks() -> None:
    assert {name for name, sql in INVARIANTS.items() if "responses" in sql} <= set(WORDS)
    assert set(WORDS) <= INVARIANTS.keys()


def test_what_a_model_said_and_what_became_of_it_break_no_sentence() -> None:
    assert untrue(MODEL) == {}


def test_a_corpus_that_no_model_touched_breaks_no_sentence() -> None:
    plain = {"pairs": MODEL["pairs"][5:], "responses": [], "rejects": [], "parts": [counted("verify", "draft", 2, 2)]}
    assert untrue(plain) == {}


@pytest.mark.parametrize(
    ("sentence", "tables", "key"),
    [
        (WORDS[0], but("pairs", 0, origin="template"), "at once"),
        (WORDS[0], but("pairs", 0, response_id=None), "at once"),
        (WORDS[0], but("pairs", 0, response_id="nobody's"), "at once"),
        (WORDS[0], but("pairs", 0, response_id="late repair"), "at once"),
        (WORDS[0], but("pairs", 0, request_id=None), "at once"),
        (WORDS[0], but("pairs", 3, origin="llm"), "never"),
        (WORDS[0], but("pairs", 3, origin="llm", response_id="bad"), "never"),
        (WORDS[0], but("pairs", 6, response_id="good"), "quoted"),
        (WORDS[1], but("pairs", 6, request_id="good"), "quoted"),
        (WORDS[2], without("responses", 1), "late"),
        (WORDS[2], but("responses", 1, verdict="accepted"), "late"),
        (WORDS[2], but("responses", 2, attempt=1), "late"),
        (WORDS[2], but("responses", 4, attempt=3), "bad"),
        (WORDS[2], but("responses", 5, request_id="bad", attempt=3), "bad"),
        (WORDS[3], but("responses", 0, response_id="another"), "another"),
        (WORDS[3], but("responses", 2, response_id="late"), "late"),
        (WORDS[3], but("responses", 4, response_id="late repair"), "late repair"),
        (WORDS[4], but("responses", 0, reason="negation"), "good"),
        (WORDS[4], but("responses", 1, reason=None), "late"),
        (WORDS[4], but("responses", 5, verdict="accepted", reason=None), "mute"),
        (WORDS[5], without("responses", 5), "would not"),
        (WORDS[6], without("pairs", 2), "late repair"),
        (WORDS[7], without("rejects", 6), "not this one"),
        (WORDS[7], but("rejects", 6, stage="rewrite"), "not this one"),
        (WORDS[7], but("rejects", 6, locator="count another"), "not this one"),
        (WORDS[7], but("rejects", 6, item_key="bad"), "not this one"),
        (WORDS[7], but("pairs", 2, response_id=None, origin="template"), "repaired"),
        (WORDS[8], but("parts", 0, n_in=5), "rewrite answer"),
        (WORDS[8], but("parts", 0, n_used=1), "rewrite answer"),
        (WORDS[8], but("parts", 1, n_in=6), "rewrite request"),
        (WORDS[8], without("parts", 1), "rewrite request"),
        (WORDS[8], without("responses", 5), "rewrite request"),
        (WORDS[8], but("parts", 2, n_used=3), "verify answer"),
        (WORDS[8], without("parts", 2), "verify answer"),
        (WORDS[8], without("pairs", 0), "verify answer"),
    ],
)
def test_each_sentence_about_a_model_is_broken_by_what_it_forbids(
    sentence: str, tables: dict[str, list[Row]], key: str
) -> None:
    assert key in untrue(tables).get(sentence, set())
