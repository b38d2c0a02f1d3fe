"""Volumes in research formats: the same values in the same places of the patient as independent readers find them."""

import gzip
import itertools
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curate.geometry_3d import RAS_TO_LPS
from curate.images.volume_data import VolumeData, VolumeLimits
from curate.schema import Reason
from tests.images.volume_files import (
    array_of,
    assert_nearest_to_lps,
    assert_same_in_the_patient,
    read,
    real_values,
    reason,
    refusal,
    whole,
)

nibabel = pytest.importorskip("nibabel")
sitk = pytest.importorskip("SimpleITK")

READABLE = {
    "anatomical.nii": (),
    "example4d.nii.gz": (),
    "functional.nii": (),
    "standard.nii.gz": (),
    "example4d+orig.HEAD": ("example4d+orig.BRIK.gz",),
    "scaled+tlrc.HEAD": ("scaled+tlrc.BRIK",),
    "minc1_1_scale.mnc": (),
    "minc1_4d.mnc": (),
    "minc2-4d-d.mnc": (),
    "minc2_1_scale.mnc": (),
    "minc2_4d.mnc": (),
    "minc2_baddim.mnc": (),
    "small.mnc": (),
    "tiny.mnc": (),
    "test.mgz": (),
}
TestData = Callable[[str], Path]


def as_nibabel_reads(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values, affine to RAS, and whether frames come first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = nibabel.load(path)
        values = np.asarray(image.get_fdata())
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    return values, np.asarray(image.affine), path.suffix == ".mnc" and values.ndim == 4


@pytest.mark.parametrize("name", READABLE)
def test_each_file_has_the_values_and_places_that_nibabel_finds(test_data: TestData, name: str) -> None:
    folder = test_data("nibabel-formats") / "data"
    volume, array = whole(folder / name, *(folder / other for other in READABLE[name]))
    values, affine, frames_first = as_nibabel_reads(folder / name)
    assert_nearest_to_lps(volume)

    def value_at(xyz: np.ndarray) -> np.ndarray:
        x, y, z = xyz.T
        return values[:, x, y, z] if frames_first else np.moveaxis(values[x, y, z], -1, 0)

    spatial = values.shape[1:] if frames_first else values.shape[:3]
    assert_same_in_the_patient(volume, array, RAS_TO_LPS @ affine, value_at, spatial)


@pytest.mark.parametrize("name", ["anatomical.nii", "example4d.nii.gz", "functional.nii", "standard.nii.gz"])
def test_each_nifti_has_the_values_and_places_that_itk_finds(test_data: TestData, name: str) -> None:
    path = test_data("nibabel-formats") / "data" / name
    assert_as_itk(path)


def assert_as_itk(path: Path, *others: Path) -> VolumeData:
    volume, array = whole(path, *others)
    image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image)
    size = image.GetDimension()
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(size, size)[:3, :3]
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    colour = image.GetNumberOfComponentsPerPixel() > 1

    def value_at(xyz: np.ndarray) -> np.ndarray:
        x, y, z = xyz.T
        return values[z, y, x] if colour else values[..., z, y, x]

    assert_same_in_the_patient(volume, array, affine, value_at, image.GetSize()[:3])
    return volume


@pytest.mark.parametrize(
    "name", ["example_ct_sm.nii.gz", "example_mr_sm.nii.gz", "example_seg.nii.gz", "example_seg_fast/liver.nii.gz"]
)
def test_real_scans_and_label_maps_agree_with_both_readers(test_data: TestData, name: str) -> None:
    path = test_data("totalsegmentator-tests") / name
    assert_as_itk(path)
    volume, array = whole(path)
    values, affine, _ = as_nibabel_reads(path)
    assert_same_in_the_patient(
        volume, array, RAS_TO_LPS @ affine, lambda xyz: values[tuple(xyz.T)], values.shape, tolerance=1e-3
    )


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("bad_attribute+orig.HEAD", Reason.CORRUPT_IMAGE),
        ("bad_datatype+orig.HEAD", Reason.UNSUPPORTED_FORMAT),
        ("T2.PAR", Reason.MISSING_FILE),
        ("Phantom_EPI_3mm_cor_SENSE_8_1.PAR", Reason.MISSING_FILE),
        ("R11_T2W_TSE.PAR", Reason.MISSING_FILE),
        ("scaled+tlrc.HEAD", Reason.MISSING_FILE),
        ("standard.trk", Reason.UNSUPPORTED_FORMAT),
        ("standard.tck", Reason.UNSUPPORTED_FORMAT),
        ("tinypet.v", Reason.UNSUPPORTED_FORMAT),
    ],
)
def test_what_is_no_volume_is_refused_with_its_reason(test_data: TestData, name: str, wanted: Reason) -> None:
    assert reason(test_data("nibabel-formats") / "data" / name) is wanted


