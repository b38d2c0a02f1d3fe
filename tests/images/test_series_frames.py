"""A multi-frame object is one volume, one volume per time, or none; its functional groups say which."""

import random

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless

from curate.schema import Reason
from tests.images.synthetic_series import AXIAL, array_of, refused, slice_dataset, volume_of, written

DEPTH, ROWS, COLUMNS = 4, 6, 8


def item(**values) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def group(**values) -> Sequence:
    return Sequence([item(**values)])


def frame_groups(index: int, *, slope: float = 1.0, **content) -> Dataset:
    """What a frame says of itself: its position, its scale, and `content`."""
    return item(
        PlanePositionSequence=group(ImagePositionPatient=[-10, -20, 3 * index]),
        PixelValueTransformationSequence=group(RescaleSlope=str(slope), RescaleIntercept="-1024", RescaleType="HU"),
        FrameContentSequence=group(**content),
    )


def enhanced(own: list[Dataset], values: np.ndarray) -> Dataset:
    """An Enhanced CT whose frames have the groups `own`; position, spacing and scale stand nowhere else."""
    dataset = slice_dataset(0, (0, 0, 0), values[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(dataset, keyword)
    del dataset.RescaleIntercept
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    dataset.NumberOfFrames, dataset.PixelData = len(own), values.tobytes()
    dataset.SharedFunctionalGroupsSequence = Sequence(
        [
            item(
                PlaneOrientationSequence=group(ImageOrientationPatient=list(AXIAL)),
                PixelMeasuresSequence=group(PixelSpacing=[0.5, 0.75], SliceThickness="3"),
                FrameVOILUTSequence=group(WindowCenter="40", WindowWidth="400"),
            )
        ]
    )
    dataset.PerFrameFunctionalGroupsSequence = Sequence(own)
    return dataset


def numbers(count: int) -> np.ndarray:
    return np.arange(count * ROWS * COLUMNS, dtype=np.int16).reshape(count, ROWS, COLUMNS)


def shuffled(own: list[Dataset], values: np.ndarray) -> Dataset:
    order = list(range(len(own)))
    random.Random(3).shuffle(order)
    return enhanced([own[index] for index in order], values[order])


def test_frames_in_any_order_are_the_volume_that_their_positions_make():
    values = numbers(DEPTH)
    volume = volume_of([shuffled([frame_groups(index) for index in range(DEPTH)], values)])
    assert np.array_equal(array_of(volume), values)
    assert volume.grid.matrix[:3, :3].tolist() == [[0.75, 0, 0], [0, 0.5, 0], [0, 0, 3]]
    assert (volume.axes, volume.rescale_slope, volume.rescale_intercept) == ("zyx", 1.0, -1024.0)
    assert (volume.rescale_unit, volume.window.center, volume.window.width) == ("HU", 40.0, 400.0)


def test_compressed_frames_are_the_same_volume():
    values = numbers(DEPTH)
    dataset = shuffled([frame_groups(index) for index in range(DEPTH)], values)
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(array_of(volume_of([dataset])), values)


def test_temporal_positions_are_an_axis_where_each_is_the_same_stack():
    values = numbers(3 * DEPTH)
    own = [frame_groups(index, TemporalPositionIndex=time + 1) for time in range(3) for index in range(DEPTH)]
    volume = volume_of([shuffled(own, values)])
    assert (volume.axes, volume.shape) == ("tzyx", (3, DEPTH, ROWS, COLUMNS))
    assert volume.grid.shape == (DEPTH, ROWS, COLUMNS)
    assert np.array_equal(array_of(volume), values.reshape(volume.shape))


def test_a_time_that_lacks_a_slice_refuses_the_object():
    own = [frame_groups(index, TemporalPositionIndex=time + 1) for time in range(3) for index in range(DEPTH)]
    refusal = refused([enhanced(own[:-3] + own[-2:], numbers(3 * DEPTH - 1))])
    assert refusal.reason is Reason.MISSING_SLICE
    assert refusal.detail.startswith("at one of 3 temporal positions")
    shorter = refused([enhanced(own[:-1], numbers(3 * DEPTH - 1))])
    assert shorter.reason is Reason.INCONSISTENT_SERIES


def test_frames_at_one_position_say_what_tells_them_apart():
    own = [frame_groups(index // 2) for index in range(2 * DEPTH)]
    for index, groups in enumerate(own):
        groups.MRDiffusionSequence = group(DiffusionBValue=float(1000 * (index % 2)))
    refusal = refused([enhanced(own, numbers(2 * DEPTH))])
    assert refusal.reason is Reason.DUPLICATE_POSITION
    assert refusal.detail.endswith("they differ in DiffusionBValue")


def test_frames_of_their_own_scale_come_in_modality_units():
    values = numbers(DEPTH)
    volume = volume_of([enhanced([frame_groups(index, slope=index + 1.0) for index in range(DEPTH)], values)])
    assert volume.changes == ("rescaled:per_slice",)
    assert np.allclose(array_of(volume), values * np.arange(1, DEPTH + 1)[:, None, None] - 1024)


def test_floating_point_frames_are_a_volume_of_floats():
    values = numbers(DEPTH).astype(np.float32) / 7
    dataset = shuffled([frame_groups(index) for index in range(DEPTH)], numbers(DEPTH))
    order = np.frombuffer(dataset.PixelData, np.int16).reshape(DEPTH, -1)[:, 0] // (ROWS * COLUMNS)
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.BitsAllocated, dataset.FloatPixelData = 32, values[order].tobytes()
    volume = volume_of([dataset])
    assert volume.dtype == np.float32
    assert np.array_equal(array_of(volume), values)


def test_several_stacks_and_parts_of_a_concatenation_are_no_volume():
    own = [frame_groups(index, StackID=str(index // 3)) for index in range(6)]
    assert refused([enhanced(own, numbers(6))]).detail == "2 stacks in one object"
    part = enhanced([frame_groups(index) for index in range(DEPTH)], numbers(DEPTH))
    part.ConcatenationUID, part.InConcatenationTotalNumber = "2.25.8", 2
    assert refused([part]).reason is Reason.NOT_A_VOLUME
    part.InConcatenationTotalNumber = 1
    assert volume_of([part]).shape == (DEPTH, ROWS, COLUMNS)


def test_a_scout_among_the_frames_refuses_the_object():
    own = [frame_groups(index) for index in range(DEPTH)]
    own[1].CTImageFrameTypeSequence = group(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    assert refused([enhanced(own, numbers(DEPTH))]).reason is Reason.LOCALIZER


@pytest.mark.parametrize("lacking", ["PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"])
def test_frames_without_geometry_have_none_invented(lacking):
    dataset = enhanced([frame_groups(index) for index in range(DEPTH)], numbers(DEPTH))
    for groups in (*dataset.PerFrameFunctionalGroupsSequence, *dataset.SharedFunctionalGroupsSequence):
        if lacking in groups:
            delattr(groups, lacking)
    assert refused([dataset]).reason is Reason.NO_GEOMETRY


def test_a_frame_count_that_disagrees_with_the_groups_is_refused():
    dataset = enhanced([frame_groups(index) for index in range(DEPTH)], numbers(DEPTH))
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:-1]
    assert refused([dataset]).reason is Reason.INVALID_HEADER


def test_multi_frame_pixels_that_end_early_are_refused():
    data = written(enhanced([frame_groups(index) for index in range(DEPTH)], numbers(DEPTH)))
    assert refused([data[: -ROWS * COLUMNS]]).reason in {Reason.INVALID_HEADER, Reason.TRUNCATED_IMAGE}


def test_a_file_of_several_frames_among_slices_is_refused():
    several = enhanced([frame_groups(index) for index in range(DEPTH)], numbers(DEPTH))
    single = slice_dataset(9, (-10, -20, 12), numbers(1)[0])
    assert refused([several, single]).reason is Reason.INCONSISTENT_SERIES


def test_dose_offsets_may_be_places_on_z_and_nothing_else():
    def dose(offsets, **values) -> Dataset:
        dataset = slice_dataset(0, (-10, -20, 30), numbers(1)[0], NumberOfFrames=DEPTH, Modality="RTDOSE")
        dataset.PixelData, dataset.GridFrameOffsetVector = numbers(DEPTH).tobytes(), offsets
        dataset.DoseGridScaling, dataset.DoseUnits = "0.5", "GY"
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return dataset

    relative, absolute = volume_of([dose([0, 3, 6, 9])]), volume_of([dose([30, 33, 36, 39])])
    assert relative.grid == absolute.grid
    assert (relative.rescale_slope, relative.rescale_intercept, relative.rescale_unit) == (0.5, 0.0, "GY")
    assert refused([dose([5, 8, 11, 14])]).reason is Reason.NO_GEOMETRY
    assert refused([dose([0, 3, 6])]).reason is Reason.NO_GEOMETRY
    assert refused([dose([0, 3, 6, 12])]).reason is Reason.MISSING_SLICE
    sagittal = [0, 1, 0, 0, 0, -1]
    assert refused([dose([30, 33, 36, 39], ImageOrientationPatient=sagittal)]).reason is Reason.NO_GEOMETRY
    assert volume_of([dose([0, 3, 6, 9], ImageOrientationPatient=sagittal)]).shape == (ROWS, COLUMNS, DEPTH)
