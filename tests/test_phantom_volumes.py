"""Phantoms of volumes, slides and clips tell the truth: read by other libraries, and as their cards build them."""

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from curate.card import load_card
from curate.cli import cli
from curate.layouts import check_card
from curate.phantom import ImageTruth, Truth, write_phantoms
from curate.phantom.torso import ORGANS
from tests.conftest import ROOT

NAMES = ("phantom-ct", "phantom-ct-dicom", "phantom-slide", "phantom-clip")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    root = tmp_path_factory.mktemp("phantoms")
    return root, write_phantoms(root, images=4, only=NAMES)


@pytest.fixture(scope="module")
def built(written: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Assets and annotations of all four, by their shipped cards."""
    folder = tmp_path_factory.mktemp("built")
    sources = [{"card": str(ROOT / "catalogs" / f"{name}.yaml"), "data": str(written[0] / name)} for name in NAMES]
    recipe: dict[str, Any] = {"name": "volumes", "sources": sources, "tasks": ["label_caption"]}
    recipe |= {"volumes": {"planes": ["axial"], "slices": 1}, "slides": {"mpp": MPP, "size": 256, "tissue": 0.5}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    for stage in ("scan", "read"):
        run("build", folder / "recipe.yaml", "--out", folder / "out", "--stage", stage, "-j", "1")
    return folder / "out"


MPP = 0.5


def run(*arguments: object) -> None:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def rows(out: Path, table: str, source: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / table / source).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def nearest_lps(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Voxels [slice, row, column], the affine in LPS, and how the array lay in its file, by nibabel."""
    import nibabel

    image = nibabel.load(path)
    letters = "".join(nibabel.aff2axcodes(image.affine))
    ras = nibabel.as_closest_canonical(image)
    turned = nibabel.orientations.apply_orientation(np.asarray(ras.dataobj), [[0, -1], [1, -1], [2, 1]])
    flips = nibabel.orientations.inv_ornt_aff([[0, -1], [1, -1], [2, 1]], ras.shape)
    return turned.transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ ras.affine @ flips, letters


def check_organs(labels: np.ndarray, item: ImageTruth) -> None:
    """Each organ of a label map is where the truth says, and as large."""
    values = {organ.name: value for value, organ in enumerate(ORGANS, 1)}
    assert set(np.unique(labels)) - {0} == {values[one.label] for one in item.objects}
    for one in item.objects:
        places = np.argwhere(labels == values[one.label])[:, ::-1]
        assert (*places.min(axis=0), *(places.max(axis=0) + 1)) == one.box
        assert len(places) == one.voxels
        assert one.volume_mm3 == pytest.approx(len(places) * np.prod(item.spacing_mm), rel=1e-9)


# CT


def test_volumes_lie_in_their_files_as_the_truth_says(written: tuple[Path, Truth]) -> None:
    root, truth = written
    items = truth.datasets["phantom-ct"].items
    assert [item.orientation for item in items] == ["LAS", "RAS", "PIR"]
    for item in items:
        voxels, affine, letters = nearest_lps(root / "phantom-ct" / item.path)
        assert letters == item.orientation
        assert voxels.shape == (item.depth, item.height, item.width)
        assert np.allclose(affine.ravel(), item.affine_lps, atol=1e-4)
        assert len(set(items[0].spacing_mm)) == 3, "no two steps are alike"
        check_organs(nearest_lps(label_map(root, item))[0], item)


def label_map(root: Path, item: ImageTruth) -> Path:
    name = Path(item.path).name.replace("_0000.nii.gz", ".nii.gz")
    return root / "phantom-ct" / "labelsTr" / name


def test_organs_have_their_ct_numbers_and_their_sides(written: tuple[Path, Truth]) -> None:
    root, truth = written
    for item in truth.datasets["phantom-ct"].items:
        voxels = nearest_lps(root / "phantom-ct" / item.path)[0]
        labels = nearest_lps(label_map(root, item))[0]
        for value, organ in enumerate(ORGANS, 1):
            if (labels == value).any():
                assert abs(float(voxels[labels == value].mean()) - organ.hu) < 2
        middle = {one.label: one.point for one in item.objects}
        for organ in ("lung", "kidney"):
            assert middle[f"right {organ}"][0] < middle[f"left {organ}"][0], "columns grow towards the patient's left"
        assert middle["liver"][0] < item.width / 2
        assert middle["spine"][1] > middle["liver"][1], "rows grow towards posterior"
        assert middle["left kidney"][2] < middle["left lung"][2], "slices grow towards superior"
    lesions = ["liver lesion" in {one.label for one in item.objects} for item in truth.datasets["phantom-ct"].items]
    assert lesions == [True, False, True]


def test_the_series_holds_the_same_torso(written: tuple[Path, Truth]) -> None:
    import pydicom

    root, truth = written
    (item,) = truth.datasets["phantom-ct-dicom"].items
    files = sorted((root / "phantom-ct-dicom" / "ct").iterdir())
    slices = [pydicom.dcmread(path) for path in files]
    heights = [float(one.ImagePositionPatient[2]) for one in slices]
    assert heights not in (sorted(heights), sorted(heights)[::-1]), "names of files tell no order"
    assert {(str(one.PatientIdentityRemoved), str(one.PatientID)) for one in slices} == {("YES", item.subject)}
    ordered = [slices[index] for index in np.argsort(heights)]
    assert {(float(one.RescaleSlope), float(one.RescaleIntercept)) for one in slices} == {(1.0, -1024.0)}
    hu = np.stack([one.pixel_array.astype(np.int16) - 1024 for one in ordered])
    voxels, affine, _ = nearest_lps(root / "phantom-ct" / truth.datasets["phantom-ct"].items[0].path)
    assert np.array_equal(hu, voxels)
    assert np.allclose(affine[:3, 3], ordered[0].ImagePositionPatient, atol=1e-3)


def test_the_segmentation_holds_each_organ(written: tuple[Path, Truth]) -> None:
    import highdicom

    root, truth = written
    (item,) = truth.datasets["phantom-ct-dicom"].items
    seg = highdicom.seg.segread(root / "phantom-ct-dicom" / "seg" / "organs.dcm")
    volume = seg.get_volume(combine_segments=True, skip_overlap_checks=True)
    assert volume.array.max() == len(item.objects)
    for number, one in enumerate(item.objects, 1):
        assert int(np.count_nonzero(volume.array == number)) == one.voxels


def test_nothing_tells_when_or_by_which_library_it_was_written(written: tuple[Path, Truth]) -> None:
    import pydicom

    root, _ = written
    for path in (root / "phantom-ct-dicom").rglob("*.dcm"):
        text = str(pydicom.dcmread(path)) + str(pydicom.dcmread(path).file_meta)
        assert pydicom.__version__ not in text
        assert "highdicom" not in text.lower()
    for path in (root / "phantom-slide").rglob("*.tif"):
        assert b"tifffile" not in path.read_bytes()


# Slides and clips


def test_slides_open_as_slides_with_their_resolution_and_tissue(written: tuple[Path, Truth]) -> None:
    import openslide

    root, truth = written
    for item in truth.datasets["phantom-slide"].items:
        with openslide.OpenSlide(root / "phantom-slide" / item.path) as slide:
            assert slide.level_dimensions == ((item.width, item.height), (item.width // 4, item.height // 4))
            stated = [float(slide.properties[key]) for key in ("openslide.mpp-x", "openslide.mpp-y")]
            assert tuple(stated) == item.mpp == (MPP, MPP)
            pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")).astype(np.int16)
        tissue = pixels.max(axis=2) - pixels.min(axis=2) > 25
        assert abs(tissue.mean() - item.tissue_share) < 0.005


def test_pictures_of_a_clip_come_at_their_times_with_the_disc_where_it_is(written: tuple[Path, Truth]) -> None:
    import av

    root, truth = written
    steps = set()
    for item in truth.datasets["phantom-clip"].items:
        with av.open(str(root / "phantom-clip" / item.path)) as container:
            frames = list(container.decode(video=0))
        assert [float(frame.time) for frame in frames] == pytest.approx(item.times_s)
        steps |= {round(step, 3) for step in np.diff(item.times_s)}
        for frame, (x, y) in zip(frames, item.centres, strict=True):
            places = np.argwhere(frame.to_ndarray(format="gray") > 150) + 0.5
            assert np.allclose(places.mean(axis=0), (y, x), atol=0.2)
    assert steps == {0.04, 0.08}, "a picture's number does not tell its time"


def test_the_table_says_which_way_the_disc_goes(written: tuple[Path, Truth]) -> None:
    root, truth = written
    with (root / "phantom-clip" / "clips.csv").open(newline="") as file:
        said = {row["file"]: row["movement class"] for row in csv.DictReader(file)}
    items = truth.datasets["phantom-clip"].items
    assert said == {Path(item.path).name: item.label for item in items}
    ways = {"left to right": (1, 0), "right to left": (-1, 0), "downwards": (0, 1), "upwards": (0, -1)}
    for item in items:
        assert tuple(np.sign(np.subtract(item.centres[-1], item.centres[0])).astype(int)) == ways[item.label]


# Cards


@pytest.mark.parametrize("name", NAMES)
def test_every_phantom_has_a_card_that_vouches_for_it(written: tuple[Path, Truth], name: str) -> None:
    card = load_card(ROOT / "catalogs" / f"{name}.yaml")
    check_card(card)
    assert (card.id, card.terms.licence, card.terms.deidentified) == (name, "CC0-1.0", True)
    assert card.terms.quote in (written[0] / name / card.terms.read_at).read_text()


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_build_measures_what_was_drawn(written: tuple[Path, Truth], built: Path, name: str) -> None:
    """Volumes, boxes and masks of every organ, on the array nearest to LPS."""
    items = written[1].datasets[name].items
    volumes = [row for row in rows(built, "assets", name) if row["form"] == "volume"]
    assert len(volumes) == len(items)
    for item in items:
        (asset,) = [row for row in volumes if np.allclose(row["affine_lps"], item.affine_lps, atol=1e-4)]
        assert (asset["depth"], asset["height"], asset["width"]) == (item.depth, item.height, item.width)
        assert asset["spacing_mm"] == pytest.approx(item.spacing_mm)
        assert asset["orientation"] == item.orientation
        assert asset["rescale_unit"] == "HU"
        said = [row for row in rows(built, "annotations", name) if row["asset_id"] == asset["asset_id"]]
        stated = sorted((row["box"], row["volume_mm3"]) for row in said)
        drawn = sorted((list(one.box), one.volume_mm3) for one in item.objects)
        assert [box for box, _ in stated] == [box for box, _ in drawn]
        assert [mm3 for _, mm3 in stated] == pytest.approx([mm3 for _, mm3 in drawn], rel=1e-5)


def test_the_sides_of_segments_come_from_their_codes(built: Path) -> None:
    said = {(row["concept"], row["side"]) for row in rows(built, "annotations", "phantom-ct-dicom")}
    assert {("lung", "right"), ("lung", "left"), ("kidney", "right"), ("kidney", "left"), ("liver", None)} <= said


def test_a_slide_and_its_tissue(written: tuple[Path, Truth], built: Path) -> None:
    items = written[1].datasets["phantom-slide"].items
    assets = rows(built, "assets", "phantom-slide")
    assert sum(row["form"] == "slide" for row in assets) == len(items)
    tiles = [row for row in assets if row["form"] == "tile"]
    assert {tuple(row["mpp"]) for row in tiles} == {(MPP, MPP)}
    whole = sum(item.width * item.height * item.tissue_share for item in items)
    assert 0.5 * whole < len(tiles) * 256 * 256 < 2 * whole


def test_a_clip_keeps_its_label_and_length(written: tuple[Path, Truth], built: Path) -> None:
    items = written[1].datasets["phantom-clip"].items
    assets = {row["asset_id"]: row for row in rows(built, "assets", "phantom-clip") if row["form"] == "video"}
    assert {row["depth"] for row in assets.values()} == {items[0].depth}
    said = rows(built, "annotations", "phantom-clip")
    assert {assets[row["asset_id"]]["item_key"]: row["label"] for row in said if row["state"] == "present"} == {
        item.path: item.label for item in items
    }


def test_the_truth_on_disk_is_the_truth_returned(written: tuple[Path, Truth]) -> None:
    root, truth = written
    assert msgspec.json.decode((root / "truth.json").read_bytes(), type=Truth) == truth
