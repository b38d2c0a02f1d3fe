"""Findings told in other words than their names: as what an organ is, as what is in a place, by a word of one family.

A source names its findings in a few fixed ways. The same is said by its parts in another order and form: `the pleura
is thickened` for pleural thickening, `the discs have herniated` for disc herniation, `a stenosis of the canal` for
spinal canal stenosis. A name is taken apart into the places and the words that it is made of; a text tells it where it
holds all of them, with nothing between but what only joins them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from curate.verify.bodily import places_within
from curate.verify.cue_words import cues
from curate.verify.lexicon import (
    ATTRIBUTE,
    CONCEPT,
    PLACE,
    VALUE,
    Index,
    Meaning,
    Mention,
)
from curate.verify.name_parts import FINDING_UNIT, PLACE_UNIT, ROOT_UNIT, Compound, Unit, compounds_of
from curate.verify.part import SIDES
from curate.verify.roots import bare_root, form_roots, is_word, root, stand_alone
from curate.verify.text import COMMA, WORD, Token

__all__ = ["composed", "joins"]

_REACH: Final = 7
"""So many tokens may stand between two parts of a name."""
_JOINING: Final = frozenset(
    [
        "a",
        "all",
        "also",
        "an",
        "and",
        "any",
        "appearance",
        "appearances",
        "are",
        "at",
        "be",
        "became",
        "become",
        "becomes",
        "been",
        "being",
        "both",
        "cavities",
        "cavity",
        "compartment",
        "compartments",
        "contour",
        "devoid",
        "each",
        "either",
        "evidence",
        "free",
        "from",
        "in",
        "inside",
        "into",
        "is",
        "its",
        "itself",
        "look",
        "looks",
        "neither",
        "never",
        "no",
        "nor",
        "not",
        "of",
        "or",
        "sac",
        "seem",
        "seems",
        "shape",
        "sign",
        "signs",
        "size",
        "somewhat",
        "space",
        "spaces",
        "that",
        "the",
        "themselves",
        "there",
        "these",
        "this",
        "to",
        "which",
        "with",
        "within",
        "without",
    ]
)
"""Words that only join the parts of a name."""
_PRONOUNS: Final = frozenset({"it", "they", "them", "its", "their"})
"""Words that stand for the place that was spoken of last."""


class _Item(msgspec.Struct, frozen=True):
    """A part of a name in a text: its tokens, what it may stand for, and the mention that it is, if one."""

    start: int
    end: int
    units: frozenset[Unit]
    mention: Mention | None


def composed(
    tokens: Sequence[Token],
    found: tuple[Mention, ...],
    indexes: tuple[Index, ...],
    spent: frozenset[int] = frozenset(),
    spoken_of: Sequence[tuple[int, str]] = (),
) -> tuple[tuple[Mention, ...], frozenset[int]]:
    """The mentions with the findings that are told by their parts, and the places of the tokens that belong to these.

    `spent`: tokens that are part of what other rules have read already. `spoken_of`: where each place has been
    named, and its key.
    """
    table = compounds_of(indexes)
    if not table:
        return found, frozenset()
    items = _items(tokens, found, spent, spoken_of)
    result, taken = list(found), set[int]()
    for item in items:
        if item.mention is not None and item.mention.key(CONCEPT) is not None and _own(item.mention, indexes):
            continue
        for compound in _candidates(item, table):
            exact = len(compound.units) == 1 and (FINDING_UNIT, _key_of(item)) in compound.units
            if not compound.whole and (
                (_names_a_finding(item) and not exact) or _before_finding(item, items, compound.key)
            ):
                continue  # `an enlarged polyp` is no enlargement of another thing
            if _is_elsewhere(item, compound, tokens):
                continue
            parts = _parts(item, compound, items, tokens)
            said = [part for part in parts or () if part is item or not _is_place(part)]
            if parts is None or not taken.isdisjoint(_tokens_of(part for part in parts if not _is_place(part))):
                continue
            last = max(said, key=lambda part: part.end)
            gone = {id(part.mention) for part in parts if part.mention is not None}
            result = [mention for mention in result if id(mention) not in gone]
            result.append(_told(last, compound.key))
            taken.update(_tokens_of(parts))
            for other in _alike(item, compound, table):
                further = _parts(item, other, items, tokens)
                if further is not None:
                    taken.update(_tokens_of(further))
                    result.append(_told(item, other.key))
            break
    if not taken:
        return found, frozenset()
    return tuple(sorted(result, key=lambda mention: mention.start)), frozenset(taken)


def _is_elsewhere(item: _Item, compound: Compound, tokens: Sequence[Token]) -> bool:
    """True for a finding that names a place of its own: `pleural effusion` is none of the abdomen."""
    if not _names_a_finding(item):
        return False
    named = places_within(" ".join(token.low for token in tokens[item.start : item.end - 1]))
    own = compound.places | {key for kind, key in compound.units if kind == PLACE_UNIT}
    return bool(named) and bool(own) and named.isdisjoint(own)


def _told(item: _Item, key: str) -> Mention:
    """A finding where a part of its name stands; a side within that part stays outside of the name."""
    split = item.mention is not None and item.mention.split
    return Mention(item.start, item.end, (Meaning(CONCEPT, key),), split=split)


def _key_of(item: _Item) -> str | None:
    return item.mention.key(CONCEPT) if item.mention is not None else None


def _names_a_finding(item: _Item) -> bool:
    return item.mention is not None and item.mention.key(CONCEPT) is not None


def _before_finding(item: _Item, items: Sequence[_Item], key: str) -> bool:
    return any(
        other.start == item.end
        and _names_a_finding(other)
        and (
            (FINDING_UNIT, key) not in other.units
            or any(name in form_roots() for kind, name in item.units if kind == ROOT_UNIT)
        )
        for other in items
    )


def _tokens_of(parts: Iterable[_Item]) -> set[int]:
    return {place for part in parts for place in range(part.start, part.end)}


def _alike(item: _Item, compound: Compound, table: Mapping[Unit, tuple[Compound, ...]]) -> Iterator[Compound]:
    """The names that say the same of further places: `neither the ligament nor the meniscus is torn`."""
    said = {unit for unit in compound.units if unit[0] != PLACE_UNIT}
    for other in _candidates(item, table):
        same = {unit for unit in other.units if unit[0] != PLACE_UNIT} == said
        if same and other.whole and other.key != compound.key:
            yield other


def _is_place(part: _Item) -> bool:
    return part.mention is not None and part.mention.key(PLACE) is not None and part.mention.key(CONCEPT) is None


def _own(mention: Mention, indexes: tuple[Index, ...]) -> bool:
    """True for a finding that the source itself names."""
    key = mention.key(CONCEPT)
    return any(key in index.names for index in indexes)


def _items(
    tokens: Sequence[Token], found: Sequence[Mention], spent: frozenset[int], spoken_of: Sequence[tuple[int, str]]
) -> list[_Item]:
    """The mentions of places and findings, and the words that are in none."""
    items = []
    covered = set(spent)
    for mention in found:
        if mention.key(ATTRIBUTE) is not None or mention.key(VALUE) is not None:
            covered.update(range(mention.start, mention.end))
            continue
        place, concept = mention.key(PLACE), mention.key(CONCEPT)
        units = {(PLACE_UNIT, place)} if place is not None else set()
        units |= {(FINDING_UNIT, concept)} if concept is not None else set()
        if mention.end - mention.start == 1:
            units |= _rooted(tokens[mention.start])
        items.append(_Item(mention.start, mention.end, frozenset(units), mention))
        covered.update(range(mention.start, mention.end))
    for place_, token in enumerate(tokens):
        if token.kind == WORD and place_ not in covered:
            units = _rooted(token)
            before = [place for end, place in spoken_of if end <= place_]
            if token.low in _PRONOUNS and before:
                units = {(PLACE_UNIT, before[-1])}
            items.append(_Item(place_, place_ + 1, frozenset(units), None))
    return sorted(items, key=lambda item: item.start)


def _rooted(token: Token) -> set[Unit]:
    """The root of a word; none of a word that is cut off, so that nothing but a root is left of it."""
    if token.low in stand_alone() or (token.low == bare_root(token.raw) and not is_word(token.low)):
        return set()
    return {(ROOT_UNIT, root(token.raw))}


def _candidates(item: _Item, table: Mapping[Unit, tuple[Compound, ...]]) -> Iterator[Compound]:
    """The names that a part may be the telling one of, the longest first."""
    every = [compound for unit in item.units if unit[0] != PLACE_UNIT for compound in table.get(unit, ())]
    yield from sorted(every, key=lambda compound: (not compound.whole, -len(compound.units), compound.key))


def _parts(item: _Item, compound: Compound, items: Sequence[_Item], tokens: Sequence[Token]) -> list[_Item] | None:
    """The parts of a name around one of them; None where one is missing or something else stands between."""
    wanted = compound.units - item.units
    parts = [item]
    for unit in sorted(wanted):
        near = [other for other in items if unit in other.units and other not in parts]
        near = [other for other in near if _joined(parts, other, items, tokens)]
        if not near:
            return None
        parts.append(min(near, key=lambda other: min(_gap(part, other) for part in parts)))
    if not compound.whole:
        for other in list(items):
            if (
                any(kind == PLACE_UNIT for kind, _ in other.units)
                and other not in parts
                and _joined(parts, other, items, tokens)
            ):
                if not any(kind == PLACE_UNIT and key in compound.places for kind, key in other.units):
                    return None  # `the kidneys are obstructed` is no obstruction of the bowel
                parts.append(other)
    return parts


def _gap(one: _Item, other: _Item) -> int:
    return other.start - one.end if other.start >= one.end else one.start - other.end


def _joined(parts: Sequence[_Item], other: _Item, items: Sequence[_Item], tokens: Sequence[Token]) -> bool:
    nearest = min(parts, key=lambda part: _gap(part, other))
    first, second = (nearest, other) if nearest.start < other.start else (other, nearest)
    between = range(first.end, second.start)
    if len(between) > _REACH:
        return False
    within = {at for part in parts for at in range(part.start, part.end)}
    listed = (
        {at for item in items if item.mention is not None for at in range(item.start, item.end)}
        if _lists(tokens, between)
        else set()
    )
    return all(at in within or at in listed or joins(tokens[at]) for at in between)


def _lists(tokens: Sequence[Token], between: range) -> bool:
    return any(tokens[at].low in ("and", "or", "nor", ",") for at in between)


def joins(token: Token) -> bool:
    """True for a word that may stand between the parts of a name and says nothing itself."""
    words = cues()
    return (
        token.low in _JOINING
        or token.kind == COMMA
        or token.low in words.auxiliaries
        or token.low in words.actives
        or token.low in words.predicates
        or token.low in SIDES
        or (token.kind == WORD and token.low.endswith("ly"))
    )
