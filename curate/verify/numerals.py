"""Numbers in English text: in digits and words, what they count, and with which unit they measure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from curate.verify.cue_words import cues
from curate.verify.lexicon import CONCEPT, QUANTITY, Mention
from curate.verify.text import COMMA, NUMBER, OTHER, STOP, WORD, Token
from curate.verify.units import Quantity, unit_of

__all__ = ["counted_in", "numbers_in", "quantities_in", "spaced"]

_ONE_OF: Final = (
    "of",
    "such",
    "another",
    "or",
    "can",
    "cannot",
    "could",
    "may",
    "might",
    "would",
    "should",
    "must",
    "sees",
)
"""`one of`, `one such`, `one another` and `one or more` count nothing."""
_ONE_AFTER: Final = frozenset(
    {
        "left",
        "right",
        "the",
        "this",
        "that",
        "which",
        "later",
        "earlier",
        "first",
        "second",
        "former",
        "latter",
        "other",
        "previous",
    }
)
"""After these, `one` stands for a thing and counts nothing: `the left one`."""
_NONE_OF: Final = ("no", "neither", "nor", "zero")
_OF_CLASS: Final = ["object", "of", "class"]
"""Between a number and a label that is no noun: `3 objects of class 10`."""
_REACH: Final = 3
"""A number counts the concept that begins at most so many tokens after it: `12 intact red cells`."""
_TENS: Final = 20
_SCALES: Final = (100, 1000)
_GLUED: Final = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)(?=(?:[munµμ]?m[23²³]?|c[mc][23²³]?|m[lg]|[dl]l|hu|px|deg)\b)", re.IGNORECASE
)
_FREE: Final = re.compile(r"-free\b", re.IGNORECASE)
"""`Stone-free` denies the stone."""
_AND_A_HALF: Final = re.compile(
    r"\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)[ -]and[ -]a[ -]half\b", re.IGNORECASE
)
_HALF: Final = 0.5
_POWER: Final = re.compile(r"(?<=m)\s?\^\s?(?=[23]\b)")
_THOUSANDS: Final = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_BY: Final = frozenset({"x", "by", "and", "to", "times", "×"})


def spaced(text: str) -> str:
    """The text with a blank between a number and its unit, without the commas of thousands.

    `Stone-free` becomes `stone absent`.
    """
    text = _FREE.sub(" absent", text)
    if "half" in text:
        text = _AND_A_HALF.sub(lambda found: f"{_value(found[1]) + _HALF:g}", text)
    if not any(map(str.isdigit, text)):
        return text
    text = _POWER.sub("", text.replace("−", "-"))
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    return _GLUED.sub(r"\1 ", text)


def _value(said: str) -> int:
    """The value of a number in digits or in one word."""
    return int(said) if said.isdigit() else cues().numbers[said.lower()]


def numbers_in(tokens: Sequence[Token], covered: frozenset[int]) -> Iterator[tuple[int, float]]:
    """Each number that is no part of a name, with the place of its token, or of its last word: `twenty-one` is one."""
    words = cues().numbers
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if place in covered or not (token.kind == NUMBER or (token.kind == WORD and token.low in words)):
            place += 1
            continue
        if token.kind == NUMBER:
            yield place, float(token.raw)
            place += 1
            continue
        end, number = _spelt(tokens, place, covered)
        following = tokens[end].low if end < len(tokens) else ""
        before = tokens[place - 1].low if place else ""
        if token.low == "single" and place > 1 and [t.low for t in tokens[place - 2 : place]] == ["not", "a"]:
            place = end
            continue
        if token.low == "one" and end == place + 1 and before == "not" and following != "but":
            place = end
            continue
        if not (token.low == "one" and end == place + 1 and (following in _ONE_OF or before in _ONE_AFTER)):
            yield end - 1, float(number)
        place = end


def _spelt(tokens: Sequence[Token], place: int, covered: frozenset[int]) -> tuple[int, int]:
    """A number in words from a place on: the place after it, and its value."""
    words = cues().numbers
    total, number, at = 0, words[tokens[place].low], place + 1
    last = number
    while at < len(tokens) and at not in covered:
        low = tokens[at].low
        if low == "and" and last in _SCALES and at + 1 < len(tokens) and tokens[at + 1].low in words:
            at += 1
            continue
        value = words.get(low)
        if value is None:
            break
        if value in _SCALES and last < value:
            number *= value
            if value == _SCALES[1]:
                total, number = total + number, 0
        elif (last >= _TENS and last % 10 == 0 and last < 100 and 0 < value < 10) or (last in _SCALES and value < last):
            number += value
        else:
            break
        last, at = value, at + 1
    return at, total + number


def quantities_in(
    tokens: Sequence[Token],
    numbers: Sequence[tuple[int, float]],
    found: Sequence[Mention],
    clauses: Sequence[int],
) -> Iterator[Quantity]:
    """The numbers with a unit: `12 mm`, `3 x 4 cm`, each with the concept that it measures."""
    for place, value in numbers:
        at = _unit_at(tokens, place)
        if at is None:
            continue
        unit, end = at
        raw = tokens[place].raw
        decimals = len(raw.partition(".")[2]) if tokens[place].kind == NUMBER else 0
        yield Quantity(place, value, decimals, unit, _measured(tokens, place, end, found, clauses))


def _unit_at(tokens: Sequence[Token], place: int) -> tuple[str, int] | None:
    """The unit of a number and the place after it; a number in `3 x 4 cm` has the unit of the last."""
    after = place + 1
    if (
        after < len(tokens)
        and tokens[after].low in _BY
        and after + 1 < len(tokens)
        and tokens[after + 1].kind == NUMBER
    ):
        return _unit_at(tokens, after + 1)
    for length in (3, 2, 1):
        span = tokens[after : after + length]
        if len(span) == length and all(token.kind in (WORD, OTHER) for token in span):
            for joint in (" ", "/"):
                unit = unit_of(joint.join(token.low for token in span))
                if unit is not None:
                    return unit, after + length
    return None


def _measured(
    tokens: Sequence[Token], place: int, end: int, found: Sequence[Mention], clauses: Sequence[int]
) -> str | None:
    """The concept that a quantity measures: `a 12 mm nodule`, else `the nodule measures 12 mm`, else the next one."""
    before: str | None = None
    for mention in found:
        key = mention.key(QUANTITY) or mention.key(CONCEPT)
        if key is None or any(
            t.kind == STOP and t.raw != ":" for t in tokens[min(mention.end, place) : max(mention.start, place)]
        ):
            continue
        if mention.end <= place:
            before = key
            continue
        gap = tokens[end : mention.start]
        if len(gap) < _REACH and all(t.kind == WORD and t.low not in ("and", "while", "is", "the") for t in gap):
            return key
        return before or (key if clauses[mention.start] == clauses[place] else None)
    return before


def counted_in(
    tokens: Sequence[Token], found: Sequence[Mention], numbers: Sequence[tuple[int, float]]
) -> Iterator[tuple[str | None, float]]:
    """Each number with the concept that it counts; None where it stands alone. `no`, `neither` and `nor` count none."""
    for place, number in numbers:
        yield _next_concept(tokens, found, place), number
    for mention in found:
        key = mention.key(CONCEPT)
        before = tokens[mention.start - 1].low if mention.start else ""
        if key is not None and before in _NONE_OF[:3]:
            yield key, 0.0


def _next_concept(tokens: Sequence[Token], found: Sequence[Mention], place: int) -> str | None:
    for mention in found:
        if mention.start <= place:
            continue
        gap = tokens[place + 1 : mention.start]
        if [token.stem for token in gap] == _OF_CLASS:
            return mention.key(CONCEPT)
        if any(token.kind == NUMBER or token.low in cues().numbers for token in gap):
            return None
        if [token.low for token in gap] in (["are"], ["were"], ["is", "a"], ["is", "an"]):
            return mention.key(CONCEPT)
        if len(gap) < _REACH and all(token.kind == WORD for token in gap):
            if any(token.low in ("in", "total", "of", "is", "are") for token in gap):
                return None
            return mention.key(CONCEPT)
        if any(token.kind in (STOP, COMMA) for token in gap):
            return None
    return None
