"""Coordinates keep their meaning from every source convention to the raster and back."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from curate import geometry, run_lengths
from curate.geometry import Convention
from curate.rows import Rle
from curate.schema import Reason, Refusal

ORIENTATIONS = range(1, 9)
SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


def for_all(*strategies: st.SearchStrategy) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`given`, the same examples on every run and however slow the machine."""
    return lambda test: settings(deadline=None, derandomize=True)(given(*strategies)(test))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[float, float, float, float], int, int]:
    """A box of at least a hundredth of a pixel inside an image, with the image's size."""
    width, height = draw(SIZES)

    def span(size: int) -> tuple[float, float]:
        first = draw(st.floats(0, size - 0.01))
        return first, draw(st.floats(first + 0.01, size))

    (x0, x1), (y0, y1) = span(width), span(height)
    return (x0, y0, x1, y1), width, height


@st.composite
def points(draw: st.DrawFn) -> tuple[tuple[float, float], int, int]:
    width, height = draw(SIZES)
    return (draw(st.floats(0, width)), draw(st.floats(0, height))), width, height


def reason_of(result: object) -> Reason:
    assert isinstance(result, Refusal), result
    return result.reason


def placed(result: object) -> tuple[float, float, float, float]:
    assert isinstance(result, geometry.PlacedBox), result
    return result.box


def area_of(ring: tuple[float, ...], width: int, height: int) -> float:
    result = geometry.place_polygons([ring], "continuous", width, height)
    assert isinstance(result, geometry.PlacedPolygons), result
    return result.area_px


# --- what each convention means, by hand ---


@pytest.mark.parametrize(
    ("convention", "coords"),
    [
        ("xyxy", (10, 20, 40, 60)),
        ("xywh", (10, 20, 30, 40)),
        ("voc", (11, 21, 40, 60)),
        ("voc0", (10, 20, 39, 59)),
        ("yolo", (0.25, 0.5, 0.3, 0.5)),
        ("xyxy_normalised", (0.1, 0.25, 0.4, 0.75)),
    ],
)
def test_every_convention_names_the_same_box_of_an_image_of_100_by_80(
    convention: str, coords: tuple[float, ...]
) -> None:
    assert placed(geometry.place_box(coords, convention, 100, 80)) == pytest.approx((10, 20, 40, 60))


def test_a_voc_box_from_1_to_the_width_is_the_whole_image_and_not_clipped() -> None:
    assert geometry.place_box((1, 1, 640, 480), "voc", 640, 480) == geometry.PlacedBox((0, 0, 640, 480), False)


def test_a_voc_box_whose_first_and_last_pixel_agree_is_one_pixel() -> None:
    assert placed(geometry.place_box((5, 7, 5, 7), "voc", 10, 10)) == (4, 6, 5, 7)


