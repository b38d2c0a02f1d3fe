"""A mask file gives the numbers that it holds, never the colours that a viewer would draw."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.images import Limits, read_mask
from curate.images.png import GREY, PALETTE, encode_png
from curate.schema import Reason, Refusal
from tests.images.test_foreign import int32_tiff, saved
from tests.images.test_jpeg import odd
from tests.images.test_png import chunk, png

LABELS = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)


def reason(data: bytes, **options) -> Reason:
    refusal = read_mask(data, **options)
    assert isinstance(refusal, Refusal)
    return refusal.reason


def test_real_nucleus_masks_are_zero_and_255(test_data):
    for path in sorted(Path(test_data("dsb2018-nuclei")).rglob("masks/*.png"))[::30]:
        mask = read_mask(path.read_bytes())
        assert mask.ndim == 2
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        assert np.array_equal(mask, np.asarray(Image.open(path)))


def test_a_palette_gives_indices_not_colours():
    colours = chunk(b"PLTE", np.random.default_rng(0).integers(0, 255, 768, dtype=np.uint8).tobytes())
    assert np.array_equal(read_mask(png(LABELS, 8, PALETTE, extra=colours)), LABELS)
    small = LABELS % 4
    assert np.array_equal(read_mask(png(small, 2, PALETTE, extra=colours)), small)
    for kind in ("GIF", "BMP", "TIFF"):
        image = Image.fromarray(small).convert("P")
        image.putpalette(range(30, 42))
        stored = Image.open(io.BytesIO(saved(image, kind)))
        assert np.array_equal(read_mask(saved(image, kind)), np.asarray(stored))


def test_small_depths_are_not_scaled():
    assert np.array_equal(read_mask(png(LABELS % 2, 1, GREY)), LABELS % 2)
    bilevel = Image.fromarray(LABELS % 2 > 0)
    assert np.array_equal(read_mask(saved(bilevel, "TIFF")), LABELS % 2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_equal_channels_are_one_and_alpha_has_no_say(channels, dtype):
    labels = LABELS.astype(dtype) * (1 if dtype is np.uint8 else 256)
    stacked = np.dstack([labels] * min(channels, 3)) if channels > 2 else labels[..., None]
    if channels in {2, 4}:
        stacked = np.dstack([stacked, np.full_like(labels, 7)])
    mask = read_mask(encode_png(stacked.squeeze() if channels == 1 else stacked))
    assert mask.dtype == dtype
    assert np.array_equal(mask, labels)


def test_true_colour_is_one_number_per_colour():
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[0, 0] = (255, 0, 0)
    colours[1, 2] = (1, 2, 3)
    assert np.array_equal(read_mask(encode_png(colours)), [[0xFF0000, 0, 0], [0, 0, 0x010203]])


def test_sixteen_bits_and_signed_values_stay():
    wide = LABELS.astype(np.uint16) * 200
    assert np.array_equal(read_mask(encode_png(wide)), wide)
    signed = LABELS.astype(np.int32) - 1
    assert np.array_equal(read_mask(int32_tiff(signed)), signed)


def test_what_loses_values_or_is_damaged_is_refused(test_data):
    assert reason(odd(test_data, "hopper_orientation_2.jpg")) is Reason.UNSUPPORTED_FORMAT
    assert reason(odd(test_data, "multipage.tiff")) is Reason.UNSUPPORTED_FORMAT
    assert reason(odd(test_data, "truncated_image.png")) is Reason.TRUNCATED_IMAGE
    assert reason(b"") is Reason.EMPTY_FILE
    assert reason(encode_png(LABELS), limits=Limits(max_pixels=5)) is Reason.TOO_MANY_PIXELS
    assert reason(encode_png(LABELS), limits=Limits(max_bytes=5)) is Reason.TOO_LARGE
