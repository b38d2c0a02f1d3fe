"""Grids, boxes and masks: what is cropped, resized, flipped or turned stays where it is in the patient."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from curate.geometry_3d import (
    COINCIDENCE_VOXELS,
    Grid,
    Reorientation,
    aligned,
    crop,
    crop_box,
    extent_mm,
    flat,
    inverse,
    nearest_lps,
    orientation_of,
    reorient,
    reorient_box,
    resize,
    resize_box,
    same_grid,
    turned,
)
from curate.voxel_runs import decode_volume, label_runs, mask_runs

Mask = npt.NDArray[np.bool_]

SHAPES = st.tuples(*[st.integers(1, 6)] * 3)
TURNS = st.builds(
    Reorientation,
    st.permutations([0, 1, 2]).map(lambda order: (order[0], order[1], order[2])),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)


@st.composite
def affines(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    """Any rotation, spacing and origin, and the shear of a tilted gantry."""
    numbers = st.floats(-1, 1, allow_nan=False)
    quaternion = np.array([draw(numbers) + 1e-3, draw(numbers), draw(numbers), draw(numbers)])
    length = float(np.linalg.norm(quaternion))
    w, x, y, z = quaternion / length if length else (1.0, 0.0, 0.0, 0.0)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    shear = np.eye(3)
    shear[1, 2] = draw(st.floats(-0.4, 0.4))
    affine = np.eye(4)
    affine[:3, :3] = rotation @ shear @ np.diag([draw(st.floats(0.2, 6)) for _ in range(3)])
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """A grid of a few voxels anywhere."""
    return Grid(draw(SHAPES), flat(draw(affines())))


@st.composite
def marked(draw: st.DrawFn) -> tuple[Grid, Mask]:
    """A grid and a mask on it with at least one voxel."""
    grid = draw(grids())
    mask: Mask = draw(arrays.arrays(bool, grid.shape)).copy()
    mask[tuple(draw(st.integers(0, size - 1)) for size in grid.shape)] = True
    return grid, mask


def places(grid: Grid, mask: Mask) -> npt.NDArray[np.float64]:
    """Where the centres of a mask's voxels lie in the patient, in mm, sorted."""
    z, y, x = np.nonzero(mask)
    points: npt.NDArray[np.float64] = (grid.matrix @ np.array([x, y, z, np.ones_like(x)]))[:3].T
    return points[np.lexsort(np.round(points, 4).T)]


