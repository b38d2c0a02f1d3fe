"""A DICOM series is a volume only where its headers prove it; then every voxel stays where the patient has it."""

import copy
import io
import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless

from curate.geometry_3d import lps_from_ras
from curate.images.series import SeriesFile, read_series
from curate.images.volume_data import VolumeData, VolumeLimits
from curate.rows import Window
from curate.schema import Reason, Refusal
from tests.images.synthetic_series import (
    AXIAL,
    array_of,
    axial,
    ending_of,
    read,
    refused,
    slice_dataset,
    volume_of,
    written,
)


def folder_volume(folder: Path, pattern: str = "*") -> VolumeData:
    paths = sorted(folder.glob(pattern))
    volume = read_series([on_disk(path) for path in paths], beat=lambda: None)
    assert isinstance(volume, VolumeData), volume
    return volume


def on_disk(path: Path) -> SeriesFile:
    return SeriesFile(lambda size: path.open("rb").read(size), path.read_bytes, path.stat().st_size)


SERIES = [
    ("medio-ct-series", "data/dcm", (150, 150, 150)),
    ("totalsegmentator-tests", "example_ct_dicom", (20, 512, 512)),
    ("dcmqi-seg-sr", "segmentations/ct-3slice", (3, 512, 512)),
    ("dcmqi-seg-sr", "segmentations/23x38x3/image", (3, 38, 23)),
    ("rt-utils-rtstruct", "oriented_data", (3, 50, 100)),
]


@pytest.mark.parametrize(("source", "folder", "shape"), SERIES)
def test_a_series_has_the_voxels_and_the_affine_that_simpleitk_reads(test_data, source, folder, shape):
    import SimpleITK as sitk  # noqa: N813

    path = test_data(source) / folder
    volume = folder_volume(path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    image = sitk.DICOMOrient(reader.Execute(), "LPS")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    assert volume.shape == shape
    assert np.allclose(volume.grid.matrix, affine, atol=1e-5)
    values = array_of(volume) * volume.rescale_slope + volume.rescale_intercept
    assert np.allclose(values, sitk.GetArrayFromImage(image))


def test_a_series_and_its_nifti_are_the_same_volume(test_data):
    import nibabel

    root = test_data("medio-ct-series") / "data"
    volume = folder_volume(root / "dcm")
    nifti = nibabel.as_closest_canonical(nibabel.load(root / "test.nii.gz"))
    values = np.asarray(nifti.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]  # RAS+ to L, P, S
    from_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    from_lps[:2, 3] = values.shape[2] - 1, values.shape[1] - 1
    assert np.array_equal(array_of(volume), values)
    assert np.allclose(volume.grid.matrix, lps_from_ras(nifti.affine) @ from_lps, atol=1e-4)


@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_a_multi_frame_object_is_the_volume_of_its_single_slices(test_data, size):
    folder = test_data("dcmqi-seg-sr") / "segmentations" / size
    single, multiple = folder_volume(folder / "image"), folder_volume(folder / "multiframe")
    assert multiple.grid == single.grid
    assert np.array_equal(array_of(multiple), array_of(single))


def test_gantry_tilt_keeps_its_true_sheared_affine(test_data):
    folder = test_data("dicom2nifti-failing") / "failing/gantrytilting/001"
    volume = folder_volume(folder)
    assert volume.changes == ("gantry_tilt:degrees=14.0",)
    from_lps = np.linalg.inv(volume.grid.matrix)
    array = array_of(volume)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        index = from_lps @ [*map(float, dataset.ImagePositionPatient), 1]
        assert np.allclose(index, np.round(index), atol=1e-6)
        assert np.array_equal(array[round(index[2])], dataset.pixel_array)


def test_what_is_no_volume_is_refused_with_its_reason(test_data):
    failing = test_data("dicom2nifti-failing") / "failing"
    two = read_series([on_disk(p) for p in sorted((failing / "slicecount/001").iterdir())], beat=lambda: None)
    one_place = read_series([on_disk(p) for p in sorted((failing / "notavolume/001").iterdir())], beat=lambda: None)
    assert (two.reason, two.detail[:8]) == (Reason.NOT_A_VOLUME, "2 slices")
    assert one_place.reason is Reason.NOT_A_VOLUME
    assert one_place.detail == "all 4 slices lie at one position: they differ in AcquisitionNumber"


def test_a_dose_grid_is_a_volume_in_its_own_scale():
    from pydicom.data import get_testdata_file

    for name in ("rtdose.dcm", "rtdose_rle.dcm", "rtdose_expb.dcm"):
        path = Path(get_testdata_file(name, download=False))
        dataset = pydicom.dcmread(path)
        volume = read([path.read_bytes()])
        assert (volume.shape, volume.dtype, volume.rescale_slope) == ((15, 10, 10), np.uint32, 1e-6)
        assert np.array_equal(array_of(volume), dataset.pixel_array)
        last = volume.grid.matrix @ [0, 0, 14, 1]
        assert last[2] == dataset.ImagePositionPatient[2] + dataset.GridFrameOffsetVector[14]


@st.composite
def places(draw):
    """An orientation, the step from slice to slice (sheared or not), spacings, a corner, and sizes."""
    quaternion = draw(arrays.arrays(float, 4, elements=st.floats(-1, 1).filter(lambda x: abs(x) > 0.05)))
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
            [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
            [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    shear = draw(st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)))
    sign, distance = draw(st.sampled_from([1, -1])), draw(st.floats(0.5, 8))
    step = distance * (sign * axes[2] + shear[0] * axes[0] + shear[1] * axes[1])
    spacing = draw(st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)))
    corner = draw(arrays.arrays(float, 3, elements=st.floats(-500, 500)))
    shape = draw(st.tuples(st.integers(3, 7), st.integers(2, 5), st.integers(2, 5)))
    return axes, step, spacing, corner, shape, draw(st.randoms(use_true_random=False))


