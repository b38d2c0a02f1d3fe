"""A DICOM frame keeps its stored values and its map to modality units; a header gives codes, never names."""

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from isal import isal_zlib
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from curate.images import Limits, decode, deliver, frames_of, read_header
from curate.images.dicom import HEADER_KEYWORDS
from curate.schema import Reason, Refusal
from tests.images.test_jpeg import delivered, reason


def bundled(name: str) -> bytes:
    return Path(get_testdata_file(name, download=False)).read_bytes()


def changed(name: str, **values) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(bundled(name)))
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def modality_units(image) -> np.ndarray:
    return decode(image.data) * image.rescale_slope + image.rescale_intercept


def test_signed_ct_values_map_to_hounsfield_units():
    image = delivered(bundled("CT_small.dcm"))
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    assert (image.bit_depth, image.channels, image.rescale_unit) == (16, 1, "HU")
    assert image.spacing_mm == (0.661468, 0.661468)
    assert "offset:32768" in image.changes
    expected = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    assert np.array_equal(modality_units(image), expected)


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
        {"RescaleType": "US"},
        {"Modality": "MR"},
        {"MultienergyCTAcquisition": "YES"},
    ],
)
def test_hounsfield_units_are_stated_only_where_tags_prove_them(values):
    image = delivered(changed("CT_small.dcm", **values))
    assert image.rescale_unit is None
    assert image.rescale_slope == 1.0


def test_a_stated_rescale_type_is_proof():
    values = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"], "RescaleType": "HU"}
    assert delivered(changed("CT_small.dcm", **values)).rescale_unit == "HU"


def test_without_rescale_tags_there_is_no_map_but_the_offset():
    image = delivered(bundled("MR_small.dcm"))
    assert (image.rescale_slope, image.rescale_intercept, image.rescale_unit) == (1.0, -32768.0, None)
    unsigned = delivered(bundled("examples_overlay.dcm"))
    assert (unsigned.rescale_slope, unsigned.rescale_intercept) == (None, None)


def test_a_modality_lookup_table_is_no_linear_map(test_data):
    image = delivered((test_data("pydicom-data") / "data" / "mlut_18.dcm").read_bytes())
    assert image.rescale_slope is None


@pytest.mark.parametrize("spacing", [None, ["0", "0"], ["-1", "1"], [""]])
def test_unknown_spacing_is_null(spacing):
    assert delivered(changed("CT_small.dcm", PixelSpacing=spacing)).spacing_mm is None


def test_the_spacing_of_a_detector_is_not_that_of_the_patient():
    data = changed("CT_small.dcm", PixelSpacing=None, ImagerPixelSpacing=["0.1", "0.1"])
    assert delivered(data).spacing_mm is None
    assert read_header(data).values["ImagerPixelSpacing"] == "0.1\\0.1"


def test_an_enhanced_object_takes_each_frames_own_spacing_and_rescale():
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    frames = []
    for number in (1, 2):
        measures, values, frame = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing = [number, number]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = number, -1000, "HU"
        frame.PixelMeasuresSequence, frame.PixelValueTransformationSequence = [measures], [values]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames = 2
    dataset.PixelData *= 2
    stream = io.BytesIO()
    dataset.save_as(stream)
    image = delivered(stream.getvalue(), frame=1)
    assert image.spacing_mm == (2.0, 2.0)
    assert (image.rescale_slope, image.rescale_unit) == (2.0, "HU")
    assert np.array_equal(modality_units(image), dataset.pixel_array[1] * 2.0 - 1000)


def test_monochrome1_is_recorded_and_not_inverted(test_data):
    data = (test_data("pydicom-data") / "data" / "RG3_J2KI.dcm").read_bytes()
    image = delivered(data)
    assert image.photometric == "MONOCHROME1"
    assert np.array_equal(decode(image.data), pydicom.dcmread(io.BytesIO(data)).pixel_array)


def test_frames_are_counted_and_picked():
    data = bundled("examples_ybr_color.dcm")
    assert frames_of(data) == 30
    assert "first_frame:of=30" in delivered(data).changes
    assert not np.array_equal(decode(delivered(data, frame=0).data), decode(delivered(data, frame=29).data))
    assert reason(data, frame=30) is Reason.NO_PIXELS


def test_colour_is_delivered_as_rgb_and_says_where_it_came_from():
    image = delivered(bundled("SC_ybr_full_422_uncompressed.dcm"))
    assert (image.photometric, image.channels) == ("RGB", 3)
    assert "rgb:from=ybr_full_422" in image.changes
    assert "rgb:from=palette_color" in delivered(bundled("examples_palette.dcm")).changes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MR_truncated.dcm", Reason.TRUNCATED_IMAGE),
        ("rtplan.dcm", Reason.NO_PIXELS),
        ("rtplan_truncated.dcm", Reason.INVALID_HEADER),
        ("no_meta.dcm", Reason.UNSUPPORTED_FORMAT),
        ("SC_rgb_rle_32bit.dcm", Reason.UNSUPPORTED_FORMAT),
        ("rtdose.dcm", Reason.UNSUPPORTED_FORMAT),
    ],
)
def test_what_cannot_be_delivered_says_why(name, expected):
    assert reason(bundled(name)) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("emri_small_jpeg_2k_lossless_too_short.dcm", Reason.TRUNCATED_IMAGE),
        ("parametric_map_float.dcm", Reason.UNSUPPORTED_FORMAT),
        ("OT-PAL-8-face.dcm", Reason.UNSUPPORTED_FORMAT),
    ],
)
def test_real_files_that_cannot_be_delivered_say_why(test_data, name, expected):
    assert reason((test_data("pydicom-data") / "data" / name).read_bytes()) is expected


