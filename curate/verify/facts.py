"""What the annotations of the assets of one draft allow a text to say.

Written independently of `tasks`: both read the label world from the annotations, neither from the other.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from curate.rows import Annotation, Asset
from curate.schema import Kind, State, World
from curate.verify.bodily import places_of, places_within
from curate.verify.lexicon import (
    Index,
    attribute_keys,
    broader,
    concept_key,
    vocabulary_index,
)
from curate.verify.measures import Measure, measures_of
from curate.verify.own_terms import GEOMETRY, LABELS, attributes_of, own_index
from curate.verify.text import stems
from curate.vocabulary import Vocabulary

__all__ = ["GEOMETRY", "LABELS", "Facts", "collect"]

_SCALES: Final = frozenset(
    stems("grade stage score pattern category class level rating severity scale rads index suspicion")
)
"""Words by which the name of a grade speaks of its scale, not of a finding."""
_NONE: Final = frozenset(" ".join(stems(word)) for word in ("none", "no", "absent", "normal", "negative", "0"))
_NO: Final = "no "
"""Classes that are named by what is not there: `no tumor`."""


@functools.cache
def _sound() -> frozenset[str]:
    """The keys of classes that are no abnormality."""
    names = ("normal", "healthy", "no finding", "benign", "background", "other", "heart", "lung")
    return frozenset(map(concept_key, names))


@dataclass(slots=True)
class Facts:
    """Everything keyed by `concept_key`; `states` holds what is stated and what silence tells."""

    assets: tuple[Asset, ...]
    annotations: Mapping[str, Annotation]
    by_id: Mapping[str, Asset]
    states: dict[str, set[State]] = field(default_factory=dict)
    sides: dict[str, set[str]] = field(default_factory=dict)  # where it is, or may be
    sided: dict[str, dict[str, State]] = field(default_factory=dict)  # the state of each side, where they differ
    objects: dict[tuple[str, str], list[Annotation]] = field(default_factory=dict)
    exhaustive: set[str] = field(default_factory=set)  # label sets
    closed: set[str] = field(default_factory=set)  # label sets that are exclusive or complete
    regions: set[str] = field(default_factory=set)  # label sets whose geometry is no instance: nothing is counted
    stated_counts: dict[tuple[str, str], set[float]] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)  # label set -> keys that it can name
    attributes: dict[str, set[str]] = field(default_factory=dict)
    grades: dict[str, list[Annotation]] = field(default_factory=dict)
    drawn: dict[str, tuple[int, ...]] = field(default_factory=dict)  # boxes as texts write them, by annotation
    measured: list[Measure] | None = None
    places: frozenset[str] = frozenset()  # keys of the places in the body that annotations and attributes give
    indexes: tuple[Index, ...] = ()
    vocabulary: Vocabulary = field(default_factory=dict)

    @property
    def measures(self) -> list[Measure]:
        """Every measured value; worked out when it is asked for."""
        if self.measured is None:
            self.measured = list(measures_of(self.annotations.values()))
        return self.measured

    def of(self, asset: Asset) -> "Facts":
        """What is said of one of the assets alone."""
        own = tuple(a for a in self.annotations.values() if a.asset_id == asset.asset_id)
        return collect((asset,), own, self.vocabulary)

    def state(self, key: str) -> State | None:
        """The one state of a concept; None where nothing is known or the source contradicts itself.

        A general word for a finding that is present is present too: a nodule is a lesion.
        """
        states = self.states.get(key)
        if states is None:
            known = self._of_grade(key) if key in self.grades else self._of_kind(key)
            return known or self._of_general(key)
        return next(iter(states)) if len(states) == 1 else None

    def _of_grade(self, key: str) -> State | None:
        """What a grade says of the finding that it is of: none at all, or some."""
        if not _SCALES.isdisjoint(key.split(" ")):
            return None
        none = {_is_none(grade) for grade in self.grades[key]}
        return None if len(none) != 1 else State.ABSENT if none.pop() else State.PRESENT

    def _of_kind(self, key: str, within: frozenset[str] = frozenset()) -> State | None:
        """The state of a general word, by those that it covers: present if one of them is, absent if all are.

        `within`: the places that it is said of, if any; what names other places is not covered.
        """
        front, _, last = key.rpartition(" ")
        if front and key not in broader() and last in broader() and (here := places_within(front)) & self.places:
            return self._of_kind(last, here)  # a skin lesion is a lesion, a liver lesion is no lung lesion
        narrower = broader().get(key, frozenset())
        kinds = [
            states
            for other, states in self.states.items()
            if (other in narrower or other.endswith(f" {key}") or ("*" in narrower and other not in _sound()))
            and not other.startswith(_NO)
            and not (within and (named := places_within(other)) and named.isdisjoint(within))
        ]
        if {State.PRESENT} in kinds:
            return State.PRESENT
        whole = bool(kinds) and "*" not in narrower and bool(self.closed)
        return State.ABSENT if whole and all(states == {State.ABSENT} for states in kinds) else None

    def _of_general(self, key: str) -> State | None:
        """Absent, where all of a more general kind is: without a hernia there is no hiatal hernia."""
        absent = any(
            states == {State.ABSENT} and (key in broader().get(general, frozenset()) or key.endswith(f" {general}"))
            for general, states in self.states.items()
        )
        return State.ABSENT if absent else None

    def names(self, key: str) -> bool:
        """True for a concept that the source of these assets tells apart from others."""
        return key in self.states or any(key in names for names in self.kinds.values())

    @property
    def has_prior(self) -> bool:
        """True where the assets are of one patient, on days that are known, each later than the one before.

        Studies of which no day is known have no order: which of them is the prior nobody can say.
        """
        subjects = {asset.subject for asset in self.assets}
        days = [asset.day_offset for asset in self.assets]
        known = [day for day in days if day is not None]
        if len(self.assets) < 2 or len(subjects) != 1 or None in subjects or len(known) != len(days):
            return False
        return all(first < second for first, second in itertools.pairwise(known))

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
        known = self.drawn.get(annotation.annotation_id)
        if known is None:
            asset = self.by_id[annotation.asset_id]
            x0, y0, x1, y1 = annotation.box
            known = self.drawn[annotation.annotation_id] = (
                max(0, math.floor(x0)),
                max(0, math.floor(y0)),
                min(asset.width, math.ceil(x1)),
                min(asset.height, math.ceil(y1)),
            )
        return known

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
    facts = Facts(
        assets, {a.annotation_id: a for a in annotations if a.asset_id in known}, known, vocabulary=vocabulary
    )
    for annotation in facts.annotations.values():
        _add(facts, annotation)
    _add_silence(facts, vocabulary)
    _add_contraries(facts)
    _add_sides(facts)
    for asset in assets:
        for name, value in attributes_of(asset):
            facts.attributes.setdefault(name, set()).update(attribute_keys(name, value))
    facts.places = places_of(assets, facts.annotations.values())
    names = frozenset(name for group in vocabulary.values() for name in group.concepts)
    facts.indexes = (vocabulary_index(names), own_index(facts))
    return facts


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


def _add_contraries(facts: Facts) -> None:
    """What the class `no tumor` says of tumors."""
    for key, states in list(facts.states.items()):
        if key.startswith(_NO) and states in ({State.PRESENT}, {State.ABSENT}):
            said = State.ABSENT if states == {State.PRESENT} else State.PRESENT
            facts.states.setdefault(concept_key(key.removeprefix(_NO)), {said})


def _add_sides(facts: Facts) -> None:
    """What is on one side and not on the other is there, and has a state for each."""
    said: dict[str, list[Annotation]] = {}
    for annotation in facts.annotations.values():
        if annotation.concept and annotation.kind in LABELS and annotation.side:
            said.setdefault(concept_key(annotation.concept), []).append(annotation)
    for key, group in said.items():
        by_side = {str(a.side): a.state or State.PRESENT for a in group}
        if len(by_side) != len(group) or len(set(by_side.values())) < 2 or len(facts.assets) > 1:
            continue
        there = set(by_side.values()) - {State.ABSENT}
        if facts.states.get(key) == set(by_side.values()) and len(there) == 1:
            facts.states[key] = there
            facts.sided[key] = by_side
            facts.sides[key] = {side for side, state in by_side.items() if state is not State.ABSENT}


def _speaks(world: World, exhaustive: bool, own: Iterable[Annotation]) -> bool:
    own = list(own)
    if world is World.EXCLUSIVE:
        held = {a.concept for a in own if a.kind in LABELS and a.state in (None, State.PRESENT)}
        return len(held) == 1
    return world is World.COMPLETE or (exhaustive and all(a.kind in GEOMETRY for a in own))


def _is_none(grade: Annotation) -> bool:
    said = " ".join(stems(grade.text or ""))
    return grade.value == 0 or said in _NONE
