"""Segmentations and structure sets that lie, break off or ask for too much end as refusals without a word of theirs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curate.images.dicom_seg import Segmentation, read_segmentation
from curate.images.rtstruct import read_structure_set
from curate.schema import Reason, Refusal
from tests.stages.drawn_patient import LIVER, data_of, drawn, segmentation, slices, structure_set

RING = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])


def made() -> Dataset:
    torso = drawn()
    return segmentation(slices(torso)[10:13], (torso.labels[10:13] == 3).astype(np.uint8), [LIVER])


def planes(found: Segmentation | Refusal, number: int = 1) -> list[Any]:
    assert isinstance(found, Segmentation), found
    return list(found.planes(number, lambda: None))


def reason_of(dataset: Dataset) -> Reason:
    """Why a segmentation is refused, as a whole or at its first frame."""
    found = read_segmentation(data_of(dataset), 0.5)
    refusal = found if isinstance(found, Refusal) else planes(found)[-1]
    assert isinstance(refusal, Refusal)
    return refusal.reason


def test_each_frame_has_its_plane_and_its_pixels() -> None:
    torso = drawn()
    found = sorted(planes(read_segmentation(data_of(made()), 0.5)), key=lambda plane: plane.grid.matrix[2, 3])
    assert len(found) == 3
    for number, plane in enumerate(found):
        np.testing.assert_array_equal(plane.mask, torso.labels[10 + number] == 3)
        np.testing.assert_allclose(plane.grid.matrix[:3, 3], (torso.grid.matrix @ (0, 0, 10 + number, 1))[:3])
        assert plane.grid.spacing_mm[1:] == pytest.approx(torso.grid.spacing_mm[1:])


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("NumberOfFrames", 100_000_000, Reason.INVALID_HEADER),
        ("NumberOfFrames", 1, Reason.INVALID_HEADER),
        ("Rows", 65_535, Reason.CORRUPT_IMAGE),
        ("Rows", 0, Reason.CORRUPT_IMAGE),
        ("BitsAllocated", 32, Reason.INVALID_HEADER),
        ("SamplesPerPixel", 3, Reason.INVALID_HEADER),
        ("SegmentationType", "ODD", Reason.INVALID_HEADER),
        ("SegmentationType", "FRACTIONAL", Reason.INVALID_HEADER),
        ("PixelData", b"", Reason.CORRUPT_IMAGE),
        ("PerFrameFunctionalGroupsSequence", [], Reason.INVALID_HEADER),
    ],
)
def test_a_header_that_lies_is_refused(keyword: str, value: Any, reason: Reason) -> None:
    dataset = made()
    setattr(dataset, keyword, value)
    assert reason_of(dataset) is reason


@pytest.mark.parametrize("position", [["0", "0"], None])
def test_a_frame_without_a_place_is_refused(position: list[str] | None) -> None:
    dataset = made()
    for group in dataset.PerFrameFunctionalGroupsSequence:
        if position is None:
            del group.PlanePositionSequence
        else:
            group.PlanePositionSequence[0].ImagePositionPatient = position
    assert reason_of(dataset) is Reason.NO_GEOMETRY


@pytest.mark.parametrize(
    "cosines", [[0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 0.5, 0.866, 0]]
)
def test_directions_that_span_no_plane_are_refused(cosines: list[float]) -> None:
    dataset = made()
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = cosines
    assert reason_of(dataset) is Reason.INVALID_AFFINE


def test_what_is_cut_short_anywhere_never_raises() -> None:
    data = data_of(made())
    for length in range(0, len(data), len(data) // 60):
        found = read_segmentation(data[:length], 0.5)
        if isinstance(found, Segmentation):
            planes(found)


def test_a_structure_set_that_is_cut_short_anywhere_never_raises() -> None:
    data = data_of(structure_set({"a": [RING]}))
    for length in range(0, len(data), 7):
        found = read_structure_set(data[:length])
        if not isinstance(found, Refusal):
            found.contours(1)


@pytest.mark.parametrize("numbers", [["0", "0"], ["1", "2", "3", "4"], [], ["1e999"] * 9, ["9" * 16] * 10, ["nan"] * 9])
def test_contours_that_are_no_polygons_are_refused(numbers: list[str]) -> None:
    dataset = structure_set({"a": [RING]})
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.add_new("ContourData", "LO", numbers)  # as text, so that nothing is checked on writing
    found = read_structure_set(data_of(dataset))
    assert not isinstance(found, Refusal)
    refusal = found.contours(1)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.INVALID_CONTOUR


@pytest.mark.parametrize("name", ["liver", "liver_j2k", "liver_deflate"])
def test_real_frames_decode_alike_in_every_transfer_syntax(name: str, test_data: Callable[[str], Path]) -> None:
    folder = test_data("pydicom-data") / "data"
    for suffix in ("", "_nonbyte_aligned"):
        path = folder / f"{name.replace('liver', f'liver{suffix}')}.dcm"
        found = planes(read_segmentation(path.read_bytes(), 0.5))
        assert [int(plane.mask.sum()) for plane in found] == [36233, 35645, 35220]


def test_real_frames_in_a_syntax_that_nobody_decodes_are_refused(test_data: Callable[[str], Path]) -> None:
    data = (test_data("pydicom-data") / "data" / "liver_rle.dcm").read_bytes()
    (refusal,) = planes(read_segmentation(data, 0.5))
    assert isinstance(refusal, Refusal)


def test_real_segmentations_are_what_highdicom_reads(test_data: Callable[[str], Path]) -> None:
    import highdicom

    from curate.geometry_3d import Grid, flat, nearest_lps, reorient, turned
    from curate.layouts.base import RawMask
    from curate.stages.placing_volume import VolumeMasks
    from curate.voxel_runs import decode_volume

    folder = test_data("dcmqi-seg-sr")
    for name in ("segmentations/liver.dcm", "segmentations/partial_overlaps.dcm", "sr-example/seg.dcm"):
        read = highdicom.seg.segread(folder / name)
        volume = read.get_volume(combine_segments=False)
        affine = volume.affine @ np.eye(4)[[2, 1, 0, 3]]
        how = nearest_lps(affine)
        grid = reorient(Grid(volume.array.shape[:3], flat(affine)), how)
        found = read_segmentation((folder / name).read_bytes(), 0.5)
        for position, number in enumerate(read.segment_numbers):
            masks = VolumeMasks(lambda _: found, str, lambda: None)  # noqa: B023
            (one,) = masks.marked(RawMask(name, segment=number), grid, None)  # type: ignore[misc]
            expected = turned(volume.array[..., position], how) == 1
            np.testing.assert_array_equal(decode_volume(one.runs.rle()), expected)
