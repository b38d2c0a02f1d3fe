"""Numbers in Chinese text: what they count, what they measure, and the sizes of images."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from curate.schema import State
from curate.verify.chinese_claims import Scope
from curate.verify.chinese_lexicon import UNIT
from curate.verify.chinese_text import Piece
from curate.verify.lexicon import CONCEPT, QUANTITY, Mention
from curate.verify.part import Size
from curate.verify.text import NUMBER, STOP, WORD
from curate.verify.units import Quantity, unit_of

__all__ = ["counted_in", "numbers_in", "quantities_in", "sizes_in"]

_BY: Final = frozenset({"×", "x", "X", "*", "乘", "乘以", "到", "至", "和", "及", "~", "～"})
"""Between numbers that share the unit behind the last."""
_ASPECTS: Final = frozenset({"项", "方面", "个方面", "点", "句"})
_REACH: Final = 4
_SIZE: Final = re.compile(
    r"宽(?:度)?\s*(?:为|是|约|约为|：|:)?\s*(?P<w>\d+)\s*(?:个?像素|px)?[^\d。；]{0,6}?高(?:度)?\s*(?:为|是|约|约为|：|:)?\s*(?P<h>\d+)"
    r"|高(?:度)?\s*(?:为|是|：|:)?\s*(?P<h3>\d+)\s*(?:个?像素|px)?[^\d。；]{0,6}?宽(?:度)?\s*(?:为|是|：|:)?\s*(?P<w3>\d+)"
    r"|(?P<w2>\d+)\s*[x×X*乘]\s*(?P<h2>\d+)(?=\s*(?:个?像素|px|pixels?))"
    r"|(?:图像|图片|影像|分辨率|画面|照片)(?:的)?(?:大小|尺寸|分辨率)?(?:为|是|：|:)?\s*(?P<w4>\d+)\s*[x×X*乘]\s*(?P<h4>\d+)"
)


def numbers_in(read: Sequence[Piece], covered: frozenset[int]) -> Iterator[tuple[int, float]]:
    """Each number that is no part of a name, with the place of its token; `一` right before a term is an article."""
    for place, piece in enumerate(read):
        if (
            piece.token.kind == NUMBER
            and place not in covered
            and not _is_article(read, place)
            and not _counts_what_is_asked(read, place)
        ):
            yield place, float(piece.token.raw)


def _counts_what_is_asked(read: Sequence[Piece], place: int) -> bool:
    """True for `两项分级`: how many answers are wanted, not how many findings there are."""
    following = read[place + 1].token.raw if place + 1 < len(read) else ""
    return read[place].is_numeral and following in _ASPECTS


def _is_article(read: Sequence[Piece], place: int) -> bool:
    """True for `可见一结节`, which counts no more than `a nodule` does; `一个结节` counts."""
    token = read[place].token
    following = read[place + 1] if place + 1 < len(read) else None
    if token.raw != "1" or token.end - token.start != 1 or not read[place].is_numeral or following is None:
        return False
    return (
        following.token.kind == WORD
        and following.word is not None
        and bool(following.word.meanings or following.glosses)
    )


def quantities_in(
    read: Sequence[Piece],
    numbers: Sequence[tuple[int, float]],
    found: Sequence[Mention],
    segments: Sequence[int],
) -> Iterator[Quantity]:
    """The numbers with a unit, each with the concept that it measures."""
    for place, value in numbers:
        unit = _unit_at(read, place)
        if unit is None:
            continue
        raw = read[place].token.raw
        yield Quantity(place, value, len(raw.partition(".")[2]), unit, _measured(place, read, found, segments))


def _unit_at(read: Sequence[Piece], place: int) -> str | None:
    """The unit of a number; a number in `3×4厘米` has the unit of the last."""
    after = place + 1
    if after >= len(read):
        return None
    if read[after].token.raw in _BY:
        following = after + 1
        return _unit_at(read, following) if following < len(read) and read[following].token.kind == NUMBER else None
    if read[after].token.kind == NUMBER and read[after].token.start - read[place].token.end == 1:
        return _unit_at(read, after)  # `2-3毫米`: the stroke leaves no token
    if read[after].has(UNIT):
        return read[after].token.low
    for length in (2, 1):
        span = [piece.token.low for piece in read[after : after + length]]
        for joint in ("/", " "):
            unit = unit_of(joint.join(span))
            if unit is not None and len(span) == length:
                return unit
    return None


def _measured(place: int, read: Sequence[Piece], found: Sequence[Mention], segments: Sequence[int]) -> str | None:
    """The concept nearest to a quantity within its segment, else the last before it in the sentence."""
    near = [
        (min(abs(m.start - place), abs(place - (m.end - 1))), key)
        for m in found
        if (key := m.key(QUANTITY) or m.key(CONCEPT)) and segments[m.start] == segments[place]
    ]
    if near:
        return min(near, key=lambda entry: entry[0])[1]
    before = [
        key
        for m in found
        if (key := m.key(QUANTITY) or m.key(CONCEPT)) and m.end <= place and not _stopped(read[m.end : place])
    ]
    return before[-1] if before else None


def _stopped(read: Sequence[Piece]) -> bool:
    return any(piece.token.kind == STOP and piece.token.raw[0] not in "：:" for piece in read)


def counted_in(
    read: Sequence[Piece], found: Sequence[Mention], said: Scope, numbers: Sequence[tuple[int, float]]
) -> Iterator[tuple[str | None, float]]:
    """Each number with the concept that it counts: `3个红细胞`, `红细胞有3个`; None where it stands alone or for all.

    What is denied is counted as none.
    """
    for place, number in numbers:
        yield _counted(place, read, found), number
    for mention, state in zip(found, said.states, strict=True):
        key = mention.key(CONCEPT)
        if key is not None and state is State.ABSENT and mention.start in said.denied:
            yield key, 0.0


def _counted(place: int, read: Sequence[Piece], found: Sequence[Mention]) -> str | None:
    following = next((m for m in found if m.start > place and m.key(CONCEPT)), None)
    if following is not None:
        gap = read[place + 1 : following.start]
        near = len(gap) < _REACH and all(piece.token.kind == WORD and not piece.has("verbs") for piece in gap)
        if near and not any(piece.has("totals") or piece.has("links") for piece in gap):
            return following.key(CONCEPT)
    preceding = next((m for m in reversed(found) if m.end <= place and m.key(CONCEPT)), None)
    if preceding is None:
        return None
    gap = read[preceding.end : place]
    if not all(piece.has("copulas") or piece.has("bounds") or piece.token.raw in "：:" for piece in gap):
        return None
    if any(piece.has("totals") for piece in gap) and _is_listed(preceding, read, found):
        return None
    return preceding.key(CONCEPT)


def _is_listed(mention: Mention, read: Sequence[Piece], found: Sequence[Mention]) -> bool:
    """True for the last of several: `红细胞和白细胞共5个` counts both."""
    before = next((m for m in reversed(found) if m.end <= mention.start and m.key(CONCEPT)), None)
    if before is None:
        return False
    return all(piece.token.raw == "、" or piece.has("links") for piece in read[before.end : mention.start])


def sizes_in(text: str) -> Iterator[Size]:
    """The sizes of images: `宽512像素、高384像素`, `512×384像素`."""
    for found in _SIZE.finditer(text):
        width = next(found[name] for name in ("w", "w2", "w3", "w4") if found[name])
        height = next(found[name] for name in ("h", "h2", "h3", "h4") if found[name])
        yield Size(*found.span(), int(width), int(height))