@pytest.mark.parametrize("name", ["minc1-no-att.mnc", "minc2-no-att.mnc"])
def test_a_geometry_that_nobody_stated_is_null(test_data: TestData, name: str) -> None:
    path = test_data("nibabel-formats") / "data" / name
    volume, array = whole(path)
    assert volume.grid is None
    assert volume.orientation is None
    assert "geometry:not_stated" in volume.changes
    assert np.allclose(real_values(volume, array), as_nibabel_reads(path)[0], rtol=1e-6)


def test_an_invalid_word_for_regular_spacing_is_said(test_data: TestData) -> None:
    volume, _ = whole(test_data("nibabel-formats") / "data" / "minc2_baddim.mnc")
    assert "spacing_attribute:assumed=regular__" in volume.changes


def test_time_is_known_where_the_header_states_it(test_data: TestData) -> None:
    folder = test_data("nibabel-formats") / "data"
    volume, _ = whole(folder / "example4d.nii.gz")
    assert (volume.axes, volume.shape[0], volume.timepoint_s) == ("tzyx", 2, 2000.0)
    volume, _ = whole(folder / "example4d+orig.HEAD", folder / "example4d+orig.BRIK.gz")
    assert (volume.axes, volume.timepoint_s) == ("tzyx", 3.0)


def test_one_frame_of_a_row_of_frames_is_a_volume(tmp_path: Path) -> None:
    nibabel.save(nifti(np.zeros((3, 4, 5, 1), "i2")), tmp_path / "a.nii")
    volume, array = whole(tmp_path / "a.nii")
    assert volume.axes == "zyx"
    assert array.shape == (5, 4, 3)
    assert "axis_dropped:t" in volume.changes


# --- NIfTI -----------------------------------------------------------------------------------------------------------


def nifti(values: np.ndarray, affine: np.ndarray | None = None, kind: str = "Nifti1Image"):
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
    image = getattr(nibabel, kind)(values, affine, dtype=values.dtype)
    image.header.set_xyzt_units("mm", "sec")
    return image


def sample(shape: tuple[int, ...] = (4, 5, 6), dtype: str = "i2") -> np.ndarray:
    return np.random.default_rng(2).integers(0, 100, shape).astype(dtype)


TURNS = [
    np.array(rows)
    for permutation in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
    for rows in [[[signs[r] * (permutation[r] == c) for c in range(3)] for r in range(3)]]
]


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_an_array_may_lie_any_way_in_the_patient(tmp_path: Path, suffix: str) -> None:
    values = sample()
    for number, turn in enumerate(TURNS):
        affine = np.eye(4)
        affine[:3, :3] = turn * np.array([1.0, 2.0, 3.0])
        affine[:3, 3] = (10, -20, 30)
        path = tmp_path / f"{number}.{suffix}"
        nibabel.save(nifti(values, affine), path)
        volume, array = whole(path)
        assert_same_in_the_patient(volume, array, RAS_TO_LPS @ affine, lambda xyz: values[tuple(xyz.T)], values.shape)
        assert_nearest_to_lps(volume)
        assert volume.orientation is not None
        letters = "".join(nibabel.aff2axcodes(affine))
        assert volume.orientation == letters
        assert any(word.startswith("reoriented") for word in volume.changes) == (letters != "LPS")


