"""The names of a source's findings, taken apart into the places and the words that they are made of."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from curate.verify.bodily import regions_of
from curate.verify.lexicon import Index, anatomy, concept_key, contents, place_key, terms_of
from curate.verify.roots import root, unlike_roots
from curate.verify.text import stems

__all__ = ["FINDING_UNIT", "PLACE_UNIT", "ROOT_UNIT", "Compound", "Unit", "compounds_of", "places_of_name"]

Unit = tuple[str, str]
"""What a name is made of: a place, a finding or a root, with its key."""

PLACE_UNIT: Final = "p"
FINDING_UNIT: Final = "c"
ROOT_UNIT: Final = "r"
_ROOT_LENGTH: Final = 4
"""A root of fewer letters stands for no name by itself."""
_FILLERS: Final = frozenset({"of", "the", "in", "a", "an", "with", "and", "to", "on", "within", "by", "for"})


class Compound(msgspec.Struct, frozen=True):
    """A name by its parts; `whole` if they are all of them, else `places` are left out that go without saying."""

    units: frozenset[Unit]
    key: str
    whole: bool
    places: frozenset[str] = frozenset()


@functools.lru_cache(maxsize=1024)
def compounds_of(indexes: tuple[Index, ...]) -> Mapping[Unit, tuple[Compound, ...]]:
    """The names of findings in some indexes, by each of the parts that are no place."""
    keys = sorted({key for index in indexes for key in index.names})
    names: dict[frozenset[Unit], set[str]] = {}
    short: dict[frozenset[Unit], set[str]] = {}
    left_out: dict[frozenset[Unit], set[str]] = {}
    for key in keys:
        own = {term for index in indexes for term in index.names.get(key, ())}
        for term in sorted({*own, *terms_of(key)}):
            for units in _taken_apart(term):
                said = frozenset(unit for unit in units if unit[0] != PLACE_UNIT)
                if _tells(said, alone=len(units) == 1):
                    names.setdefault(frozenset(units), set()).add(key)
                if said < units and _tells(said, alone=True):
                    short.setdefault(said, set()).add(key)
                    left_out.setdefault(said, set()).update(_around(key for kind, key in units if kind == PLACE_UNIT))
    for word, pairs in contents().items():
        for place, key in pairs.items():
            if key in keys:
                names.setdefault(frozenset({(PLACE_UNIT, place), (ROOT_UNIT, root(word))}), set()).add(key)
    return _by_unit(names, short, left_out)


def _by_unit(
    names: Mapping[frozenset[Unit], set[str]],
    short: Mapping[frozenset[Unit], set[str]],
    left_out: Mapping[frozenset[Unit], set[str]],
) -> Mapping[Unit, tuple[Compound, ...]]:
    """The names that mean one finding, by each of their parts that is no place."""
    result: dict[Unit, list[Compound]] = {}
    for group, whole in ((names, True), (short, False)):
        for units, meant in group.items():
            if len(meant) != 1 or (not whole and units in names):
                continue
            (key,) = meant
            places = frozenset() if whole else frozenset(left_out[units])
            for unit in units:
                if unit[0] != PLACE_UNIT:
                    result.setdefault(unit, []).append(Compound(units, key, whole, places))
    return {unit: tuple(found) for unit, found in result.items()}


def _around(places: Iterable[str]) -> Iterator[str]:
    """Places, and the regions that they lie in."""
    for place in places:
        yield place
        yield from regions_of(place)


@functools.lru_cache(maxsize=4096)
def _is_placeless(key: str) -> bool:
    """True for a finding that is named alike wherever it is: a calculus; not an effusion, which is pleural."""
    if not unlike_roots().isdisjoint(map(root, key.split(" "))):
        return False
    return not any(places_of_name(name) for name in terms_of(key))


def _tells(said: frozenset[Unit], *, alone: bool) -> bool:
    """True where the parts that are no place say what the finding is."""
    telling = [unit for unit in said if unit[0] == FINDING_UNIT or unit[1] not in unlike_roots()]
    if not telling:
        return False
    if not alone:
        return True
    return any(_is_placeless(unit[1]) if unit[0] == FINDING_UNIT else len(unit[1]) >= _ROOT_LENGTH for unit in telling)


def places_of_name(name: str) -> frozenset[str]:
    """The places in the name of a finding."""
    return frozenset(key for way in _taken_apart(name) for kind, key in way if kind == PLACE_UNIT)


@functools.cache
def _place_parts() -> Mapping[tuple[str, ...], str]:
    return {stems(term): place_key(term) for group in anatomy().places for term in group}


@functools.lru_cache(maxsize=65536)
def _taken_apart(term: str) -> tuple[frozenset[Unit], ...]:
    """A name as its parts: places and roots, and places and the finding that the rest is."""
    words = [
        word
        for word in term.replace("_", " ").replace("-", " ").replace("/", " ").split()
        if word.lower() not in _FILLERS
    ]
    places: list[Unit] = []
    rest: list[str] = []
    at = 0
    while at < len(words):
        length = next(
            (n for n in (3, 2, 1) if stems(" ".join(words[at : at + n])) in _place_parts() and at + n <= len(words)), 0
        )
        if length:
            places.append((PLACE_UNIT, _place_parts()[stems(" ".join(words[at : at + length]))]))
            at += length
        else:
            rest.append(words[at])
            at += 1
    if not rest:
        return ()
    ways = [frozenset((*places, *((ROOT_UNIT, root(word)) for word in rest)))]
    key = concept_key(" ".join(rest))
    if places and terms_of(key):
        ways.append(frozenset((*places, (FINDING_UNIT, key))))
    for n in range(1, len(rest)):
        head = concept_key(" ".join(rest[n:]))
        if terms_of(head):
            ways.append(frozenset((*places, *((ROOT_UNIT, root(word)) for word in rest[:n]), (FINDING_UNIT, head))))
    return tuple(dict.fromkeys(ways))
