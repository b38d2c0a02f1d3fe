"""Which places in the body the annotations and attributes of some assets give."""

import functools
from collections.abc import Iterable

from curate.dicom_names import spoken
from curate.rows import Annotation, Asset
from curate.schema import Kind
from curate.verify.lexicon import PLACE, aliases, anatomy, attribute_key, concept_key, general_index, place_key
from curate.verify.text import NUMBER, WORD, tokenise

__all__ = ["implied_places", "places_of", "places_within", "regions_of"]

_PLACED = frozenset(
    {
        "location",
        "localization",
        "localisation",
        "body site",
        "anatom site",
        "anatomical site",
        "site",
        "region",
        "anatomy",
        "body part",
        "body part examined",
        "organ",
        "lobe",
        "quadrant",
        "segment",
        "position",
    }
)
_SPOKEN = (
    Kind.CLASS,
    Kind.MULTILABEL,
    Kind.GRADE,
    Kind.MEASUREMENT,
    Kind.BOX,
    Kind.MASK,
    Kind.POLYGON,
    Kind.POINT,
    Kind.COUNT,
)


def places_of(assets: Iterable[Asset], annotations: Iterable[Annotation]) -> frozenset[str]:
    """The keys of the places that a text about these assets may name."""
    found: set[str] = set()
    shown: set[str] = set()
    for asset in assets:
        found |= _of_asset(asset.modality, asset.anatomy, asset.view)
        words = spoken("anatomy", asset.anatomy) if asset.anatomy else None
        shown |= {place_key(words)} if words else set()
    for annotation in annotations:
        if annotation.concept and annotation.kind in _SPOKEN:
            found |= _of_concept(annotation.concept)
            for part in shown:
                found |= _by_alias(part, annotation.concept)
            found |= places_within(annotation.label or "")
            for value in annotation.qualifiers.values():
                found |= places_within(value)
        elif annotation.kind is Kind.ATTRIBUTE and (annotation.concept or "").lower().replace("_", " ") in _PLACED:
            found |= places_within(annotation.text or "")
    return frozenset(found | {region for place in found for region in regions_of(place)})


@functools.lru_cache(maxsize=4096)
def regions_of(key: str) -> tuple[str, ...]:
    """The regions that a place lies in, from the nearest outwards."""
    around = _within().get(key)
    return (around, *regions_of(around)) if around is not None else ()


@functools.cache
def _within() -> dict[str, str]:
    return {place_key(place): place_key(region) for place, region in anatomy().within.items()}


@functools.lru_cache(maxsize=1024)
def _of_asset(modality: str | None, part: str | None, view: str | None) -> frozenset[str]:
    found: set[str] = set()
    for name, value in (("modality", modality), ("anatomy", part), ("view", view)):
        words = spoken(name, value) if value else None
        if not words:
            continue
        found |= places_within(words)
        if name == "anatomy":
            found.add(place_key(words))
        if name == "modality":
            found |= {
                place_key(place)
                for kind, places in anatomy().modality.items()
                if attribute_key("modality", words) == attribute_key("modality", kind)
                for place in places
            }
    return frozenset(found)


@functools.lru_cache(maxsize=4096)
def _of_concept(name: str) -> frozenset[str]:
    """The places in a concept's name, and those that it has by its definition."""
    return places_within(name) | _implied().get(concept_key(name), frozenset())


@functools.lru_cache(maxsize=4096)
def _by_alias(part: str, name: str) -> frozenset[str]:
    """The places of what a finding is called where only one part of the body is shown: a nodule of the chest is one of
    the lung."""
    key = concept_key(name)
    return frozenset().union(
        *(places_within(specific) for general, specific in aliases().get(part, ()) if general == key)
    )


def implied_places(key: str) -> frozenset[str]:
    """The places that a finding has by its definition."""
    return _implied().get(key, frozenset())


@functools.cache
def _implied() -> dict[str, frozenset[str]]:
    return {concept_key(name): frozenset(map(place_key, places)) for name, places in anatomy().finding.items()}


@functools.lru_cache(maxsize=4096)
def places_within(text: str) -> frozenset[str]:
    """The keys of the places that a text names, also within longer names: `left lower lobe` holds `lobe`."""
    tokens = tokenise(text.replace("_", " "))
    words = tuple(token.stem if token.kind in (WORD, NUMBER) else "\0" for token in tokens)
    return frozenset(meaning.key for _, _, meaning in general_index().found(tokens, words) if meaning.kind == PLACE)
