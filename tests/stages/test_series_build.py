"""Builds from DICOM series: volumes as their headers prove them, refusals with a reason, nothing half-stored."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.build import build
from curate.execute import Executing
from curate.store.volumes import open_volume
from tests.conftest import ROOT
from tests.images.synthetic_series import axial, written

RECIPE = """
name: series
sources:
%s
tasks: [label_caption]
"""

CARD = """
id: scanner
title: Series
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here, deidentified: true}
images: {glob: "**/*.dcm", form: volume}
subject: {none: "made for a test"}
paths_identify: false
"""


def table(out: Path, name: str) -> list[dict]:
    files = sorted((out / name).rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []


def voxels(out: Path, asset: dict) -> np.ndarray:
    return np.asarray(open_volume(out / asset["volume"])[:])


@pytest.fixture(scope="module")
def real(test_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    names = ("medio-ct-series", "dicom2nifti-failing")
    lines = [f"  - {{card: {ROOT / 'catalogs' / name}.yaml, data: {test_data(name)}}}" for name in names]
    (folder / "recipe.yaml").write_text(RECIPE % "\n".join(lines))
    build(folder / "recipe.yaml", folder / "out", executing=Executing(workers=1))
    return folder / "out"


def test_the_same_volume_as_series_and_as_nifti_is_stored_with_the_same_voxels_and_affine(real):
    volumes = [row for row in table(real, "assets") if row["source"] == "medio-ct-series"]
    series, nifti = sorted(volumes, key=lambda row: row["dtype"] != "uint8")
    assert [row["dtype"] for row in (series, nifti)] == ["uint8", "float64"]
    assert np.array_equal(voxels(real, series), voxels(real, nifti))
    assert np.allclose(series["affine_lps"], nifti["affine_lps"], atol=1e-4)
    assert (series["depth"], series["height"], series["width"], series["orientation"]) == (150, 150, 150, "RAS")


def test_series_that_must_fail_are_refused_and_the_tilted_one_is_flagged(real):
    volumes = [row for row in table(real, "assets") if row["source"] == "dicom2nifti-failing"]
    (tilted,) = [row for row in volumes if row["item_key"].startswith("series/")]
    assert tilted["changes"] == ["gantry_tilt:degrees=14.0"]
    step = np.array(tilted["affine_lps"]).reshape(4, 4)[:3, 2]
    assert step.tolist() == pytest.approx([0, 0, 5])
    refused = [row for row in table(real, "rejects") if row["verdict"] == "rejected"]
    details = {row["detail"] for row in refused if row["source"] == "dicom2nifti-failing"}
    assert {row["reason"] for row in refused if row["source"] == "dicom2nifti-failing"} == {"not_a_volume"}
    assert details == {
        "2 slices; 3 are the fewest that prove a spacing",
        "all 4 slices lie at one position: they differ in AcquisitionNumber",
    }


def test_one_bad_slice_refuses_its_series_and_leaves_no_volume_behind(tmp_path):
    good, bad = axial(), axial()
    for folder, series in (("good", good), ("bad", bad)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for index, dataset in enumerate(series):
            if folder == "bad":
                dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "2.25.77", f"2.25.78{index}"
            data = written(dataset)
            cut = data[:-9] if folder == "bad" and index == 3 else data
            (tmp_path / "data" / folder / f"{index}.dcm").write_bytes(cut)
    (tmp_path / "card.yaml").write_text(CARD)
    (tmp_path / "recipe.yaml").write_text(RECIPE % "  - {card: card.yaml, data: data}")
    build(tmp_path / "recipe.yaml", tmp_path / "out", executing=Executing(workers=1))
    (volume,) = table(tmp_path / "out", "assets")
    assert np.array_equal(voxels(tmp_path / "out", volume).reshape(-1), np.arange(120))
    assert len(list((tmp_path / "out" / "volumes" / "scanner").iterdir())) == 1
    assert [row["reason"] for row in table(tmp_path / "out", "rejects")] == ["truncated_image"]


CLASSED = """
id: scanner
title: Series
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here, deidentified: true}
images: {glob: "**/*.dcm", form: volume}
labels: [{layout: folders, pattern: "(?P<label>covid|normal)/", world: exclusive}]
subject: {pattern: "(?P<subject>P[0-9]+)/"}
split: {pattern: "^(?P<split>train|test)/"}
paths_identify: false
"""


def test_the_folders_of_a_series_tell_its_class_its_patient_and_its_split(tmp_path):
    places = ("train/covid/P1", "train/normal/P2", "test/covid/P3")
    for number, place in enumerate(places):
        folder = tmp_path / "data" / place
        folder.mkdir(parents=True)
        for at, dataset in enumerate(axial(4)):
            dataset.SeriesInstanceUID = f"2.25.2{number}"
            dataset.SOPInstanceUID = f"2.25.1{number}{at}"
            (folder / f"{at}.dcm").write_bytes(written(dataset))
    (tmp_path / "card.yaml").write_text(CLASSED)
    (tmp_path / "recipe.yaml").write_text(RECIPE % f"  - {{card: {tmp_path}/card.yaml, data: {tmp_path}/data}}")
    built = build(tmp_path / "recipe.yaml", tmp_path / "out", executing=Executing(workers=1))
    assert not built.shortfalls
    volumes = {row["asset_id"]: row for row in table(tmp_path / "out", "assets")}
    said = {
        (row["concept"], volumes[row["asset_id"]]["source_split"]) for row in table(tmp_path / "out", "annotations")
    }
    assert said == {("covid", "train"), ("normal", "train"), ("covid", "test")}
    assert len({row["subject"] for row in volumes.values()}) == len(places)


def test_a_series_whose_files_lie_in_two_classes_has_none(tmp_path):
    for at, dataset in enumerate(axial(4)):
        folder = tmp_path / "data" / "train" / ("covid" if at % 2 else "normal") / "P1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{at}.dcm").write_bytes(written(dataset))
    (tmp_path / "card.yaml").write_text(CLASSED)
    (tmp_path / "recipe.yaml").write_text(RECIPE % f"  - {{card: {tmp_path}/card.yaml, data: {tmp_path}/data}}")
    build(tmp_path / "recipe.yaml", tmp_path / "out", executing=Executing(workers=1))
    refused = [row for row in table(tmp_path / "out", "rejects") if row["verdict"] == "rejected"]
    assert [(row["unit"], row["reason"]) for row in refused] == [("file", "conflicting_labels")]
    assert table(tmp_path / "out", "annotations") == []
