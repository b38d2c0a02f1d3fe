"""Frames of one file stay together, and visits of one number in two patients stay apart."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

import curate
from curate.build import build
from curate.execute import Executing
from tests.crash.small import CARD, age, draw, write_csv, write_yaml


def places(folder: Path, **card: Any) -> pl.DataFrame:
    """Where the assets of a small source are put."""
    age(folder / "data")
    write_yaml(folder / "cells.yaml", CARD | card)
    build(folder / "cells.yaml", folder / "out", folder / "data", executing=Executing(workers=1))
    catalog = curate.open_catalog(folder / "out")
    links = catalog.groups.select("asset_id", "linked_by")
    return catalog.assets.join(links, on="asset_id").collect()


def test_the_frames_of_a_file_are_one_group_though_nobody_names_its_patient(tmp_path: Path) -> None:
    home = tmp_path / "data/cells/images"
    home.mkdir(parents=True)
    for volume in range(4):
        frames = [
            Image.fromarray(np.random.default_rng(10 * volume + k).integers(0, 256, (24, 32), dtype=np.uint8))
            for k in range(6)
        ]
        frames[0].save(home / f"v{volume}.tif", save_all=True, append_images=frames[1:])
    found = places(tmp_path, images={"glob": "images/*.tif"}, labels=[], subject={"none": "not published"})
    assert found.height == 24
    per_file = found.group_by("item_key").agg(pl.col("group_id").n_unique(), pl.col("split").n_unique())
    assert per_file["group_id"].to_list() == [1] * 4
    assert per_file["split"].to_list() == [1] * 4
    assert found["group_id"].n_unique() == 4
    assert found["linked_by"].to_list() == [["file"]] * 24


def test_the_first_visits_of_ten_patients_are_no_link_between_them(tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        draw(tmp_path / "data/cells/images" / f"c{number}.png", number)
        rows.append([f"c{number}", f"p{number // 2}", number % 2 + 1, "healthy"])
    write_csv(tmp_path / "data/cells/labels.csv", ["name", "patient", "visit", "diagnosis"], rows)
    found = places(tmp_path, study={"column": "visit"}, labels=CARD["labels"][:1])
    assert found["group_id"].n_unique() == found["subject"].n_unique() == 10
    assert found["study"].n_unique() == 20
