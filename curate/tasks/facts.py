"""What the annotations of one asset say, in the form in which tasks ask for it.

The label world is applied here: silence turns into `absent` only where a set of labels that looked at the asset is
exclusive or complete, and objects can be counted only where their set is exhaustive. What the source contradicts itself
about, nothing is said of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from curate.rows import Annotation, Subject
from curate.schema import Kind, State, World
from curate.tasks.base import Vocabulary
from curate.tasks.english import is_unique, speakable, thing_name

__all__ = [
    "GEOMETRY",
    "Finding",
    "Objects",
    "Silence",
    "findings",
    "objects",
    "silence_of",
    "silent_absences",
    "sole",
]

LABELS: Final = frozenset({Kind.CLASS, Kind.MULTILABEL})
GEOMETRY: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})
_CROWD: Final = "crowd"
"""Flag of a geometry that stands for an unknown number of objects (COCO's `iscrowd`)."""
_REGION: Final = "region"
"""Flag of a geometry that is all pixels of a concept (a semantic label map), however many objects they are."""
_UNCOUNTABLE: Final = frozenset({_CROWD, _REGION})


@dataclass(frozen=True, slots=True)
class Finding:
    """One concept, what is known of it, and the annotations that say so. `side` is the patient's."""

    concept: str
    label_set: str
    state: State
    kind: Kind
    annotations: tuple[Annotation, ...]
    side: str | None = None
    thing: bool = False  # a marked object, so that it can be counted in English


@dataclass(frozen=True, slots=True)
class Objects:
    """Every marked object of one concept in one label set."""

    concept: str
    label_set: str
    exhaustive: bool
    annotations: tuple[Annotation, ...]

    @property
    def countable(self) -> bool:
        """True where their number is known and makes sense: a body has one heart, which nobody counts."""
        return self.exhaustive and all(_UNCOUNTABLE.isdisjoint(a.flags) for a in self.annotations) and not self.unique

    @property
    def unique(self) -> bool:
        """True for anatomy that a body has once."""
        return is_unique(thing_name(self.concept))

    @property
    def region(self) -> bool:
        """True where they are the pixels of the concept, not its instances."""
        return any(_REGION in annotation.flags for annotation in self.annotations)


@dataclass(frozen=True, slots=True)
class Silence:
    """What a label set's silence means on this asset, where that is known."""

    world: World
    exhaustive: bool


def silence_of(label_set: str, subject: Subject, vocabulary: Vocabulary) -> Silence | None:
    """What silence means in a label set that looked at the asset, else None.

    Its annotations tell; where it has none on this asset, the vocabulary does.
    """
    if label_set not in subject.asset.labelled_by:
        return None
    for annotation in subject.annotations:
        if annotation.label_set == label_set:
            return Silence(annotation.world, annotation.exhaustive)
    names = vocabulary.get(label_set)
    return Silence(names.world, names.exhaustive) if names is not None else Silence(World.OPEN, False)


def findings(subject: Subject) -> list[Finding]:
    """Concepts with a state that the source states itself, each once; one with contradicting states is left out.

    Classes and findings come first; an object that is marked makes its concept present too.
    """
    grouped: dict[str, list[Annotation]] = {}
    for annotation in subject.annotations:
        if annotation.concept and speakable(annotation.concept) and annotation.kind in LABELS | GEOMETRY:
            grouped.setdefault(annotation.concept, []).append(annotation)
    found = []
    for concept, group in grouped.items():
        states = {annotation.state or State.PRESENT for annotation in group}
        if len(states) != 1 or State.NOT_STATED in states:
            continue
        labels = [annotation for annotation in group if annotation.kind in LABELS]
        shown = tuple(labels or group)
        thing = not labels and not any(_REGION in annotation.flags for annotation in group)
        found.append(
            Finding(concept, shown[0].label_set, states.pop(), shown[0].kind, shown, _side(shown), thing=thing)
        )
    return found


def _side(annotations: Iterable[Annotation]) -> str | None:
    sides = {annotation.side for annotation in annotations}
    if sides == {"left", "right"}:
        return "bilateral"
    return sides.pop() if len(sides) == 1 else None


def silent_absences(subject: Subject, vocabulary: Vocabulary) -> list[Finding]:
    """Concepts that are absent because their label set does not name them here.

    An exclusive set speaks only when exactly one label holds; a concept that any set states is never silent.
    """
    spoken = {annotation.concept for annotation in subject.annotations if annotation.concept}
    result: dict[str, Finding] = {}
    for label_set in sorted(set(subject.asset.labelled_by)):
        silence = silence_of(label_set, subject, vocabulary)
        if silence is None or silence.world is World.OPEN:
            continue
        own = tuple(a for a in subject.annotations if a.label_set == label_set)
        thing = bool(own) and all(a.kind in GEOMETRY and _REGION not in a.flags for a in own)
        classes = bool(own) and all(annotation.kind is Kind.CLASS for annotation in own)
        holders: tuple[Annotation, ...] = ()
        if silence.world is World.EXCLUSIVE:
            holders = tuple(a for a in own if a.kind in LABELS and a.state in (None, State.PRESENT))
            if len({annotation.concept for annotation in holders}) != 1:
                continue
        for concept in vocabulary[label_set].concepts if label_set in vocabulary else ():
            if concept not in spoken and speakable(concept):
                kind = Kind.BOX if thing else Kind.CLASS if holders or classes else Kind.MULTILABEL
                result.setdefault(concept, Finding(concept, label_set, State.ABSENT, kind, holders, thing=thing))
    return list(result.values())


def objects(subject: Subject, kinds: frozenset[Kind] = GEOMETRY) -> list[Objects]:
    """The marked objects that are present, by label set and concept in order of first mention."""
    grouped: dict[tuple[str, str], list[Annotation]] = {}
    for annotation in subject.annotations:
        if annotation.kind in kinds and annotation.concept and annotation.state in (None, State.PRESENT):
            grouped.setdefault((annotation.label_set, annotation.concept), []).append(annotation)
    return [
        Objects(concept, label_set, group[0].exhaustive, tuple(group))
        for (label_set, concept), group in grouped.items()
        if speakable(concept)
    ]


def sole(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Those whose box is of something: of one object, or of all pixels of a concept."""
    return [annotation for annotation in annotations if _CROWD not in annotation.flags]
