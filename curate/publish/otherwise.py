"""Assets as they would be if one fact were another: what a false answer would be true of.

Each is made from the annotations of a real asset by changing the one fact that a row tells, and only where what stands
in its place is proved to be false of the real asset: a stated or silent absence, the number of an exhaustive set, a
place at which nothing of an exhaustive set lies. What the source leaves open is never called false.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from curate.publish.base import Row
from curate.publish.mirrored import apart, mirrored
from curate.rows import Annotation, Asset, Subject
from curate.schema import Annotator, Kind, Laterality, State, World, identity
from curate.tasks.english import grammar, speakable
from curate.tasks.facts import GEOMETRY, Finding, findings, silence_of, silent_absences
from curate.tasks.picture import modality_name, view_name
from curate.tasks.statements import grade_value
from curate.verify.facts import LABELS, Facts, collect
from curate.verify.lexicon import broader, concept_key
from curate.vocabulary import Vocabulary

__all__ = ["Known", "Otherwise", "absent_in_place_of", "contrary", "known_of", "otherwise"]

_STATED: Final = LABELS | GEOMETRY
_MOST: Final = 4
"""So many other assets are made for one row; one that fits is enough."""
_CONTRARY: Final = {"yes": "no", "no": "yes", "是": "否", "否": "是", "有": "没有", "没有": "有", "有的": "没有"}
"""Answers of a source that leave one other."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A changed asset, and what was changed: the kind of fact, and its words before and after."""

    subject: Subject
    fact: str
    true: str
    false: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a row rests on: its one asset with all annotations, and what they mean.

    `grades`: for the name of a grade, values that its source gives to other assets.
    """

    subject: Subject
    facts: Facts
    vocabulary: Vocabulary
    grades: Mapping[str, Sequence[Annotation]]


def known_of(subject: Subject, vocabulary: Vocabulary, grades: Mapping[str, Sequence[Annotation]]) -> Known:
    """What is known of one asset."""
    return Known(subject, collect((subject.asset,), subject.annotations, vocabulary), vocabulary, grades)


def otherwise(row: Row, known: Known) -> Iterator[Otherwise]:
    """The asset of a row with the fact changed that the row tells, in an order that only depends on the row."""
    make = _BY_ASK.get(str(row.constraints.get("ask")))
    if make is not None:
        yield from make(row, known)


def _presence(row: Row, known: Known) -> Iterator[Otherwise]:
    concept = str(row.constraints["concept"])
    state = known.facts.state(concept_key(concept))
    if state not in (State.PRESENT, State.ABSENT):
        return
    other = State.ABSENT if state is State.PRESENT else State.PRESENT
    words = (f"{concept} {state}", f"{concept} {other}")
    own = known.subject.annotations
    if any(a.concept == concept and a.kind in _STATED for a in own):
        yield Otherwise(
            _with(known.subject, (_stated(a, other) if a.concept == concept else a for a in own)), "presence", *words
        )
        return
    silent = next((f for f in silent_absences(known.subject, known.vocabulary) if f.concept == concept), None)
    if silent is None:
        return
    if silent.annotations:  # an exclusive set: the class that holds makes way
        holder = str(silent.annotations[0].concept)
        yield Otherwise(_swapped(known.subject, holder, concept), "presence", *words)
    else:
        yield Otherwise(_with(known.subject, (*own, _new(known, silent))), "presence", *words)


def _class(row: Row, known: Known) -> Iterator[Otherwise]:
    concept = _sole_class(row, known)
    if concept is not None:
        yield from _replaced(row, known, concept, str(row.constraints["label_set"]), "class")


def _sole_class(row: Row, known: Known) -> str | None:
    label_set = str(row.constraints["label_set"])
    present = {a.concept for a in known.subject.annotations if a.label_set == label_set and _holds(a, Kind.CLASS)}
    return present.pop() if len(present) == 1 else None


def absent_in_place_of(row: Row, known: Known) -> list[str]:
    """What else the class of a picture might be asked to be, and is not, in an order that only depends on the row."""
    concept = _sole_class(row, known)
    return [] if concept is None else _absent(row, known, concept, str(row.constraints["label_set"]))


def _findings(row: Row, known: Known) -> Iterator[Otherwise]:
    label_set = str(row.constraints["label_set"])
    for finding in _shuffled(row, findings(known.subject)):
        if finding.state is State.PRESENT and finding.label_set == label_set:
            yield from _replaced(row, known, finding.concept, label_set, "finding")


def _caption(row: Row, known: Known) -> Iterator[Otherwise]:
    told = set(row.annotation_ids)
    for finding in _shuffled(row, findings(known.subject)):
        if finding.state is State.PRESENT and told & {a.annotation_id for a in finding.annotations}:
            yield from _replaced(row, known, finding.concept, finding.label_set, "finding")


def _identify(row: Row, known: Known) -> Iterator[Otherwise]:
    told = set(row.annotation_ids)
    for annotation in known.subject.annotations:
        if annotation.annotation_id in told and annotation.concept:
            yield from _replaced(row, known, annotation.concept, annotation.label_set, "object")


def _replaced(row: Row, known: Known, concept: str, label_set: str, fact: str) -> Iterator[Otherwise]:
    """Another concept of the set stands where this one stood; only one that the source says is absent."""
    for other in _absent(row, known, concept, label_set)[:_MOST]:
        yield Otherwise(_swapped(known.subject, concept, other), fact, concept, other)


def _absent(row: Row, known: Known, concept: str, label_set: str) -> list[str]:
    names = known.vocabulary[label_set].concepts if label_set in known.vocabulary else ()
    there = {concept, *(a.concept for a in known.subject.annotations if a.concept and a.state is not State.ABSENT)}
    absent = [
        other
        for other in names
        if other not in there
        and speakable(other)
        and known.facts.state(concept_key(other)) is State.ABSENT
        and not any(_akin(other, one) for one in there)
    ]
    return _shuffled(row, absent)


def _count(row: Row, known: Known) -> Iterator[Otherwise]:
    concept, label_set = str(row.constraints["concept"]), str(row.constraints["label_set"])
    yield from _counted(row, known, concept, label_set)


def _total(row: Row, known: Known) -> Iterator[Otherwise]:
    label_set = str(row.constraints["label_set"])
    for concept in _shuffled(row, [str(one) for one in row.constraints["concepts"]]):
        yield from _counted(row, known, concept, label_set)


def _counted(row: Row, known: Known, concept: str, label_set: str) -> Iterator[Otherwise]:
    number = known.facts.count(label_set, concept_key(concept))
    if number is None:
        return
    step = max(1, number // 4)
    steps = (step, -step) if int(identity(row.pair_id, "more or fewer")[:2], 16) % 2 else (-step, step)
    for other in (number + one for one in steps):
        if other >= 1:
            changed = _numbered(known, concept, label_set, number, other)
            if changed is not None:
                yield Otherwise(changed, "count", f"{number} {concept}", f"{other} {concept}")


def _numbered(known: Known, concept: str, label_set: str, number: int, other: int) -> Subject | None:
    own = known.subject.annotations
    of_it = [a for a in own if a.concept == concept and a.label_set == label_set]
    if any(a.kind is Kind.COUNT for a in of_it):
        changed = (_valued(a, other) if a in of_it and a.kind is Kind.COUNT else a for a in own)
        return _with(known.subject, changed)
    marked = [a for a in of_it if a.kind in GEOMETRY and a.state in (None, State.PRESENT)]
    model = (marked or [a for a in own if a.label_set == label_set and a.kind in GEOMETRY])[:1]
    if not model:
        return None
    gone = {a.annotation_id for a in marked[other:]}
    more = (
        msgspec.structs.replace(model[0], annotation_id=identity(model[0].annotation_id, n), concept=concept)
        for n in range(other - number)
    )
    return _with(known.subject, (*(a for a in own if a.annotation_id not in gone), *more))


def _valued(annotation: Annotation, value: float) -> Annotation:
    return msgspec.structs.replace(annotation, value=float(value), state=State.PRESENT)


def _grade(row: Row, known: Known) -> Iterator[Otherwise]:
    name = str(row.constraints["concept"])
    own = [a for a in known.subject.annotations if a.kind is Kind.GRADE and a.concept == name]
    values = {grade_value(a) for a in own}
    if len(values) != 1:
        return
    value = values.pop()
    others = {grade_value(a): a for a in known.grades.get(name, ())}
    for other in _shuffled(row, sorted(word for word in others if word not in (None, value)))[:_MOST]:
        model = others[other]
        changed = tuple(
            msgspec.structs.replace(a, value=model.value, unit=model.unit, text=model.text, label=model.label)
            if a.kind is Kind.GRADE and a.concept == name
            else a
            for a in known.subject.annotations
        )
        yield Otherwise(_with(known.subject, changed), "grade", f"{name} {value}", f"{name} {other}")


def _attribute(row: Row, known: Known) -> Iterator[Otherwise]:
    name, asset = str(row.constraints["attribute"]), known.subject.asset
    for other, true, false in _of_another_kind(name, asset):
        for asset_id in (asset.asset_id, *(identity(asset.asset_id, n) for n in range(_ids(row)))):
            yield Otherwise(_called(known.subject, other, asset_id), name, true, false)


def _ids(row: Row) -> int:
    """A hash of the asset decides which kind is suggested by a yes-no question: so many others are tried."""
    return 24 if row.constraints.get("ask") == "attribute_is" else 0


def _of_another_kind(name: str, asset: Asset) -> Iterator[tuple[Asset, str, str]]:
    """The asset with another view, modality or side, where it is known what others there are."""
    if name == "laterality" and asset.laterality in (Laterality.LEFT, Laterality.RIGHT):
        other = Laterality.RIGHT if asset.laterality is Laterality.LEFT else Laterality.LEFT
        yield msgspec.structs.replace(asset, laterality=other), str(asset.laterality), str(other)
    read, pools = {
        "view": (view_name, grammar().view_contrasts),
        "modality": (modality_name, (grammar().modality_contrasts,)),
    }.get(name, (None, ()))
    true = None if read is None else read(asset)
    pool = next((pool for pool in pools if true in pool), ())
    for word in pool:
        changed = msgspec.structs.replace(asset, **{name: word})
        if true is not None and read is not None and word != true and read(changed) == word:
            yield changed, true, word


def _locate(row: Row, known: Known) -> Iterator[Otherwise]:
    yield from _moved(row, known, "box")


def _point(row: Row, known: Known) -> Iterator[Otherwise]:
    yield from _moved(row, known, "point")


def _moved(row: Row, known: Known, what: str) -> Iterator[Otherwise]:
    """The objects of an exhaustive set mirrored to where none of them lies."""
    if not row.constraints.get("all"):
        return
    concept, asset = str(row.constraints["concept"]), known.subject.asset
    there = [a for a in known.subject.annotations if a.concept == concept and a.kind in GEOMETRY]
    for across, down in _shuffled(row, [(True, False), (False, True), (True, True)]):
        moved = {a.annotation_id: mirrored(a, asset, across=across, down=down) for a in there}
        if all(apart(new, old, asset) for new in moved.values() for old in there):
            changed = (moved.get(a.annotation_id, a) for a in known.subject.annotations)
            yield Otherwise(_with(known.subject, changed), what, f"{concept} where it is", f"{concept} elsewhere")


def _source(row: Row, known: Known) -> Iterator[Otherwise]:
    for annotation in known.subject.annotations:
        if annotation.annotation_id in row.annotation_ids and annotation.kind is Kind.QA and annotation.text:
            other = contrary(annotation.text)
            if other is not None:
                changed = msgspec.structs.replace(annotation, text=other)
                own = (changed if a is annotation else a for a in known.subject.annotations)
                yield Otherwise(_with(known.subject, own), "answer", annotation.text, other)


def contrary(answer: str) -> str | None:
    """The other answer to a yes-no question, in the same letters and marks; None for any other answer."""
    word = answer.strip().rstrip(".。!")
    other = _CONTRARY.get(word.lower())
    if other is None:
        return None
    other = other.upper() if word.isupper() and len(word) > 1 else other.capitalize() if word[:1].isupper() else other
    return answer.replace(word, other, 1)


def _akin(one: str, other: str) -> bool:
    """True where one of two names might be said of the other: synonyms, kinds of each other, one within the other."""
    first, second = concept_key(one), concept_key(other)
    words = set(first.split()), set(second.split())
    kinds = broader()
    return (
        words[0] <= words[1]
        or words[1] <= words[0]
        or bool({first, "*"} & kinds.get(second, frozenset()))
        or bool({second, "*"} & kinds.get(first, frozenset()))
    )


def _holds(annotation: Annotation, kind: Kind) -> bool:
    return annotation.kind is kind and annotation.state in (None, State.PRESENT)


def _stated(annotation: Annotation, state: State) -> Annotation:
    return msgspec.structs.replace(annotation, state=state) if annotation.kind in _STATED else annotation


def _swapped(subject: Subject, one: str, other: str) -> Subject:
    """Two concepts change places in all that is said of the asset."""
    names = {one: other, other: one}
    return _with(
        subject,
        (
            msgspec.structs.replace(a, concept=names[a.concept], label=names[a.concept], code=None, code_system=None)
            if a.concept in names and a.kind in _STATED
            else a
            for a in subject.annotations
        ),
    )


def _new(known: Known, finding: Finding) -> Annotation:
    """A statement that a finding is there, in a set that is silent on it."""
    asset = known.subject.asset
    like = next((a for a in known.subject.annotations if a.label_set == finding.label_set), None)
    new_id = identity(asset.asset_id, finding.label_set, finding.concept)
    if like is not None:
        return msgspec.structs.replace(
            like, annotation_id=new_id, concept=finding.concept, label=finding.concept, state=State.PRESENT, side=None
        )
    silence = silence_of(finding.label_set, known.subject, known.vocabulary)
    return Annotation(
        annotation_id=new_id,
        asset_id=asset.asset_id,
        source=asset.source,
        label_set=finding.label_set,
        world=World.OPEN if silence is None else silence.world,
        exhaustive=silence is not None and silence.exhaustive,
        kind=finding.kind,
        concept=finding.concept,
        state=State.PRESENT,
        annotator=Annotator.RULE,
        file="",
        locator="",
    )


def _with(subject: Subject, annotations: Any) -> Subject:
    return Subject(subject.asset, tuple(annotations))


def _called(subject: Subject, asset: Asset, asset_id: str) -> Subject:
    """The same annotations of an asset with another id."""
    return Subject(
        msgspec.structs.replace(asset, asset_id=asset_id),
        tuple(msgspec.structs.replace(a, asset_id=asset_id) for a in subject.annotations),
    )


def _shuffled(row: Row, values: Sequence[Any]) -> list[Any]:
    """In an order that only depends on the row."""
    return sorted(values, key=lambda value: identity(row.pair_id, getattr(value, "concept", value)))


_BY_ASK: Final[Mapping[str, Any]] = {
    "attribute": _attribute,
    "attribute_is": _attribute,
    "caption": _caption,
    "class": _class,
    "count": _count,
    "count_total": _total,
    "findings": _findings,
    "grade": _grade,
    "identify": _identify,
    "locate": _locate,
    "point": _point,
    "presence": _presence,
    "source": _source,
}
"""What is changed, by what was asked."""