@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image", "Nifti1Pair", "Nifti2Pair"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "<i4", ">i4", "u4", "i8", "u8", "<f4", ">f4", ">f8"])
def test_numbers_of_every_type_and_byte_order_are_kept(tmp_path: Path, kind: str, dtype: str) -> None:
    values = sample(dtype=dtype)
    image = nifti(values, kind=kind)
    header = image.header.as_byteswapped(dtype[0]) if dtype[0] in "<>" else image.header
    header.set_data_dtype(dtype)
    image = type(image)(values, image.affine, header)
    if kind.endswith("Pair"):
        image.to_filename(tmp_path / "a.img")
        paths = [tmp_path / "a.hdr", tmp_path / "a.img"]
    else:
        image.to_filename(tmp_path / "a.nii")
        paths = [tmp_path / "a.nii"]
    volume, array = whole(*paths)
    assert volume.dtype == np.dtype(dtype).newbyteorder("<")
    assert np.array_equal(array, values.T)


def test_integers_keep_their_scale_beside_them(tmp_path: Path) -> None:
    image = nifti(sample())
    image.header.set_slope_inter(0.5, -1000)
    nibabel.save(image, tmp_path / "a.nii")
    path = edited(tmp_path / "a.nii", "scl_slope", 0.5, scl_inter=-1000.0)
    volume, array = whole(path)
    assert array.dtype == np.dtype("<i2")
    assert (volume.rescale_slope, volume.rescale_intercept, volume.rescale_unit) == (0.5, -1000.0, None)


def test_a_unit_that_somebody_vouches_for_comes_with_a_scale(tmp_path: Path) -> None:
    path = edited(saved(tmp_path), "scl_slope", float("nan"))
    volume, _ = whole(path)
    assert (volume.rescale_slope, volume.rescale_unit) == (None, None)
    volume, _ = whole(path, unit="HU")
    assert (volume.rescale_slope, volume.rescale_intercept, volume.rescale_unit) == (1.0, 0.0, "HU")


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_of_nought_or_none_is_no_scale(tmp_path: Path, slope: float) -> None:
    volume, _ = whole(edited(saved(tmp_path), "scl_slope", slope))
    assert volume.rescale_slope is None


def test_colours_are_an_axis(tmp_path: Path) -> None:
    values = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for number, name in enumerate("RGB"):
        values[name] = sample((3, 4, 5), "u1") + number
    nibabel.save(nifti(values), tmp_path / "a.nii")
    volume, array = whole(tmp_path / "a.nii")
    assert (volume.axes, volume.shape, volume.photometric) == ("zyxc", (5, 4, 3, 3), "RGB")
    assert np.array_equal(array[..., 2], values["B"].T)
    assert volume.rescale_slope is None


def saved(folder: Path, values: np.ndarray | None = None, name: str = "a.nii") -> Path:
    nibabel.save(nifti(sample() if values is None else values), folder / name)
    return folder / name


OFFSETS = {
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "b"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern_b": (256, "f"),
    "srow_x": (280, "4f"),
    "srow_z": (312, "4f"),
}
"""Of nifti1.h."""


def edited(path: Path, field: str, *numbers: float, **others: float) -> Path:
    data = bytearray(path.read_bytes())
    for name, values in {field: numbers, **{key: (value,) for key, value in others.items()}}.items():
        offset, form = OFFSETS[name]
        struct.pack_into("<" + form, data, offset, *values)
    path.write_bytes(data)
    return path


def test_the_sform_goes_before_the_qform_and_a_contradiction_is_said(tmp_path: Path) -> None:
    path = edited(saved(tmp_path), "qform_code", 1)
    volume, _ = whole(path)
    assert volume.changes == ()
    edited(path, "srow_x", -1.0, 0.0, 0.0, 70.0)
    volume, _ = whole(path)
    assert "geometry:sform_over_qform" in volume.changes
    assert volume.grid is not None
    assert volume.grid.matrix[0, 3] == -70.0


def test_a_qform_alone_places_the_volume(tmp_path: Path) -> None:
    path = edited(saved(tmp_path), "sform_code", 0, qform_code=1)
    volume, array = whole(path)
    values, affine, _ = as_nibabel_reads(path)
    assert_same_in_the_patient(volume, array, RAS_TO_LPS @ affine, lambda xyz: values[tuple(xyz.T)], values.shape)


