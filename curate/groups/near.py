"""Candidates for duplicates: assets of one size whose 64-bit hashes differ in a few bits."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_BITS", "candidates"]

MAX_BITS: Final = 4
"""Hashes of equal pixels may differ this much, because a JPEG is hashed from its scaled decode."""

CROWDED: Final = 2048
"""A band this crowded (blank images, flat phantoms) is not compared pair by pair: all of it is a candidate."""

_BANDS: Final = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
"""Five bands: hashes within four bits agree in at least one of them, so that no pair is missed."""


def candidates(hashes: Sequence[int], sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Indices, ascending, of assets that have another asset of their size within `MAX_BITS` of their hash.

    Exact but for crowded bands, where it errs towards more candidates: pixels decide later.
    """
    found: set[int] = set()
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes):
        by_size.setdefault(size, []).append(index)
    values = np.array(hashes, dtype=np.uint64)
    for together in by_size.values():
        if len(together) > 1:
            found.update(_within(np.array(together), values[together]))
    return sorted(found)


def _within(indices: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64]) -> set[int]:
    found: set[int] = set()
    for shift, width in _BANDS:
        band = (hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)
        order = np.argsort(band, kind="stable")
        cuts = np.flatnonzero(np.diff(band[order])) + 1
        for members in np.split(order, cuts):
            if len(members) < 2:
                continue
            if len(members) > CROWDED:
                found.update(indices[members].tolist())
                continue
            differing = np.bitwise_count(hashes[members][:, None] ^ hashes[members][None, :])
            near = (differing <= MAX_BITS).sum(axis=1) > 1
            found.update(indices[members[near]].tolist())
    return found
