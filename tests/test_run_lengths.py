"""Masks as run lengths say what their pixels say, and what the COCO API says of them."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from curate.rows import Rle
from curate.run_lengths import decode_mask, encode_mask, mask_area, mask_box, mask_objects, read_rle, rle_counts
from curate.schema import Reason
from tests.conftest import tool
from tests.test_geometry import MASKS, for_all, reason_of

LABEL_MAPS = arrays.arrays(
    np.uint16, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 5)
)


def coco_string(counts: list[int]) -> str:
    """Compresses run lengths as the COCO API does: the other direction of what is tested."""
    text = ""
    for position, count in enumerate(counts):
        rest = count - counts[position - 2] if position > 2 else count
        more = True
        while more:
            group = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if group & 0x10 else 0)
            text += chr(48 + (group | (0x20 if more else 0)))
    return text


def test_run_lengths_go_down_the_columns_and_begin_with_the_zeros() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)
    assert encode_mask(mask) == Rle(2, 3, [2, 3, 1])
    assert encode_mask(~mask) == Rle(2, 3, [0, 2, 3, 1])


@for_all(MASKS)
def test_a_mask_survives_its_run_lengths(mask: np.ndarray) -> None:
    rle = encode_mask(mask)
    assert np.array_equal(decode_mask(rle), mask)
    assert mask_area(rle) == mask.sum()
    assert read_rle(rle.counts, rle.width, rle.height) == rle


@for_all(MASKS)
def test_the_box_of_a_mask_ends_behind_its_last_pixel(mask: np.ndarray) -> None:
    box = mask_box(encode_mask(mask))
    if not mask.any():
        assert box is None
        return
    rows, columns = np.nonzero(mask)
    assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@for_all(MASKS)
def test_compressed_run_lengths_say_what_plain_ones_say(mask: np.ndarray) -> None:
    rle = encode_mask(mask)
    assert rle_counts(coco_string(rle.counts)) == rle.counts


@for_all(st.lists(st.integers(0, 2**31 - 1), max_size=30))
def test_run_lengths_of_any_raster_survive_compression(counts: list[int]) -> None:
    assert rle_counts(coco_string(counts)) == counts


@for_all(MASKS)
def test_the_coco_api_agrees(mask: np.ndarray) -> None:
    reference = tool("pycocotools.mask")
    encoded = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    height, width = mask.shape
    result = read_rle(encoded["counts"].decode(), width, height)
    assert result == encode_mask(mask)
    if mask.any():
        x, y, w, h = reference.toBbox(encoded)
        box = mask_box(result)
        assert box is not None
        assert box == (x, y, x + w, y + h)


def test_a_string_that_the_coco_api_wrote_is_read() -> None:
    # pycocotools 2.0.11: a mask of 5 rows and 8 columns with the first pixel set, and rows 1 to 3 of columns 2 to 6
    mask = np.zeros((5, 8), dtype=bool)
    mask[0, 0] = True
    mask[1:4, 2:7] = True
    assert read_rle("01:2H00000004", 8, 5) == encode_mask(mask)


@pytest.mark.parametrize("text", ["\x00", "5 5", "é5", "o", "oooooooooooo", "~"])
def test_a_malformed_string_is_refused(text: str) -> None:
    assert reason_of(read_rle(text, 4, 4)) is Reason.INVALID_GEOMETRY


def test_run_lengths_must_cover_their_raster_exactly() -> None:
    assert reason_of(read_rle([3, 4], 4, 4)) is Reason.SIZE_MISMATCH
    assert reason_of(read_rle([], 4, 4)) is Reason.SIZE_MISMATCH
    assert reason_of(read_rle([20, -4], 4, 4)) is Reason.INVALID_GEOMETRY
    assert reason_of(read_rle([10**30, 4], 4, 4)) is Reason.SIZE_MISMATCH


def test_empty_runs_are_no_other_mask() -> None:
    assert read_rle([2, 0, 0, 3, 0, 1, 10, 0], 4, 4) == Rle(4, 4, [2, 4, 10])


@for_all(LABEL_MAPS, st.integers(0, 5))
def test_every_value_of_a_label_map_is_one_object(label_map: np.ndarray, background: int) -> None:
    found = list(mask_objects(label_map, background))
    assert [value for value, _ in found] == [value for value in np.unique(label_map).tolist() if value != background]
    for value, rle in found:
        assert rle == encode_mask(label_map == value)


def test_a_map_of_ten_thousand_cells_is_split_in_one_pass() -> None:
    label_map = np.kron(np.arange(10_000, dtype=np.uint16).reshape(100, 100), np.ones((10, 10), dtype=np.uint16))
    found = list(mask_objects(label_map))
    assert len(found) == 9_999
    assert all(mask_area(rle) == 100 for _, rle in found)
