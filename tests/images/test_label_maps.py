"""Label maps of volumes: whole numbers, whatever type they are stored as, on the grid that the file states."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from curate.geometry_3d import Grid, flat
from curate.images.label_maps import LabelMap, VolumeFile, label_map_of, read_label_map
from curate.images.volume_data import VolumeData, VolumeLimits
from curate.schema import Reason, Refusal

LABELS = np.arange(24).reshape(2, 3, 4) % 5
GRID = Grid((2, 3, 4), flat(np.diag([1.0, 2.0, 3.0, 1.0])))
LIMITS = VolumeLimits()


def volume(values: Any, **said: Any) -> VolumeData:
    array = np.asarray(values)
    facts = {"axes": "zyx", "shape": array.shape, "dtype": array.dtype, "grid": GRID, "slabs": lambda: iter([array])}
    return VolumeData(**(facts | said))


def refused(found: LabelMap | Refusal) -> Reason:
    assert isinstance(found, Refusal)
    return found.reason


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8"])
def test_labels_are_whole_numbers_however_they_are_stored(dtype: str) -> None:
    found = label_map_of(volume(LABELS.astype(dtype)), LIMITS)
    assert isinstance(found, LabelMap)
    np.testing.assert_array_equal(found.values, LABELS)
    assert np.issubdtype(found.values.dtype, np.integer)
    assert found.grid == GRID


def test_labels_are_what_their_scale_makes_of_them() -> None:
    found = label_map_of(volume(LABELS.astype("i2"), rescale_slope=2.0, rescale_intercept=1.0), LIMITS)
    assert isinstance(found, LabelMap)
    np.testing.assert_array_equal(found.values, 2 * LABELS + 1)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -np.inf, 1e12])
def test_a_value_that_is_no_label_refuses_the_file(value: float) -> None:
    values = LABELS.astype("f8")
    values[1, 1, 1] = value
    assert refused(label_map_of(volume(values), LIMITS)) is Reason.UNSUPPORTED_FORMAT


def test_a_map_with_times_or_colours_or_without_a_place_is_refused() -> None:
    assert refused(label_map_of(volume(LABELS[None], axes="tzyx"), LIMITS)) is Reason.UNSUPPORTED_FORMAT
    assert refused(label_map_of(volume(LABELS, grid=None), LIMITS)) is Reason.NO_GEOMETRY


def test_a_map_that_ends_early_or_breaks_off_is_refused() -> None:
    short = replace(volume(LABELS), slabs=lambda: iter([LABELS[:1]]))
    assert refused(label_map_of(short, LIMITS)) is Reason.TRUNCATED_IMAGE
    broken = replace(volume(LABELS), slabs=lambda: iter([LABELS[:1], Refusal(Reason.CORRUPT_IMAGE)]))
    assert refused(label_map_of(broken, LIMITS)) is Reason.CORRUPT_IMAGE


def test_a_map_is_as_wide_as_its_labels_and_no_wider() -> None:
    values = LABELS.astype("i8")
    for largest, smallest, dtype in ((255, 0, "u1"), (256, 0, "u2"), (127, -1, "i2")):
        values[0, 0, 0], values[1, 1, 1] = largest, smallest
        halves = replace(volume(values), slabs=lambda: iter([values[:1], values[1:]]))
        found = label_map_of(halves, LIMITS)
        assert isinstance(found, LabelMap)
        assert found.values.dtype == dtype
        np.testing.assert_array_equal(found.values, values)


def test_a_map_beyond_the_memory_of_an_item_is_refused_before_it_is_decoded() -> None:
    def never() -> Any:
        raise AssertionError("nothing is decoded")

    large = replace(volume(LABELS), shape=(10_000, 10_000, 10_000), slabs=never)
    assert refused(label_map_of(large, LIMITS)) is Reason.TOO_MANY_PIXELS


def file_of(path: Path) -> VolumeFile:
    def head(count: int) -> bytes:
        return path.read_bytes()[:count]

    return VolumeFile(path.name, path.stat().st_size, head, path.read_bytes, lambda: nullcontext(path))


def test_real_label_maps_have_the_values_that_another_reader_finds(test_data: Callable[[str], Path]) -> None:
    for path in sorted(test_data("totalsegmentator-tests").glob("example_seg*.nii.gz")):
        found = read_label_map([file_of(path)], lambda: None)
        assert isinstance(found, LabelMap), found
        canonical = nib.as_closest_canonical(nib.load(path))
        np.testing.assert_array_equal(found.values, np.asarray(canonical.dataobj).T[:, ::-1, ::-1])
        assert found.grid.spacing_mm == pytest.approx(tuple(canonical.header.get_zooms()[::-1]))


def test_a_picture_is_no_label_map_of_a_volume(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    assert refused(read_label_map([file_of(path)], lambda: None)) is Reason.UNSUPPORTED_FORMAT
