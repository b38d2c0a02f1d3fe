"""The clauses of a Chinese text: what stands between stops, commas and contrasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from curate.verify.chinese_text import Piece
from curate.verify.lexicon import PLACE, Mention
from curate.verify.text import COMMA, STOP

__all__ = ["BREAKING", "COLON", "CONTRAST", "Segment", "is_denied_side", "is_said", "segments_of"]

COLON: Final = frozenset("：:")
BREAKING: Final = frozenset("，,")
CONTRAST: Final = "contrast"
_SIDES: Final = "sides"
_IS_NOT: Final = frozenset({"不是", "并不是", "并非", "而非", "而不是", "不在", "并不在", "非"})
"""Denials of which a side may be all that is denied."""


@dataclass(slots=True)
class Segment:
    """The pieces of a clause, from the first to the one behind the last."""

    start: int
    end: int
    before: str  # what separates it from the one before: a stop, a colon, a comma, a contrast, or nothing


def segments_of(pieces: Sequence[Piece], covered: set[int]) -> list[Segment]:
    """Stretches between stops, commas (not `、`) and contrasts; a separator belongs to the segment before it."""
    segments = [Segment(0, 0, "")]
    for place, piece in enumerate(pieces):
        raw = piece.token.raw
        if piece.has(CONTRAST) and place not in covered:
            segments[-1].end = place
            segments.append(Segment(place, place + 1, CONTRAST))
        elif piece.token.kind == STOP or (piece.token.kind == COMMA and raw in BREAKING):
            segments[-1].end = place + 1
            segments.append(Segment(place + 1, place + 1, raw[0]))
        else:
            segments[-1].end = place + 1
    return [s for s in segments if s.end > s.start] or segments


def is_denied_side(pieces: Sequence[Piece], place: int) -> bool:
    """True for a side right behind `不是`, which is no part of what is denied: `不是左眼，是右眼`."""
    if place < 1 or place >= len(pieces) or not pieces[place].has(_SIDES):
        return False
    before = pieces[place - 1].word
    return before is not None and before.text in _IS_NOT


def is_said(mention: Mention) -> bool:
    """False for a place in the body: nothing is denied of it."""
    return any(meaning.kind != PLACE for meaning in mention.meanings)
