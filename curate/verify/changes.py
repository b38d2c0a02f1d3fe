"""Which image a value of a change is of, and beside which image a text tells the change."""

from typing import Final

from curate.verify.part import Part

__all__ = ["compares_with_the_later", "end_of_change"]

_FROM: Final = frozenset({"from", "由", "从", "自"})
_TO: Final = ("至", "到", "增为", "升为", "减为", "降为", "变为")
_CHANGES: Final = ("new", "gone", "more", "less")
_BESIDE: Final = frozenset({"与", "和", "同", "跟", "较", "比", "相较于", "相比"})


def end_of_change(part: Part, place: int) -> int | None:
    """The image, 0 or 1, of the value at a place, by the word before it: `from 4 mm`, `to 9 mm`, `升至0.52`."""
    if not place:
        return None
    before = part.tokens[place - 1]
    if before.low in _FROM or before.raw in _FROM:
        return 0
    return 1 if before.low == "to" or before.raw.endswith(_TO) else None


def compares_with_the_later(part: Part) -> bool:
    """True for `与第二张图像相比，新见气胸`: what is new, gone, more or less is so beside the earlier image."""
    if not any(part.cued(kind) for kind in _CHANGES):
        return False
    compared = {start for start, _ in part.cued("compared")}
    return any(end in compared and start and part.tokens[start - 1].raw in _BESIDE for start, end in part.cued("later"))
