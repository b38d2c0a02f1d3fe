"""Windows: from stored values to 8 bits for the eye (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2).

The order is that of the standard: stored values, modality (slope and intercept), values of interest (window or table),
then polarity. All in double precision, rounded half up at the end, so that a value on an edge falls where the standard
puts it. Values that are no number are shown as the lowest.
"""

import difflib
import importlib.resources
import math
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from curate.images.base import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from curate.rows import Window

__all__ = ["HU", "WINDOW_NAMES", "VoiTable", "named_window", "percentile_window", "render", "table_text"]

HU: Final = "HU"
"""The unit of every window in windows.yaml."""

WHITE: Final = 255
LOW_SHARE: Final = 0.005
HIGH_SHARE: Final = 0.995
"""Of the values, below and above which a picture without a window saturates: metal, burned-in text, dead pixels."""

TABLE_BITS: Final = 16
"""Integers of so many bits are mapped by a table of all their values; others are computed one by one."""

SAMPLES_AT_ONCE: Final = 2**20
"""Samples that are computed at once where there is no table: doubles of a whole radiograph would not fit."""


@dataclass(frozen=True, slots=True)
class VoiTable:
    """A table of values of interest (PS3.3 C.11.2.1.1): `first` is the modality value that `values[0]` is for.

    Lower values take the first entry, higher ones the last; entries have `bits` bits.
    """

    first: int
    values: npt.NDArray[np.uint16]
    bits: int