def test_a_header_gives_codes_and_keeps_identifiers_apart():
    header = read_header(bundled("CT_small.dcm"))
    assert header.values["Modality"] == "CT"
    assert header.values["SOPClassUID"] == "CT Image Storage"
    assert header.values["PixelSpacing"] == "0.661468\\0.661468"
    assert set(header.values) <= HEADER_KEYWORDS
    assert header.identifiers["PatientID"] == "1CT1"
    assert header.frames == 1
    assert "CompressedSamples" not in " ".join(header.values.values())


def test_free_text_in_a_coded_field_is_left_out():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = changed("CT_small.dcm", BodyPartExamined="CHEST OF JANE DOE, BORN 1950")
    assert "BodyPartExamined" not in read_header(data).values


def test_the_same_bytes_are_read_in_the_letters_that_each_file_states():
    def patient(charset: str) -> str:
        plain = changed("CT_small.dcm", SpecificCharacterSet=charset, PatientID="G?rard")
        return read_header(plain.replace(b"G?rard", b"G\xe9rard")).identifiers["PatientID"]

    assert [patient("ISO_IR 100"), patient("ISO_IR 144"), patient("ISO_IR 100")] == ["Gérard", "Gщrard", "Gérard"]


def test_objects_without_pixels_have_no_frames():
    for name in ("rtplan.dcm", "reportsi.dcm", "DICOMDIR"):
        assert read_header(bundled(name)).frames == 0


def test_more_frames_than_the_file_could_hold_are_refused():
    refusal = read_header(changed("CT_small.dcm", NumberOfFrames=2_000_000))
    assert refusal.reason is Reason.INVALID_HEADER
    assert "2000000" in refusal.detail


def test_a_deflated_file_is_read_like_its_plain_form():
    image = delivered(bundled("image_dfl.dcm"))
    expected = pydicom.dcmread(get_testdata_file("image_dfl.dcm")).pixel_array
    assert np.array_equal(decode(image.data), expected)


def with_syntax(uid: str, body: bytes) -> bytes:
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    stream = io.BytesIO()
    dataset.save_as(stream)
    plain = stream.getvalue()
    old = str(ExplicitVRLittleEndian)
    value = old.encode() + b"\0"
    at = plain.index(value)
    new = uid.encode() + b"\0" * (len(uid) % 2)
    group = int.from_bytes(plain[140:144], "little") + len(new) - len(value)
    meta_end = 144 + int.from_bytes(plain[140:144], "little")
    head = plain[:140] + group.to_bytes(4, "little") + plain[144 : at - 2]
    return head + len(new).to_bytes(2, "little") + new + plain[at + len(value) : meta_end] + body


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"])
def test_deflated_data_sets_are_never_read_as_empty_and_never_inflate_without_bound(uid):
    plain = bundled("CT_small.dcm")
    meta_end = 144 + int.from_bytes(plain[140:144], "little")
    deflater = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
    body = deflater.compress(plain[meta_end:]) + deflater.flush()
    assert read_header(with_syntax(uid, body)).values["Modality"] == "CT"
    bomb = isal_zlib.compressobj(3, isal_zlib.DEFLATED, -15)
    bomb_body = bomb.compress(bytes(50_000_000)) + bomb.flush()
    refusal = read_header(with_syntax(uid, bomb_body), Limits(max_bytes=10_000_000))
    assert refusal.reason is Reason.TOO_LARGE
    assert read_header(with_syntax(uid, body[:-300])).reason is Reason.TRUNCATED_IMAGE
    assert read_header(with_syntax(uid, b"\x07DOE")).reason is Reason.INVALID_HEADER


def test_nested_sequences_without_end_are_an_invalid_header():
    plain = bundled("CT_small.dcm")
    meta_end = 144 + int.from_bytes(plain[140:144], "little")
    nest = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    refusal = read_header(plain[:meta_end] + nest * 5000)
    assert refusal.reason is Reason.INVALID_HEADER


def test_run_length_bombs_are_refused_before_decoding():
    data = changed("MR_small_RLE.dcm", Rows=12_000, Columns=12_000)
    assert reason(data) in {Reason.TOO_MANY_PIXELS, Reason.CORRUPT_IMAGE}


def test_a_damaged_baseline_frame_is_found():
    data = bytearray(bundled("SC_rgb_jpeg_dcmtk.dcm"))
    start = data.rindex(b"\xff\xda") + 40
    data[start : start + 120] = bytes(120)
    assert reason(bytes(data)) in {Reason.CORRUPT_IMAGE, Reason.TRUNCATED_IMAGE}


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "PixelRepresentation"])
def test_a_missing_pixel_attribute_is_named(keyword):
    refusal = deliver(changed("CT_small.dcm", **{keyword: None}))
    assert refusal.reason is Reason.INVALID_HEADER
    assert keyword in refusal.detail


def test_refusals_never_quote_the_patient():
    data = changed("CT_small.dcm", PatientName="DOE^JANE", PatientID="SECRET")
    for cut in range(300, len(data), 900):
        for verdict in (deliver(data[:cut]), read_header(data[:cut])):
            if isinstance(verdict, Refusal):
                assert "DOE" not in verdict.detail
                assert "SECRET" not in verdict.detail