def test_without_sform_and_qform_there_is_no_geometry(tmp_path: Path) -> None:
    volume, array = whole(edited(saved(tmp_path), "sform_code", 0, qform_code=0))
    assert volume.grid is None
    assert volume.changes == ("geometry:not_stated",)
    assert np.array_equal(array, sample().T)


@pytest.mark.parametrize(("unit", "spacing"), [(1, 1000.0), (2, 1.0), (3, 0.001)])
def test_lengths_become_millimetres(tmp_path: Path, unit: int, spacing: float) -> None:
    volume, _ = whole(edited(saved(tmp_path), "xyzt_units", unit))
    assert volume.grid is not None
    assert volume.grid.spacing_mm == pytest.approx((spacing,) * 3)
    assert volume.changes == ()


def test_a_unit_that_nobody_stated_is_taken_for_millimetres_and_said(tmp_path: Path) -> None:
    volume, _ = whole(edited(saved(tmp_path), "xyzt_units", 0))
    assert volume.changes == ("units:assumed=mm",)


@pytest.mark.parametrize(
    "row", [(0.0, 0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0, 0.0), (float("inf"), 0, 0, 0), (1e30, 0.0, 0.0, 0.0)]
)
def test_an_affine_that_places_nothing_is_refused(tmp_path: Path, row: tuple[float, ...]) -> None:
    assert reason(edited(saved(tmp_path), "srow_x", *row)) is Reason.INVALID_AFFINE


def test_numbers_beyond_any_arithmetic_are_refused(tmp_path: Path) -> None:
    image = nifti(sample(), kind="Nifti2Image")
    data = bytearray(saved_as(image, tmp_path / "a.nii").read_bytes())
    offset = image.header.template_dtype.fields["srow_x"][1]
    struct.pack_into("<4d", data, offset, 1e300, 0, 0, -1e308)
    (tmp_path / "a.nii").write_bytes(data)
    assert reason(tmp_path / "a.nii") is Reason.INVALID_AFFINE


def saved_as(image, path: Path) -> Path:
    nibabel.save(image, path)
    return path


def test_a_unit_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert reason(edited(saved(tmp_path), "xyzt_units", 5)) is Reason.INVALID_AFFINE


def test_complex_numbers_and_vectors_are_refused(tmp_path: Path) -> None:
    assert reason(saved(tmp_path, np.zeros((3, 4, 5), "c8"))) is Reason.UNSUPPORTED_FORMAT
    assert reason(saved(tmp_path, np.zeros((3, 4, 5, 1, 3), "f4"))) is Reason.UNSUPPORTED_FORMAT


def test_a_plane_is_a_volume_of_depth_one(tmp_path: Path) -> None:
    volume, array = whole(saved(tmp_path, sample((4, 5))))
    assert volume.shape == (1, 5, 4)
    assert np.array_equal(array[0], sample((4, 5)).T)


def test_analyze_has_values_and_no_place(tmp_path: Path) -> None:
    values = sample()
    nibabel.AnalyzeImage(values, np.eye(4)).to_filename(tmp_path / "a.img")
    volume, array = whole(tmp_path / "a.hdr", tmp_path / "a.img")
    assert volume.grid is None
    assert np.array_equal(array, values.T)