@pytest.mark.parametrize(
    ("convention", "coords", "expected"),
    [
        ("index", (3, 4), (3.5, 4.5)),
        ("index1", (3, 4), (2.5, 3.5)),
        ("continuous", (3, 4), (3, 4)),
        ("normalised", (0.3, 0.5), (3, 4)),
    ],
)
def test_the_number_of_a_pixel_means_its_centre(
    convention: str, coords: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert geometry.place_point(coords, convention, 10, 8) == geometry.PlacedPoint(expected, False)


# --- round trips ---

Box = tuple[float, float, float, float]

WRITTEN: dict[str, Callable[[float, float, float, float, int, int], Box]] = {
    "xyxy": lambda x0, y0, x1, y1, _w, _h: (x0, y0, x1, y1),
    "xywh": lambda x0, y0, x1, y1, _w, _h: (x0, y0, x1 - x0, y1 - y0),
    "voc": lambda x0, y0, x1, y1, _w, _h: (x0 + 1, y0 + 1, x1, y1),
    "voc0": lambda x0, y0, x1, y1, _w, _h: (x0, y0, x1 - 1, y1 - 1),
    "yolo": lambda x0, y0, x1, y1, w, h: ((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h),
    "xyxy_normalised": lambda x0, y0, x1, y1, w, h: (x0 / w, y0 / h, x1 / w, y1 / h),
}
"""How a source of each convention writes the box with these edges."""


@for_all(boxes(), st.sampled_from(sorted(geometry.BOX_CONVENTIONS)))
def test_a_box_survives_the_way_to_every_convention_and_back(
    case: tuple[tuple[float, float, float, float], int, int], convention: Convention
) -> None:
    box, width, height = case
    written = WRITTEN[convention](*box, width, height)
    result = geometry.place_box(written, convention, width, height)
    assert isinstance(result, geometry.PlacedBox)
    assert result.box == pytest.approx(box, abs=1e-9, rel=0)
    assert not result.clipped


@for_all(points(), st.sampled_from(sorted(geometry.POINT_CONVENTIONS)))
def test_a_point_survives_the_way_to_every_convention_and_back(
    case: tuple[tuple[float, float], int, int], convention: Convention
) -> None:
    point, width, height = case
    x, y = point
    written = {
        "index": (x - 0.5, y - 0.5),
        "index1": (x + 0.5, y + 0.5),
        "continuous": (x, y),
        "normalised": (x / width, y / height),
    }[convention]
    result = geometry.place_point(written, convention, width, height)
    assert isinstance(result, geometry.PlacedPoint)
    assert result.point == pytest.approx(point, abs=1e-9, rel=0)
    assert not result.clipped


@for_all(
    st.tuples(*[st.floats(-3000, 6000)] * 4),
    st.sampled_from(["xyxy", "xywh", "voc", "voc0"]),
    SIZES,
)
def test_whatever_is_placed_lies_on_the_raster_and_has_an_area(
    coords: tuple[float, ...], convention: str, size: tuple[int, int]
) -> None:
    result = geometry.place_box(coords, convention, *size)
    if isinstance(result, geometry.PlacedBox):
        x0, y0, x1, y1 = result.box
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]


# --- what cannot be placed ---


@pytest.mark.parametrize(
    ("coords", "convention"),
    [
        ((5, 5, 4, 9), "xyxy"),
        ((5, 5, 9, 4), "xyxy"),
        ((5, 5, 5, 9), "xyxy"),
        ((5, 5, 0, 4), "xywh"),
        ((5, 5, -2, 4), "xywh"),
        ((6, 6, 5, 9), "voc"),
        ((math.nan, 1, 2, 3), "xyxy"),
        ((0, 0, math.inf, 3), "xyxy"),
        ((-math.inf, 0, 2, 3), "xyxy"),
        ((1e308, 0, 1e308, 3), "xywh"),
        ((1, 2, 3), "xyxy"),
        ((), "voc"),
        ((0.5, 0.5, 0, 0.1), "yolo"),
    ],
)
def test_an_inverted_empty_or_infinite_box_is_invalid(coords: tuple[float, ...], convention: str) -> None:
    assert reason_of(geometry.place_box(coords, convention, 10, 10)) is Reason.INVALID_GEOMETRY


def test_an_overhang_of_one_pixel_is_clipped_and_says_so() -> None:
    assert geometry.place_box((0, 1, 11, 10), "voc", 10, 10) == geometry.PlacedBox((0, 0, 10, 10), True)


def test_an_overhang_of_more_than_one_pixel_is_outside() -> None:
    assert reason_of(geometry.place_box((1, 1, 11.01, 10), "voc", 10, 10)) is Reason.OUTSIDE_IMAGE


def test_a_box_beside_the_image_is_outside_even_by_less_than_a_pixel() -> None:
    assert reason_of(geometry.place_box((-0.9, 0, -0.1, 5), "xyxy", 10, 10)) is Reason.OUTSIDE_IMAGE
    assert reason_of(geometry.place_box((10, 0, 11, 5), "xyxy", 10, 10)) is Reason.OUTSIDE_IMAGE


def test_rounding_of_fractions_is_no_overhang() -> None:
    result = geometry.place_box((0.5, 0.5, 1.0000000001, 1), "yolo", 1000, 1000)
    assert result == geometry.PlacedBox((0, 0, 1000, 1000), False)


def test_a_refusal_says_what_was_found() -> None:
    result = geometry.place_box((1, 2, 700, 30), "voc", 640, 480)
    assert isinstance(result, Refusal)
    assert "(1, 2, 700, 30) (voc)" in result.detail
    assert "640 x 480" in result.detail


def test_points_follow_the_same_rule_of_overhang() -> None:
    assert geometry.place_point((10, 3), "index", 10, 10) == geometry.PlacedPoint((10, 3.5), True)
    assert reason_of(geometry.place_point((11, 3), "index", 10, 10)) is Reason.OUTSIDE_IMAGE
    assert reason_of(geometry.place_point((math.nan, 3), "index", 10, 10)) is Reason.INVALID_GEOMETRY
    assert reason_of(geometry.place_point((1, 2, 3), "index", 10, 10)) is Reason.INVALID_GEOMETRY


@pytest.mark.parametrize("convention", ["index", "yollo", ""])
def test_a_box_in_a_convention_of_points_is_a_mistake_of_the_caller(convention: str) -> None:
    with pytest.raises(ValueError, match="conventions"):
        geometry.place_box((1, 2, 3, 4), convention, 10, 10)


def test_a_point_in_a_convention_of_boxes_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="conventions"):
        geometry.place_point((1, 2), "voc", 10, 10)
    with pytest.raises(ValueError, match="conventions"):
        geometry.place_polygons([(0, 0, 1, 0, 1, 1)], "voc", 10, 10)


