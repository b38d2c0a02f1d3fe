"""Numbers that only order the items of a list, in English and Chinese: `(1) mass; (2) nodule`, `Polyp 1: [...]`."""

import functools
import re
from typing import Final

__all__ = ["without_item_numbers"]

_MARKS: Final = (
    re.compile(r"(?:^|(?<=[\s;；。,，、:：]))[(（]?(\d{1,2})[.)、．）](?!\d)\s*"),
    re.compile(r"(?<=\w)\s*\b(\d{1,2})(?=\s*[:：]\s*\[)"),
)
"""Before an item; behind the noun of a box or point."""
_FEWEST: Final = 2


@functools.lru_cache(maxsize=8192)
def without_item_numbers(text: str) -> str:
    """The text without numbers that count its own items from 1 on; any other number stays."""
    if "1" not in text:
        return text
    for mark in _MARKS:
        found = [int(value) for value in mark.findall(text)]
        if len(found) >= _FEWEST and found == list(range(1, len(found) + 1)):
            text = mark.sub(" ", text)
    return text
