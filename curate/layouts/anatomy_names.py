"""Names of anatomy whose parts stand in the order of a file name, put into the order of English."""

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["in_order", "reordered"]

_SIDES: Final = ("left", "right")
_LEVEL: Final = re.compile(r"[CTLS]\d{1,2}")
_LOBE: Final = re.compile(r"(\w+) (upper|middle|lower) lobe")


def in_order(label: str) -> str | None:
    """`left kidney` for `kidney_left`, `L1 vertebra` for `vertebrae_L1`, `upper lung lobe` for `lung_upper_lobe`.

    Null where the label names no side, level or lobe, more than one side, or stands in that order already.
    """
    words = label.replace("_", " ").split()
    sides = [place for place, word in enumerate(words) if word.lower() in _SIDES]
    told = words
    if len(sides) == 1 and len(words) > 1:
        told = [words[sides[0]].lower(), *words[: sides[0]], *words[sides[0] + 1 :]]
    if len(told) == 2 and told[0].lower() in ("vertebra", "vertebrae") and _LEVEL.fullmatch(told[1].upper()):
        told = [told[1].upper(), "vertebra"]
    name = _LOBE.sub(r"\2 \1 lobe", " ".join(told))
    return None if name == " ".join(words) else name


def reordered(labels: Iterable[str]) -> dict[str, str]:
    """Label: its name in the order of English, of all labels; empty where each stands in that order already."""
    names = {label: in_order(label) for label in sorted(set(labels))}
    return {label: name or label for label, name in names.items()} if any(names.values()) else {}
