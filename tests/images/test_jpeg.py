"""A JPEG keeps its compressed pixels, loses what identifies, and is refused when its pixels are damaged."""

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from curate.images import Delivered, Limits, decode, deliver
from curate.schema import Reason, Refusal


def delivered(data: bytes, **options) -> Delivered:
    image = deliver(data, **options)
    assert isinstance(image, Delivered), image
    return image


def reason(data: bytes, **options) -> Reason:
    refusal = deliver(data, **options)
    assert isinstance(refusal, Refusal), refusal
    return refusal.reason


@pytest.fixture(scope="module")
def smear(test_data) -> bytes:
    return sorted(Path(test_data("bccd")).glob("BCCD/JPEGImages/*.jpg"))[0].read_bytes()


def odd(test_data, name: str) -> bytes:
    return (test_data("broken-images") / "images" / name).read_bytes()


def saved(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def noise(width: int = 200, height: int = 160, channels: int = 3) -> Image.Image:
    samples = np.random.default_rng(7).integers(0, 255, (height // 8, width // 8, channels), dtype=np.uint8)
    return Image.fromarray(samples.squeeze()).resize((width, height), Image.Resampling.BICUBIC)


def test_a_clean_blood_smear_is_stored_as_it_came(smear):
    image = delivered(smear)
    assert image.data is smear
    assert (image.media_type, image.width, image.height, image.channels, image.bit_depth) == (
        "image/jpeg",
        640,
        480,
        3,
        8,
    )
    assert image.changes == ()


def test_grey_and_progressive_jpegs_are_browser_safe():
    for options in ({}, {"progressive": True}):
        image = delivered(saved(noise(channels=1), **options))
        assert (image.media_type, image.channels, image.changes) == ("image/jpeg", 1, ())
        assert decode(image.data).shape == (160, 200)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_orientation_is_recorded_and_the_pixels_stay_unrotated(test_data, orientation):
    data = odd(test_data, f"hopper_orientation_{orientation}.jpg")
    image = delivered(data)
    assert image.exif_orientation == orientation
    assert image.changes == ("metadata_stripped",)
    assert b"Exif" not in image.data
    assert np.array_equal(decode(image.data), simplejpeg.decode_jpeg(data))


def test_metadata_stays_where_the_card_vouches_for_it(test_data):
    data = odd(test_data, "hopper_orientation_6.jpg")
    image = delivered(data, keep_metadata=True)
    assert image.data == data
    assert image.exif_orientation == 6


def test_comments_thumbnails_and_application_segments_go_and_the_colour_profile_stays():
    profile = Image.Image.getexif(noise())  # an empty EXIF block to carry a name
    profile[0x010E] = "DOE^JANE"
    data = saved(noise(), exif=profile, comment=b"DOE^JANE", icc_profile=b"profile" * 20)
    thumbnail = b"\xff\xe0" + (8 + 9).to_bytes(2, "big") + b"JFXX\x00\x13\x01\x01" + b"DOE^JAN"
    data = data[:2] + thumbnail + data[2:]
    image = delivered(data)
    assert b"DOE" not in image.data
    assert b"ICC_PROFILE" in image.data
    assert np.array_equal(decode(image.data), simplejpeg.decode_jpeg(data))


def test_a_comment_between_the_scans_of_a_progressive_file_is_found():
    data = saved(noise(), progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    hidden = data[:second] + b"\xff\xfe\x00\x0aDOE^JANE" + data[second:]
    image = delivered(hidden)
    assert image.data == data
    assert image.changes == ("metadata_stripped",)


def test_bytes_behind_the_end_are_trimmed_even_if_they_are_an_image(smear):
    for tail in (b"DOE^JANE", smear):
        image = delivered(smear + tail, keep_metadata=True)
        assert image.data == smear
        assert image.changes == ("trailing_bytes_trimmed",)


def test_stray_bytes_between_segments_are_removed(test_data):
    image = delivered(odd(test_data, "junk_jpeg_header.jpg"))
    assert "stray_bytes_removed" in image.changes
    simplejpeg.decode_jpeg(image.data, strict=True)


def test_a_missing_end_marker_is_added_only_if_no_pixel_is_missing(smear):
    image = delivered(smear[:-2])
    assert image.data == smear
    assert image.changes == ("end_marker_added",)
    assert reason(smear[:-200]) is Reason.TRUNCATED_IMAGE
    assert reason(saved(noise(), progressive=True)[:-2]) is Reason.TRUNCATED_IMAGE


@pytest.mark.parametrize("fraction", [0.005, 0.02, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_anywhere_is_truncated(smear, fraction):
    assert reason(smear[: int(len(smear) * fraction)]) is Reason.TRUNCATED_IMAGE


def test_a_real_truncated_file_is_refused(test_data):
    assert reason(odd(test_data, "truncated_jpeg.jpg")) is Reason.TRUNCATED_IMAGE


def test_zeroed_blocks_in_the_compressed_pixels_are_found(test_data):
    files = sorted(Path(test_data("bccd")).glob("BCCD/JPEGImages/*.jpg"))[:30]
    found = 0
    for number, path in enumerate(files):
        data = bytearray(path.read_bytes())
        start = len(data) // 3 + 97 * number
        data[start : start + 512] = bytes(512)
        found += isinstance(deliver(bytes(data)), Refusal)
    assert found >= 0.9 * len(files)


def test_cmyk_becomes_rgb_png_and_says_so(test_data):
    data = odd(test_data, "pil_sample_cmyk.jpg")
    image = delivered(data)
    assert (image.media_type, image.channels) == ("image/png", 3)
    assert image.changes == ("reencoded_png:from=cmyk_jpeg",)
    assert np.array_equal(decode(image.data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_what_browsers_cannot_draw_and_no_decoder_reads_is_unsupported(smear):
    frame = smear.index(b"\xff\xc0")
    lossless = smear[:frame] + b"\xff\xc3" + smear[frame + 2 :]
    twelve_bits = smear[: frame + 4] + b"\x0c" + smear[frame + 5 :]
    assert reason(lossless) is Reason.UNSUPPORTED_FORMAT
    assert reason(twelve_bits) is Reason.UNSUPPORTED_FORMAT


def test_a_header_that_claims_a_huge_raster_is_refused_before_decoding(smear):
    frame = smear.index(b"\xff\xc0")
    huge = smear[: frame + 5] + b"\xff\xff\xff\xff" + smear[frame + 9 :]
    large = smear[: frame + 5] + (12_000).to_bytes(2, "big") * 2 + smear[frame + 9 :]
    assert reason(huge) is Reason.TOO_MANY_PIXELS
    assert reason(large) is Reason.TOO_MANY_PIXELS
    assert reason(smear, limits=Limits(max_pixels=1000)) is Reason.TOO_MANY_PIXELS
    assert reason(smear, limits=Limits(max_bytes=1000)) is Reason.TOO_LARGE


def test_thousands_of_scans_are_an_attack():
    data = saved(noise(), progressive=True)
    last = data.rindex(b"\xff\xda")
    assert reason(data[:-2] + data[last:-2] * 300 + b"\xff\xd9") is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("segment", [b"\xff\xe1\x00\x00", b"\xff\xe1\x00\x01", b"\xff\xd8", b"\xff\xe1\xff\xff"])
def test_segments_that_cannot_be_are_refused(smear, segment):
    assert reason(smear[:2] + segment + smear[2:200]) in {Reason.CORRUPT_IMAGE, Reason.TRUNCATED_IMAGE}
