"""What is drawn in a volume lands on its voxels and on its slices, or is a reject that says why."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.build import build
from curate.geometry_3d import Grid, flat
from curate.phantom.torso import Torso, value_of
from curate.rows import Rle
from curate.voxel_runs import decode_volume
from tests.stages.drawn_patient import (
    KIDNEY,
    LIVER,
    data_of,
    drawn,
    rectangle,
    save_nifti,
    segmentation,
    slices,
    structure_set,
)

CARD = """
id: patient
title: A drawn patient
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here}
modality: CT
images: {glob: "ct/*.dcm", form: volume}
labels:
  - {layout: dicom_seg, files: 'seg/*.dcm'}
  - {layout: rtstruct, files: 'rt/*.dcm', concepts: {PTV: target volume, GTV: tumour, old: null}}
  - layout: masks
    files: 'masks/*.nii.gz'
    per: value
    values: {3: liver, 4: right kidney, 5: left kidney}
    image: ct
    world: complete
  - {layout: table, files: labels.csv, image: series, columns: {finding: {kind: class}}, world: exclusive}
subject: {none: "drawn for a test"}
"""

RECIPE = """
name: structures
sources: [{card: card.yaml, data: data}]
tasks: [label_caption]
volumes: {planes: [axial, coronal, sagittal], slices: 3}
limits: {rejects: 1}
"""

Rows = list[dict[str, Any]]


class Built:
    """The tables of a corpus."""

    def __init__(self, out: Path, drawn_as: Torso) -> None:
        self.out, self.torso = out, drawn_as
        self.assets = {row["asset_id"]: row for row in self._rows("assets")}
        self.annotations = self._rows("annotations")
        self.rejects = self._rows("rejects")

    def _rows(self, table: str) -> Rows:
        files = sorted(self.out.glob(f"{table}/*/*.parquet"))
        return [] if not files else pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()

    def on(self, form: str) -> Rows:
        return [row for row in self.annotations if self.assets[row["asset_id"]]["form"] == form]

    def of(self, form: str) -> Rows:
        return [row for row in self.assets.values() if row["form"] == form]

    def refused(self, label_set: str) -> dict[str, str]:
        """Locator -> reason, of what one label set said: their locators tell them apart."""
        start = {"masks": "value", "dicom_seg": "segment", "rtstruct": "roi"}[label_set]
        units = ("annotation", "object")
        rows = [row for row in self.rejects if row["unit"] in units and row["locator"].startswith(start)]
        return {row["locator"]: row["reason"] for row in rows}


def built(folder: Path, made: Torso, files: dict[str, bytes], labels: tuple[npt.NDArray[Any], Grid]) -> Built:
    """A corpus of the patient's series, files beside it, and one label map."""
    for number, dataset in enumerate(slices(made)):
        files[f"ct/{(number * 7) % 40:02d}.dcm"] = data_of(dataset)
    for name, data in files.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    save_nifti(folder / "data" / "masks" / "all.nii.gz", *labels)
    (folder / "card.yaml").write_text(CARD)
    (folder / "recipe.yaml").write_text(RECIPE)
    build(folder / "recipe.yaml", folder / "out")
    return Built(folder / "out", made)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Everything is drawn where it belongs; names and UIDs speak of people."""
    made = drawn()
    masks = np.stack([made.labels == value_of("liver"), made.labels == value_of("left kidney")], axis=-1)
    seg = segmentation(slices(made), masks.astype(np.uint8), [LIVER, KIDNEY], omit_empty_frames=True)
    seg.SegmentSequence[0].SegmentLabel = "liver of Mr Smith"
    seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Smith"
    rings = [rectangle(made.grid, z, (20, 30), (40, 60)) for z in (5, 6, 7)]
    hole = rectangle(made.grid, 6, (24, 27), (45, 50))
    regions = {"PTV": [*rings, hole], "old": rings, "GTV": [rings[0], rings[2]], "left lung of Mr Smith": rings}
    files = {
        "seg/organs.dcm": data_of(seg),
        "rt/set.dcm": data_of(structure_set(regions)),
        "labels.csv": b"series,finding\nct,lesion\n",
    }
    return built(tmp_path_factory.mktemp("right"), made, files, (made.labels, made.grid))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A mask half a voxel off, a segmentation of another space, contours between slices and on another series."""
    made = drawn()
    seg = segmentation(slices(made), (made.labels == value_of("liver")).astype(np.uint8), [LIVER])
    seg.FrameOfReferenceUID = "2.25.999"
    ring = rectangle(made.grid, 5, (20, 30), (40, 60))
    off = ring + np.array([0, 0, 3.0])
    matrix = made.grid.matrix.copy()
    matrix[0, 3] += made.grid.spacing_mm[2] / 2
    files = {
        "seg/liver.dcm": data_of(seg),
        "rt/set.dcm": data_of(structure_set({"PTV": [off], "GTV": []})),
        "rt/there.dcm": data_of(structure_set({"PTV": [ring]}, series_uid="2.25.998")),
        "labels.csv": b"series,finding\nct,lesion\n",
    }
    return built(tmp_path_factory.mktemp("wrong"), made, files, (made.labels, Grid(made.grid.shape, flat(matrix))))


