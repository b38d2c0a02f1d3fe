"""Every readable file has the values that pydicom gives and, where it can, SimpleITK; every other one has a reason."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from curate.images import Limits, deliver
from curate.images.dicom_codecs import decode_compressed
from curate.images.dicom_fragments import frame_bytes
from curate.images.dicom_pixels import DicomImage, Frame, open_image, read_frame
from curate.schema import Reason, Refusal

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
FRAMES = 3

REFUSED = {
    "DICOMDIR-nooffset": Reason.INVALID_HEADER,  # breaks off
    "JPEG2000-embedded-sequence-delimiter.dcm": Reason.CORRUPT_IMAGE,  # its code stream was overwritten on purpose
    "MR_truncated.dcm": Reason.TRUNCATED_IMAGE,
    "emri_small_jpeg_2k_lossless_too_short.dcm": Reason.TRUNCATED_IMAGE,
    "meta_missing_tsyntax.dcm": Reason.UNSUPPORTED_FORMAT,
    "nested_priv_SQ.dcm": Reason.INVALID_HEADER,  # pixels of no size
    "rtplan_truncated.dcm": Reason.INVALID_HEADER,
}
"""Files with the prefix of DICOM that cannot be read, other than those without pixels."""

BEYOND_PYDICOM = {
    "JPEG-lossy.dcm": "JPGExtended.dcm",
    "badVR.dcm": None,
    "liver_deflate.dcm": "liver.dcm",
    "liver_nonbyte_aligned_deflate.dcm": "liver_nonbyte_aligned.dcm",
    "liver_nonbyte_aligned_rle.dcm": "liver_nonbyte_aligned.dcm",
    "liver_rle.dcm": "liver.dcm",
}
"""Files that pydicom's decoders refuse, and the same picture in another transfer syntax."""


def dicom_files(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.read_bytes()[128:132] == b"DICM":
                yield path


def frames(image: DicomImage) -> list[Frame]:
    read = [read_frame(image, number) for number in range(min(image.frames, FRAMES))]
    assert not any(isinstance(one, Refusal) for one in read), read
    return [one for one in read if isinstance(one, Frame)]


def by_pydicom(path: Path, frame: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        syntax = dataset.file_meta.TransferSyntaxUID
        plugin = "" if not syntax.is_compressed or "JPEG-LS" in syntax.name else "pylibjpeg"
        samples = pixel_array(dataset, index=frame, decoding_plugin=plugin)
        return apply_color_lut(samples, dataset) if dataset.PhotometricInterpretation == "PALETTE COLOR" else samples


@pytest.fixture(scope="module")
def images(test_data) -> list[tuple[Path, DicomImage | Refusal]]:
    paths = dicom_files(WHEEL, test_data("pydicom-data"))
    return [(path, open_image(path.read_bytes(), Limits())) for path in paths]


def test_what_cannot_be_read_says_why(images):
    refused = {}
    for path, image in images:
        verdict = image if isinstance(image, Refusal) else read_frame(image)
        if isinstance(verdict, Refusal) and verdict.reason is not Reason.NO_PIXELS:
            refused[path.name] = verdict.reason
    assert refused == REFUSED


def test_readable_files_have_the_values_that_pydicom_gives(images):
    compared = 0
    for path, image in images:
        if isinstance(image, Refusal) or path.name in REFUSED or path.name in BEYOND_PYDICOM:
            continue
        for number, frame in enumerate(frames(image)):
            expected = by_pydicom(path, number)
            assert np.array_equal(frame.samples, expected), path.name
            assert frame.samples.dtype.itemsize <= expected.dtype.itemsize
            compared += 1
    assert compared > 150


def test_what_pydicom_refuses_has_the_values_of_the_same_picture_in_another_syntax(images):
    opened = {path.name: image for path, image in images if isinstance(image, DicomImage)}
    for name, twin in BEYOND_PYDICOM.items():
        read = frames(opened[name])
        if twin is not None:
            for one, other in zip(read, frames(opened[twin]), strict=True):
                assert np.abs(one.samples.astype(int) - other.samples).max() <= (1 if name == "JPEG-lossy.dcm" else 0)
    assert "decoder:imagecodecs.jpeg8" in frames(opened["JPEG-lossy.dcm"])[0].changes


def test_simpleitk_reads_the_same_modality_values(images):
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    compared = 0
    for path, image in images:
        if isinstance(image, Refusal) or path.name in REFUSED or not _is_comparable(path, image):
            continue
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        values = SimpleITK.GetArrayFromImage(reader.Execute())
        frame = frames(image)[0]
        slope, intercept, _ = frame.rescale
        expected = frame.samples * (slope or 1.0) + (intercept or 0.0)
        assert np.allclose(values[0] if values.ndim == 3 else values, expected, rtol=1e-6), path.name
        compared += 1
    assert compared > 40


def _is_comparable(path: Path, image: DicomImage) -> bool:
    """Grey, without the losses on which decoders round differently; SimpleITK inverts MONOCHROME1 and widens bits."""
    lossy = image.file.syntax in {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
    deep = image.layout.allocated > 16  # GDCM reads dose grids in big endian as little
    unread = path.name == "JLSL_08_07_0_1F.dcm"  # GDCM refuses 7 bits
    return image.layout.photometric == "MONOCHROME2" and image.layout.allocated > 1 and not (lossy or deep or unread)


def test_a_delivered_png_gives_back_every_stored_value(images):
    from curate.images import decode

    for path, image in images:
        if isinstance(image, Refusal) or path.name in REFUSED or frames(image)[0].is_deep:
            continue
        delivered = deliver(path.read_bytes(), frame=0)
        assert not isinstance(delivered, Refusal)
        offset = sum(int(word[7:]) for word in delivered.changes if word.startswith("offset:"))
        assert np.array_equal(decode(delivered.data).astype(int) - offset, frames(image)[0].samples), path.name


COMPRESSED = {
    "JPEG-LL.dcm": "JPEG lossless, 16 bits",
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "JPEG lossless, 8 bits",
    "693_J2KR.dcm": "JPEG 2000",
    "HTJ2K_08_RGB.dcm": "high-throughput JPEG 2000",
    "JLSL_16_15_1_1F.dcm": "JPEG-LS",
    "MR_small_RLE.dcm": "run lengths",
    "JPGExtended.dcm": "JPEG extended, 12 bits",
}


@pytest.mark.parametrize("name", sorted(COMPRESSED))
@pytest.mark.parametrize("damage", ["cut", "cut and closed", "hole"])
def test_a_frame_that_lacks_bytes_is_refused_and_never_made_up(name, damage, test_data):
    folder = WHEEL if (WHEEL / name).is_file() else test_data("pydicom-data") / "data"
    image = open_image((folder / name).read_bytes(), Limits())
    assert isinstance(image, DicomImage)
    assert image.items is not None
    encoded = frame_bytes(image.file.data, image.items, image.spans[0])
    middle = len(encoded) // 2
    damaged = {
        "cut": encoded[:middle],
        "cut and closed": encoded[:middle] + b"\xff\xd9",
        "hole": encoded[:middle] + encoded[middle + 100 :],
    }[damage]
    assert isinstance(decode_compressed(encoded, image.file.syntax, image.layout, Limits()), tuple)
    assert isinstance(decode_compressed(damaged, image.file.syntax, image.layout, Limits()), Refusal)