def corners(grid: Grid, box: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Where the corners of a box lie in the patient, in mm, sorted: index coordinates are half a voxel off edges."""
    ends = [(box[axis] - 0.5, box[axis + 3] - 0.5) for axis in range(3)]
    points = np.array([[*corner, 1.0] for corner in itertools.product(*ends)])
    placed: npt.NDArray[np.float64] = (points @ grid.matrix.T)[:, :3]
    return placed[np.lexsort(np.round(placed, 4).T)]


@given(marked(), TURNS)
def test_a_mask_keeps_its_volume_and_its_place_in_the_patient_when_the_array_is_turned(
    case: tuple[Grid, Mask], how: Reorientation
) -> None:
    grid, mask = case
    after, seen = reorient(grid, how), turned(mask, how)
    assert seen.shape == after.shape
    assert after.voxel_mm3 * seen.sum() == pytest.approx(grid.voxel_mm3 * mask.sum())
    np.testing.assert_allclose(places(after, seen), places(grid, mask), atol=1e-6)
    np.testing.assert_array_equal(turned(seen, inverse(how)), mask)
    np.testing.assert_allclose(reorient(after, inverse(how)).matrix, grid.matrix, atol=1e-9)


@given(marked(), TURNS)
def test_a_box_follows_its_mask_when_the_array_is_turned(case: tuple[Grid, Mask], how: Reorientation) -> None:
    grid, mask = case
    before, after = mask_runs(mask, grid.shape), mask_runs(turned(mask, how), reorient(grid, how).shape)
    assert before is not None
    assert after is not None
    assert reorient_box(before.box, grid.shape, how) == after.box
    assert reorient_box(after.box, after.shape, inverse(how)) == before.box
    assert sorted(extent_mm(before.box, grid)) == pytest.approx(sorted(extent_mm(after.box, reorient(grid, how))))


@given(affines())
def test_an_array_brought_nearest_to_lps_is_nearest_to_lps(affine: npt.NDArray[np.float64]) -> None:
    grid = Grid((3, 4, 5), flat(affine))
    after = reorient(grid, nearest_lps(affine))
    assert orientation_of(after.matrix) == "LPS"
    assert nearest_lps(after.matrix).changes_nothing


@given(marked(), st.data())
def test_a_crop_leaves_voxels_where_they_are(case: tuple[Grid, Mask], data: st.DataObject) -> None:
    grid, mask = case
    origin = tuple(data.draw(st.integers(0, size - 1)) for size in grid.shape)
    shape = tuple(data.draw(st.integers(1, size - start)) for size, start in zip(grid.shape, origin, strict=True))
    part = mask[tuple(slice(start, start + size) for start, size in zip(origin, shape, strict=True))]
    kept = np.zeros_like(mask)
    kept[tuple(slice(start, start + size) for start, size in zip(origin, shape, strict=True))] = part
    cropped = crop(grid, origin, shape)  # type: ignore[arg-type]
    np.testing.assert_allclose(places(cropped, part), places(grid, kept), atol=1e-6)
    whole, left = mask_runs(kept, grid.shape), mask_runs(part, shape)  # type: ignore[arg-type]
    if left is None or whole is None:
        assert left is whole
        return
    assert crop_box(whole.box, origin, shape) == left.box  # type: ignore[arg-type]
    found = aligned(cropped, grid)
    assert found is not None
    assert found.origin == origin


def test_a_crop_beside_a_box_leaves_nothing_of_it() -> None:
    assert crop_box((0, 0, 0, 2, 2, 2), (2, 0, 0), (1, 2, 2)) is None


@given(grids(), SHAPES, st.data())
def test_a_resized_array_keeps_its_edges_and_its_boxes_in_the_patient(
    grid: Grid, shape: tuple[int, int, int], data: st.DataObject
) -> None:
    after = resize(grid, shape)
    depth, height, width = grid.shape
    low = [data.draw(st.floats(0, size / 2)) for size in (width, height, depth)]
    high = [data.draw(st.floats(size / 2, size)) for size in (width, height, depth)]
    box = (low[0], low[1], low[2], high[0], high[1], high[2])
    moved = resize_box(box, grid.shape, shape)
    np.testing.assert_allclose(corners(after, moved), corners(grid, box), atol=1e-6)
    assert resize_box(moved, shape, grid.shape) == pytest.approx(box)
    assert extent_mm(moved, after) == pytest.approx(extent_mm(box, grid))
    assert after.voxel_mm3 * np.prod(shape) == pytest.approx(grid.voxel_mm3 * np.prod(grid.shape))
    np.testing.assert_allclose(resize(after, grid.shape).matrix, grid.matrix, atol=1e-6)


@given(grids(), TURNS)
def test_a_turned_grid_has_the_same_voxels(grid: Grid, how: Reorientation) -> None:
    found = aligned(reorient(grid, how), grid)
    assert found is not None
    assert found.origin == (0, 0, 0)
    part = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    np.testing.assert_array_equal(turned(turned(part, how), found.how), part)


@given(grids(), st.integers(0, 2), st.floats(0.1, 0.9))
def test_a_grid_that_is_off_by_part_of_a_voxel_has_other_voxels(grid: Grid, axis: int, share: float) -> None:
    shift = np.eye(4)
    shift[axis, 3] = share
    assert aligned(Grid(grid.shape, flat(grid.matrix @ shift)), grid) is None


def test_a_grid_whose_last_voxel_drifts_away_has_other_voxels() -> None:
    grid = Grid((2, 2, 101), flat(np.eye(4)))
    for step, same in ((1 + 0.9 * COINCIDENCE_VOXELS / 100, True), (1 + 1.1 * COINCIDENCE_VOXELS / 100, False)):
        assert same_grid(Grid(grid.shape, flat(np.diag([step, 1, 1, 1.0]))), grid) is same


def test_a_mask_of_one_slice_need_not_know_the_step_between_slices() -> None:
    whole = Grid((9, 4, 4), flat(np.diag([0.5, 0.5, 5.0, 1])))
    plane = np.diag([0.5, 0.5, 1.0, 1])
    plane[2, 3] = 30
    found = aligned(Grid((1, 4, 4), flat(plane)), whole)
    assert found is not None
    assert found.origin == (6, 0, 0)
    assert found.how.changes_nothing


def test_half_the_spacing_or_a_rotation_is_another_grid() -> None:
    grid = Grid((4, 4, 4), flat(np.eye(4)))
    assert aligned(Grid((8, 8, 8), flat(np.diag([0.5, 0.5, 0.5, 1.0]))), grid) is None
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    assert aligned(Grid((4, 4, 4), flat(turn)), grid) is None


@given(marked())
def test_run_lengths_give_the_mask_back(case: tuple[Grid, Mask]) -> None:
    _, mask = case
    runs = mask_runs(mask, mask.shape)
    assert runs is not None
    rle = runs.rle()
    assert sum(rle.counts) == mask.size
    assert all(count > 0 for count in rle.counts[1:])
    assert runs.voxels == mask.sum() == sum(rle.counts[1::2])
    np.testing.assert_array_equal(decode_volume(rle), mask)


@given(marked())
def test_a_plane_of_the_runs_is_that_plane_of_the_mask(case: tuple[Grid, Mask]) -> None:
    _, mask = case
    runs = mask_runs(mask, mask.shape)
    assert runs is not None
    for axis in range(3):
        for index in range(mask.shape[axis]):
            np.testing.assert_array_equal(runs.plane(axis, index), mask.take(index, axis=axis))


@given(arrays.arrays(np.int16, SHAPES, elements=st.integers(-2, 3)), st.integers(-2, 3), SHAPES)
def test_every_value_of_a_label_map_but_the_background_has_its_voxels(
    label_map: npt.NDArray[np.int16], background: int, origin: tuple[int, int, int]
) -> None:
    shape: Any = tuple(start + size for start, size in zip(origin, label_map.shape, strict=True))
    found = label_runs(label_map, background, shape, origin)
    assert list(found) == [value for value in np.unique(label_map).tolist() if value != background]
    for value, runs in found.items():
        expected = np.zeros(shape, dtype=bool)
        expected[origin[0] :, origin[1] :, origin[2] :] = label_map == value
        np.testing.assert_array_equal(decode_volume(runs.rle()), expected)


def test_the_order_of_voxels_is_slice_after_slice_and_column_after_column() -> None:
    mask = np.zeros((2, 3, 2), dtype=bool)  # slice, row, column
    mask[0, 2, 0] = mask[0, 0, 1] = mask[1, 1, 1] = True
    runs = mask_runs(mask, (2, 3, 2))
    assert runs is not None
    assert runs.rle().counts == [2, 2, 6, 1, 1]
    assert runs.box == (0, 0, 0, 2, 3, 2)


def test_an_empty_mask_has_no_runs() -> None:
    assert mask_runs(np.zeros((2, 2, 2), dtype=bool), (2, 2, 2)) is None