@pytest.mark.parametrize("suffix", ["mgh", "mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_freesurfer_volumes_agree_with_nibabel(tmp_path: Path, suffix: str, dtype: str) -> None:
    affine = np.array([[-1.0, 0, 0.1, 4], [0, 0, 1.5, 5], [0.1, -2.0, 0, 6], [0, 0, 0, 1]])
    nibabel.save(nibabel.MGHImage(sample(dtype=dtype), affine), tmp_path / f"a.{suffix}")
    volume, array = whole(tmp_path / f"a.{suffix}")
    values, found, _ = as_nibabel_reads(tmp_path / f"a.{suffix}")
    assert_same_in_the_patient(volume, array, RAS_TO_LPS @ found, lambda xyz: values[tuple(xyz.T)], values.shape)


# --- NRRD and MetaImage ----------------------------------------------------------------------------------------------


def itk_image(dtype: str = "int16", colour: bool = False):
    values = np.random.default_rng(3).integers(0, 100, (6, 5, 4, 3) if colour else (6, 5, 4)).astype(dtype)
    image = sitk.GetImageFromArray(values, isVector=colour)
    angle = 0.3
    image.SetDirection((np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, -1))
    image.SetSpacing((0.5, 1.5, 2.5))
    image.SetOrigin((-10.0, 20.0, 30.5))
    return image


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nhdr", "a.mhd"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_what_itk_writes_is_read_as_itk_reads_it(tmp_path: Path, name: str, dtype: str, compressed: bool) -> None:
    sitk.WriteImage(itk_image(dtype), str(tmp_path / name), useCompression=compressed)
    others = sorted(path for path in tmp_path.iterdir() if path.name != name)
    volume = assert_as_itk(tmp_path / name, *others)
    assert volume.dtype == np.dtype(dtype)
    assert volume.orientation == "LPI"


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_colours_of_itk_are_an_axis(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(itk_image("uint8", colour=True), str(tmp_path / name))
    if name == "a.nrrd":  # ITK calls them a vector
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data.replace(b"kinds: vector", b"kinds: RGB-color"))
    volume = assert_as_itk(tmp_path / name)
    assert (volume.axes, volume.photometric) == ("zyxc", "RGB")


def test_a_real_nrrd_agrees_with_itk(test_data: TestData) -> None:
    paths = sorted(test_data("dcmqi-seg-sr").rglob("*.nrrd"))
    if not paths:
        pytest.skip("no NRRD there")
    for path in paths:
        assert_as_itk(path)


NRRD = b"""NRRD0004
# a comment: with a colon
type: short
dimension: 3
space: %s
sizes: 4 5 6
space directions: (1,0,0) (0,2,0) (0,0,3)
kinds: domain domain domain
endian: %s
encoding: raw
space origin: (1,2,3)
owner:=PATIENT^NAME
%s
"""


def nrrd(
    path: Path, space: bytes = b"left-posterior-superior", order: str = "little", more: bytes = b"", end: bytes = b"\n"
):
    values = np.arange(120, dtype="<i2" if order == "little" else ">i2")
    head = (NRRD % (space, order.encode(), more)).replace(b"\n\n", b"\n") + end
    path.write_bytes(head + values.tobytes())
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        (b"right-anterior-superior", (-1, -1, 1)),
        (b"RAS", (-1, -1, 1)),
        (b"left-anterior-superior", (1, -1, 1)),
        (b"LPS", (1, 1, 1)),
    ],
)
def test_a_nrrd_names_the_space_of_its_numbers(tmp_path: Path, space: bytes, signs: tuple[int, ...]) -> None:
    volume, array = whole(nrrd(tmp_path / "a.nrrd", space))
    values = np.arange(120).reshape(6, 5, 4)
    affine = np.diag([*signs, 1.0]) @ np.array([[1, 0, 0, 1], [0, 2, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1.0]])
    assert_same_in_the_patient(volume, array, affine, lambda xyz: values[tuple(xyz.T[::-1])], (4, 5, 6))
    assert "units:assumed=mm" in volume.changes


@pytest.mark.parametrize("space", [b"scanner-xyz", b"3D-right-handed"])
def test_a_space_that_is_not_the_patients_places_nothing(tmp_path: Path, space: bytes) -> None:
    volume, array = whole(nrrd(tmp_path / "a.nrrd", space))
    assert volume.grid is None
    assert np.array_equal(array.reshape(-1), np.arange(120))


def test_a_nrrd_of_the_other_byte_order_has_the_same_values(tmp_path: Path) -> None:
    _, array = whole(nrrd(tmp_path / "a.nrrd", order="big"))
    assert array.dtype == np.dtype("<i2")
    assert np.array_equal(array.reshape(-1), np.arange(120))