def made(place) -> tuple[list, np.ndarray, np.ndarray]:
    """Slices in shuffled order, their array, and the affine that their headers state."""
    axes, step, spacing, corner, shape, order = place
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    cosines = [*axes[0], *axes[1]]
    series = [slice_dataset(n, corner + n * step, values[n], cosines, spacing) for n in range(shape[0])]
    order.shuffle(series)
    affine = np.eye(4)
    affine[:3, :] = np.stack([axes[0] * spacing[1], axes[1] * spacing[0], step, corner], axis=1)
    return series, values, affine


@settings(max_examples=40, deadline=None)
@given(places())
def test_every_voxel_stays_in_its_place_whatever_the_orientation_shear_and_order(place):
    series, values, affine = made(place)
    volume = volume_of(series)
    array = array_of(volume)
    assert sorted(array.reshape(-1)) == sorted(values.reshape(-1))
    old = np.array([(x, y, z, 1) for z, y, x in np.ndindex(values.shape)])
    new = old @ affine.T @ np.linalg.inv(volume.grid.matrix).T
    assert np.allclose(new, np.round(new), atol=1e-3)
    x, y, z, _ = np.round(new).astype(int).T
    assert np.array_equal(array[z, y, x], values.reshape(-1))
    assert (np.diag(volume.grid.matrix)[:3] > 0).all() or np.abs(volume.grid.matrix[:3, :3]).max() > 0


@settings(max_examples=25, deadline=None)
@given(places(), st.integers(0, 100))
def test_a_series_with_a_slice_dropped_doubled_or_turned_is_refused(place, which):
    axes, step, spacing, corner, (count, *size), _ = place
    series, *_ = made((axes, step, spacing, corner, (count + 2, *size), random.Random(which)))
    by_number = sorted(series, key=lambda dataset: int(dataset.InstanceNumber))
    inner = by_number[1 + which % count]
    assert refused([one for one in series if one is not inner]).reason is Reason.MISSING_SLICE
    assert refused([*series, inner]).reason is Reason.DUPLICATE_POSITION
    turned = copy.deepcopy(inner)
    turned.ImageOrientationPatient = [*inner.ImageOrientationPatient[3:], *inner.ImageOrientationPatient[:3]]
    assert refused([turned if one is inner else one for one in series]).reason is Reason.MIXED_ORIENTATION


