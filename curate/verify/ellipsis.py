"""Findings whose noun an English text leaves out or replaces by `one`: `a cold nodule and no hot one`, `bacterial`."""

import functools
from collections.abc import Mapping, Sequence
from typing import Final

from curate.verify.bodily import places_within
from curate.verify.common_words import known_stems
from curate.verify.lexicon import CONCEPT, Index, Meaning, Mention
from curate.verify.part import SIDES
from curate.verify.text import WORD, Token, stems

__all__ = ["with_left_out"]

_ONES: Final = frozenset({"one", "ones"})
_LONGEST: Final = 3
"""So many words may tell one finding from another of the same noun: `low grade`, `ground glass`."""
_AFTER: Final = frozenset(
    {"and", "or", "but", "not", "nor", "rather", "than", "is", "are", "was", "were", "while", "whereas", "in", "on"}
)  # fmt: skip
"""Words before which an adjective stands without its noun."""


def with_left_out(
    tokens: Sequence[Token], found: tuple[Mention, ...], indexes: tuple[Index, ...]
) -> tuple[Mention, ...]:
    """The mentions with those whose noun is left out or is `one`."""
    result = list(found)
    table = _modifiers(indexes)
    for place, token in enumerate(tokens):
        if token.low in _ONES:
            heads = {tokens[m.end - 1].stem for m in found if m.end <= place and m.key(CONCEPT) is not None}
            _put(result, tokens, place, heads, indexes)
    if not table:
        return tuple(sorted(result, key=lambda mention: mention.start))
    own = {place for m in result if _is_own(m, indexes) for place in range(m.start, m.end)}
    place = 0
    while place < len(tokens):
        length = next((n for n in range(_LONGEST, 0, -1) if _told_alone(tokens, place, n, table, own)), 0)
        if length:
            meaning = table[tuple(token.stem for token in tokens[place : place + length])]
            result = [m for m in result if m.end <= place or m.start >= place + length]
            result.append(Mention(place, place + length, (meaning,)))
        place += length or 1
    return tuple(sorted(result, key=lambda mention: mention.start))


def _told_alone(
    tokens: Sequence[Token], place: int, length: int, table: Mapping[tuple[str, ...], Meaning], own: set[int]
) -> bool:
    end = place + length
    if end > len(tokens) or tuple(token.stem for token in tokens[place:end]) not in table:
        return False
    if not own.isdisjoint(range(place, end)):
        return False
    return end == len(tokens) or tokens[end].kind != WORD or tokens[end].low in _AFTER


def _is_own(mention: Mention, indexes: tuple[Index, ...]) -> bool:
    return any(mention.key(CONCEPT) in index.names for index in indexes)


def _put(
    result: list[Mention], tokens: Sequence[Token], place: int, heads: set[str], indexes: tuple[Index, ...]
) -> None:
    """Put a finding in the place of `one` and the words before it that tell which."""
    for start in range(max(0, place - _LONGEST), place):
        front = tuple(token.stem for token in tokens[start:place])
        meaning = _named(front, heads, indexes) if all(token.kind == WORD for token in tokens[start:place]) else None
        if meaning is not None:
            result[:] = [other for other in result if other.end <= start or other.start > place]
            result.append(Mention(start, place + 1, (meaning,)))
            return


def _named(front: tuple[str, ...], heads: set[str], indexes: tuple[Index, ...]) -> Meaning | None:
    every = (index.meaning_of((*front, head)) for head in sorted(heads) for index in reversed(indexes))
    return next((m for m in every if m is not None and m.kind == CONCEPT), None)


@functools.lru_cache(maxsize=1024)
def _modifiers(indexes: tuple[Index, ...]) -> Mapping[tuple[str, ...], Meaning]:
    """The words that tell apart the findings of a source which end with the same noun: `bacterial`, `viral`."""
    names = {(stems(term), key) for index in indexes for key, terms in index.names.items() for term in terms}
    heads: dict[str, set[str]] = {}
    for parts, key in names:
        if len(parts) > 1:
            heads.setdefault(parts[-1], set()).add(key)
    meant: dict[tuple[str, ...], set[str]] = {}
    for parts, key in names:
        front = parts[:-1]
        if front and len(heads[parts[-1]]) > 1 and len(front) <= _LONGEST and _tells(front):
            meant.setdefault(front, set()).add(key)
    known = {key for index in indexes for key in index.names}
    return {
        front: Meaning(CONCEPT, next(iter(keys)))
        for front, keys in meant.items()
        if len(keys) == 1 and " ".join(front) not in known
    }


def _tells(front: tuple[str, ...]) -> bool:
    """True for words that are neither ordinary nor a place or side."""
    words = " ".join(front)
    return not places_within(words) and not any(word in known_stems() or word in SIDES for word in front)
