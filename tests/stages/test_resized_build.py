"""A build with `images: {longest_side: ...}`: pictures shrink, and everything drawn on them follows."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.build import build
from curate.execute import Executing
from curate.images import decode
from curate.stages.placing import _sampled

CARD = """
id: cells
title: Cells
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here}
images: {glob: "images/*.png"}
labels:
  - {layout: coco, files: boxes.json, exhaustive: true}
  - {layout: masks, files: "masks/*.png", name: masks, per: instance, exhaustive: true, label: nucleus}
subject: {none: "drawn for a test"}
"""

RECIPE = """
name: shrunk
sources: [{card: cells.yaml, data: data}]
tasks: [count]
%s
"""


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Two images of 200 x 100 pixels with boxes, polygons and masks; on the second, one mask is a single pixel."""
    data = tmp_path / "data"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    annotations = []
    for number, name in enumerate(("a", "b")):
        Image.fromarray(np.full((100, 200, 3), 90 + number, np.uint8)).save(data / "images" / f"{name}.png")
        masks = np.zeros((100, 200), np.uint8)
        masks[10:50, 20:60] = 1
        masks[60:70, 100:200] = 2
        if name == "b":
            masks[0, 0] = 3
        Image.fromarray(masks).save(data / "masks" / f"{name}.png")
        shape = {"image_id": number, "category_id": 1, "iscrowd": 0, "area": 1}
        annotations.append(shape | {"id": 2 * number, "bbox": [20, 10, 180, 90]})
        ring = [0, 0, 200, 0, 200, 100, 0, 100]
        annotations.append(shape | {"id": 2 * number + 1, "bbox": [0, 0, 200, 100], "segmentation": [ring]})
    coco = {
        "images": [{"id": n, "file_name": f"{name}.png", "width": 200, "height": 100} for n, name in enumerate("ab")],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": annotations,
    }
    (data / "boxes.json").write_text(json.dumps(coco))
    (tmp_path / "cells.yaml").write_text(CARD)
    return tmp_path


def _built(folder: Path, images: str, out: str) -> dict[str, list[dict]]:
    recipe = folder / f"{out}.yaml"
    recipe.write_text(RECIPE % images)
    build(recipe, folder / out, executing=Executing(workers=1))
    tables = {}
    for name in ("assets", "annotations", "images", "rejects"):
        files = sorted((folder / out / name).rglob("*.parquet"))
        tables[name] = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []
    return tables


def test_geometry_follows_the_picture(cells: Path) -> None:
    whole = _built(cells, "", "whole")
    small = _built(cells, "images: {longest_side: 50}", "small")
    sizes = {asset["asset_id"]: (asset["width"], asset["height"]) for asset in small["assets"]}
    assert set(sizes.values()) == {(50, 25)}
    assert all(asset["changes"] == ["resized:200x100->50x25"] for asset in small["assets"])
    for row in small["images"]:
        assert decode(row["image"]["bytes"]).shape == (25, 50, 3)
    before = {row["annotation_id"]: row for row in whole["annotations"]}
    for row in small["annotations"]:
        came = before[row["annotation_id"]]
        if row["kind"] == "mask":
            assert row["mask"]["width"], row["mask"]["height"] == (50, 25)
            assert row["flags"] == ["resampled"]
            continue
        assert row["box"] == [number / 4 for number in came["box"]]
        assert row["area_px"] == came["area_px"] / 16
        assert row["flags"] == came["flags"]
        if row["kind"] == "polygon":
            assert row["polygons"] == [[0.0, 0.0, 50.0, 0.0, 50.0, 25.0, 0.0, 25.0]]


def test_an_object_that_vanishes_takes_its_count_with_it(cells: Path) -> None:
    """One nucleus of a single pixel is gone, so that what is left no longer marks every nucleus of that image."""
    small = _built(cells, "images: {longest_side: 50}", "small")
    name = {asset["asset_id"]: asset["item_key"] for asset in small["assets"]}
    masks = [row for row in small["annotations"] if row["kind"] == "mask"]
    found = sorted((name[row["asset_id"]], row["exhaustive"]) for row in masks)
    assert found == [("images/a.png", True)] * 2 + [("images/b.png", False)] * 2
    labelled = {asset["item_key"]: asset["labelled_by"] for asset in small["assets"]}
    assert "masks" in labelled["images/a.png"]
    assert "masks" not in labelled["images/b.png"]


def test_a_mask_that_vanishes_altogether_is_refused(cells: Path) -> None:
    (cells / "data" / "masks" / "b.png").unlink()
    masks = np.zeros((100, 200), np.uint8)
    masks[0, 0] = 3
    Image.fromarray(masks).save(cells / "data" / "masks" / "b.png")
    small = _built(cells, "images: {longest_side: 50}", "small")
    refused = [row for row in small["rejects"] if row["stage"] == "read"]
    assert [(row["item_key"], row["reason"]) for row in refused] == [("images/b.png", "empty_mask")]


def test_another_size_makes_the_parts_stale(cells: Path) -> None:
    _built(cells, "images: {longest_side: 50}", "small")
    recipe = cells / "small.yaml"
    assert build(recipe, cells / "small", executing=Executing(workers=1)).built["read"] == 0
    recipe.write_text(RECIPE % "images: {longest_side: 60}")
    assert build(recipe, cells / "small", executing=Executing(workers=1)).built["read"] == 1


def test_a_resampled_mask_takes_the_pixel_under_each_new_centre() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    assert _sampled(mask, 3, 2).tolist() == [[False, True, False], [False, False, False]]
    assert _sampled(mask, 6, 4).tolist() == mask.tolist()
