"""What the annotations of the assets of one draft allow a text to say.

Written independently of `tasks`: both read the label world from the annotations, neither from the other.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from curate.dicom_names import spoken
from curate.rows import Annotation, Asset
from curate.schema import Kind, State, World
from curate.verify.lexicon import (
    ATTRIBUTE,
    CONCEPT,
    VALUE,
    Index,
    Meaning,
    attribute_key,
    concept_key,
    index_of,
    vocabulary_index,
)
from curate.verify.text import stems
from curate.vocabulary import Vocabulary

__all__ = ["Facts", "collect"]

LABELS: Final = frozenset({Kind.CLASS, Kind.MULTILABEL})
GEOMETRY: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})
_ATTRIBUTES: Final = ("modality", "anatomy", "view")


@dataclass(slots=True)
class Facts:
    """Everything keyed by `concept_key`; `states` holds what is stated and what silence tells."""

    assets: tuple[Asset, ...]
    annotations: Mapping[str, Annotation]
    by_id: Mapping[str, Asset]
    states: dict[str, set[State]] = field(default_factory=dict)
    sides: dict[str, set[str]] = field(default_factory=dict)
    objects: dict[tuple[str, str], list[Annotation]] = field(default_factory=dict)
    exhaustive: set[str] = field(default_factory=set)  # label sets
    closed: set[str] = field(default_factory=set)  # label sets that are exclusive or complete
    regions: set[str] = field(default_factory=set)  # label sets whose geometry is no instance: nothing is counted
    stated_counts: dict[tuple[str, str], set[float]] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)  # label set -> keys that it can name
    attributes: dict[str, set[str]] = field(default_factory=dict)
    grades: dict[str, list[Annotation]] = field(default_factory=dict)
    indexes: tuple[Index, ...] = ()

    def state(self, key: str) -> State | None:
        """The one state of a concept; None where nothing is known or the source contradicts itself."""
        states = self.states.get(key, set())
        return next(iter(states)) if len(states) == 1 else None

    def count(self, label_set: str, key: str) -> int | None:
        """How many there are, where the source says or shows it."""
        stated = self.stated_counts.get((label_set, key))
        if stated is not None:
            number = next(iter(stated))
            return int(number) if len(stated) == 1 and number.is_integer() else None
        marked = self.objects.get((label_set, key), [])
        if label_set not in self.exhaustive or label_set in self.regions:
            return None
        if any("crowd" in annotation.flags for annotation in marked):
            return None
        return len(marked) if marked or key in self.kinds.get(label_set, ()) else None

    def box(self, annotation: Annotation) -> tuple[int, ...] | None:
        """The box as a text writes it: floor and ceiling, within the image; a box in a volume is never written."""
        if annotation.box is None or annotation.frame == "volume":
            return None
        asset = self.by_id[annotation.asset_id]
        x0, y0, x1, y1 = annotation.box
        return (
            max(0, math.floor(x0)),
            max(0, math.floor(y0)),
            min(asset.width, math.ceil(x1)),
            min(asset.height, math.ceil(y1)),
        )

    def point(self, annotation: Annotation) -> tuple[int, ...] | None:
        """The point as a text writes it: the pixel in which it lies."""
        if annotation.point is None or annotation.frame == "volume":
            return None
        asset = self.by_id[annotation.asset_id]
        x, y = annotation.point
        return (min(asset.width - 1, math.floor(x)), min(asset.height - 1, math.floor(y)))


def collect(assets: tuple[Asset, ...], annotations: tuple[Annotation, ...], vocabulary: Vocabulary) -> Facts:
    """The facts of some assets."""
    known = {asset.asset_id: asset for asset in assets}
    facts = Facts(assets, {a.annotation_id: a for a in annotations if a.asset_id in known}, known)
    for annotation in facts.annotations.values():
        _add(facts, annotation)
    _add_silence(facts, vocabulary)
    for asset in assets:
        for name, value in _attributes_of(asset):
            facts.attributes.setdefault(name, set()).add(attribute_key(name, value))
    names = frozenset(name for group in vocabulary.values() for name in group.concepts)
    facts.indexes = (vocabulary_index(names), _own_index(facts))
    return facts


def _attributes_of(asset: Asset) -> Iterator[tuple[str, str]]:
    """What is known of the image, in words; a code that nobody can put into words is not known."""
    for name in _ATTRIBUTES:
        value = getattr(asset, name)
        words = spoken(name, value) if value else None
        if words:
            yield name, words


def _add(facts: Facts, annotation: Annotation) -> None:
    if annotation.exhaustive:
        facts.exhaustive.add(annotation.label_set)
    if annotation.world is not World.OPEN:
        facts.closed.add(annotation.label_set)
    if "region" in annotation.flags:
        facts.regions.add(annotation.label_set)
    if not annotation.concept:
        return
    key, state = concept_key(annotation.concept), annotation.state or State.PRESENT
    if annotation.kind in LABELS or annotation.kind in GEOMETRY:
        facts.states.setdefault(key, set()).add(state)
        facts.kinds.setdefault(annotation.label_set, set()).add(key)
        if annotation.side:
            facts.sides.setdefault(key, set()).add(annotation.side)
    if annotation.kind in GEOMETRY and state is State.PRESENT:
        facts.objects.setdefault((annotation.label_set, key), []).append(annotation)
    elif annotation.kind is Kind.COUNT and annotation.value is not None and state is State.PRESENT:
        facts.stated_counts.setdefault((annotation.label_set, key), set()).add(annotation.value)
        facts.states.setdefault(key, set()).add(State.PRESENT if annotation.value else State.ABSENT)
    elif annotation.kind is Kind.GRADE:
        facts.grades.setdefault(key, []).append(annotation)


def _add_silence(facts: Facts, vocabulary: Vocabulary) -> None:
    """Absence of what a closed or exhaustive set could have named on every asset, and did not."""
    spoken = {concept_key(a.concept) for a in facts.annotations.values() if a.concept}
    for label_set in sorted(vocabulary):
        names = vocabulary[label_set]
        if not facts.assets or not all(label_set in asset.labelled_by for asset in facts.assets):
            continue
        own = [a for a in facts.annotations.values() if a.label_set == label_set]
        facts.kinds.setdefault(label_set, set()).update(map(concept_key, names.concepts))
        world = own[0].world if own else names.world
        exhaustive = own[0].exhaustive if own else names.exhaustive
        facts.regions |= {label_set} if names.regions else set()
        if exhaustive:
            facts.exhaustive.add(label_set)
        if not _speaks(world, exhaustive, own):
            continue
        facts.closed |= {label_set} if world is not World.OPEN else set()
        for key in map(concept_key, names.concepts):
            if key not in spoken:
                facts.states.setdefault(key, {State.ABSENT})


def _speaks(world: World, exhaustive: bool, own: Iterable[Annotation]) -> bool:
    own = list(own)
    if world is World.EXCLUSIVE:
        held = {a.concept for a in own if a.kind in LABELS and a.state in (None, State.PRESENT)}
        return len(held) == 1
    return world is World.COMPLETE or (exhaustive and all(a.kind in GEOMETRY for a in own))


def _own_index(facts: Facts) -> Index:
    """The terms of these assets: their concepts, their attributes, and the values of grades."""
    concepts = {annotation.concept for annotation in facts.annotations.values() if annotation.concept}
    terms = {(concept, Meaning(CONCEPT, concept_key(concept))) for concept in concepts}
    for key, grades in facts.grades.items():
        for annotation in grades:
            for word in (annotation.text, annotation.label, annotation.unit):
                if word and word != annotation.concept:
                    terms.add((word, Meaning(VALUE, " ".join(stems(word)), key)))
    for asset in facts.assets:
        for name, value in _attributes_of(asset):
            terms.add((value, Meaning(ATTRIBUTE, attribute_key(name, value), name)))
    return index_of(frozenset(terms))
