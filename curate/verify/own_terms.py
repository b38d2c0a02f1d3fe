"""The terms by which a text may name what some assets' annotations and attributes say, beside those of the lexicons."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from curate.dicom_names import spoken
from curate.rows import Annotation, Asset
from curate.schema import Kind
from curate.verify.bodily import places_within
from curate.verify.lexicon import (
    ATTRIBUTE,
    CONCEPT,
    QUANTITY,
    VALUE,
    Index,
    Meaning,
    adjectives_of,
    aliases,
    attribute_key,
    broader,
    concept_key,
    index_of,
    place_key,
    place_terms,
    terms_of,
)
from curate.verify.text import stems

if TYPE_CHECKING:
    from curate.verify.facts import Facts

__all__ = ["GEOMETRY", "LABELS", "SIDE_WORDS", "attributes_of", "own_index"]

LABELS: Final = frozenset({Kind.CLASS, Kind.MULTILABEL})
GEOMETRY: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})
SIDE_WORDS: Final = frozenset(
    {"left", "right", "bilateral", "both", "yes", "no", "true", "false", "none", "nan", "present", "absent"}
)
_ATTRIBUTES: Final = ("modality", "anatomy", "view")
_WELL: Final = frozenset(stems("normal healthy"))
_GENERIC: Final = frozenset(stems("lesion tumor mass tissue cell finding growth"))
"""Nouns that a class's name may be told without: `malignant` for `malignant lesion`."""
_NO: Final = "no "
"""Classes that are named by what is not there: `no tumor`."""
_QUALIFIED: Final = LABELS | GEOMETRY | {Kind.GRADE, Kind.MEASUREMENT}
_UNSPOKEN: Final = (
    "sex",
    "gender",
    "age",
    "patient",
    "name",
    "date",
    "race",
    "ethnic",
    "history",
    "days",
    "offset",
    "id",
    "split",
    "type",
    "url",
    "licence",
    "license",
)
"""Columns with such words in their names say nothing that a picture shows."""
_LONGEST_QUALIFIER: Final = 4


def attributes_of(asset: Asset) -> Iterator[tuple[str, str]]:
    """What is known of the image, in words; a code that nobody can put into words is not known."""
    for name in _ATTRIBUTES:
        value = getattr(asset, name)
        words = spoken(name, value) if value else None
        if words:
            yield name, words


def own_index(facts: "Facts") -> Index:
    """The terms of these assets: their concepts, their attributes, and the values of grades."""
    concepts = {annotation.concept for annotation in facts.annotations.values() if annotation.concept}
    terms = {(concept, Meaning(CONCEPT, concept_key(concept))) for concept in concepts}
    for concept in concepts:
        meaning = Meaning(CONCEPT, concept_key(concept))
        terms |= {(term, meaning) for term in (*place_terms(concept), *adjectives_of(concept))}
    for alias, key in (*_aliases(facts), *_heads(facts)):
        terms |= {(term, Meaning(CONCEPT, key)) for term in (alias, *terms_of(alias))}
    for key, name in _completed(facts):
        terms |= {(term, Meaning(CONCEPT, key)) for term in (name, *terms_of(concept_key(name)))}
    for key, grades in facts.grades.items():
        for annotation in grades:
            for word in (annotation.text, annotation.label, annotation.unit):
                if word and word != annotation.concept:
                    graded = Meaning(VALUE, " ".join(stems(word)), key)
                    names = {f"{word} {annotation.concept}", *(f"{word} {term}" for term in terms_of(key))}
                    terms |= {
                        (word, graded),
                        (f"{word} disease", graded),
                        (f"{word} degree", graded),
                        *((name, graded) for name in names),
                    }
                    terms |= {(name, Meaning(CONCEPT, key)) for name in names}
    for annotation in facts.annotations.values():
        if annotation.kind is Kind.MEASUREMENT and annotation.label and annotation.label != annotation.concept:
            of = Meaning(QUANTITY, concept_key(annotation.concept or ""))
            label = annotation.label.replace("_", " ")
            terms |= {(term, of) for term in (label, *terms_of(concept_key(label)))}
        for said in _qualifiers(annotation):
            terms.add((said, Meaning(VALUE, " ".join(stems(said)), concept_key(annotation.concept or ""))))
    for asset in facts.assets:
        for name, value in attributes_of(asset):
            terms.add((value, Meaning(ATTRIBUTE, attribute_key(name, value), name)))
    return index_of(frozenset(terms))


