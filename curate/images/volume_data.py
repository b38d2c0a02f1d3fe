"""A volume between its file and its store: what every reader of volumes yields, whatever the format."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Grid
from curate.rows import Window
from curate.schema import Refusal

__all__ = ["MAX_VOLUME_BYTES", "Array", "VolumeData", "VolumeLimits"]

Array = npt.NDArray[Any]

MAX_VOLUME_BYTES: Final = 768 * 2**20
"""Of one decoded array held as a whole: a worker with a copy of it stays within 2 GB. What streams may be larger."""


@dataclass(frozen=True, slots=True)
class VolumeLimits:
    """What one volume may cost; checked from headers, before anything is decoded."""

    max_decoded_bytes: int = MAX_VOLUME_BYTES
    max_streamed_bytes: int = 16 * 2**30
    max_ratio: int = 4000  # decoded over encoded bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeData:
    """One volume in the axis order and direction nearest to LPS, permuted and flipped but never resampled.

    `axes` names the axes of `shape`: `zyx`, with `t` before it or `c` (colour) after it where there are any. `grid` is
    the z, y, x part with its affine; null where the format states no geometry that can be trusted. `slabs` yields the
    array in pieces of whole indices of the first axis, in order, and may be asked for once; a refusal ends it.

    `rescale_*` map the stored values to modality units. `frame_of_reference` is the raw UID: only its token may be
    stored. `window` is the header's first, in modality units.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    grid: Grid | None
    slabs: Callable[[], Iterator[Array | Refusal]] = field(repr=False)
    orientation: str | None = None  # as it came, three letters
    photometric: str | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_unit: str | None = None
    frame_of_reference: str | None = None
    window: Window | None = None
    timepoint_s: float | None = None  # between two indices of `t`
    changes: tuple[str, ...] = ()
    found_while_read: Callable[[], tuple[str, ...]] = field(default=tuple, repr=False)
    """Further words of `changes`, to be asked for after the last slab: what only decoding shows."""
