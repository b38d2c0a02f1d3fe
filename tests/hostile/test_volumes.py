"""Volumes that lie: every one ends as a refusal with a reason, at the cost of its header, and nothing of it leaks."""

import gzip
import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curate.images.volume_data import VolumeData, VolumeLimits
from curate.images.volumes import read_volume
from curate.schema import Reason, Refusal
from tests.images.test_volumes import METAIMAGE, PLACED, edited, itk_image, nifti, nrrd, sample, saved
from tests.images.volume_files import array_of, reason, refusal, volume_file

nibabel = pytest.importorskip("nibabel")
sitk = pytest.importorskip("SimpleITK")
h5py = pytest.importorskip("h5py")

TestData = Callable[[str], Path]
CANARY = "DOE^JANE 19700101"
FLOAT_MAX = 3.0e38


@pytest.mark.parametrize(
    ("dims", "wanted"),
    [
        ((3, 0, 5, 6, 1, 1, 1, 1), Reason.CORRUPT_IMAGE),
        ((3, -4, 5, 6, 1, 1, 1, 1), Reason.CORRUPT_IMAGE),
        ((0, 4, 5, 6, 1, 1, 1, 1), Reason.CORRUPT_IMAGE),
        ((-3, 4, 5, 6, 1, 1, 1, 1), Reason.CORRUPT_IMAGE),
        ((8, 4, 5, 6, 1, 1, 1, 1), Reason.CORRUPT_IMAGE),
        ((3, 4, 5, 7, 1, 1, 1, 1), Reason.TRUNCATED_IMAGE),
        ((3, 32767, 32767, 1, 1, 1, 1, 1), Reason.TRUNCATED_IMAGE),
        ((3, 32767, 32767, 32767, 1, 1, 1, 1), Reason.TOO_LARGE),
        ((7, 32767, 32767, 32767, 32767, 1, 1, 1), Reason.TOO_LARGE),
        ((5, 4, 5, 6, 1, 32767, 1, 1), Reason.UNSUPPORTED_FORMAT),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_dimensions_that_lie(tmp_path: Path, dims: tuple[int, ...], wanted: Reason, compressed: bool) -> None:
    path = edited(saved(tmp_path), "dim", *dims)
    if compressed:
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.nii.gz"
        if dims[1:4] == (32767, 32767, 1):
            wanted = Reason.TOO_LARGE  # by the ratio that it claims
    assert reason(path) is wanted


@pytest.mark.parametrize("offset", [0.0, 1.0, 351.0, 352.5, -352.0, float("nan"), float("inf")])
def test_voxels_that_begin_in_the_header_or_nowhere(tmp_path: Path, offset: float) -> None:
    assert reason(edited(saved(tmp_path), "vox_offset", offset)) is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("offset", [400.0, 1e9, FLOAT_MAX])
def test_voxels_that_begin_behind_the_file(tmp_path: Path, offset: float) -> None:
    path = edited(saved(tmp_path), "vox_offset", offset)
    assert reason(path) is Reason.TRUNCATED_IMAGE
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert reason(tmp_path / "a.nii.gz") in (Reason.TRUNCATED_IMAGE, Reason.CORRUPT_IMAGE)


@pytest.mark.parametrize(
    ("field", "number"),
    [("datatype", 3), ("datatype", -1), ("bitpix", 8), ("scl_slope", float("inf"))],
)
def test_types_and_scales_that_lie(tmp_path: Path, field: str, number: float) -> None:
    assert reason(edited(saved(tmp_path), field, number)) is Reason.CORRUPT_IMAGE


def test_damaged_gzip(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(saved(tmp_path, sample((20, 20, 20))).read_bytes(), mtime=0))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(data[:-1])
    assert reason(path) is Reason.TRUNCATED_IMAGE
    path.write_bytes(data[: len(data) // 2])
    assert reason(path) is Reason.TRUNCATED_IMAGE
    path.write_bytes(data[:3])
    assert reason(path) in (Reason.UNSUPPORTED_FORMAT, Reason.TRUNCATED_IMAGE)
    for at in (len(data) // 2, len(data) - 6):  # within the stream, within its checksum
        data[at] ^= 0xFF
        path.write_bytes(data)
        assert reason(path) in (Reason.CORRUPT_IMAGE, Reason.TRUNCATED_IMAGE)
        data[at] ^= 0xFF


def test_a_bomb_behind_the_voxels(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(saved(tmp_path).read_bytes() + bytes(50 * 2**20)))
    found = refusal(tmp_path / "a.nii.gz")
    assert found.reason is Reason.CORRUPT_IMAGE
    assert "follow the voxels" in found.detail


BOMBS = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, 2 * 2**30))
from pathlib import Path
from tests.images.volume_files import refusal
for name in sys.argv[1:]:
    began = time.monotonic()
    found = refusal(Path(name))
    print(found.reason, time.monotonic() - began < 30)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_bombs_end_within_the_limits_of_an_item(tmp_path: Path) -> None:
    """3 GiB in 3 MB as the header says; and 1 GiB where it says 700 MiB, all of them zeros that must be turned."""
    compress = zlib.compressobj(1, zlib.DEFLATED, 31)
    head = edited(saved(tmp_path), "dim", 3, 1024, 1024, 1536, 1, 1, 1, 1).read_bytes()[:352]
    zeros = bytes(2**24)
    with (tmp_path / "a.nii.gz").open("wb") as file:
        file.write(compress.compress(head))
        for _ in range(16):
            file.write(compress.compress(zeros))
        file.write(compress.flush())
    head = edited(saved(tmp_path), "dim", 3, 1024, 1024, 240, 1, 1, 1, 1).read_bytes()[:352]
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(head + zeros * 16, 1))
    (tmp_path / "c.mha").write_bytes(
        METAIMAGE.format(PLACED + "CompressedData = True\n").replace("4 5 6", "1024 1024 1536").encode()
        + zlib.compress(zeros)
    )
    (tmp_path / "d.nrrd").write_bytes(
        nrrd(tmp_path / "x.nrrd")
        .read_bytes()[:-240]
        .replace(b"sizes: 4 5 6", b"sizes: 100000 100000 100000")
        .replace(b"encoding: raw", b"encoding: gzip")
        + gzip.compress(zeros)
    )
    names = [str(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz", "c.mha", "d.nrrd")]
    done = subprocess.run([sys.executable, "-c", BOMBS, *names], capture_output=True, text=True, check=True, timeout=60)
    *found, peak = done.stdout.splitlines()
    assert found[0] == "too_large True"
    assert found[1] == "truncated_image True"
    assert found[2] == "too_large True"
    assert found[3] == "too_large True"
    assert int(peak) < 2048


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (b"sizes: 4 5 6", b"sizes: 4 -5 6", Reason.CORRUPT_IMAGE),
        (b"sizes: 4 5 6", b"sizes: 4 5", Reason.CORRUPT_IMAGE),
        (b"sizes: 4 5 6", b"sizes: 4 5 99", Reason.TRUNCATED_IMAGE),
        (b"sizes: 4 5 6", b"sizes: 999999999999999999999 5 6", Reason.CORRUPT_IMAGE),
        (b"dimension: 3", b"dimension: 1000000000", Reason.CORRUPT_IMAGE),
        (b"type: short", b"type: block", Reason.UNSUPPORTED_FORMAT),
        (b"encoding: raw", b"encoding: ascii", Reason.UNSUPPORTED_FORMAT),
        (b"encoding: raw", b"encoding: gzip", Reason.CORRUPT_IMAGE),
        (b"endian: little\n", b"", Reason.CORRUPT_IMAGE),
        (b"(0,0,3)", b"(0,0,nan)", Reason.INVALID_AFFINE),
        (b"(0,0,3)", b"(0,4,0)", Reason.INVALID_AFFINE),
        (b"(0,0,3)", b"(0,0,x)", Reason.INVALID_AFFINE),
        (b"origin: (1,2,3)", b"origin: (1,2,inf)", Reason.INVALID_AFFINE),
        (b"encoding: raw", b"encoding: raw\nbyte skip: 100000", Reason.TRUNCATED_IMAGE),
        (b"encoding: raw", b"encoding: raw\nencoding: gzip", Reason.CORRUPT_IMAGE),
    ],
)
def test_nrrd_headers_that_lie(tmp_path: Path, old: bytes, new: bytes, wanted: Reason) -> None:
    path = nrrd(tmp_path / "a.nrrd")
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    assert reason(path) is wanted


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("DimSize = 4 5 6", "DimSize = 4 5 99", Reason.TRUNCATED_IMAGE),
        ("DimSize = 4 5 6", "DimSize = 4 5 -6", Reason.CORRUPT_IMAGE),
        ("DimSize = 4 5 6", "DimSize = 99999999 99999999 99999999", Reason.TOO_LARGE),
        ("NDims = 3", "NDims = 30000", Reason.CORRUPT_IMAGE),
        ("BinaryData = True", "BinaryData = False", Reason.UNSUPPORTED_FORMAT),
        ("ElementDataFile = LOCAL", "ElementDataFile = /etc/passwd", Reason.MISSING_FILE),
        ("ElementDataFile = LOCAL", "ElementDataFile = LIST", Reason.UNSUPPORTED_FORMAT),
        ("ElementDataFile = LOCAL", "ElementDataFile = a%03d.raw 1 5 1", Reason.UNSUPPORTED_FORMAT),
        ("ElementDataFile = LOCAL", "", Reason.CORRUPT_IMAGE),
        ("Offset = 1 2 3", "Offset = 1 2", Reason.INVALID_AFFINE),
        ("Offset = 1 2 3", "Offset = 1 2 nan", Reason.INVALID_AFFINE),
        ("Matrix = 1 0 0 0 1 0 0 0 1", "Matrix = 1 0 0 0 1 0 0 0 0", Reason.INVALID_AFFINE),
    ],
)
def test_metaimage_headers_that_lie(tmp_path: Path, old: str, new: str, wanted: Reason) -> None:
    text = METAIMAGE.format(PLACED)
    assert old in text
    (tmp_path / "a.mha").write_bytes(text.replace(old, new).encode() + bytes(240))
    assert reason(tmp_path / "a.mha") is wanted


