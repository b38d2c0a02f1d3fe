"""Parts and means of masks in volumes, against scipy, numpy and nibabel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from curate.stages.placing_volume import pieces_of_plane
from curate.stages.voxel_values import Hounsfield, add_means
from curate.voxel_runs import VoxelRuns, mask_runs

Array = npt.NDArray[Any]


def _row(runs: VoxelRuns) -> dict[str, Any]:
    return {"mask": {"counts": runs.rle().counts}, "box": list(runs.box)}


def _mean(values: Array, mask: Array, slope: float = 1.0, intercept: float = 0.0) -> float | None:
    runs = mask_runs(mask, (values.shape[0], values.shape[1], values.shape[2]))
    assert runs is not None
    row = _row(runs)
    add_means([row], Hounsfield(lambda: values, slope, intercept), lambda: None)
    mean: float | None = row["mean_hu"]
    return mean


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6])
def test_parts_are_those_that_scipy_labels_with_all_26_neighbours(share: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    random = np.random.default_rng(7)
    for shape in ((1, 1, 1), (3, 4, 5), (9, 17, 12), (20, 31, 22)):
        mask = random.random(shape) < share
        mask[0, 0, 0] = mask[-1, -1, -1] = True
        runs = mask_runs(mask, shape)
        assert runs is not None
        assert runs.pieces == ndimage.label(mask, np.ones((3, 3, 3)))[1]
        assert pieces_of_plane(mask[0]) == ndimage.label(mask[0], np.ones((3, 3)))[1]


def test_what_meets_at_a_corner_is_one_part_and_the_ends_of_neighbouring_rows_are_two() -> None:
    corner = np.zeros((2, 2, 2), dtype=bool)
    corner[0, 0, 0] = corner[1, 1, 1] = True
    ends = np.zeros((1, 4, 3), dtype=bool)
    ends[0, 3, 0] = ends[0, 0, 1] = True  # the last of one column and the first of the next lie side by side in memory
    for mask, parts in ((corner, 1), (ends, 2)):
        runs = mask_runs(mask, (mask.shape[0], mask.shape[1], mask.shape[2]))
        assert runs is not None
        assert runs.pieces == parts


@pytest.mark.parametrize("dtype", ["int16", "uint8", "int32", "float32"])
def test_a_mean_is_that_of_numpy_whatever_the_type_and_the_rescale(dtype: str) -> None:
    random = np.random.default_rng(3)
    values = random.integers(0, 120, (6, 9, 7)).astype(dtype)
    for share in (0.05, 0.5, 1.0):
        mask = random.random(values.shape) <= share
        mask[2, 3, 4] = True
        mean = _mean(values, mask, 2.0, -1024.0)
        assert mean == pytest.approx(float(values[mask].astype(np.float64).mean()) * 2 - 1024, rel=1e-9)


def test_a_mean_of_large_whole_numbers_is_exact() -> None:
    values = np.full((4, 64, 64), 32767, dtype=np.int16)
    assert _mean(values, np.ones(values.shape, dtype=bool)) == 32767


def test_a_value_that_is_no_number_gives_no_mean_and_spoils_no_other_mask() -> None:
    values = np.ones((2, 4, 4), dtype=np.float32)
    values[0, 0, 0] = np.nan
    mask = np.zeros(values.shape, dtype=bool)
    mask[0, 0, :] = True
    assert _mean(values, mask) is None
    assert _mean(values, ~mask) == 1


def test_only_planes_that_a_mask_meets_are_read() -> None:
    class Watched:
        def __init__(self) -> None:
            self.read: list[int] = []

        def __getitem__(self, z: int) -> Array:
            self.read.append(z)
            return np.zeros((4, 4), dtype=np.int16)

    mask = np.zeros((9, 4, 4), dtype=bool)
    mask[3:5, 1, 1] = True
    runs = mask_runs(mask, (9, 4, 4))
    assert runs is not None
    watched = Watched()
    add_means([_row(runs), {"mask": None}], Hounsfield(lambda: watched, 1.0, 0.0), lambda: None)
    assert watched.read == [3, 4]


@pytest.mark.slow
def test_real_masks_measure_what_nibabel_numpy_and_scipy_make_of_their_files(
    test_data: Callable[[str], Path], tmp_path: Path
) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    ndimage = pytest.importorskip("scipy.ndimage")
    from curate.build import build
    from curate.catalog import query

    (tmp_path / "totalsegmentator-tests").symlink_to(test_data("totalsegmentator-tests"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: measured\nsources: [totalsegmentator-tests]\ntasks: [measurement]\n")
    build(recipe, tmp_path / "out", tmp_path)
    rows = query(
        tmp_path / "out",
        "SELECT locator, volume_mm3, extent_mm, pieces, mean_hu FROM annotations JOIN assets USING (asset_id) "
        "WHERE label_set = 'dicom' AND form = 'volume'",
    ).fetchall()
    folder = test_data("totalsegmentator-tests")
    labels = nibabel.load(folder / "example_seg_dicom.nii.gz")
    values = np.asanyarray(labels.dataobj)
    voxel = abs(float(np.linalg.det(labels.affine[:3, :3])))
    assert len(rows) == len(np.unique(values)) - 1
    slices = sorted(
        (_dicom(path) for path in (folder / "example_ct_dicom").iterdir()), key=lambda one: one.ImagePositionPatient[2]
    )
    scan = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    scan = _like(scan.transpose(2, 1, 0), labels.affine)
    for locator, volume_mm3, extent_mm, pieces, mean_hu in rows:
        mask = values == int(locator.split()[-1])
        assert volume_mm3 == pytest.approx(mask.sum() * voxel, rel=1e-6)
        assert pieces == ndimage.label(mask, np.ones((3, 3, 3)))[1]
        assert mean_hu == pytest.approx(float(scan[mask].mean()), abs=1e-6)
        met = np.argwhere(mask)
        spans = (np.ptp(met, axis=0) + 1) * np.linalg.norm(labels.affine[:3, :3], axis=0)
        assert sorted(extent_mm) == pytest.approx(sorted(spans), rel=1e-5)


def _dicom(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path)


def _like(scan: Array, affine: Array) -> Array:
    """An array [x, y, z] towards left, posterior and superior, turned as a NIfTI file of this affine has it."""
    for axis, towards in enumerate(np.diag(affine[:3, :3]) * np.array([-1, -1, 1])):
        if towards < 0:
            scan = np.flip(scan, axis)
    return scan