# --- polygons ---


def test_a_polygon_has_the_box_around_it_and_the_area_within() -> None:
    result = geometry.place_polygons([(1, 1, 5, 1, 5, 4)], "continuous", 10, 10)
    assert result == geometry.PlacedPolygons(((1, 1, 5, 1, 5, 4),), (1, 1, 5, 4), 6.0, False)


def test_the_rings_of_a_polygon_add_up() -> None:
    result = geometry.place_polygons([(0, 0, 2, 0, 2, 2, 0, 2), (5, 5, 5, 7, 8, 7, 8, 5)], "continuous", 10, 10)
    assert isinstance(result, geometry.PlacedPolygons)
    assert result.area_px == 4 + 6
    assert result.box == (0, 0, 8, 7)


def test_a_polygon_in_fractions_is_scaled_to_its_image() -> None:
    result = geometry.place_polygons([(0, 0, 1, 0, 1, 1, 0, 1)], "normalised", 30, 20)
    assert isinstance(result, geometry.PlacedPolygons)
    assert (result.box, result.area_px) == ((0, 0, 30, 20), 600)


@pytest.mark.parametrize(
    "rings",
    [
        [],
        [()],
        [(1, 1, 2, 2)],
        [(1, 1, 2, 2, 3)],
        [(1, 1, 2, 2, 3, 3)],
        [(1, 1, 4, 4, 1, 1)],
        [(1, 1, 1, 1, 1, 1)],
        [(1, 1, math.nan, 2, 3, 1)],
        [(0, 0, 2, 0, 2, 2), (5, 5, 6, 6)],
    ],
)
def test_a_ring_that_encloses_nothing_refuses_the_whole_polygon(rings: list[tuple[float, ...]]) -> None:
    assert reason_of(geometry.place_polygons(rings, "continuous", 10, 10)) is Reason.INVALID_GEOMETRY


def test_corners_overhang_like_boxes() -> None:
    clipped = geometry.place_polygons([(-1, 0, 5, 0, 5, 5)], "continuous", 10, 10)
    assert isinstance(clipped, geometry.PlacedPolygons)
    assert clipped.clipped
    assert clipped.box == (0, 0, 5, 5)
    assert clipped.area_px == 12.5
    assert reason_of(geometry.place_polygons([(-2, 0, 5, 0, 5, 5)], "continuous", 10, 10)) is Reason.OUTSIDE_IMAGE
    beside = [(10.1, 0, 11, 0, 11, 5)]
    assert reason_of(geometry.place_polygons(beside, "continuous", 10, 10)) is Reason.OUTSIDE_IMAGE


