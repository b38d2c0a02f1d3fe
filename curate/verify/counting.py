"""Numbers in a text, and what there is to be counted."""

from collections.abc import Iterator

from curate.verify.lexicon import CONCEPT, concept_key
from curate.verify.reading import Part, Reading
from curate.verify.text import STOP, WORD

__all__ = ["counted", "kinds_asked", "total_of"]

_NONE_OF = ("no", "neither", "nor")
_OF_CLASS = ["object", "of", "class"]
"""Between a number and a label that is no noun: `3 objects of class 10`."""
_REACH = 3
"""A number counts the concept that begins at most so many tokens after it: `12 intact red cells`."""


def kinds_asked(reading: Reading) -> list[str]:
    """The keys of what is to be counted."""
    if reading.ask == "count_total":
        return [concept_key(str(name)) for name in reading.asked.get("concepts", ())]
    return [concept_key(str(reading.asked.get("concept")))]


def total_of(reading: Reading) -> int | None:
    """The total over all kinds asked, where each is known."""
    if reading.ask != "count_total":
        return None
    label_set = str(reading.asked.get("label_set"))
    numbers = [reading.facts.count(label_set, key) for key in kinds_asked(reading)]
    return None if None in numbers else sum(number for number in numbers if number is not None)


def counted(part: Part) -> Iterator[tuple[str | None, float]]:
    """Each number with the concept that it counts; None where it stands alone. `no`, `neither` and `nor` count none."""
    for place, number in part.numbers:
        yield _next_concept(part, place), number
    for mention in part.mentions:
        key = mention.key(CONCEPT)
        before = part.tokens[mention.start - 1].low if mention.start else ""
        if key is not None and before in _NONE_OF:
            yield key, 0.0


def _next_concept(part: Part, place: int) -> str | None:
    for mention in part.mentions:
        gap = part.tokens[place + 1 : mention.start]
        if [token.stem for token in gap] == _OF_CLASS:
            return mention.key(CONCEPT)
        if mention.start > place and len(gap) < _REACH and all(token.kind == WORD for token in gap):
            if any(token.low in ("in", "total", "of", "is", "are") for token in gap):
                return None
            return mention.key(CONCEPT)
        if mention.start > place and any(token.kind == STOP for token in gap):
            return None
    return None
