"""Shrinking: sizes, what a JPEG and a PNG keep, and what the numbers mean afterwards."""

import io
from dataclasses import replace

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.images import Delivered, decode, deliver
from curate.images.png import encode_png
from curate.images.resize import resized, shrunk_size
from curate.recipe import Resize

SIDES = st.integers(1, 5000)


def _delivered(data: bytes) -> Delivered:
    found = deliver(data)
    assert isinstance(found, Delivered)
    return found


def _encoded(array: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def _slope(height: int, width: int) -> np.ndarray:
    """Grey that rises from left to right."""
    return np.tile(np.linspace(0, 255, width), (height, 1)).round().astype(np.uint8)


@given(SIDES, SIDES, SIDES)
def test_the_longest_side_is_as_asked_and_nothing_is_enlarged(width: int, height: int, longest: int) -> None:
    new_width, new_height = shrunk_size(width, height, longest)
    assert max(new_width, new_height) == min(longest, max(width, height))
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert abs(new_width * max(width, height) - width * max(new_width, new_height)) <= max(width, height)


def test_a_small_image_is_left_as_it_came() -> None:
    one = _delivered(_encoded(_slope(40, 60), "PNG"))
    assert resized(one, Resize(longest_side=60)) is one


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.sampled_from(["RGB", "GRAY"]))
def test_every_jpeg_size_shrinks_to_the_size_that_it_states(
    width: int, height: int, longest: int, colours: str
) -> None:
    samples = np.full((height, width, 3 if colours == "RGB" else 1), 100, np.uint8)
    one = _delivered(simplejpeg.encode_jpeg(samples, 90, colours, "420" if colours == "RGB" else "Gray"))
    small = resized(one, Resize(longest_side=longest))
    found = decode(small.data)
    assert found.shape[:2] == (small.height, small.width)
    assert (small.width, small.height) == shrunk_size(width, height, longest)
    assert np.abs(found.astype(int) - 100).max() <= 2
    assert isinstance(deliver(small.data), Delivered)


@pytest.mark.parametrize(("width", "longest"), [(640, 512), (641, 130), (639, 77), (803, 400), (1000, 999)])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.93])
def test_an_edge_lies_where_it_lay_at_every_scale_of_the_decoder(width: int, longest: int, place: float) -> None:
    """Dark, then bright: the sum of a line tells where the edge lies, to a quarter of a pixel."""
    edge = int(place * width)
    samples = np.full((240, width), 20, np.uint8)
    samples[:, edge:] = 220
    small = resized(_delivered(_encoded(samples, "JPEG", quality=98)), Resize(longest_side=longest))
    bright = (decode(small.data).mean(axis=0) - 20).sum() / 200
    assert small.width - bright == pytest.approx(edge * small.width / width, abs=0.25)


def test_a_jpeg_stays_a_jpeg_and_says_what_was_done() -> None:
    one = _delivered(_encoded(np.dstack([_slope(480, 640)] * 3), "JPEG", quality=90))
    small = resized(one, Resize(longest_side=512))
    assert small.media_type == "image/jpeg"
    assert small.changes[-1] == "resized:640x480->512x384"
    assert (small.channels, small.bit_depth) == (3, 8)
    assert resized(one, Resize(longest_side=512)) == small
    assert len(resized(one, Resize(longest_side=512, jpeg_quality=50)).data) < len(small.data)


def test_a_colour_profile_survives_and_a_comment_does_not() -> None:
    profile = b"profile" * 50
    data = _encoded(np.dstack([_slope(60, 80)] * 3), "JPEG", icc_profile=profile, comment=b"made by")
    one = deliver(data, keep_metadata=True)
    assert isinstance(one, Delivered)
    small = resized(one, Resize(longest_side=40))
    image = Image.open(io.BytesIO(small.data))
    assert image.info["icc_profile"] == profile
    assert "comment" not in image.info
    assert "metadata_stripped" in small.changes


