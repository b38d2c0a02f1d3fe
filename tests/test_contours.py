"""Contours are filled on voxel centres: even-odd, exact on their plane, and refused anywhere else."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.contours import ON_CONTOUR_VOXELS, PLANE_STEPS, Filled, filled
from curate.geometry_3d import Grid, Reorientation, flat, reorient, turned
from curate.schema import Reason, Refusal

Points = npt.NDArray[np.float64]

GRID = Grid((4, 10, 12), flat(np.diag([1.0, 1.0, 1.0, 1.0])))


def ring(*corners: tuple[float, float], z: float = 1.0) -> Points:
    return np.array([[x, y, z] for x, y in corners], dtype=np.float64)


def square(low: float, high: float, z: float = 1.0) -> Points:
    return ring((low, low), (high, low), (high, high), (low, high), z=z)


def whole(found: Filled | Refusal, grid: Grid = GRID) -> npt.NDArray[np.bool_]:
    """The mask on the whole grid."""
    assert isinstance(found, Filled), found
    mask = np.zeros(grid.shape, dtype=bool)
    place = tuple(slice(start, start + size) for start, size in zip(found.origin, found.mask.shape, strict=True))
    mask[place] = found.mask
    return mask


def refused(found: Filled | Refusal) -> Reason:
    assert isinstance(found, Refusal)
    return found.reason


def test_a_voxel_is_inside_when_its_centre_is() -> None:
    mask = whole(filled([square(1.4, 4.6)], GRID))
    assert mask.sum() == 9
    assert mask[1, 2:5, 2:5].all()


def test_a_centre_on_the_contour_is_inside_whatever_side_it_lies_on() -> None:
    mask = whole(filled([square(2, 5)], GRID))
    assert mask.sum() == 16
    assert mask[1, 2:6, 2:6].all()


def test_a_contour_within_a_contour_is_a_hole() -> None:
    mask = whole(filled([square(0.5, 8.5), square(2.5, 5.5)], GRID))
    assert mask.sum() == 64 - 9
    assert not mask[1, 3:6, 3:6].any()


def test_a_keyhole_is_a_hole() -> None:
    keyhole = ring(
        (0.5, 0.5), (8.5, 0.5), (8.5, 8.5), (0.5, 8.5), (0.5, 3.25),
        (2.5, 3.25), (2.5, 5.5), (5.5, 5.5), (5.5, 2.5), (2.5, 2.5), (2.5, 3.25), (0.5, 3.25),
    )  # fmt: skip
    np.testing.assert_array_equal(
        whole(filled([keyhole], GRID)), whole(filled([square(0.5, 8.5), square(2.5, 5.5)], GRID))
    )


def test_planes_without_a_contour_stay_empty_and_are_told() -> None:
    found = filled([square(1.5, 4.5, z=0), square(1.5, 4.5, z=2)], GRID)
    assert isinstance(found, Filled)
    assert found.gaps
    assert whole(found).sum(axis=(1, 2)).tolist() == [9, 0, 9, 0]
    dense = filled([square(1.5, 4.5, z=0), square(1.5, 4.5, z=1)], GRID)
    assert isinstance(dense, Filled)
    assert not dense.gaps


@pytest.mark.parametrize("z", [1 + 1.5 * PLANE_STEPS, 1.5, -1.0, 4.0])
def test_a_contour_between_or_beside_the_slices_is_refused(z: float) -> None:
    assert refused(filled([square(1.5, 4.5, z=z)], GRID)) is Reason.GEOMETRY_MISMATCH


def test_a_contour_that_leaves_its_plane_is_refused() -> None:
    slanted = square(1.5, 4.5)
    slanted[2, 2] += 0.5
    assert refused(filled([slanted], GRID)) is Reason.GEOMETRY_MISMATCH


def test_a_contour_may_be_rounded_off_its_plane() -> None:
    assert whole(filled([square(1.5, 4.5, z=1 + 0.9 * PLANE_STEPS)], GRID))[1].sum() == 9


def test_an_overhang_of_a_voxel_is_clipped_and_told_and_more_is_refused() -> None:
    found = filled([square(-1.2, 3.5)], GRID)
    assert isinstance(found, Filled)
    assert found.clipped
    assert whole(found).sum() == 16
    assert refused(filled([square(-1.6, 3.5)], GRID)) is Reason.OUTSIDE_IMAGE


def test_no_number_of_corners_and_no_size_ends_the_process() -> None:
    huge = square(1.5, 4.5)
    huge[:, 2] = 1e300
    assert refused(filled([huge], GRID)) is Reason.GEOMETRY_MISMATCH
    huge = square(1.5, 1e300)
    assert refused(filled([huge], GRID)) is Reason.OUTSIDE_IMAGE


@st.composite
def polygons(draw: st.DrawFn) -> Points:
    """Any closed polygon, crossing itself or not, whose corners lie off the voxel centres."""
    corners = draw(st.lists(st.tuples(st.integers(0, 110), st.integers(0, 90)), min_size=3, max_size=8))
    return ring(*[(x / 10 - 0.037, y / 10 - 0.043) for x, y in corners])


def winding_parity(polygon: Points, x: float, y: float) -> tuple[bool, float]:
    """Whether a point is inside by the even-odd rule, and how near the contour is: counted edge by edge."""
    inside, near = False, np.inf
    for (ax, ay, _), (bx, by, _) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            inside = not inside
        length = (bx - ax) ** 2 + (by - ay) ** 2
        share = 0.0 if length == 0 else min(1.0, max(0.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length))
        near = min(near, float(np.hypot(ax + share * (bx - ax) - x, ay + share * (by - ay) - y)))
    return inside, near


@given(polygons())
def test_every_voxel_agrees_with_the_rule_counted_edge_by_edge(polygon: Points) -> None:
    mask = whole(filled([polygon], GRID))
    for y in range(10):
        for x in range(12):
            inside, near = winding_parity(polygon, x, y)
            if near > 2 * ON_CONTOUR_VOXELS:
                assert mask[1, y, x] == inside


@given(polygons(), st.permutations([0, 1, 2]), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_contours_are_filled_alike_however_the_volume_lies(
    polygon: Points, order: list[int], flips: tuple[bool, bool, bool]
) -> None:
    how = Reorientation((order[0], order[1], order[2]), flips)
    after = reorient(GRID, how)
    np.testing.assert_array_equal(whole(filled([polygon], after), after), turned(whole(filled([polygon], GRID)), how))