def test_slices_at_one_position_are_told_apart_by_what_their_headers_say():
    echoes = []
    for index, dataset in enumerate(axial(6)):
        dataset.EchoTime = "1.5" if index % 2 else "3.0"
        dataset.ImagePositionPatient = [0, 0, index // 2]
        echoes.append(dataset)
    refusal = refused(echoes)
    assert refusal.reason is Reason.DUPLICATE_POSITION
    assert refusal.detail == "3 slices lie where another one lies: they differ in EchoTime"
    assert refused([*axial(), axial()[2]]).detail == "1 slice lies where another one lies: the same object again"


WRONG = [
    ({"ImageType": ["DERIVED", "PRIMARY", "LOCALIZER"]}, Reason.LOCALIZER),
    ({"ImagePositionPatient": None}, Reason.NO_GEOMETRY),
    ({"ImageOrientationPatient": None}, Reason.NO_GEOMETRY),
    ({"PixelSpacing": None}, Reason.NO_GEOMETRY),
    ({"PixelSpacing": [0.5, 0.76]}, Reason.INCONSISTENT_SERIES),
    ({"FrameOfReferenceUID": "2.25.4"}, Reason.INCONSISTENT_SERIES),
    ({"PixelRepresentation": 0}, Reason.INCONSISTENT_SERIES),
    ({"BitsStored": 12}, Reason.INCONSISTENT_SERIES),
    ({"PhotometricInterpretation": "MONOCHROME1"}, Reason.INCONSISTENT_SERIES),
    ({"Rows": 6, "Columns": 4}, Reason.INCONSISTENT_SERIES),
    ({"RescaleSlope": None}, Reason.INCONSISTENT_SERIES),
    ({"Modality": "PT"}, Reason.INCONSISTENT_SERIES),
    ({"ImageOrientationPatient": [1, 0, 0, 0, 0.999, 0.0447]}, Reason.MIXED_ORIENTATION),
    ({"ImagePositionPatient": [-10, -20, 9.2]}, Reason.UNEVEN_SPACING),
    ({"ImagePositionPatient": [-9, -20, 9]}, Reason.NOT_A_VOLUME),
    ({"ImagePositionPatient": [50, -20, 7]}, Reason.NOT_A_VOLUME),
    ({"ImagePositionPatient": [-10, -20, "nan"]}, Reason.INVALID_AFFINE),
    ({"ImagePositionPatient": [-10, "inf", 9]}, Reason.INVALID_AFFINE),
    ({"ImagePositionPatient": [-10, 1e30, 9]}, Reason.INVALID_AFFINE),
    ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, Reason.INVALID_AFFINE),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, Reason.INVALID_AFFINE),
    ({"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}, Reason.INVALID_AFFINE),
    ({"ImagePositionPatient": [-10, -20]}, Reason.NO_GEOMETRY),
    ({"NumberOfFrames": 3}, Reason.INVALID_HEADER),
]


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
@pytest.mark.parametrize(("values", "reason"), WRONG)
def test_one_wrong_slice_refuses_the_series(values, reason):
    series = axial()
    for keyword, value in values.items():
        if value is None:
            delattr(series[2], keyword)
        else:
            setattr(series[2], keyword, value)
    assert refused(series).reason is reason


def test_planes_that_lie_beside_rather_than_behind_each_other_are_no_volume():
    series = axial()
    for index, dataset in enumerate(series):
        dataset.ImagePositionPatient = [3 * index, 0, index]
    assert refused(series).reason is Reason.GANTRY_TILT


def test_too_few_slices_prove_no_spacing():
    assert refused(axial(2)).reason is Reason.NOT_A_VOLUME
    assert refused(axial(1)).reason is Reason.NOT_A_VOLUME
    assert refused([]).reason is Reason.NOT_A_VOLUME
    assert volume_of(axial(3)).shape == (3, 4, 6)


def test_distances_that_drift_are_uneven_though_each_is_near_the_mean():
    gaps = [1.004] * 60 + [0.996] * 60
    series = axial(121)
    for dataset, z in zip(series, np.cumsum([0, *gaps]), strict=True):
        dataset.ImagePositionPatient = [0, 0, f"{z:.6f}"]
    assert refused(series).detail.startswith("slices drift up to 0.24")


def test_signed_values_and_their_rescale_are_kept_as_they_are():
    series = axial()
    series[0].PixelData = np.full((4, 6), -2000, np.int16).tobytes()
    volume = volume_of(series)
    assert (volume.dtype, volume.rescale_slope, volume.rescale_intercept) == (np.int16, 1.0, -1024.0)
    assert (volume.rescale_unit, volume.frame_of_reference, volume.orientation) == ("HU", "2.25.3", "LPS")
    assert (array_of(volume)[0] == -2000).all()


def test_bits_above_bits_stored_are_no_part_of_a_value():
    series = axial(dtype=np.uint16)
    for dataset in series:
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = (np.frombuffer(dataset.PixelData, np.uint16) | 0xA000).tobytes()
    assert np.array_equal(array_of(volume_of(series)).reshape(-1), np.arange(5 * 4 * 6))


def test_slices_of_their_own_scale_come_in_modality_units():
    series = axial(dtype=np.uint16)
    for index, dataset in enumerate(series):
        dataset.Modality, dataset.Units = "PT", "BQML"
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{0.5 * (index + 1)}", "0"
    volume = volume_of(series)
    assert (volume.dtype, volume.changes) == (np.float32, ("rescaled:per_slice",))
    assert (volume.rescale_slope, volume.rescale_intercept, volume.rescale_unit) == (1.0, 0.0, "BQML")
    expected = np.arange(120).reshape(5, 4, 6) * 0.5 * np.arange(1, 6)[:, None, None]
    assert np.allclose(array_of(volume), expected)


def test_a_window_that_all_slices_state_is_the_volumes():
    series = axial()
    for dataset in series:
        dataset.WindowCenter, dataset.WindowWidth = ["40", "400"], ["300", "2000"]
    assert volume_of(series).window == Window(40.0, 300.0, "linear", "header")
    series[1].WindowCenter = "50"
    series[1].WindowWidth = "300"
    assert volume_of(series).window is None


def test_slices_in_different_transfer_syntaxes_are_one_volume():
    series = axial(size=(40, 48))
    series[1].compress(RLELossless, generate_instance_uid=False)
    series[2].compress(JPEG2000Lossless, generate_instance_uid=False)
    swapped = pydicom.dcmread(io.BytesIO(written(series[3])))
    swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    swapped.PixelData = np.frombuffer(swapped.PixelData, "<i2").astype(">i2").tobytes()
    big_endian = io.BytesIO()
    pydicom.dcmwrite(big_endian, swapped, implicit_vr=False, little_endian=False, force_encoding=True)
    series[4].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    mixed = [*map(written, series[:3]), big_endian.getvalue(), written(series[4])]
    assert np.array_equal(array_of(volume_of(mixed)), np.arange(5 * 40 * 48).reshape(5, 40, 48))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_a_slice_that_does_not_decode_ends_the_volume(syntax):
    series = axial(size=(40, 48))
    for dataset in series:
        dataset.compress(syntax, generate_instance_uid=False)
    damaged = bytearray(written(series[2]))
    at = damaged.rindex(b"\xfe\xff\x00\xe0")  # the item of the frame
    damaged[at + 8 : at + 32] = bytes(24)
    volume = volume_of([bytes(damaged) if index == 2 else written(one) for index, one in enumerate(series)])
    pieces = list(volume.slabs())
    assert [isinstance(piece, Refusal) for piece in pieces] == [False, False, True]
    assert pieces[-1].reason is Reason.CORRUPT_IMAGE


def test_a_slice_whose_runs_decode_to_too_much_ends_the_volume():
    series = axial(size=(40, 48))
    for dataset in series:
        dataset.compress(RLELossless, generate_instance_uid=False)
    damaged = bytearray(written(series[2]))
    at = damaged.rindex(b"\xfe\xff\x00\xe0") + 8 + 64  # behind the header of the segments
    damaged[at : at + 60] = b"\x81\x07" * 30
    volume = volume_of([bytes(damaged) if index == 2 else written(one) for index, one in enumerate(series)])
    assert ending_of(volume).reason is Reason.CORRUPT_IMAGE


def test_a_slice_that_breaks_off_ends_the_volume():
    series = [written(one) for one in axial()]
    volume = volume_of([*series[:3], series[3][:-7], series[4]])
    assert ending_of(volume).reason is Reason.TRUNCATED_IMAGE


def test_a_file_that_changes_between_the_passes_is_refused():
    first, *rest = [written(one) for one in axial()]
    other = first.replace(b"2.25.3", b"2.25.9")
    files = [SeriesFile(lambda size: first[:size], lambda: other, len(first))]
    files += [SeriesFile(lambda size, d=d: d[:size], lambda d=d: d, len(d)) for d in rest]
    volume = read_series(files, beat=lambda: None)
    assert ending_of(volume).reason is Reason.UNREADABLE_FILE


def test_a_header_longer_than_the_first_bytes_is_read_on():
    series = axial()
    for dataset in series:
        dataset.add_new(0x00091010, "OB", bytes(300_000))
        dataset.add_new(0x00090010, "LO", "someone")
    assert np.array_equal(array_of(volume_of(series)).reshape(-1), np.arange(120))


def test_limits_are_checked_before_anything_is_decoded():
    assert read(axial(), limits=VolumeLimits(max_streamed_bytes=200)).reason is Reason.TOO_MANY_PIXELS
    coronal = [slice_dataset(n, (0, 3 * n, 0), np.zeros((4, 6), np.int16), (1, 0, 0, 0, 0, -1)) for n in range(5)]
    assert read(coronal, limits=VolumeLimits(max_decoded_bytes=200)).reason is Reason.TOO_MANY_PIXELS
    assert volume_of(coronal).shape == (4, 5, 6)
    assert volume_of(coronal).orientation == "LIP"
    assert volume_of(coronal).changes == ("reoriented:from=LIP",)


def test_thousands_of_nonsense_positions_end_as_one_refusal():
    (dataset,) = axial(1)
    dataset.ImagePositionPatient = ["-10.0", "-20.0", "5.000"]
    template, stated = written(dataset), b"-10.0\\-20.0\\5.000"
    chance = random.Random(0)
    texts = ["\\".join(f"{chance.uniform(-99, 99):5.1f}"[:5] for _ in range(3)).encode() for _ in range(2000)]
    assert refused([template.replace(stated, text) for text in texts]).reason is Reason.NOT_A_VOLUME


@pytest.mark.parametrize(("rows", "columns"), [(65535, 65535), (14000, 14000)])
def test_a_raster_that_no_file_could_hold_is_refused_from_headers(rows, columns):
    series = axial()
    for dataset in series:
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.Rows, dataset.Columns = rows, columns
    assert refused(series).reason is Reason.TOO_MANY_PIXELS


def test_the_beat_comes_before_every_header_and_every_slice():
    beats = []
    files = [SeriesFile(lambda size, d=d: d[:size], lambda d=d: d, len(d)) for d in map(written, axial())]
    volume = read_series(files, beat=lambda: beats.append(1))
    assert len(beats) == 5
    array_of(volume)
    assert len(beats) == 10


def test_an_axial_plane_is_not_mistaken_for_another():
    assert volume_of(axial()).grid.matrix.tolist() == [
        [0.75, 0, 0, -10],
        [0, 0.5, 0, -20],
        [0, 0, 2, 5],
        [0, 0, 0, 1],
    ]
    assert AXIAL == (1, 0, 0, 0, 1, 0)
