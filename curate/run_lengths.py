"""Masks as run lengths, plain and as the COCO API compresses them.

Runs go down the columns and count zeros first; a mask is an array [row, column], sizes are width, height in pixels.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.rows import Rle
from curate.schema import Reason, Refusal

__all__ = ["decode_mask", "encode_mask", "mask_area", "mask_box", "mask_objects", "read_rle", "rle_counts"]

_COMPRESSED_DIGITS: Final = 7
"""Characters of one compressed run length: 7 of 5 bits hold any run of a raster below 2^31 pixels."""


def encode_mask(mask: npt.NDArray[np.bool_]) -> Rle:
    """The run lengths of a mask [row, column]: column by column, beginning with the zeros (which may be none)."""
    height, width = mask.shape
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    if flat.size == 0:
        return Rle(height, width, [])
    bounds = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]))
    counts: list[int] = np.diff(bounds).tolist()
    return Rle(height, width, [0, *counts] if flat[0] else counts)


def decode_mask(rle: Rle) -> npt.NDArray[np.bool_]:
    """The mask [row, column] of run lengths that `read_rle` or `encode_mask` made."""
    values = np.arange(len(rle.counts)) % 2 == 1
    return np.repeat(values, rle.counts).reshape((rle.height, rle.width), order="F")


def mask_area(rle: Rle) -> int:
    """How many pixels are set."""
    return sum(rle.counts[1::2])


def mask_box(rle: Rle) -> tuple[float, float, float, float] | None:
    """The box around the set pixels: the smallest index and the largest plus one. None where no pixel is set."""
    ends = np.cumsum(np.asarray(rle.counts, dtype=np.int64))[1::2]
    lengths = np.asarray(rle.counts[1::2], dtype=np.int64)
    ends, lengths = ends[lengths > 0], lengths[lengths > 0]
    if ends.size == 0:
        return None
    first, last = ends - lengths, ends - 1
    columns_first, columns_last = first // rle.height, last // rle.height
    crosses = columns_first != columns_last
    top = 0 if crosses.any() else int((first % rle.height).min())
    bottom = rle.height if crosses.any() else int((last % rle.height).max()) + 1
    return (float(columns_first.min()), float(top), float(columns_last.max() + 1), float(bottom))


def rle_counts(text: str) -> list[int] | Refusal:
    """The run lengths in a compressed string of the COCO API.

    Each number is written in groups of 5 bits, lowest first, as characters from '0' (48) on: bit 5 says that a group
    follows, bit 4 of the last group is the sign. From the fourth number on it is the difference to the last but one.
    Source: `rleToString` and `rleFrString` in the COCO API's maskApi.c.
    """
    counts: list[int] = []
    value, digits = 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            return Refusal(
                Reason.INVALID_GEOMETRY, "the compressed run lengths hold a character outside their alphabet"
            )
        value |= (group & 0x1F) << (5 * digits)
        digits += 1
        if group & 0x20:
            if digits >= _COMPRESSED_DIGITS:
                return Refusal(Reason.INVALID_GEOMETRY, "the compressed run lengths hold a number without an end")
            continue
        if group & 0x10:
            value -= 1 << (5 * digits)
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, digits = 0, 0
    if digits:
        return Refusal(Reason.INVALID_GEOMETRY, "the compressed run lengths break off within a number")
    return counts


def read_rle(counts: Sequence[int] | str, width: int, height: int) -> Rle | Refusal:
    """Run lengths, plain or compressed, on a raster of that size, in canonical form: no empty run but the first.

    A negative run is `invalid_geometry`; runs that do not add up to the raster are a `size_mismatch`.
    """
    runs = rle_counts(counts) if isinstance(counts, str) else counts
    if isinstance(runs, Refusal):
        return runs
    if any(run < 0 for run in runs):
        return Refusal(Reason.INVALID_GEOMETRY, "a run length is negative")
    total = sum(runs)
    if total != width * height:
        found = f"the run lengths cover {total} pixels, a raster of {width} x {height} has {width * height}"
        return Refusal(Reason.SIZE_MISMATCH, found)
    canonical: list[int] = [0]
    is_set = False  # what the last canonical run counts
    for position, run in enumerate(runs):
        if run == 0:
            continue
        if (position % 2 == 1) == is_set:
            canonical[-1] += run
        else:
            canonical.append(run)
            is_set = not is_set
    return Rle(height, width, canonical)


def mask_objects(label_map: npt.NDArray[Any], background: int = 0) -> Iterator[tuple[int, Rle]]:
    """Every value of a label map [row, column] but the background, ascending, with the mask of its pixels.

    One pass over the map finds all runs; the work is that of sorting the runs, however many values there are.
    """
    height, width = label_map.shape
    flat = label_map.ravel(order="F")
    if flat.size == 0:
        return
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    stops = np.concatenate((starts[1:], [flat.size]))
    values = flat[starts]
    wanted = np.flatnonzero(values != background)
    order = wanted[np.argsort(values[wanted], kind="stable")]
    starts, stops, values = starts[order], stops[order], values[order]
    cuts = np.flatnonzero(values[1:] != values[:-1]) + 1
    for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), values.size], strict=True):
        if begin == end:
            return
        yield int(values[begin]), _from_runs(starts[begin:end], stops[begin:end], height, width)


def _from_runs(starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], height: int, width: int) -> Rle:
    bounds = np.empty(2 * starts.size + 1, dtype=np.int64)
    bounds[0] = 0
    bounds[1::2], bounds[2::2] = starts, stops
    counts: list[int] = np.diff(bounds).tolist()
    rest = height * width - int(stops[-1])
    return Rle(height, width, [*counts, rest] if rest else counts)
