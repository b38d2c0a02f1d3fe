"""The scale of tiles follows from what a slide states, and the grid from the scale."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.images.slide_grid import chosen, grid_of, mask_size
from curate.images.slide_tissue import share_of_tissue, tissue_mask
from curate.images.slide_views import SCALE_TOLERANCE, view_at, view_of_size
from curate.images.slides import Level
from tests.images.slide_files import EOSIN, GLASS, stained


def levels(width: int, height: int, *factors: int) -> tuple[Level, ...]:
    """A pyramid."""
    return tuple(Level(width // f, height // f, (float(f), float(f))) for f in factors)


PYRAMID = levels(40_000, 30_000, 1, 4, 16)


def test_a_level_within_the_tolerance_is_used_as_it_is() -> None:
    for scale in (1.0, 1 - SCALE_TOLERANCE / 2, 1 + SCALE_TOLERANCE / 2, 4.0, 4.05, 16.0):
        view = view_at(PYRAMID, (scale, scale))
        assert view is not None
        assert view.exact
        assert view.factor == 1
        assert view.level == {1: 0, 4: 1, 16: 2}[round(scale)]


def test_a_half_is_decoded_at_half_from_the_next_finer_level() -> None:
    view = view_at(PYRAMID, (8.0, 8.0))
    assert view is not None
    assert (view.level, view.factor, view.exact) == (1, 2, True)
    assert view.scale == (8.0, 8.0)


def test_other_scales_are_shrunk_exactly() -> None:
    view = view_at(PYRAMID, (3.0, 3.0))
    assert view is not None
    assert (view.level, view.factor, view.step) == (0, 2, (1.5, 1.5))
    assert (view.width, view.height) == (13_333, 10_000)
    assert view.region(0, 0, 256, 256) == (0, 0, 768, 768)


def test_pixels_that_are_not_square_become_so() -> None:
    view = view_at(PYRAMID, (2.0, 4.0))  # microns per pixel twice as large along columns
    assert view is not None
    assert view.scale == (2.0, 4.0)
    assert not view.exact


def test_nothing_is_enlarged() -> None:
    assert view_at(PYRAMID, (0.5, 0.5)) is None
    assert view_at(PYRAMID, (1.0, 0.9)) is None


@given(st.floats(1.0, 40.0), st.integers(1, 600), st.data())
def test_regions_of_tiles_lie_on_the_slide_and_have_the_views_scale(
    scale: float, size: int, data: st.DataObject
) -> None:
    view = view_at(PYRAMID, (scale, scale))
    assert view is not None
    overlap = data.draw(st.integers(0, size - 1))
    grid = grid_of(view, size, overlap)
    for side, count, margin in ((view.width, grid.columns, grid.margin[0]), (view.height, grid.rows, grid.margin[1])):
        covered = (count - 1) * grid.stride + size if count else 0
        assert covered + margin == side
        assert margin < (grid.stride if count else size)
    assert max(abs(got / scale - 1) for got in view.scale) <= SCALE_TOLERANCE
    if grid.positions:
        x, y = (grid.columns - 1) * grid.stride, (grid.rows - 1) * grid.stride
        left, top, width, height = view.region(x, y, size, size)
        assert left >= 0
        assert left + width <= 40_000 + 1
        assert top + height <= 30_000 + 1
        assert abs(width - size * view.scale[0]) <= 1


def test_an_overview_covers_the_whole_slide() -> None:
    view = view_of_size(PYRAMID, 1024, 768)
    assert (view.level, view.factor) == (2, 2)
    assert view.region(0, 0, 1024, 768) == (0, 0, 40_000, 30_000)


def test_tissue_on_bright_glass_is_found_whatever_its_share() -> None:
    picture = stained(300, 200)
    mask = tissue_mask(picture)
    truth = (picture.astype(int).min(axis=2)) < 200
    assert (mask != truth).mean() < 0.01
    inside = np.full((50, 60, 3), EOSIN, np.uint8)
    assert tissue_mask(inside).all()
    outside = np.full((50, 60, 3), GLASS, np.uint8)
    assert not tissue_mask(outside).any()


def test_faint_brown_and_blue_stains_are_tissue_and_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    for colour in ((196, 160, 120), (190, 200, 226), (225, 190, 210)):
        picture = np.full((80, 120, 3), GLASS, np.int16)
        picture[20:60, 30:90] = colour
        picture += rng.integers(-5, 6, picture.shape, dtype=np.int16)
        mask = tissue_mask(np.clip(picture, 0, 255).astype(np.uint8))
        assert mask[22:58, 32:88].mean() > 0.99
        assert mask[:18].mean() < 0.01


def test_light_on_a_dark_ground_is_tissue() -> None:
    rng = np.random.default_rng(3)
    picture = rng.integers(6, 14, (100, 100, 3)).astype(np.uint8)
    picture[30:60, 30:60, 2] = 120
    mask = tissue_mask(picture)
    assert mask[32:58, 32:58].all()
    assert mask[:28].mean() < 0.02


def test_black_that_was_never_scanned_is_no_tissue() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[:, 50:] = GLASS
    picture[40:60, 60:80] = EOSIN
    mask = tissue_mask(picture)
    assert not mask[:, :49].any()
    assert mask[42:58, 62:78].all()


def test_the_share_of_tissue_is_that_of_the_box() -> None:
    mask = np.zeros((10, 20), np.bool_)
    mask[:5, :10] = True
    boxes = np.array([[0, 0, 160, 80], [0, 0, 320, 160], [160, 0, 320, 160], [80, 0, 240, 80]], np.float64)
    assert share_of_tissue(mask, boxes, (320, 160)).tolist() == [1.0, 0.25, 0.0, 0.5]


def test_tiles_are_chosen_by_their_share_of_tissue() -> None:
    view = view_at(levels(1024, 1024, 1), (1.0, 1.0))
    assert view is not None
    grid = grid_of(view, 256, 0)
    mask = np.zeros((64, 64), np.bool_)
    mask[:16, :24] = True  # one tile whole, half of the next
    assert chosen(grid, view, mask, 0.6) == [(0, 0)]
    assert chosen(grid, view, mask, 0.5) == [(0, 0), (1, 0)]
    assert len(chosen(grid, view, mask, 0)) == 16


def test_the_mask_is_a_sixteenth_and_bounded() -> None:
    assert mask_size(1600, 800) == (100, 50)
    assert mask_size(200_000, 100_000) == (4096, 2048)
    assert mask_size(3, 1000) == (1, 62)
