"""TIFF, BMP, GIF, WebP and JPEG 2000 are stored as PNG with their own samples, or refused with a reason."""

import io

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from curate.images import Limits, decode, frames_of
from curate.images.formats import Format, format_of
from curate.schema import Reason
from tests.images.test_jpeg import delivered, noise, odd, reason


def saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"), [("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("JPEG2000", {})]
)
def test_lossless_formats_keep_every_sample(kind, options):
    picture = noise()
    image = delivered(saved(picture, kind, **options))
    assert (image.media_type, image.bit_depth) == ("image/png", 8)
    assert image.changes == (f"reencoded_png:from={kind.lower()}",)
    assert np.array_equal(decode(image.data), np.asarray(picture))


@pytest.mark.parametrize(
    "name", ["16bit.MM.deflate.tif", "16bit.cropped.tif", "16bit.deflate.tif", "16bit.cropped.jp2"]
)
def test_sixteen_bits_stay_sixteen(test_data, name):
    data = odd(test_data, name)
    image = delivered(data)
    assert (image.bit_depth, image.channels, image.rescale_slope) == (16, 1, None)
    expected = np.asarray(Image.open(io.BytesIO(data))).astype(np.uint16)
    spread = expected >> 4 if name.endswith("jp2") and (expected & 15 == 0).all() else expected
    assert np.array_equal(decode(image.data), spread)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_tiff_is_stored_before_its_rotation(orientation):
    picture = noise(60, 40)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = orientation
    image = delivered(saved(picture, "TIFF", tiffinfo=tags))
    assert image.exif_orientation == orientation
    assert (image.width, image.height) == (60, 40)
    assert np.array_equal(decode(image.data), np.asarray(picture))


def int32_tiff(values: np.ndarray) -> bytes:
    return saved(Image.fromarray(values.astype(np.int32)), "TIFF")


def test_signed_integers_are_offset_and_the_rescale_undoes_it():
    values = np.arange(-1024, 3072).reshape(64, 64)
    image = delivered(int32_tiff(values))
    assert "offset:32768" in image.changes
    assert np.array_equal(decode(image.data) * image.rescale_slope + image.rescale_intercept, values)


def test_wide_integers_and_floats_are_refused():
    assert reason(int32_tiff(np.array([[0, 70_000]]))) is Reason.UNSUPPORTED_FORMAT
    assert reason(int32_tiff(np.array([[-5, 60_000]]))) is Reason.UNSUPPORTED_FORMAT
    assert reason(saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")) is Reason.UNSUPPORTED_FORMAT
    assert delivered(int32_tiff(np.array([[0, 60_000]]))).bit_depth == 16


def test_pages_are_counted_and_picked(test_data):
    data = odd(test_data, "multipage.tiff")
    assert frames_of(data) == 3
    assert "first_frame:of=3" in delivered(data).changes
    pages = [decode(delivered(data, frame=page).data) for page in range(3)]
    assert not np.array_equal(pages[0], pages[1])
    assert delivered(data, frame=1).changes == ("reencoded_png:from=tiff",)
    assert reason(data, frame=3) is Reason.NO_PIXELS


def test_frames_of_an_animation_are_counted_and_picked():
    frames = [Image.fromarray(np.full((9, 9), value, np.uint8)) for value in (10, 200)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert frames_of(data) == 2
    assert (decode(delivered(data, frame=1).data) == 200).all()
    assert reason(data, frame=2) is Reason.NO_PIXELS


def test_a_jpeg_has_one_frame(test_data):
    data = odd(test_data, "hopper_orientation_2.jpg")
    assert frames_of(data) == 1
    assert delivered(data, frame=0).width == 128
    assert reason(data, frame=1) is Reason.NO_PIXELS


def test_palettes_bilevel_and_cmyk_become_what_they_draw():
    bilevel = Image.fromarray(np.eye(20, dtype=bool))
    assert np.array_equal(decode(delivered(saved(bilevel, "TIFF")).data), np.eye(20) * 255)
    palette = noise().quantize(16)
    assert np.array_equal(decode(delivered(saved(palette, "GIF")).data), np.asarray(palette.convert("RGB")))
    cmyk = delivered(saved(noise().convert("CMYK"), "TIFF"))
    assert cmyk.changes == ("reencoded_png:from=tiff", "rgb:from=cmyk")


def test_inverted_sixteen_bit_tiffs_say_so():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    picture = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20))
    image = delivered(saved(picture, "TIFF", tiffinfo=tags))
    stated = Image.open(io.BytesIO(saved(picture, "TIFF", tiffinfo=tags))).tag_v2[262]
    assert image.photometric == ("MONOCHROME1" if stated == 0 else None)


def test_bombs_are_refused_by_their_header(test_data):
    assert reason(odd(test_data, "decompression_bomb.gif")) is Reason.TOO_MANY_PIXELS
    assert reason(saved(noise(), "BMP"), limits=Limits(max_pixels=100)) is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("name", ["decompression_bomb.ico", "negative_size.ppm"])
def test_formats_outside_the_list_are_refused_unopened(test_data, name):
    assert reason(odd(test_data, name)) is Reason.UNSUPPORTED_FORMAT


def test_text_and_nothing_are_no_images():
    assert reason(b"") is Reason.EMPTY_FILE
    assert reason(b"BM is how this letter begins, and no bitmap follows") is Reason.UNSUPPORTED_FORMAT
    assert format_of(b"MM\x00*" + bytes(124) + b"DICM") is Format.DICOM
    assert format_of(b"\xff\xd8\xff" + bytes(125) + b"DICM") is Format.DICOM


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF", "WEBP", "JPEG2000"])
def test_truncated_files_are_refused(kind):
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {"lossless": True} if kind == "WEBP" else {}
    data = saved(noise(), kind, **options)
    assert reason(data[: len(data) // 2]) in {Reason.TRUNCATED_IMAGE, Reason.CORRUPT_IMAGE}
