"""Options of a choice among values: one unit, as many digits, far enough apart, the true one of any rank."""

import itertools
import string
from collections.abc import Sequence
from typing import Final

from curate.rows import Asset
from curate.tasks.measures import Value
from curate.tasks.wording import hash_of

__all__ = ["lettered", "shuffled", "spread"]

_FACTORS: Final = (1.3, 1.4, 1.5, 1.6, 1.7)
"""Between neighbouring options: less would be within reach of an accurate reader's error, more would be no question."""
_STEPS_HU: Final = (25.0, 30.0, 40.0, 50.0, 60.0)


def spread(asset: Asset, value: Value, choices: int) -> list[str]:
    """Options for a value, in an order by a hash; empty where they would come too close to each other.

    Which rank the true one has among them by size, and which place, are hashes of the asset and what is asked.
    """
    key = (asset.asset_id, value.quantity, value.text)
    rank = hash_of(*key, "rank") % choices
    steps = range(-rank, choices - rank)
    if value.quantity == "mean attenuation":
        step = _STEPS_HU[hash_of(*key, "step") % len(_STEPS_HU)]
        numbers = [value.value + n * step for n in steps]
    else:
        factor = _FACTORS[hash_of(*key, "step") % len(_FACTORS)]
        numbers = [value.value if n == 0 else _on_grid(value.value * factor**n, value.grid) for n in steps]
    rounded = [round(number, value.decimals) for number in numbers]
    near = any(later - earlier <= value.tolerance for earlier, later in itertools.pairwise(rounded))
    close = any(n != rank and abs(one - value.value) <= 2 * value.tolerance for n, one in enumerate(rounded))
    if near or close or 0 in rounded:
        return []
    return shuffled(asset, [value.told(number) for number in numbers], *key[1:])


def _on_grid(number: float, grid: float) -> float:
    """The nearest that a mask can measure: else the true option were the one that whole voxels give."""
    return round(number / grid) * grid if grid else number


def shuffled(asset: Asset, options: Sequence[str], *key: object) -> list[str]:
    """The options in the order of a hash of each."""
    return sorted(options, key=lambda option: (hash_of(asset.asset_id, *key, option, "place"), option))


def lettered(offered: Sequence[str], true: str) -> tuple[str, str]:
    """One lettered line each, and the letter of the true one."""
    letters = string.ascii_uppercase[: len(offered)]
    lines = "\n".join(f"{letter}. {option}" for letter, option in zip(letters, offered, strict=True))
    return lines, letters[list(offered).index(true)]