def test_a_unit_of_space_counts(tmp_path: Path) -> None:
    volume, _ = whole(nrrd(tmp_path / "a.nrrd", more=b'space units: "cm" "cm" "cm"'))
    assert volume.grid is not None
    assert volume.grid.spacing_mm == pytest.approx((30, 20, 10))
    assert reason(nrrd(tmp_path / "a.nrrd", more=b'space units: "feet" "feet" "feet"')) is Reason.INVALID_AFFINE


def test_frames_that_vary_fastest_come_first(tmp_path: Path) -> None:
    values = np.arange(2 * 4 * 5 * 6, dtype="<i2").reshape(6, 5, 4, 2)
    head = (
        b"NRRD0004\ntype: short\ndimension: 4\nspace: LPS\nsizes: 2 4 5 6\nkinds: list domain domain domain\n"
        b"space directions: none (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\nencoding: gzip\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head + gzip.compress(values.tobytes()))
    volume, array = whole(tmp_path / "a.nrrd")
    assert volume.axes == "tzyx"
    assert np.array_equal(array, np.moveaxis(values, -1, 0))


def test_a_header_that_names_another_file_does_not_get_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(240))
    for more in (b"data file: ../../secret.raw", b"data file: b.raw"):
        path = nrrd(tmp_path / "a.nhdr", more=more, end=b"")
        assert reason(path, tmp_path / "a.raw") is Reason.MISSING_FILE
    assert reason(nrrd(tmp_path / "a.nhdr", more=b"data file: a.raw")) is Reason.MISSING_FILE
    assert reason(nrrd(tmp_path / "a.nhdr", more=b"data file: LIST"), tmp_path / "a.raw") is Reason.UNSUPPORTED_FORMAT


METAIMAGE = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
{}DimSize = 4 5 6
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""


def metaimage(path: Path, more: str) -> Path:
    path.write_bytes(METAIMAGE.format(more).encode() + np.arange(120, dtype="<i2").tobytes())
    return path


PLACED = "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 1 2 3\n"


def test_a_metaimage_is_placed_where_it_says_so_in_full(tmp_path: Path) -> None:
    volume, _ = whole(metaimage(tmp_path / "a.mha", PLACED))
    assert volume.grid is not None
    assert volume.grid.affine_lps == (1, 0, 0, 1, 0, 2, 0, 2, 0, 0, 3, 3, 0, 0, 0, 1)
    for line in PLACED.splitlines(keepends=True):
        volume, array = whole(metaimage(tmp_path / "a.mha", PLACED.replace(line, "")))
        assert volume.grid is None, line
        assert np.array_equal(array.reshape(-1), np.arange(120))


def test_an_anatomical_orientation_that_contradicts_the_matrix_is_said(tmp_path: Path) -> None:
    volume, _ = whole(metaimage(tmp_path / "a.mha", PLACED + "AnatomicalOrientation = RAI\n"))
    assert "geometry:anatomical_orientation_ignored" not in volume.changes
    volume, _ = whole(metaimage(tmp_path / "a.mha", PLACED + "AnatomicalOrientation = LPS\n"))
    assert "geometry:anatomical_orientation_ignored" in volume.changes


def test_types_whose_size_depends_on_a_machine_are_refused(tmp_path: Path) -> None:
    path = metaimage(tmp_path / "a.mha", PLACED)
    path.write_bytes(path.read_bytes().replace(b"MET_SHORT", b"MET_LONG"))
    assert reason(path) is Reason.UNSUPPORTED_FORMAT


# --- AFNI and PAR/REC ------------------------------------------------------------------------------------------------


def test_old_afni_headers_place_a_volume_as_new_ones_do(test_data: TestData, tmp_path: Path) -> None:
    folder = test_data("nibabel-formats") / "data"
    for stem, brik in (("example4d+orig", ".BRIK.gz"), ("scaled+tlrc", ".BRIK")):
        text = (folder / f"{stem}.HEAD").read_text()
        (tmp_path / f"{stem}.HEAD").write_text(text.replace("IJK_TO_DICOM_REAL", "IJK_TO_SOMETHING"))
        new, _ = whole(folder / f"{stem}.HEAD", folder / (stem + brik))
        old, _ = whole(tmp_path / f"{stem}.HEAD", folder / (stem + brik))
        assert new.grid is not None
        assert old.grid is not None
        assert np.allclose(new.grid.matrix, old.grid.matrix, atol=1e-3)