def test_minc_that_reaches_out_of_its_file(test_data: TestData, tmp_path: Path) -> None:
    real = test_data("nibabel-formats") / "data" / "minc2_1_scale.mnc"
    secret = tmp_path / "secret.mnc"
    secret.write_bytes(real.read_bytes())
    path = tmp_path / "a.mnc"
    for kind in ("external link", "soft link", "external storage"):
        path.write_bytes(real.read_bytes())
        with h5py.File(path, "r+") as file:
            group = file["minc-2.0/image/0"]
            shape, attributes = group["image"].shape, dict(group["image"].attrs)
            del group["image"]
            if kind == "external link":
                group["image"] = h5py.ExternalLink(str(secret), "/minc-2.0/image/0/image")
            elif kind == "soft link":
                group["image"] = h5py.SoftLink("/minc-2.0/image/0/image-max")
            else:
                made = group.create_dataset("image", shape, "u1", external=[(str(secret), 0, 4000)])
                made.attrs.update(attributes)
        assert reason(path) is Reason.UNSUPPORTED_FORMAT, kind


def test_minc_that_claims_terabytes(test_data: TestData, tmp_path: Path) -> None:
    real = test_data("nibabel-formats") / "data" / "minc2_1_scale.mnc"
    path = tmp_path / "a.mnc"
    path.write_bytes(real.read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["minc-2.0/image/0"]
        attributes = dict(group["image"].attrs)
        del group["image"]
        made = group.create_dataset("image", (100000, 10000, 1000), "u1", chunks=(1, 100, 100), compression="gzip")
        made.attrs.update(attributes)
    assert reason(path) is Reason.TOO_LARGE


def one_of_each(folder: Path, data: Path) -> list[tuple[Path, ...]]:
    nibabel.save(nifti(sample()), folder / "a.nii")
    nibabel.save(nifti(sample()), folder / "b.nii.gz")
    nibabel.save(nifti(sample(), kind="Nifti2Image"), folder / "c.nii")
    nibabel.save(nibabel.MGHImage(sample(), np.eye(4)), folder / "d.mgh")
    sitk.WriteImage(itk_image(), str(folder / "e.nrrd"), useCompression=True)
    sitk.WriteImage(itk_image(), str(folder / "f.mha"), useCompression=True)
    sitk.WriteImage(itk_image(), str(folder / "g.nrrd"))
    alone = [(folder / name,) for name in ("a.nii", "b.nii.gz", "c.nii", "d.mgh", "e.nrrd", "f.mha", "g.nrrd")]
    for name in ("tiny.mnc", "minc2_1_scale.mnc"):
        (folder / name).write_bytes((data / name).read_bytes())
        alone.append((folder / name,))
    for name in ("scaled+tlrc.HEAD", "scaled+tlrc.BRIK", "T2.PAR"):
        (folder / name).write_bytes((data / name).read_bytes())
    (folder / "T2.REC").write_bytes(bytes(2**20))
    return [*alone, (folder / "scaled+tlrc.HEAD", folder / "scaled+tlrc.BRIK"), (folder / "T2.PAR", folder / "T2.REC")]


def outcome(paths: tuple[Path, ...]) -> VolumeData | Refusal:
    """What comes of it; whatever else than a refusal is raised, is a bug."""
    files = [volume_file(path) for path in paths]
    limits = VolumeLimits(max_decoded_bytes=2**26, max_streamed_bytes=2**28)
    volume = read_volume(files, beat=lambda: None, limits=limits)
    if isinstance(volume, Refusal):
        return volume
    array = array_of(volume)
    return array if isinstance(array, Refusal) else volume


def test_damage_anywhere_is_a_refusal_or_a_volume(test_data: TestData, tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    for paths in one_of_each(tmp_path, test_data("nibabel-formats") / "data"):
        whole = paths[0].read_bytes()
        assert isinstance(outcome(paths), VolumeData), paths[0].name
        for _ in range(60):
            data = bytearray(whole)
            for at in generator.integers(0, min(len(data), 700), 3):
                data[at] = generator.integers(0, 256)
            paths[0].write_bytes(data)
            outcome(paths)
        for length in (0, 1, 4, 100, 347, 348, 352, len(whole) - 1):
            paths[0].write_bytes(whole[:length])
            if length in (0, 1, 4):
                assert isinstance(outcome(paths), Refusal)
            else:
                outcome(paths)
        paths[0].write_bytes(whole)


def test_a_refusal_never_quotes_a_header(test_data: TestData, tmp_path: Path) -> None:
    data = test_data("nibabel-formats") / "data"
    word = CANARY.encode()
    (tmp_path / "a.HEAD").write_bytes((data / "scaled+tlrc.HEAD").read_bytes().replace(b"integer-attribute", word))
    (tmp_path / "a.PAR").write_bytes((data / "T2.PAR").read_bytes().replace(b"Max. number of slices", word))
    (tmp_path / "b.nrrd").write_bytes(nrrd(tmp_path / "x.nrrd").read_bytes().replace(b"type: short", b"type: " + word))
    (tmp_path / "c.nrrd").write_bytes(
        nrrd(tmp_path / "x.nrrd").read_bytes().replace(b"(0,0,3)", b"(0,0," + word + b")")
    )
    (tmp_path / "d.mha").write_bytes(METAIMAGE.format(PLACED).replace("MET_SHORT", CANARY).encode() + bytes(240))
    for name in ("a.HEAD", "a.PAR", "b.nrrd", "c.nrrd", "d.mha"):
        found = refusal(tmp_path / name)
        assert "DOE" not in found.detail
        assert "1970" not in found.detail


def test_pickles_and_foreign_files_are_no_volumes(tmp_path: Path) -> None:
    import pickle

    buffer = io.BytesIO()
    np.save(buffer, sample())
    for number, data in enumerate(
        (pickle.dumps({"a": 1}), buffer.getvalue(), b"\x89PNG\r\n\x1a\n", b"hello", bytes(5000))
    ):
        (tmp_path / f"{number}.nii").write_bytes(data)
        assert reason(tmp_path / f"{number}.nii") is Reason.UNSUPPORTED_FORMAT
    (tmp_path / "empty.nii").write_bytes(b"")
    assert reason(tmp_path / "empty.nii") is Reason.EMPTY_FILE
