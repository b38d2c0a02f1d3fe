"""Two codings of one picture lie within 4 bits; two pictures lie far apart; equal pixels have one digest."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.images import decode, deliver, pixel_sha256
from curate.images.hash import difference_hash, hash_of_array
from curate.images.png import GREY, PALETTE, encode_png
from tests.images.test_jpeg import delivered, noise, odd, saved
from tests.images.test_png import chunk, png

NEAR = 4


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def jpegs(test_data) -> list[bytes]:
    found = []
    for name, pattern, step in (("bccd", "*.jpg", 18), ("vqa-rad", "*.jpg", 15), ("chula-rbc-diseases", "*.JPG", 4)):
        found += [path.read_bytes() for path in sorted(Path(test_data(name)).rglob(pattern))[::step]]
    return found


def test_a_jpeg_and_its_pixels_as_png_are_near(test_data):
    for data in jpegs(test_data):
        image = delivered(data)
        assert distance(image.phash, delivered(encode_png(decode(image.data))).phash) <= NEAR


def test_small_and_odd_sized_jpegs_and_their_pixels_are_near():
    for width, height in ((40, 40), (145, 151), (300, 149), (143, 600), (1000, 17)):
        image = delivered(saved(noise(width, height), quality=90))
        assert distance(image.phash, delivered(encode_png(decode(image.data))).phash) <= NEAR


def test_filters_and_interlacing_do_not_change_the_hash(test_data):
    path = sorted(Path(test_data("dsb2018-nuclei")).rglob("images/*.png"))[2]
    samples = decode(path.read_bytes())[:160, :200].astype(np.uint16)
    hashes = {deliver(png(samples, 8, 2, first=first, interlaced=bool(first % 2))).phash for first in range(3)}
    assert hashes == {hash_of_array(samples.astype(np.uint8))}


def test_alpha_palettes_and_channels_do_not_change_the_hash():
    grey = np.asarray(noise(channels=1).resize((200, 160)))
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    greys = chunk(b"PLTE", np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    codings = [encode_png(grey), encode_png(rgba), encode_png(rgba[..., :3]), png(grey, 8, PALETTE, extra=greys)]
    codings += [encode_png(np.dstack([grey, grey])), encode_png(grey.astype(np.uint16) << 8)]
    first = deliver(codings[0]).phash
    assert all(distance(first, deliver(coding).phash) <= NEAR for coding in codings)


def test_different_pictures_are_far_apart(test_data):
    hashes = [delivered(path.read_bytes()).phash for path in sorted(Path(test_data("vqa-rad")).rglob("*.jpg"))[:40]]
    distances = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert sum(bits > NEAR for bits in distances) > 0.98 * len(distances)


def test_a_flat_picture_hashes_to_zero_and_a_ramp_to_ones():
    assert hash_of_array(np.full((200, 200), 77, np.uint8)) == 0
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    assert hash_of_array(ramp) == 2**64 - 1
    assert hash_of_array(ramp[:, ::-1]) == 0
    assert hash_of_array(ramp.astype(np.uint16) * 3 + 30_000) == 2**64 - 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 8)])
def test_a_raster_smaller_than_the_grid_has_a_hash(shape):
    assert 0 <= difference_hash(np.full(shape, 9, np.uint8)) < 2**64


def test_the_first_pair_is_the_highest_bit():
    step = np.zeros((8, 9), np.uint8)
    step[0, 1:] = 100
    assert difference_hash(step) == 1 << 63


def test_equal_pixels_have_one_digest_however_they_are_coded(test_data):
    data = sorted(Path(test_data("dsb2018-nuclei")).rglob("images/*.png"))[0].read_bytes()
    rgba = np.asarray(Image.open(io.BytesIO(data)))
    assert pixel_sha256(data) == pixel_sha256(encode_png(rgba)) == pixel_sha256(encode_png(rgba[..., :3]))
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8)
    colours = np.arange(192, dtype=np.uint8).reshape(64, 3)
    palette = png(indices, 8, PALETTE, extra=chunk(b"PLTE", colours.tobytes()))
    assert pixel_sha256(palette) == pixel_sha256(encode_png(colours[indices]))
    bilevel = (indices % 3 > 0).astype(np.uint8)
    assert pixel_sha256(png(bilevel, 1, GREY)) == pixel_sha256(encode_png(bilevel * 255))


def test_other_pixels_depth_or_shape_have_another_digest():
    base = np.arange(64, dtype=np.uint8).reshape(8, 8)
    changed = base.copy()
    changed[0, 0] ^= 1
    others = [base, changed, base.astype(np.uint16), base.reshape(4, 16), np.dstack([base] * 3)]
    digests = {pixel_sha256(encode_png(samples)) for samples in others}
    assert len(digests) == 5


def test_decode_refuses_what_deliver_did_not_give(test_data):
    for data in (b"", b"DOE", odd(test_data, "truncated_image.png"), odd(test_data, "g4-multi.tiff")):
        with pytest.raises(ValueError, match="stored image"):
            decode(data)