def mask_of(row: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """The mask of a row, as stored: [slice, row, column], or [row, column]."""
    mask = row["mask"]
    decoded = decode_volume(Rle(mask["height"], mask["width"], mask["counts"], mask["depth"] or 1))
    return decoded if mask["depth"] is not None else decoded[0]


def test_a_segmentation_and_a_label_map_mark_the_same_voxels_of_the_series(right: Built) -> None:
    marked = {(row["label_set"], row["concept"]): row for row in right.on("volume")}
    z_mm, y_mm, x_mm = right.torso.grid.spacing_mm
    for concept, organ in (("liver", "liver"), ("kidney", "left kidney")):
        truth = right.torso.labels == value_of(organ)
        for row in (marked["dicom_seg", concept], marked["masks", organ]):
            np.testing.assert_array_equal(mask_of(row), truth)
            assert row["frame"] == "volume"
            assert row["volume_mm3"] == pytest.approx(truth.sum() * x_mm * y_mm * z_mm)
            z, y, x = (np.flatnonzero(truth.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
            assert row["box"] == [x[0], y[0], z[0], x[-1] + 1, y[-1] + 1, z[-1] + 1]
            assert row["extent_mm"] == pytest.approx([len(x) * x_mm, len(y) * y_mm, len(z) * z_mm])
            assert (row["area_px"], row["area_mm2"]) == (None, None)
    assert right.refused("masks") == right.refused("dicom_seg") == {}


def test_each_slice_has_what_the_volume_has_on_that_plane(right: Built) -> None:
    found = {(row["asset_id"], row["concept"]): row for row in right.on("slice") if row["label_set"] == "masks"}
    assert {row["plane"] for row in right.of("slice")} == {"axial", "coronal", "sagittal"}
    for picture in right.of("slice"):
        axis = ("axial", "coronal", "sagittal").index(picture["plane"])
        plane = right.torso.labels.take(picture["position"], axis=axis)
        seen = plane if axis == 0 else plane[::-1]  # superior above
        row_mm, column_mm = picture["spacing_mm"]
        for organ in ("liver", "right kidney", "left kidney"):
            truth = seen == value_of(organ)
            row = found.get((picture["asset_id"], organ))
            assert (row is not None) == truth.any()
            if row is not None:
                np.testing.assert_array_equal(mask_of(row), truth)
                assert row["frame"] == "raster"
                assert row["area_mm2"] == pytest.approx(truth.sum() * row_mm * column_mm)
                across, down = truth.any(axis=0).sum() * column_mm, truth.any(axis=1).sum() * row_mm
                assert row["extent_mm"] == pytest.approx([across, down])


def test_the_left_kidney_is_on_the_right_of_an_axial_picture(right: Built) -> None:
    ends: dict[str, list[float]] = {"left kidney": [], "right kidney": []}
    for row in right.on("slice"):
        picture = right.assets[row["asset_id"]]
        if picture["plane"] == "axial" and row["concept"] in ends:
            ends[row["concept"]] += [row["box"][0] / picture["width"], row["box"][2] / picture["width"]]
    assert min(ends["left kidney"]) > 0.5 > max(ends["right kidney"])


def test_what_a_table_says_of_the_volume_says_nothing_of_a_slice(right: Built) -> None:
    (volume,) = right.of("volume")
    assert "table" in volume["labelled_by"]
    assert "table" in {row["label_set"] for row in right.on("volume")}
    assert "table" not in {row["label_set"] for row in right.on("slice")}
    assert all("masks" in row["labelled_by"] and "table" not in row["labelled_by"] for row in right.of("slice"))


def test_contours_fill_the_voxels_within_them(right: Built) -> None:
    marked = {row["concept"]: row for row in right.on("volume") if row["label_set"] == "rtstruct"}
    expected = np.zeros(right.torso.grid.shape, dtype=bool)
    expected[5:8, 20:30, 40:60] = True
    expected[6, 24:27, 45:50] = False
    np.testing.assert_array_equal(mask_of(marked["target volume"]), expected)
    assert marked["target volume"]["flags"] == ["region"]
    assert marked["tumour"]["flags"] == ["gaps", "region"]
    assert right.refused("rtstruct") == {"roi 2": "ignored_class", "roi 4": "unknown_class"}


def test_names_that_nobody_listed_and_uids_stay_in_the_source(right: Built) -> None:
    assert {row["label"] for row in right.on("volume")} >= {"PTV", "Liver"}
    told = str([right.assets, right.annotations, right.rejects])
    told += "".join(str(pq.read_table(path).to_pylist()) for path in right.out.glob("inventory/**/*.parquet"))
    told += "".join(str(pq.read_table(path).to_pylist()) for path in right.out.glob("files/**/*.parquet"))
    told += "".join(path.read_text() for path in right.out.rglob("*.json"))
    for secret in ("Smith", "2.25.", "1.2.840"):
        assert secret not in told


def test_what_lies_elsewhere_is_refused_and_its_silence_means_nothing(wrong: Built) -> None:
    assert wrong.refused("masks") == dict.fromkeys(["value 3", "value 4", "value 5"], "geometry_mismatch")
    assert wrong.refused("dicom_seg") == {"segment 1": "frame_of_reference"}
    assert {row["label_set"] for row in wrong.annotations} == {"table"}
    (volume,) = wrong.of("volume")
    assert volume["labelled_by"] == ["table"]
    assert all(row["labelled_by"] == [] for row in wrong.of("slice"))


def test_what_refers_to_a_series_that_is_not_there_is_a_missing_image(wrong: Built) -> None:
    reasons = sorted(row["reason"] for row in wrong.rejects if (row["locator"] or "").startswith("roi"))
    assert reasons == ["empty_mask", "geometry_mismatch", "image_unavailable", "missing_file"]
    (missing,) = (row for row in wrong.rejects if row["reason"] == "missing_file")
    assert missing["unit"] == "image"
    assert "2.25" not in missing["item_key"]