def _completed(facts: "Facts") -> Iterator[tuple[str, str]]:
    """Keys of findings whose name leaves out the noun that their label set is named by: `subdural` in `hemorrhage`."""
    for label_set in sorted(facts.vocabulary):
        for concept in facts.vocabulary[label_set].concepts:
            for noun in (label_set, label_set.removesuffix("s")):
                name = f"{concept} {noun}".replace("_", " ")
                if terms_of(concept_key(name)) and not terms_of(concept_key(concept)):
                    yield concept_key(concept), name


def _aliases(facts: "Facts") -> Iterator[tuple[str, str]]:
    """Keys of findings that the source calls otherwise, with the keys that it uses."""
    shown = {place for asset in facts.assets for place in _parts_shown(asset.anatomy)}
    known = set(facts.states) | {concept_key(name) for names in facts.vocabulary.values() for name in names.concepts}
    for place in sorted(shown & aliases().keys()):
        for general, specific in aliases()[place]:
            if (general in known) != (specific in known):
                yield (specific, general) if general in known else (general, specific)


def _heads(facts: "Facts") -> Iterator[tuple[str, str]]:
    """General words with the one finding that they can mean here: `nodule`, where only lung nodules are known."""
    measured = {concept_key(a.concept) for a in facts.annotations.values() if a.kind is Kind.MEASUREMENT and a.concept}
    return iter(_heads_of(frozenset(facts.states) | measured | frozenset(facts.grades)))


@functools.lru_cache(maxsize=1024)
def _heads_of(known: frozenset[str]) -> tuple[tuple[str, str], ...]:
    meant: dict[str, set[str]] = {}
    for key in known:
        words = key.split(" ")
        for n in range(1, len(words)):
            head = " ".join(words[n:])
            if (
                not key.startswith(_NO)
                and concept_key(head) not in known
                and (terms_of(concept_key(head)) or head in broader())
            ):
                meant.setdefault(head, set()).add(key)
        if len(words) > 1 and words[-1] in _GENERIC and words[0] != "no" and not place_within(words[:-1]):
            adjective = " ".join(words[:-1])
            if adjective not in known and not terms_of(adjective):
                meant.setdefault(adjective, set()).add(key)
        if words[0] in _WELL and len(words) > 1 and words[0] not in known:
            meant.setdefault(words[0], set()).add(key)
    every = {head: keys | (broader().get(head, frozenset()) & known) for head, keys in meant.items()}
    return tuple(sorted((head, keys.pop()) for head, keys in every.items() if len(keys) == 1))


def place_within(words: list[str]) -> bool:
    """True where words name a place in the body, so that they tell which one is meant and not what it is."""
    return bool(places_within(" ".join(words)))


@functools.lru_cache(maxsize=1024)
def _parts_shown(part: str | None) -> frozenset[str]:
    words = spoken("anatomy", part) if part else None
    return frozenset({place_key(words)}) if words else frozenset()


def _qualifiers(annotation: Annotation) -> Iterator[str]:
    """What further columns say of a finding in words: `mild`, `upper lobe`; no numbers, no sides."""
    if not annotation.qualifiers or annotation.kind not in _QUALIFIED:
        return
    for name, value in annotation.qualifiers.items():
        words = value.replace("_", " ").split()
        if any(part in name.lower().replace("_", " ").split() for part in _UNSPOKEN) or len(words) > _LONGEST_QUALIFIER:
            continue
        if (
            words
            and all(word.replace("-", "").isalpha() for word in words)
            and not SIDE_WORDS & {w.lower() for w in words}
        ):
            yield " ".join(words)
