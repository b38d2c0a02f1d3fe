"""A build keeps what a DICOM file measures, and puts beside it what a person would see."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.data import get_testdata_file

from curate.images import decode
from curate.store.volumes import open_volume
from tests.crash.small import run_apart, write_yaml

CARD: dict[str, Any] = {
    "id": "scans",
    "title": "Files of a library",
    "source": {"home": "nowhere"},
    "terms": {"licence": "MIT", "quote": "MIT", "read_at": "nowhere", "deidentified": True},
    "images": {"glob": "*.dcm"},
    "labels": [{"layout": "headers", "columns": {"Modality": {"kind": "attribute", "concept": "modality"}}}],
    "subject": {"none": "a test"},
    "paths_identify": False,
}
NAMES = ("CT_small.dcm", "SC_rgb_rle_2frame.dcm", "rtdose_1frame.dcm", "examples_rgb_color.dcm")


def build(folder: Path, **recipe: Any) -> Path:
    data = folder / "scans"
    data.mkdir(parents=True)
    for name in NAMES:
        (data / name).write_bytes(Path(get_testdata_file(name, download=False)).read_bytes())
    dataset = pydicom.dcmread(data / "CT_small.dcm")
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(data / "inverted.dcm")
    write_yaml(folder / "scans.yaml", CARD)
    plain = {"name": "scans", "sources": [{"card": "scans.yaml", "data": "scans"}], "tasks": ["label_caption"]}
    write_yaml(folder / "recipe.yaml", plain | recipe)
    out = folder / "out"
    said = run_apart("build", folder / "recipe.yaml", "--out", out)
    assert said.code == 0, said.text
    checked = run_apart("check", out)
    assert checked.code == 0, checked.text
    return out


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / table).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("renderings"))


def of(out: Path, name: str, form: str) -> list[dict[str, Any]]:
    return [row for row in rows(out, "assets") if row["item_key"] == name and row["form"] == form]


def picture(out: Path, asset: dict[str, Any]) -> np.ndarray:
    (image,) = [row["image"]["bytes"] for row in rows(out, "images") if row["asset_id"] == asset["asset_id"]]
    return decode(image)


def test_a_ct_slice_keeps_its_values_and_its_place_and_is_shown_beside(built):
    (asset,), (shown,) = of(built, "CT_small.dcm", "image"), of(built, "CT_small.dcm", "rendering")
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    units = picture(built, asset) * asset["rescale_slope"] + asset["rescale_intercept"]
    assert np.array_equal(units, dataset.pixel_array * dataset.RescaleSlope + dataset.RescaleIntercept)
    assert asset["affine_lps"][3::4][:3] == pytest.approx([float(number) for number in dataset.ImagePositionPatient])
    assert len(asset["frame_of_reference"]) == 32
    assert asset["modality"] == "CT"
    assert shown["rendering_of"] == asset["asset_id"]
    assert (shown["width"], shown["height"], shown["bit_depth"]) == (asset["width"], asset["height"], 8)
    assert shown["window"]["function"] == "percentile"
    assert shown["rescale_slope"] is None
    assert asset["labelled_by"] == ["headers"]
    assert shown["labelled_by"] == []


def test_an_inverted_slice_is_shown_as_its_positive_would_be(built):
    plain, inverted = (picture(built, of(built, name, "rendering")[0]) for name in ("CT_small.dcm", "inverted.dcm"))
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1
    stored = (picture(built, of(built, name, "image")[0]) for name in ("CT_small.dcm", "inverted.dcm"))
    assert np.array_equal(*stored)


def test_colours_of_8_bits_are_their_own_picture(built):
    assert len(of(built, "SC_rgb_rle_2frame.dcm", "image")) == 2
    assert [row["frame"] for row in of(built, "SC_rgb_rle_2frame.dcm", "image")] == [0, 1]
    assert of(built, "SC_rgb_rle_2frame.dcm", "rendering") == []


def test_doses_of_32_bits_are_an_array_with_a_picture(built):
    (asset,), (shown,) = of(built, "rtdose_1frame.dcm", "image"), of(built, "rtdose_1frame.dcm", "rendering")
    assert (asset["media_type"], asset["dtype"], asset["bit_depth"]) == ("application/zarr", "uint32", 32)
    array = open_volume(built / asset["volume"])
    assert np.array_equal(array[:], pydicom.dcmread(get_testdata_file("rtdose_1frame.dcm")).pixel_array)
    assert shown["rendering_of"] == asset["asset_id"]


def test_a_rendering_shrinks_with_its_image_which_stays_where_it_was(built, tmp_path):
    small = build(tmp_path, images={"longest_side": 64})
    (asset,), (shown,) = of(small, "CT_small.dcm", "image"), of(small, "CT_small.dcm", "rendering")
    assert (asset["width"], shown["width"]) == (64, 64)
    matrix = np.array(asset["affine_lps"]).reshape(4, 4)
    (whole,) = of(built, "CT_small.dcm", "image")
    before = np.array(whole["affine_lps"]).reshape(4, 4)
    assert np.allclose(matrix @ [-0.5, -0.5, 0, 1], before @ [-0.5, -0.5, 0, 1])
    assert np.allclose(matrix @ [63.5, 63.5, 0, 1], before @ [127.5, 127.5, 0, 1])


def test_a_frame_that_does_not_decode_is_refused_alone(tmp_path):
    from pydicom.encaps import encapsulate, generate_frames

    dataset = pydicom.dcmread(get_testdata_file("examples_ybr_color.dcm"))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=30))
    frames[4] = frames[4][:200] + b"\xff\xd9"
    dataset.PixelData = encapsulate(frames)
    (tmp_path / "scans").mkdir()
    dataset.save_as(tmp_path / "scans" / "loop.dcm")
    write_yaml(tmp_path / "scans.yaml", CARD)
    recipe = {"name": "loop", "sources": [{"card": "scans.yaml", "data": "scans"}], "tasks": ["label_caption"]}
    write_yaml(tmp_path / "recipe.yaml", recipe | {"limits": {"rejects": 1.0}, "renderings": False})
    said = run_apart("build", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    assert said.code == 0, said.text
    found = [row["frame"] for row in rows(tmp_path / "out", "assets")]
    assert found == [number for number in range(30) if number != 4]
    (refused,) = rows(tmp_path / "out", "rejects")
    assert (refused["unit"], refused["locator"]) == ("region", "frame=4")


def test_a_box_is_on_no_frame_of_several_even_where_one_alone_decodes(tmp_path: Path) -> None:
    """Two frames, of which the second is damaged: nothing says that the box was drawn on the first."""
    data = tmp_path / "scans"
    data.mkdir()
    dataset = pydicom.dcmread(get_testdata_file("SC_rgb_rle_2frame.dcm", download=False))
    first, _ = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=2)
    dataset.PixelData = pydicom.encaps.encapsulate([first, b"\xff" * 64])
    dataset.save_as(data / "two.dcm")
    (data / "boxes.csv").write_text("file,a,b,c,d,kind\ntwo.dcm,2,2,9,9,spot\n", "utf-8")
    boxes = {
        "layout": "table",
        "files": "boxes.csv",
        "image": "file",
        "box": {"columns": ["a", "b", "c", "d"], "label": "kind", "convention": "voc"},
    }
    write_yaml(tmp_path / "scans.yaml", CARD | {"labels": [boxes], "expected_rejects": {"ambiguous_image": 1}})
    recipe = {"name": "scans", "sources": [{"card": "scans.yaml", "data": "scans"}], "tasks": ["grounding"]}
    write_yaml(tmp_path / "recipe.yaml", recipe)
    said = run_apart("build", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "catalog").is_dir(), said.text
    (delivered,) = of(tmp_path / "out", "two.dcm", "image")
    assert (delivered["frame"], delivered["labelled_by"]) == (0, [])
    assert rows(tmp_path / "out", "annotations") == []
    reasons = sorted(
        (row["unit"], row["reason"]) for row in rows(tmp_path / "out", "rejects") if row["stage"] == "read"
    )
    assert reasons == [("annotation", "ambiguous_image"), ("region", "corrupt_image")]