def test_factors_that_differ_between_frames_are_applied_and_said(test_data: TestData, tmp_path: Path) -> None:
    folder = test_data("nibabel-formats") / "data"
    text = (folder / "example4d+orig.HEAD").read_text()
    start = (
        text.index("name  = BRICK_FLOAT_FACS") if "name  = BRICK_FLOAT_FACS" in text else text.index("BRICK_FLOAT_FACS")
    )
    head, tail = text[:start], text[start:]
    lines = tail.split("\n")
    lines[2] = " 0.5 2 0"
    path = tmp_path / "example4d+orig.HEAD"
    path.write_text(head + "\n".join(lines))
    brik = tmp_path / "example4d+orig.BRIK.gz"
    brik.write_bytes((folder / brik.name).read_bytes())
    volume, array = whole(path, brik)
    assert volume.dtype == np.dtype("<f4")
    assert "rescaled:per=volume" in volume.changes
    values, affine, _ = as_nibabel_reads(path)
    assert_same_in_the_patient(
        volume, array, RAS_TO_LPS @ affine, lambda xyz: np.moveaxis(values[tuple(xyz.T)], -1, 0), values.shape[:3]
    )


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel's
@pytest.mark.parametrize(
    "name",
    [
        "T2.PAR",
        "T2-interleaved.PAR",
        "T2_.PAR",
        "T2_-interleaved.PAR",
        "R11_T2W_TSE.PAR",
        "Phantom_EPI_3mm_cor_SENSE_8_1.PAR",
    ],
)
def test_philips_volumes_agree_with_nibabel(test_data: TestData, tmp_path: Path, name: str) -> None:
    text = (test_data("nibabel-formats") / "data" / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with path.open() as file:
            header = nibabel.parrec.PARRECHeader.from_fileobj(file)
    shape = tuple(int(length) for length in header.get_rec_shape())
    values = np.random.default_rng(4).integers(0, 255, shape[::-1]).astype(header.get_data_dtype())
    path.with_suffix(".REC").write_bytes(values.tobytes())
    found = read(path, path.with_suffix(".REC"))
    wanted, affine, _ = as_nibabel_reads(path)
    if not isinstance(found, VolumeData):
        assert found.reason is Reason.UNSUPPORTED_FORMAT
        assert "types of image" in found.detail
        return
    array = array_of(found)
    assert isinstance(array, np.ndarray)
    wanted = wanted[..., None] if wanted.ndim == 3 else wanted
    values_4d = array if array.ndim == 4 else array[None]
    assert_same_in_the_patient(
        found,
        values_4d,
        RAS_TO_LPS @ affine,
        lambda xyz: np.moveaxis(wanted[tuple(xyz.T)], -1, 0),
        wanted.shape[:3],
        1e-3,
    )


def test_a_short_rec_is_truncated(test_data: TestData, tmp_path: Path) -> None:
    path = test_data("nibabel-formats") / "data" / "T2.PAR"
    (tmp_path / "T2.REC").write_bytes(bytes(100))
    assert reason(path, tmp_path / "T2.REC") is Reason.TRUNCATED_IMAGE


# --- memory ----------------------------------------------------------------------------------------------------------


def test_what_streams_may_be_larger_than_what_must_be_turned(tmp_path: Path) -> None:
    values = sample((20, 20, 20))
    small = VolumeLimits(max_decoded_bytes=1000)
    nibabel.save(nifti(values), tmp_path / "a.nii.gz")
    assert np.array_equal(whole(tmp_path / "a.nii.gz", limits=small)[1], values.T)
    upside_down = np.diag([-1.0, -1.0, -1.0, 1.0])
    nibabel.save(nifti(values, upside_down), tmp_path / "b.nii.gz")
    assert refusal(tmp_path / "b.nii.gz", limits=small).reason is Reason.TOO_LARGE
    nibabel.save(nifti(values, upside_down), tmp_path / "b.nii")
    assert np.array_equal(whole(tmp_path / "b.nii", limits=small)[1], values.T[::-1])
