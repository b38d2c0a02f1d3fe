"""Placing in a volume: exactly on its voxels whatever lies how, or refused; never resampled, never guessed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from curate.card import LabelSet
from curate.geometry_3d import Grid, Reorientation, crop, flat, reorient, turned
from curate.images.dicom_seg import read_segmentation
from curate.images.label_maps import LabelMap, VolumeFile, read_label_map
from curate.images.rtstruct import StructureSet
from curate.images.volumes import read_volume
from curate.layouts.base import RawAnnotation, RawMask
from curate.rows import Rle
from curate.schema import Kind, Reason, Refusal
from curate.stages.placing import Cut, Placer, Raster, Space
from curate.stages.placing_volume import Marked, Structures, VolumeMasks
from curate.voxel_runs import decode_volume
from tests.stages.drawn_patient import (
    KIDNEY,
    LIVER,
    SPACE,
    data_of,
    drawn,
    rectangle,
    segmentation,
    slices,
    structure_set,
)

GRID = Grid((4, 5, 6), flat(np.array([[0.5, 0, 0, -7], [0, 0.75, 0, 3], [0, 0, 2.0, 11], [0, 0, 0, 1]])))
MASK = RawMask("mask.nii")


def marked(
    found: Structures | Refusal, mask: RawMask, grid: Grid | None = GRID, space: str | None = None
) -> list[Marked]:
    result = masks_of(found).marked(mask, grid, space)
    assert not isinstance(result, Refusal), result
    return result


def masks_of(found: Structures | Refusal) -> VolumeMasks:
    return VolumeMasks(lambda _: found, lambda uid: f"token of {uid}", lambda: None)


def refused(found: Structures | Refusal, mask: RawMask, grid: Grid | None = GRID, space: str | None = None) -> Reason:
    result = masks_of(found).marked(mask, grid, space)
    assert isinstance(result, Refusal)
    return result.reason


def voxels(one: Marked) -> npt.NDArray[np.bool_]:
    return decode_volume(one.runs.rle())


def some_labels() -> npt.NDArray[np.int16]:
    labels = np.zeros(GRID.shape, np.int16)
    labels[1, 1:4, 2:5], labels[2, 2, 1], labels[3, 4, 5] = 3, 7, 7
    return labels


# --- label maps ------------------------------------------------------------------------------------------------------


def test_a_value_has_its_voxels_and_one_that_is_not_there_has_none() -> None:
    labels = some_labels()
    (three,) = marked(LabelMap(labels, GRID), RawMask("m", value=3))
    np.testing.assert_array_equal(voxels(three), labels == 3)
    assert marked(LabelMap(labels, GRID), RawMask("m", value=4)) == []


def test_each_value_may_be_an_object() -> None:
    labels = some_labels()
    found = marked(LabelMap(labels, GRID), RawMask("m", per_instance=True))
    assert [one.suffix for one in found] == [" value 3", " value 7"]
    for one, value in zip(found, (3, 7), strict=True):
        np.testing.assert_array_equal(voxels(one), labels == value)


def test_all_but_the_background_is_one_mask() -> None:
    labels = some_labels()
    (one,) = marked(LabelMap(labels, GRID), RawMask("m", background=3))
    np.testing.assert_array_equal(voxels(one), labels != 3)


def test_an_empty_mask_is_a_mistake_unless_the_card_says_that_it_is_an_absence() -> None:
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    assert refused(empty, MASK) is Reason.EMPTY_MASK
    assert marked(empty, RawMask("m", may_be_empty=True)) == []


@given(
    st.permutations([0, 1, 2]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    arrays.arrays(bool, GRID.shape),
)
def test_a_mask_lies_where_it_lies_however_its_array_does(
    order: list[int], flips: tuple[bool, bool, bool], mask: npt.NDArray[np.bool_]
) -> None:
    mask = mask.copy()
    mask[0, 0, 0] = True
    how = Reorientation((order[0], order[1], order[2]), flips)
    (one,) = marked(LabelMap(turned(mask, how), reorient(GRID, how)), MASK)
    np.testing.assert_array_equal(voxels(one), mask)


def test_a_mask_may_reach_beyond_the_image_with_background_alone() -> None:
    labels = np.zeros((6, 9, 9), np.uint8)
    larger = crop(GRID, (-1, -2, -2), (6, 9, 9))
    labels[2, 4, 4] = 1
    (one,) = marked(LabelMap(labels, larger), MASK)
    assert np.argwhere(voxels(one)).tolist() == [[1, 2, 2]]
    labels[0, 4, 4] = 1
    assert refused(LabelMap(labels, larger), MASK) is Reason.GEOMETRY_MISMATCH


def test_a_mask_without_geometry_or_for_an_image_without_one_is_refused() -> None:
    assert refused(LabelMap(some_labels(), GRID), MASK, grid=None) is Reason.NO_GEOMETRY
    assert refused(Refusal(Reason.NO_GEOMETRY, "none"), MASK) is Reason.NO_GEOMETRY


def test_another_frame_of_reference_is_refused_where_both_state_one() -> None:
    label_map = LabelMap(some_labels(), GRID, "1.2.3")
    assert refused(label_map, MASK, space="token of 1.2.4") is Reason.FRAME_OF_REFERENCE
    assert len(marked(label_map, MASK, space="token of 1.2.3")) == 1
    assert len(marked(label_map, MASK, space=None)) == 1
    assert len(marked(LabelMap(some_labels(), GRID), MASK, space="token of 1.2.4")) == 1


def test_a_file_is_read_once_for_all_that_it_holds_and_all_slices() -> None:
    read: list[str] = []

    def open_file(mask: RawMask) -> LabelMap:
        read.append(mask.path)
        return LabelMap(some_labels(), GRID)

    masks = VolumeMasks(open_file, str, lambda: None)
    for _ in range(3):
        for value in (3, 7):
            masks.marked(RawMask("m", value=value), GRID, None)
    assert read == ["m"]
    masks.begin()
    masks.marked(RawMask("m", value=3), GRID, None)
    assert read == ["m", "m"]


# --- targets ---------------------------------------------------------------------------------------------------------


def placed(raw: RawAnnotation, target: Space | Cut | Raster, found: Structures | None = None) -> Any:
    labels = {"set": LabelSet(layout="masks", name="set")}
    structure = found if found is not None else LabelMap(some_labels(), GRID)
    return Placer(labels, lambda _: some_labels()[1], masks_of(structure)).place(raw, target)


def raw(kind: Kind = Kind.MASK, **said: Any) -> RawAnnotation:
    return RawAnnotation(kind=kind, locator="here", label_set="set", **said)


SPACE_OF = Space(grid=GRID, asset_id="a", source="s")


def test_a_volume_has_boxes_of_six_numbers_and_volumes() -> None:
    (row,) = placed(raw(mask=RawMask("m", value=3)), SPACE_OF)
    assert row["frame"] == "volume"
    assert row["box"] == [2, 1, 1, 5, 4, 2]
    assert row["volume_mm3"] == pytest.approx(9 * 0.5 * 0.75 * 2.0)
    assert row["extent_mm"] == pytest.approx([1.5, 2.25, 2.0])
    assert row["mask"]["depth"] == 4


@pytest.mark.parametrize(
    ("axis", "index", "box", "area_mm2"),
    [
        (0, 1, [2, 1, 5, 4], 9 * 0.5 * 0.75),
        (1, 2, [2, 2, 5, 3], 3 * 0.5 * 2.0),  # slice 1 of 4 is row 2 of 0 to 3, counted from above
        (2, 3, [1, 2, 4, 3], 3 * 0.75 * 2.0),
    ],
)
def test_a_plane_has_the_mask_as_it_is_seen(axis: int, index: int, box: list[float], area_mm2: float) -> None:
    (row,) = placed(raw(mask=RawMask("m", value=3)), Cut(space=SPACE_OF, axis=axis, index=index))
    assert row["frame"] == "raster"
    assert row["box"] == box
    assert row["area_mm2"] == pytest.approx(area_mm2)
    assert (row["volume_mm3"], row["mask"].get("depth")) == (None, None)


def test_a_plane_that_a_mask_does_not_reach_has_no_row_and_no_refusal() -> None:
    assert placed(raw(mask=RawMask("m", value=3)), Cut(space=SPACE_OF, axis=0, index=0)) == []


def test_a_plane_that_is_shrunk_keeps_what_the_mask_measured() -> None:
    cut = Cut(space=SPACE_OF, axis=0, index=1, delivered=(3, 2))
    (row,) = placed(raw(mask=RawMask("m", value=3)), cut)
    assert (row["mask"]["width"], row["mask"]["height"]) == (3, 2)
    assert row["area_mm2"] == pytest.approx(9 * 0.5 * 0.75)
    assert "resampled" in row["flags"]


def test_a_pixel_of_a_tilted_series_is_no_rectangle() -> None:
    tilted = GRID.matrix.copy()
    tilted[1, 2] = 2.0  # each slice lies 2 mm further back
    space = Space(grid=Grid(GRID.shape, flat(tilted)))
    found = LabelMap(some_labels(), Grid(GRID.shape, flat(tilted)))
    (whole,) = placed(raw(mask=RawMask("m", value=3)), space, found)
    assert whole["volume_mm3"] == pytest.approx(9 * 0.5 * 0.75 * 2.0)
    (sagittal,) = placed(raw(mask=RawMask("m", value=3)), Cut(space=space, axis=2, index=3), found)
    assert sagittal["area_mm2"] == pytest.approx(3 * 0.75 * 2.0)
    assert sagittal["extent_mm"] == pytest.approx([3 * 0.75, 8**0.5])


@pytest.mark.parametrize("kind", [Kind.BOX, Kind.POINT, Kind.POLYGON])
def test_coordinates_of_a_picture_name_no_slice(kind: Kind) -> None:
    said = raw(kind, coords=(1.0, 1.0, 2.0, 2.0), convention="xyxy")
    for target in (SPACE_OF, Cut(space=SPACE_OF, axis=0, index=0)):
        refusal = placed(said, target)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.AMBIGUOUS_IMAGE


def test_a_class_is_said_of_the_volume_and_of_no_plane() -> None:
    said = raw(Kind.CLASS, concept="lesion")
    assert [row["frame"] for row in placed(said, SPACE_OF)] == [None]
    assert placed(said, Cut(space=SPACE_OF, axis=0, index=0)) == []


def test_a_video_takes_classes_and_no_masks() -> None:
    assert len(placed(raw(Kind.CLASS, concept="lesion"), Space(grid=None))) == 1
    assert placed(raw(mask=RawMask("m")), Space(grid=None)).reason is Reason.NO_GEOMETRY


def test_a_segment_cannot_be_placed_on_a_picture() -> None:
    refusal = placed(raw(mask=RawMask("m", segment=1)), Raster(width=6, height=5))
    assert refusal.reason is Reason.NO_GEOMETRY


def test_a_picture_of_known_spacing_has_areas_and_extents() -> None:
    raster = Raster(width=6, height=5, spacing_mm=(0.75, 0.5))
    (mask,) = placed(raw(mask=RawMask("m", value=3)), raster)
    assert (mask["area_mm2"], mask["extent_mm"]) == (pytest.approx(9 * 0.375), pytest.approx([1.5, 2.25]))
    (box,) = placed(raw(Kind.BOX, coords=(1.0, 1.0, 3.0, 2.0), convention="xyxy"), raster)
    assert (box["area_mm2"], box["extent_mm"]) == (pytest.approx(2 * 0.375), pytest.approx([1.0, 0.75]))
    triangle = (1.0, 1.0, 3.0, 1.0, 1.0, 3.0)
    (polygon,) = placed(raw(Kind.POLYGON, polygons=(triangle,), convention="continuous"), raster)
    assert (polygon["area_mm2"], polygon["extent_mm"]) == (pytest.approx(2 * 0.375), pytest.approx([1.0, 1.5]))
    (point,) = placed(raw(Kind.POINT, coords=(1.0, 1.0), convention="continuous"), raster)
    assert (point["area_mm2"], point["extent_mm"]) == (None, None)


# --- segmentations and structure sets --------------------------------------------------------------------------------


def seg(masks: npt.NDArray[Any], codes: Sequence[tuple[str, str]], **said: Any) -> Structures:
    found = read_segmentation(data_of(segmentation(slices(drawn()), masks, codes, **said)), 0.5)
    assert not isinstance(found, Refusal), found
    return found


def test_overlapping_segments_keep_their_voxels() -> None:
    made = drawn()
    masks = np.zeros((*made.grid.shape, 2), np.uint8)
    masks[3:9, 10:30, 10:41, 0] = 1
    masks[5:7, 20:50, 33:60, 1] = 1
    found = seg(masks, [LIVER, KIDNEY], omit_empty_frames=True)
    for number in (1, 2):
        (one,) = marked(found, RawMask("s", segment=number), made.grid, f"token of {SPACE}")
        np.testing.assert_array_equal(voxels(one), masks[..., number - 1] == 1)


def test_a_segmentation_is_found_in_a_volume_that_lies_otherwise() -> None:
    made = drawn()
    masks = (made.labels == 3).astype(np.uint8)
    how = Reorientation((2, 0, 1), (True, False, True))
    (one,) = marked(seg(masks, [LIVER]), RawMask("s", segment=1), reorient(made.grid, how))
    np.testing.assert_array_equal(voxels(one), turned(masks, how) == 1)


@pytest.mark.parametrize("kind", ["PROBABILITY", "OCCUPANCY"])
def test_of_fractions_those_of_a_half_and_more_are_inside(kind: str) -> None:
    made = drawn()
    fractions = np.where(made.labels == 3, 0.51, np.where(made.labels == 5, 0.49, 0)).astype(np.float32)
    found = seg(fractions, [LIVER], kind="FRACTIONAL", fractional_type=kind)
    (one,) = marked(found, RawMask("s", segment=1), made.grid)
    np.testing.assert_array_equal(voxels(one), made.labels == 3)


def test_a_segment_of_a_label_map_object_is_the_value_of_its_number() -> None:
    made = drawn()
    labels = np.where(made.labels == 3, 1, np.where(made.labels == 5, 2, 0)).astype(np.uint8)
    found = seg(labels, [LIVER, KIDNEY], kind="LABELMAP")
    for number, value in ((1, 3), (2, 5)):
        (one,) = marked(found, RawMask("s", segment=number), made.grid)
        np.testing.assert_array_equal(voxels(one), made.labels == value)


def test_a_segment_that_the_file_does_not_have_is_empty() -> None:
    made = drawn()
    assert refused(seg((made.labels == 3).astype(np.uint8), [LIVER]), RawMask("s", segment=9), made.grid) is (
        Reason.EMPTY_MASK
    )


def test_a_segmentation_beside_the_image_is_refused() -> None:
    made = drawn()
    found = seg((made.labels == 3).astype(np.uint8), [LIVER], omit_empty_frames=True)
    assert refused(found, RawMask("s", segment=1), crop(made.grid, (0, 0, 0), (12, 76, 96))) is Reason.GEOMETRY_MISMATCH
    matrix = made.grid.matrix.copy()
    matrix[2, 3] += 2.0
    assert refused(found, RawMask("s", segment=1), Grid(made.grid.shape, flat(matrix))) is Reason.GEOMETRY_MISMATCH


def test_contours_beyond_a_hole_and_types_that_enclose_nothing() -> None:
    grid = drawn().grid
    ring = rectangle(grid, 5, (20, 30), (40, 60))
    (one,) = marked(StructureSet(structure_set({"a": [ring]})), RawMask("r", roi=1), grid, f"token of {SPACE}")
    assert voxels(one)[5, 20:30, 40:60].all()
    assert one.runs.voxels == 200
    points = StructureSet(structure_set({"a": [ring]}, kind="POINT"))
    assert refused(points, RawMask("r", roi=1), grid) is Reason.INVALID_CONTOUR
    assert refused(StructureSet(structure_set({"a": [ring[:2]]})), RawMask("r", roi=1), grid) is Reason.INVALID_CONTOUR
    assert refused(StructureSet(structure_set({"a": [ring]})), RawMask("r", roi=2), grid) is Reason.INVALID_HEADER
    elsewhere = StructureSet(structure_set({"a": [ring]}, space="1.2.3"))
    assert refused(elsewhere, RawMask("r", roi=1), grid, f"token of {SPACE}") is Reason.FRAME_OF_REFERENCE


def test_a_plane_between_contours_without_one_of_its_own_is_not_free_of_what_they_enclose() -> None:
    """Drawn on slices 5 and 7: of 6 nothing is known, while 4 lies outside."""
    grid = drawn().grid
    rings = [rectangle(grid, z, (20, 30), (40, 60)) for z in (5, 7)]
    found = masks_of(StructureSet(structure_set({"a": rings})))
    placer = Placer({"set": LabelSet(layout="rtstruct", name="set")}, lambda _: some_labels()[1], found)
    lost = {}
    for index in (4, 5, 6, 7):
        placer.begin()
        rows = placer.place(raw(mask=RawMask("r", roi=1)), Cut(space=Space(grid=grid), axis=0, index=index))
        assert isinstance(rows, list)
        lost[index] = (len(rows), set(placer.lost))
    assert lost == {4: (0, set()), 5: (1, set()), 6: (0, {"set"}), 7: (1, set())}


def test_a_mask_of_one_kind_is_not_read_as_another() -> None:
    grid = drawn().grid
    ring = rectangle(grid, 5, (20, 30), (40, 60))
    assert refused(StructureSet(structure_set({"a": [ring]})), MASK, grid) is Reason.GEOMETRY_MISMATCH
    assert refused(LabelMap(some_labels(), GRID), RawMask("m", segment=1)) is Reason.GEOMETRY_MISMATCH


# --- real files ------------------------------------------------------------------------------------------------------


def volume_file(path: Path) -> VolumeFile:
    from contextlib import nullcontext

    def head(count: int) -> bytes:
        return path.read_bytes()[:count]

    return VolumeFile(path.name, path.stat().st_size, head, path.read_bytes, lambda: nullcontext(path))


def test_organ_files_have_the_volumes_that_their_source_published(test_data: Callable[[str], Path]) -> None:
    import json

    folder = test_data("totalsegmentator-tests")
    image = read_volume([volume_file(folder / "example_ct_sm.nii.gz")], beat=lambda: None)
    assert not isinstance(image, Refusal)
    published = json.loads((folder / "example_seg_fast" / "statistics.json").read_text())
    organs = sorted((folder / "example_seg_fast").glob("*.nii.gz"))
    assert len(organs) == 117
    empty = 0
    for organ in organs:
        found = read_label_map([volume_file(organ)], lambda: None)
        grid = image.grid
        assert grid is not None
        objects = marked(found, RawMask(organ.name, may_be_empty=True), grid)
        empty += not objects
        volume_mm3 = sum(one.runs.voxels for one in objects) * grid.voxel_mm3
        assert volume_mm3 == pytest.approx(published[organ.name.removesuffix(".nii.gz")]["volume"], rel=1e-6)
    assert empty == 77


def test_a_label_map_lies_on_the_series_of_its_ct(test_data: Callable[[str], Path]) -> None:
    from curate.images.series import SeriesFile, read_series

    folder = test_data("totalsegmentator-tests")
    files = [
        SeriesFile(lambda count, path=path: path.read_bytes()[:count], path.read_bytes, path.stat().st_size)
        for path in sorted((folder / "example_ct_dicom").iterdir())
    ]
    image = read_series(files, beat=lambda: None)
    assert not isinstance(image, Refusal), image
    path = folder / "example_seg_dicom.nii.gz"
    truth = nib.load(path)
    expected = np.asarray(nib.as_closest_canonical(truth).dataobj).T[:, ::-1, ::-1]  # RAS, x first -> LPS, z first
    (liver,) = marked(read_label_map([volume_file(path)], lambda: None), RawMask("m", value=5), image.grid)
    np.testing.assert_array_equal(voxels(liver), expected == 5)


def test_a_segmentation_is_what_it_was_made_from(test_data: Callable[[str], Path]) -> None:
    import SimpleITK

    folder = test_data("dcmqi-seg-sr") / "segmentations"
    for made, source, numbers in (
        ("liver.dcm", "liver_seg.nrrd", {1: 1}),
        ("partial_overlaps.dcm", "partial_overlaps-1.nrrd", {1: 1, 4: 4, 5: 5}),
        ("partial_overlaps.dcm", "partial_overlaps-2.nrrd", {2: 2}),
        ("partial_overlaps.dcm", "partial_overlaps-3.nrrd", {3: 3}),
        ("23x38x3/seg/label.seg", "23x38x3/nrrd/label.nrrd", {1: 1}),
        ("24x38x3/seg/label.seg", "24x38x3/nrrd/label.nrrd", {1: 1}),
        ("sparse-labelmap-noppv.dcm", "sparse_labelmap_noppv_seg.nrrd", {1: 1}),
        ("sparse-labelmap-ppv5.dcm", "sparse_labelmap_ppv5_seg.nrrd", {1: 1}),
    ):
        truth = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(folder / source))
        drawn_on = read_label_map([volume_file(folder / source)], lambda: None)
        assert not isinstance(drawn_on, Refusal), drawn_on
        found = read_segmentation((folder / made).read_bytes(), 0.5)
        for segment, value in numbers.items():
            (one,) = marked(found, RawMask(made, segment=segment), drawn_on.grid)
            np.testing.assert_array_equal(voxels(one), truth == value)
            (same,) = marked(drawn_on, RawMask(source, value=value), drawn_on.grid)
            assert same.runs.rle() == one.runs.rle() == Rle(*rle_of(truth == value))


def rle_of(mask: npt.NDArray[np.bool_]) -> tuple[int, int, list[int], int]:
    """Run lengths counted one voxel after another."""
    counts, last = [0], False
    for value in mask.transpose(0, 2, 1).ravel().tolist():
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return mask.shape[1], mask.shape[2], counts, mask.shape[0]
