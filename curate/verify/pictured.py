"""With what a picture was made, as far as a text says it by other words than its name."""

import functools
from collections.abc import Mapping, Sequence

import msgspec

from curate.verify.lexicon import ATTRIBUTE, Meaning, anatomy, attribute_key, attribute_keys, place_key, read_yaml
from curate.verify.reading import Reading

__all__ = ["implies_modality", "is_of_shown", "places_implied"]


@functools.cache
def _implied() -> Mapping[str, frozenset[str]]:
    """`lexicons/implied_modalities.yaml`."""
    raw = msgspec.convert(read_yaml("implied_modalities.yaml"), dict[str, tuple[str, ...]])
    return {word: frozenset(attribute_key("modality", name) for name in names) for word, names in raw.items()}


def implies_modality(reading: Reading) -> bool:
    """True where an answer calls the picture by a word that its modality goes by: `a frontal chest film`."""
    shown = reading.facts.attributes.get("modality", set())
    table = _implied()
    return any(not shown.isdisjoint(table.get(token.low, ())) for token in reading.answer.tokens)


def is_of_shown(meaning: Meaning, reading: Reading) -> bool:
    """True for the name of a modality that is the image's, of the part of the body that it shows: an echocardiogram is
    an ultrasound image of the heart."""
    if meaning.of != "modality":
        return False
    kinds = attribute_keys("modality", meaning.key) - {meaning.key}
    if kinds.isdisjoint(reading.facts.attributes.get("modality", ())):
        return False
    shown = _places_of(meaning.key)
    return bool(shown) and shown <= reading.facts.places


def places_implied(meanings: Sequence[Meaning]) -> frozenset[str]:
    """The places that the names of modalities say to be shown: a mammogram shows a breast."""
    said = [meaning.key for meaning in meanings if meaning.kind == ATTRIBUTE and meaning.of == "modality"]
    return frozenset().union(*map(_places_of, said))


@functools.lru_cache(maxsize=1024)
def _places_of(key: str) -> frozenset[str]:
    return frozenset(
        place_key(place)
        for kind, places in anatomy().modality.items()
        if attribute_key("modality", kind) == key
        for place in places
    )