@for_all(boxes())
def test_the_ring_around_a_box_has_the_area_of_the_box_whichever_way_it_is_drawn(
    case: tuple[tuple[float, float, float, float], int, int],
) -> None:
    (x0, y0, x1, y1), width, height = case
    ring = (x0, y0, x1, y0, x1, y1, x0, y1)
    backwards = (x0, y1, x1, y1, x1, y0, x0, y0)
    assert area_of(ring, width, height) == pytest.approx((x1 - x0) * (y1 - y0))
    assert area_of(backwards, width, height) == pytest.approx(area_of(ring, width, height))


# --- masks ---


def test_a_stated_mask_is_placed_only_on_its_own_raster() -> None:
    assert geometry.place_mask([5, 2, 9], (4, 4), 4, 4) == geometry.PlacedMask(Rle(4, 4, [5, 2, 9]), (1, 1, 2, 3), 2.0)
    assert reason_of(geometry.place_mask([5, 2, 9], (4, 4), 8, 8)) is Reason.SIZE_MISMATCH
    assert reason_of(geometry.place_mask([5, 2, 9], (2, 8), 8, 2)) is Reason.SIZE_MISMATCH
    assert reason_of(geometry.place_mask([16], (4, 4), 4, 4)) is Reason.EMPTY_MASK


# --- EXIF orientation ---


TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def displayed(stored: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows, by Pillow's own table of transpositions."""
    if orientation == 1:
        return stored
    return np.asarray(Image.fromarray(stored).transpose(TRANSPOSITIONS[orientation]))


STORED = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=8))


@for_all(STORED, st.sampled_from(list(ORIENTATIONS)))
def test_a_mask_drawn_on_the_displayed_picture_comes_back_to_the_stored_raster(
    stored: np.ndarray, orientation: int
) -> None:
    shown = displayed(stored, orientation)
    height, width = stored.shape
    assert geometry.displayed_size(orientation, width, height) == (shown.shape[1], shown.shape[0])
    assert np.array_equal(geometry.exif_mask_to_stored(shown, orientation), stored)


@for_all(STORED, st.sampled_from(list(ORIENTATIONS)), st.data())
def test_the_centre_of_a_displayed_pixel_is_the_centre_of_its_stored_pixel(
    stored: np.ndarray, orientation: int, data: st.DataObject
) -> None:
    height, width = stored.shape
    numbered = np.arange(stored.size, dtype=np.uint8).reshape(stored.shape)
    shown = displayed(numbered, orientation)
    row, column = data.draw(st.integers(0, shown.shape[0] - 1)), data.draw(st.integers(0, shown.shape[1] - 1))
    x, y = geometry.exif_to_stored((column + 0.5, row + 0.5), orientation, width, height)
    assert (x % 1, y % 1) == (0.5, 0.5)
    assert numbered[int(y), int(x)] == shown[row, column]


@for_all(MASKS, st.sampled_from(list(ORIENTATIONS)))
def test_the_box_of_a_displayed_mask_is_the_box_of_the_stored_one(mask: np.ndarray, orientation: int) -> None:
    assume(mask.any())
    height, width = mask.shape
    shown_box = run_lengths.mask_box(run_lengths.encode_mask(displayed(mask.astype(np.uint8), orientation) > 0))
    stored_box = run_lengths.mask_box(run_lengths.encode_mask(mask))
    assert shown_box is not None
    assert geometry.exif_box_to_stored(shown_box, orientation, width, height) == stored_box


@for_all(boxes(), st.sampled_from(list(ORIENTATIONS)))
def test_a_ring_keeps_its_area_in_every_orientation(
    case: tuple[tuple[float, float, float, float], int, int], orientation: int
) -> None:
    (x0, y0, x1, y1), *shown = case
    width, height = geometry.displayed_size(orientation, *shown)
    ring = (x0, y0, x1, y0, x1, y1)
    turned = geometry.exif_to_stored(ring, orientation, width, height)
    assert area_of(turned, width, height) == pytest.approx(area_of(ring, *shown), abs=1e-6)
