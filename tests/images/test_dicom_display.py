"""What a header says of a frame: where it lies in the patient, how far its pixels are apart, how it is to be shown."""

import io
import warnings
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curate.images import Limits
from curate.images.dicom_pixels import Frame, open_image, read_frame, rendering_of
from curate.rows import Window
from curate.schema import Refusal

CT = "CT_small.dcm"


def changed(name: str = CT, *, pixels: np.ndarray | None = None, **values: Any) -> bytes:
    """A file of pydicom's with other elements, null for none, and other pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(get_testdata_file(name, download=False))
        if pixels is not None:
            dataset.Rows, dataset.Columns = pixels.shape[:2]
            dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
            dataset.HighBit = dataset.BitsStored - 1
            dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
            dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        for keyword, value in values.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
        stream = io.BytesIO()
        dataset.save_as(stream)
    return stream.getvalue()


def frame(data: bytes, number: int | None = None) -> Frame:
    image = open_image(data, Limits())
    assert not isinstance(image, Refusal), image
    read = read_frame(image, number)
    assert isinstance(read, Frame), read
    return read


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def lut(first: int, values: list[int], bits: int = 16) -> Sequence:
    return Sequence([item(LUTDescriptor=[len(values), first, bits], LUTData=np.array(values, "<u2").tobytes())])


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
PLAIN: dict[str, Any] = {"RescaleSlope": None, "RescaleIntercept": None, "PixelPaddingValue": None}


# where it lies


def test_a_slice_keeps_its_place_in_the_patient():
    read = frame(changed())
    dataset = pydicom.dcmread(get_testdata_file(CT))
    affine = np.array(read.affine_lps).reshape(4, 4)
    x, y, z = (float(number) for number in dataset.ImagePositionPatient)
    assert np.allclose(affine @ [0, 0, 0, 1], [x, y, z, 1])
    across, down = float(dataset.PixelSpacing[1]), float(dataset.PixelSpacing[0])
    assert np.allclose(affine @ [3, 5, 0, 1], [x + 3 * across, y + 5 * down, z, 1])
    assert np.linalg.det(affine) > 0
    assert read.frame_of_reference == dataset.FrameOfReferenceUID


def test_columns_follow_the_first_cosines_and_the_second_spacing():
    data = changed(ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=[9, 8, 7], PixelSpacing=[2, 3])
    affine = np.array(frame(data).affine_lps).reshape(4, 4)
    assert (affine @ [1, 0, 0, 1]).tolist() == [9, 11, 7, 1]
    assert (affine @ [0, 1, 0, 1]).tolist() == [9, 8, 5, 1]


@pytest.mark.parametrize(
    "values",
    [
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": None},
        {"PixelSpacing": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImagePositionPatient": [1, 2]},
    ],
)
def test_a_plane_that_is_none_has_no_place(values):
    assert frame(changed(**values)).affine_lps is None


def test_one_position_is_not_that_of_every_frame():
    data = pydicom.dcmread(get_testdata_file(CT)).PixelData
    assert frame(changed(NumberOfFrames=2, PixelData=data * 2), 1).affine_lps is None


def test_each_frame_of_an_enhanced_object_has_its_own_place():
    groups = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, height])],
            PixelMeasuresSequence=[item(PixelSpacing=[1, 1])],
        )
        for height in (10, 20)
    ]
    shared = item(PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    data = changed(
        NumberOfFrames=2,
        PixelData=pydicom.dcmread(get_testdata_file(CT)).PixelData * 2,
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared],
    )
    assert [np.array(frame(data, number).affine_lps).reshape(4, 4)[2, 3] for number in (0, 1)] == [10, 20]


# how far its pixels are apart


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_spacing_that_repeats_the_detectors_is_not_that_of_the_patient(keyword):
    same = {"PixelSpacing": ["0.2", "0.2"], keyword: ["0.20", "0.20"]}
    assert frame(changed(**same)).spacing_mm is None
    assert frame(changed(**same, PixelSpacingCalibrationType="FIDUCIAL")).spacing_mm == (0.2, 0.2)
    assert frame(changed(**(same | {"PixelSpacing": ["0.15", "0.15"]}))).spacing_mm == (0.15, 0.15)


def region(**values: Any) -> Dataset:
    stated = {"RegionSpatialFormat": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    return item(**(stated | {"PhysicalDeltaX": 0.05, "PhysicalDeltaY": -0.04} | values))


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([region()], (0.4, 0.5)),
        ([region(), region()], None),
        ([region(RegionSpatialFormat=3)], None),  # spectral
        ([region(PhysicalUnitsXDirection=4)], None),  # seconds
        ([region(PhysicalDeltaX=0.0)], None),
        ([], None),
    ],
)
def test_ultrasound_has_a_spacing_where_one_calibrated_plane_states_it(regions, expected):
    found = frame(changed(PixelSpacing=None, SequenceOfUltrasoundRegions=regions)).spacing_mm
    assert found == (None if expected is None else pytest.approx(expected))


# which bits are its own


def test_bits_above_those_stored_are_not_pixels():
    samples = np.array([[0x7123, 0x0FFF], [0x0001, 0x8000]], np.uint16)
    data = changed(pixels=samples, **PLAIN)
    read = frame(_with_bits(data, stored=12, high=11))
    assert read.samples.tolist() == [[0x123, 0xFFF], [1, 0]]
    assert "unused_bits_cleared" in read.changes


def test_left_aligned_samples_are_shifted_down():
    samples = np.array([[0x1230, 0xFFF0]], np.uint16)
    read = frame(_with_bits(changed(pixels=samples, **PLAIN), stored=12, high=15))
    assert read.samples.tolist() == [[0x123, 0xFFF]]
    assert "shifted:4" in read.changes


def test_signed_samples_get_their_sign_back():
    samples = np.array([[0x0FFF, 0x0001]], np.int16)
    read = frame(_with_bits(changed(pixels=samples, **PLAIN), stored=12, high=11))
    assert read.samples.tolist() == [[-1, 1]]
    assert "sign_extended" in read.changes


def _with_bits(data: bytes, *, stored: int, high: int) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.BitsStored, dataset.HighBit = stored, high
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


# how it is shown


def test_plain_grey_of_8_bits_needs_no_rendering():
    assert rendering_of(frame(changed(pixels=RAMP, **PLAIN))) is None


def test_8_bits_with_a_map_to_modality_units_need_none_either_unless_it_turns_them_round():
    assert rendering_of(frame(changed(pixels=RAMP, **(PLAIN | {"RescaleSlope": 2, "RescaleIntercept": -9})))) is None
    shown = rendering_of(frame(changed(pixels=RAMP, **(PLAIN | {"RescaleSlope": -2, "RescaleIntercept": 0}))))
    assert np.array_equal(shown.samples, 255 - RAMP)


def test_a_window_that_changes_nothing_needs_none_either():
    assert rendering_of(frame(changed(pixels=RAMP, **PLAIN, WindowCenter=128, WindowWidth=256))) is None


def test_deep_grey_is_shown_through_the_headers_first_window():
    shown = rendering_of(frame(changed(WindowCenter=[40, -600], WindowWidth=[400, 1500])))
    assert shown.window == Window(40.0, 400.0, "linear", "header")
    assert "first_view:of=2" in shown.changes
    assert shown.samples.dtype == np.uint8


def test_without_a_window_percentiles_leave_padding_out():
    shown = rendering_of(frame(changed()))
    assert shown.window.function == "percentile"
    assert "padding_ignored" in shown.changes
    assert shown.window.center - shown.window.width / 2 > -2000


@pytest.mark.parametrize(
    ("values", "function"),
    [({"VOILUTFunction": "SIGMOID"}, "sigmoid"), ({"VOILUTFunction": "LINEAR_EXACT"}, "linear_exact"), ({}, "linear")],
)
def test_the_function_of_a_window_is_the_headers(values, function):
    assert rendering_of(frame(changed(WindowCenter=40, WindowWidth=400, **values))).window.function == function


@pytest.mark.parametrize(
    "values",
    [
        {"WindowWidth": 0},
        {"WindowWidth": -5},
        {"WindowWidth": None},
        {"WindowWidth": 10, "VOILUTFunction": "CUBIC"},
    ],
)
def test_a_window_that_means_nothing_is_said_and_left(values):
    shown = rendering_of(frame(changed(WindowCenter=40, **values)))
    assert shown.window.function == "percentile"
    assert "window_unusable" in shown.changes


def test_monochrome1_is_stored_as_it_came_and_shown_inverted():
    read = frame(changed(pixels=RAMP, **PLAIN, PhotometricInterpretation="MONOCHROME1"))
    shown = rendering_of(read)
    assert np.array_equal(read.samples, RAMP)
    assert read.photometric == "MONOCHROME1"
    assert np.array_equal(shown.samples, 255 - RAMP)
    assert (shown.photometric, "inverted" in shown.changes) == ("MONOCHROME2", True)


def test_an_inverse_presentation_inverts_once():
    values = {"PresentationLUTShape": "INVERSE", "WindowCenter": 128, "WindowWidth": 256}
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        shown = rendering_of(frame(changed(pixels=RAMP, **PLAIN, **values, PhotometricInterpretation=photometric)))
        assert np.array_equal(shown.samples, 255 - RAMP)


def test_a_table_of_interest_comes_before_a_window():
    table = lut(0, [value * 257 for value in range(255, -1, -1)])
    shown = rendering_of(frame(changed(pixels=RAMP, **PLAIN, VOILUTSequence=table, WindowCenter=9, WindowWidth=9)))
    assert shown.window == Window(None, None, "lut", "header")
    assert np.array_equal(shown.samples, 255 - RAMP)
    assert "first_view:of=2" in shown.changes


def test_a_modality_table_comes_before_the_window():
    doubled = lut(0, [2 * value for value in range(256)])
    data = changed(pixels=RAMP, **PLAIN, ModalityLUTSequence=doubled, WindowCenter=256, WindowWidth=512)
    read = frame(data)
    assert read.rescale == (None, None, None)
    shown = rendering_of(read)
    assert shown is None or np.abs(shown.samples.astype(int) - RAMP).max() <= 1


def test_a_table_shorter_than_it_says_is_said_and_left():
    table = lut(0, [1, 2, 3])
    table[0].LUTDescriptor = [4096, 0, 16]
    shown = rendering_of(frame(changed(VOILUTSequence=table)))
    assert shown.window.function == "percentile"
    assert "voi_lut_unusable" in shown.changes


@pytest.mark.parametrize("intercept", [-1024, 0])
def test_a_table_for_negative_values_is_one_however_its_sign_is_written(intercept: int) -> None:
    """Signed stored values, or unsigned ones that a rescale makes negative: 64512 is -1024 without its sign."""
    pixels = np.arange(-1024 - intercept, 1024 - intercept, dtype="<i2" if not intercept else "<u2").reshape(32, 64)
    table = lut(0, [16 * step for step in range(2048)])
    table[0].add_new("LUTDescriptor", "US", [2048, 64512, 16])
    data = changed(pixels=pixels, **PLAIN | {"RescaleSlope": 1, "RescaleIntercept": intercept}, VOILUTSequence=table)
    shown = rendering_of(frame(data)).samples.ravel()
    assert (shown[0], shown[1024], shown[-1]) == (0, 64, 127)


def test_a_table_that_begins_among_high_values_stays_there() -> None:
    pixels = np.array([[32767, 40000, 50000, 65535]], "<u2")
    table = lut(0, [0, 65535])
    table[0].add_new("LUTDescriptor", "US", [2, 40000, 16])
    assert rendering_of(frame(changed(pixels=pixels, **PLAIN, VOILUTSequence=table))).samples.tolist() == [
        [0, 0, 255, 255]
    ]


def test_the_test_pattern_of_a_table_of_interest_agrees_with_pydicom(test_data):
    from pydicom.pixels.processing import apply_voi_lut

    path = test_data("pydicom-data") / "data" / "vlut_04.dcm"
    dataset = pydicom.dcmread(path)
    read = frame(path.read_bytes())
    shown = rendering_of(read)
    expected = apply_voi_lut(dataset.pixel_array, dataset)
    bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
    grey = np.floor(expected / (2**bits - 1) * 255 + 0.5)
    assert np.array_equal(read.samples if shown is None else shown.samples, grey)


def test_the_test_pattern_of_a_modality_table_agrees_with_pydicom(test_data):
    from pydicom.pixels.processing import apply_modality_lut

    path = test_data("pydicom-data") / "data" / "mlut_18.dcm"
    dataset = pydicom.dcmread(path)
    shown = rendering_of(frame(path.read_bytes()))
    values = apply_modality_lut(dataset.pixel_array, dataset).astype(float)
    low, high = shown.window.center - shown.window.width / 2, shown.window.center + shown.window.width / 2
    expected = np.floor(np.clip((values - low) / (high - low), 0, 1) * 255 + 0.5)
    assert np.array_equal(shown.samples, expected)


def test_colours_of_16_bits_are_shown_by_their_highest_8():
    read = frame(changed("SC_rgb_rle_16bit.dcm"))
    shown = rendering_of(read)
    assert shown.photometric == "RGB"
    assert np.abs(shown.samples.astype(int) - (read.samples >> 8)).max() <= 1


def test_single_bits_are_shown_black_and_white():
    shown = rendering_of(frame(changed("liver_1frame.dcm")))
    assert set(np.unique(shown.samples)) == {0, 255}