@pytest.mark.parametrize("shape", [(50, 70), (50, 70, 2), (50, 70, 3), (50, 70, 4)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_png_keeps_channels_and_depth(shape: tuple[int, ...], depth: type) -> None:
    top = np.iinfo(depth).max
    samples = np.full(shape, top // 3, depth)
    one = _delivered(encode_png(samples))
    small = resized(one, Resize(longest_side=35))
    assert small.media_type == "image/png"
    assert (small.width, small.height, small.channels) == (35, 25, one.channels)
    assert small.bit_depth == 8 * np.dtype(depth).itemsize
    assert np.abs(decode(small.data).astype(int) - top // 3).max() <= 1 + top // 60000


def test_sixteen_bits_keep_values_between_those_of_eight() -> None:
    samples = np.tile(np.arange(0, 600, dtype=np.uint16) + 30000, (20, 1))
    small = resized(_delivered(encode_png(samples)), Resize(longest_side=300))
    inner = decode(small.data)[5, 5:-5].astype(int)
    assert np.abs(inner - (30000 + 2 * np.arange(5, 295) + 0.5)).max() <= 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_what_is_transparent_does_not_bleed(depth: type) -> None:
    top = np.iinfo(depth).max
    samples = np.zeros((40, 40, 4), depth)
    samples[:, :21] = (top, 0, 0, top)  # red and opaque; the rest is black and clear, its edge within a new pixel
    found = decode(resized(_delivered(encode_png(samples)), Resize(longest_side=20)).data)
    seen = found[..., 3] > top // 10
    assert found[seen][:, 0].min() >= 0.98 * top


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(np.zeros((30, 40), np.uint8), "L").convert("P")
    image.putpalette([10, 200, 30] * 256)
    file = io.BytesIO()
    image.save(file, "PNG")
    small = resized(_delivered(file.getvalue()), Resize(longest_side=20))
    assert decode(small.data)[5, 5].tolist() == [10, 200, 30]
    assert small.channels == 3


def test_opaque_alpha_is_left_out_and_said() -> None:
    samples = np.full((30, 40, 4), 255, np.uint8)
    small = resized(_delivered(encode_png(samples)), Resize(longest_side=20))
    assert small.channels == 3
    assert "opaque_alpha_removed" in small.changes


def test_pixels_grow_and_modality_units_stay() -> None:
    one = replace(
        _delivered(encode_png(np.full((50, 100), 7, np.uint16))),
        spacing_mm=(0.5, 0.25),
        rescale_slope=2.0,
        rescale_intercept=-1024.0,
        rescale_unit="HU",
    )
    small = resized(one, Resize(longest_side=50))
    assert small.spacing_mm == (1.0, 0.5)
    assert (small.rescale_slope, small.rescale_intercept, small.rescale_unit) == (2.0, -1024.0, "HU")


def test_real_images_of_each_format_stay_close_to_a_plain_average(test_data) -> None:
    """Beside an average of areas computed from the whole raster, as an independent opinion."""
    root = test_data("bccd").parent
    for pattern in ("bccd/BCCD/JPEGImages/*.jpg", "hannover-covid-cxr/png/*.png", "vqa-rad/images/*.jpg"):
        for path in sorted(root.glob(pattern))[:4]:
            one = _delivered(path.read_bytes())
            small = resized(one, Resize(longest_side=128))
            whole = Image.open(path).convert("L").resize((small.width, small.height), Image.Resampling.BOX)
            mine = Image.open(io.BytesIO(small.data)).convert("L")
            apart = np.abs(np.asarray(mine, int) - np.asarray(whole, int))
            assert apart.mean() < 3, path.name


@pytest.mark.parametrize("options", [{"longest_side": 0}, {"longest_side": 10, "jpeg_quality": 101}])
def test_a_size_or_quality_that_cannot_be_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|between 1 and 100"):
        Resize(**options)
