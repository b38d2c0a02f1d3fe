"""Organs that are said to be sound, which denies what the source could have found there: `the heart is of normal size`.

Such a statement is read as a denial of each finding that the source can tell of that place. How far it must be proved
is for the rules: see `Mention.implied`.
"""

import functools
from collections.abc import Sequence
from typing import Final

from curate.verify.bodily import implied_places, regions_of
from curate.verify.compounds import joins
from curate.verify.lexicon import CONCEPT, PLACE, Index, Meaning, Mention, aliases, place_key, terms_of
from curate.verify.name_parts import places_of_name
from curate.verify.roots import root
from curate.verify.text import Token, stem

__all__ = ["sounded"]

_UNHARMED: Final = frozenset(
    {"intact", "uninjured", "undamaged", "unharmed", "unbroken", "untorn", "unfractured", "unruptured", "undisturbed"}
)
_SOUND: Final = frozenset({"normal", "unremarkable", "intact", "clear", "preserved", "healthy"}) | _UNHARMED
_LIMITS: Final = (("within", "normal", "limits"), ("within", "the", "normal", "range"), ("within", "normal", "range"))
_SIZES: Final = frozenset(
    map(
        stem,
        ["size", "sized", "calibre", "caliber", "width", "dimensions", "dimension", "diameter", "breadth", "extent"],
    )
)
_ENLARGED: Final = frozenset(
    map(
        root,
        [
            "enlargement",
            "dilatation",
            "widening",
            "widened",
            "big",
            "large",
            "small",
            "atrophy",
            "swelling",
            "distension",
            "hypertrophy",
            "aneurysm",
            "narrowing",
            "ectasia",
            "megaly",
            "cardiomegaly",
            "hepatomegaly",
            "splenomegaly",
        ],
    )
)
_BROKEN: Final = frozenset(
    map(
        root,
        [
            "tear",
            "fracture",
            "rupture",
            "disruption",
            "injury",
            "dislocation",
            "perforation",
            "detachment",
            "defect",
            "erosion",
            "discontinuity",
            "ulcer",
            "laceration",
            "break",
            "wound",
            "hole",
            "destruction",
            "lysis",
        ],
    )
)
_FORMS: Final = frozenset(
    map(
        stem,
        [
            "size",
            "sized",
            "calibre",
            "caliber",
            "width",
            "dimensions",
            "dimension",
            "diameter",
            "shape",
            "shaped",
            "appearance",
            "contour",
            "outline",
            "in",
            "of",
            "form",
            "position",
            "breadth",
            "extent",
            "thickness",
            "structure",
            "looking",
            "appearing",
            "configuration",
            "limits",
            "range",
            "within",
            "on",
        ],
    )
)
"""Words for that in which an organ is sound, and what joins them to it."""
_REACH: Final = 8


def sounded(
    tokens: Sequence[Token],
    found: tuple[Mention, ...],
    indexes: tuple[Index, ...],
    spoken_of: Sequence[tuple[int, str]] = (),
) -> tuple[tuple[Mention, ...], frozenset[int]]:
    """The mentions with what a sound organ denies, and the places of the words that say so."""
    lows = [token.low for token in tokens]
    if _SOUND.isdisjoint(lows):
        return found, frozenset()
    covered = {at for mention in found for at in range(mention.start, mention.end)}
    result, taken = list(found), set[int]()
    for at, low in enumerate(lows):
        if low not in _SOUND or at in covered:
            continue
        places, span = _subjects(tokens, found, at)
        keys = sorted({key for mention in places for key in _findings_at(mention.key(PLACE) or "", indexes)})
        if not places and (place := _by_pronoun(tokens, at, spoken_of)) is not None:
            keys = list(_findings_at(place, indexes))
        if any(tokens[n].stem in _SIZES for n in span):
            keys = [key for key in keys if _is_named_by(key, _ENLARGED)]
        elif low in _UNHARMED:
            keys = [key for key in keys if _is_named_by(key, _BROKEN)]
        if not keys:
            continue
        result += [Mention(at, at + 1, (Meaning(CONCEPT, key),), denies=True, implied=True) for key in keys]
        taken.update(n for n in span if tokens[n].stem in _FORMS or n == at)
        for phrase in _LIMITS:
            for start in range(max(0, at - 2), at + 1):
                if tuple(lows[start : start + len(phrase)]) == phrase:
                    taken.update(range(start, start + len(phrase)))
    return tuple(sorted(result, key=lambda mention: mention.start)), frozenset(taken)


def _by_pronoun(tokens: Sequence[Token], at: int, spoken_of: Sequence[tuple[int, str]]) -> str | None:
    """The place that was spoken of last, where a pronoun stands for it: `the heart is enlarged; it is not normal`."""
    for place in range(at - 1, max(-1, at - 1 - _REACH), -1):
        if tokens[place].low in ("it", "they"):
            return next((key for end, key in reversed(spoken_of) if end <= place), None)
        if not _links(tokens[place]):
            return None
    return None


def _subjects(tokens: Sequence[Token], found: Sequence[Mention], at: int) -> tuple[list[Mention], range]:
    """The places of which a word at a token says that they are sound, and the tokens from the first to the last."""
    places = [m for m in found if m.key(PLACE) is not None and m.key(CONCEPT) is None]
    subjects: list[Mention] = []
    start, end = at, at + 1
    for mention in reversed([m for m in places if m.end <= at]):
        if start - mention.end > _REACH or not all(_links(tokens[n]) for n in range(mention.end, start)):
            break
        if subjects and not any(tokens[n].low in ("and", "or", "nor", ",") for n in range(mention.end, start)):
            break
        subjects.append(mention)
        start = mention.start
    if not subjects:
        for mention in (m for m in places if m.start > at):
            if mention.start - end > _REACH or not all(_links(tokens[n]) for n in range(end, mention.start)):
                break
            if subjects and not any(tokens[n].low in ("and", "or", "nor", ",") for n in range(end, mention.start)):
                break
            subjects.append(mention)
            end = mention.end
    while end < len(tokens) and tokens[end].stem in _FORMS:
        end += 1
    return subjects, range(start, end)


def _links(token: Token) -> bool:
    return joins(token) or token.stem in _FORMS or token.low in _SOUND


@functools.lru_cache(maxsize=4096)
def _findings_at(place: str, indexes: tuple[Index, ...]) -> tuple[str, ...]:
    """The findings that a source can tell of a place or of what lies in it."""
    keys = {key for index in indexes for key in index.names}
    return tuple(
        sorted(
            key
            for key in keys
            if any(place == at or place in regions_of(at) for at in _places_of(key, indexes)) and not _is_sound(key)
        )
    )


def _is_sound(key: str) -> bool:
    first = key.split(" ", maxsplit=1)[0]
    return first in ("normal", "no", "healthy") or place_key(key) != key


@functools.lru_cache(maxsize=8192)
def _places_of(key: str, indexes: tuple[Index, ...]) -> frozenset[str]:
    names = {term for index in indexes for term in index.names.get(key, ())} | set(terms_of(key))
    found = {place for name in names for place in places_of_name(name)} | implied_places(key)
    for pairs in aliases().values():
        for general, specific in pairs:
            if general == key:
                found |= {place for term in terms_of(specific) for place in places_of_name(term)}
    return frozenset(found)


@functools.lru_cache(maxsize=8192)
def _is_named_by(key: str, roots: frozenset[str]) -> bool:
    names = {key, *terms_of(key)}
    return any(root(word.removeprefix("cardio")) in roots for name in names for word in name.split())