def named_window(name: str) -> "Window":
    """The window that windows.yaml calls so, in Hounsfield units.

    Raises:
        ValueError: there is none of that name; `auto` is none, it means the header's window or percentiles.
    """
    found = _named().get(name)
    if found is None:
        near = difflib.get_close_matches(name, WINDOW_NAMES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there is no window {name!r}; {hint}there are {', '.join(WINDOW_NAMES)}")
    return found


@lru_cache(maxsize=1)
def table_text() -> str:
    """The table of named windows as it is written, for fingerprints."""
    return importlib.resources.files(__package__).joinpath("windows.yaml").read_text("utf-8")


@lru_cache(maxsize=1)
def _named() -> "Mapping[str, Window]":
    import yaml

    from curate.rows import Window

    raw: dict[str, dict[str, Any]] = yaml.safe_load(table_text())
    return MappingProxyType(
        {name: Window(float(one["center"]), float(one["width"]), "linear", name) for name, one in raw.items()}
    )


WINDOW_NAMES: Final[tuple[str, ...]] = tuple(sorted(_named()))


def percentile_window(
    samples: Array, *, slope: float | None, intercept: float | None, ignore: tuple[float, float] | None = None
) -> "Window":
    """From the 0.5th to the 99.5th percentile of the samples, in modality units.

    `ignore` is a range of stored values, both ends included, that are padding and no measurement. Where both
    percentiles are one value (a blank picture with a mark) the window spans all values; where there is only one
    value, it is one unit wide and that value is mid-grey. Percentiles are values that occur (nearest rank).
    """
    from curate.rows import Window

    low, high = sorted(value * (slope or 1.0) + (intercept or 0.0) for value in _percentiles(samples, ignore))
    return Window((low + high) / 2, high - low or 1.0, "percentile", "percentile")


def _percentiles(samples: Array, ignore: tuple[float, float] | None) -> tuple[float, float]:
    flat = np.ascontiguousarray(samples).reshape(-1)
    if not _is_small(flat.dtype):
        kept = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
        if ignore is not None:
            measured = kept[(kept < ignore[0]) | (kept > ignore[1])]
            kept = measured if measured.size else kept
        if not kept.size:
            return 0.0, 0.0
        low_rank, high_rank = _ranks(kept.size)
        parted = np.partition(kept, (low_rank, high_rank))
        low, high = float(parted[low_rank]), float(parted[high_rank])
        return (low, high) if low < high else (float(kept.min()), float(kept.max()))
    info = np.iinfo(flat.dtype)
    found = np.bincount(flat.view(_unsigned(flat.dtype)), minlength=2 ** (8 * flat.itemsize))
    found = np.roll(found, -int(info.min))
    values = np.arange(info.min, int(info.max) + 1)
    if ignore is not None:
        measured = found * ((values < ignore[0]) | (values > ignore[1]))
        found = measured if measured.any() else found
    values, found = values[found > 0], found[found > 0]
    if not len(values):
        return 0.0, 0.0
    below = np.cumsum(found)
    low_rank, high_rank = _ranks(int(below[-1]))
    low, high = (float(values[np.searchsorted(below, rank, side="right")]) for rank in (low_rank, high_rank))
    return (low, high) if low < high else (float(values[0]), float(values[-1]))


def _ranks(count: int) -> tuple[int, int]:
    """Where the two percentiles stand among `count` sorted values, 0-based."""
    return max(0, math.ceil(LOW_SHARE * count) - 1), max(0, math.ceil(HIGH_SHARE * count) - 1)


def _is_small(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" and 8 * dtype.itemsize <= TABLE_BITS


def _unsigned(dtype: np.dtype[Any]) -> str:
    return dtype.str.replace("i", "u")


def render(
    samples: Array,
    *,
    slope: float | None,
    intercept: float | None,
    window: "Window",
    invert: bool = False,
    lut: VoiTable | None = None,
) -> npt.NDArray[np.uint8]:
    """Samples as a picture of 8 bits, of the same shape; `invert` is for MONOCHROME1 and an inverse presentation.

    `slope` and `intercept` map the samples to the units of the window (null: 1 and 0). A table takes the place of
    center and width, and its inputs are rounded to whole numbers.

    Raises:
        ValueError: a function that is not known, a width that the function does not have, or no table for `lut`.
    """
    _check(window, lut)

    def grey(stored: Array) -> npt.NDArray[np.uint8]:
        values = stored.astype(np.float64)
        if slope is not None:
            values *= slope
        if intercept is not None:
            values += intercept
        shown = _of_interest(values, window, lut)
        shown = np.where(np.isnan(shown), 0.0, np.clip(shown, 0.0, 1.0)) * WHITE
        if invert:
            shown = WHITE - shown
        return np.floor(shown + 0.5).astype(np.uint8)

    if _is_small(samples.dtype) and samples.size:
        index = np.ascontiguousarray(samples).view(_unsigned(samples.dtype))
        codes = np.arange(int(index.max()) + 1, dtype=np.uint32)
        return np.take(grey(codes.astype(samples.dtype.newbyteorder("="))), index)
    flat = np.ascontiguousarray(samples).reshape(-1)
    shown = np.empty(flat.shape, np.uint8)
    for start in range(0, len(flat), SAMPLES_AT_ONCE):
        shown[start : start + SAMPLES_AT_ONCE] = grey(flat[start : start + SAMPLES_AT_ONCE])
    return shown.reshape(samples.shape)


def _check(window: "Window", lut: VoiTable | None) -> None:
    if window.function == "lut":
        if lut is None or not len(lut.values):
            raise ValueError("the function is lut, and there is no table")
        return
    least = {"linear": 1.0, "linear_exact": 0.0, "sigmoid": 0.0, "percentile": 0.0}.get(window.function)
    if least is None:
        raise ValueError(f"function is linear, linear_exact, sigmoid, lut or percentile, got {window.function!r}")
    if window.center is None or window.width is None or not np.isfinite([window.center, window.width]).all():
        raise ValueError(f"a {window.function} window needs a finite center and width")
    if window.width < least or window.width <= 0:
        bound = f"at least {least:g}" if least else "above 0"
        raise ValueError(f"the width of a {window.function} window is {bound}, got {window.width:g}")


def _of_interest(values: npt.NDArray[np.float64], window: "Window", lut: VoiTable | None) -> npt.NDArray[np.float64]:
    """Modality values as a share of white; what lies outside the window may be below 0 or above 1."""
    if lut is not None and window.function == "lut":
        entries = np.floor(values + 0.5) - lut.first
        index = np.clip(np.nan_to_num(entries, nan=0.0), 0, len(lut.values) - 1).astype(np.intp)
        return np.where(np.isnan(values), np.nan, lut.values[index] / float(2**lut.bits - 1))
    assert window.center is not None
    assert window.width is not None
    center, width = window.center, window.width
    if window.function == "sigmoid":
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    if window.function == "linear":
        if width == 1:
            return np.where(np.isnan(values), np.nan, np.where(values <= center - 0.5, 0.0, 1.0))
        return (values - (center - 0.5)) / (width - 1) + 0.5
    return (values - center) / width + 0.5
