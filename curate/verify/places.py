"""Boxes and points in a text are those of the annotations, all of them where all were asked for."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import ClassVar

from curate.rows import Annotation
from curate.schema import Kind, Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import CONCEPT, concept_key
from curate.verify.reading import Reading
from curate.verify.referring import REFERRING, problem_of
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Boxes", "Points", "is_elsewhere"]

_BOXED = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON})
_POINTED = frozenset({Kind.POINT})
_POINT_NUMBERS = 2
_BOX_NUMBERS = 4


class Boxes(ReadingRule):
    """A box in a text is that of an annotation, rounded outwards to whole pixels."""

    name: ClassVar[str] = "boxes"
    version: ClassVar[int] = 5

    def judge(self, reading: Reading) -> Verdict:
        """Applies to questions that ask for boxes or give one, and to any text with four numbers in brackets."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if reading.defined is False:
            return no(Reason.LABEL_INVENTED, "the definition is not the reviewed one of what is asked about")
        if reading.referred is not None or reading.ask in REFERRING:
            return _referred(reading)
        if reading.ask == "locate":
            return _same_places(reading, _BOXED, reading.facts.box, Reason.BOX)
        if reading.topic == "identify":
            return _region(reading)
        if reading.ask != "point" and _has_stray_place(reading, _BOXED, reading.facts.box, _POINT_NUMBERS):
            return no(Reason.BOX, "coordinates stand where none were asked for, and are not those of what is named")
        return NOT_APPLICABLE


class Points(ReadingRule):
    """A point in a text is the pixel in which an annotation's point lies."""

    name: ClassVar[str] = "points"
    version: ClassVar[int] = 5

    def judge(self, reading: Reading) -> Verdict:
        """Applies to questions that ask for points, and to any text with two numbers in brackets."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if reading.ask == "point":
            return _same_places(reading, _POINTED, reading.facts.point, Reason.POINT)
        if (
            reading.ask != "locate"
            and reading.topic != "identify"
            and any(
                len(numbers) == _POINT_NUMBERS for part in (reading.question, reading.answer) for numbers in part.lists
            )
            and (
                any(len(numbers) == _POINT_NUMBERS for numbers in reading.question.lists)
                or _has_stray_place(reading, _POINTED, reading.facts.point, _BOX_NUMBERS)
            )
        ):
            return no(Reason.POINT, "a point stands where none was asked for")
        return NOT_APPLICABLE


def _has_stray_place(
    reading: Reading,
    kinds: Collection[Kind],
    place_of: Callable[[Annotation], tuple[int, ...] | None],
    other: int,
) -> bool:
    """True unless each place in the answer is one of the only concept with places that it names."""
    if any(len(numbers) != other for numbers in reading.question.lists):
        return True
    told = [numbers for numbers in reading.answer.lists if len(numbers) != other]
    if not told:
        return False
    marked = [a for group in reading.facts.objects.values() for a in group if a.kind in kinds]
    named = {key for a in marked if (key := concept_key(a.concept or "")) in reading.answer.concepts}
    asked = reading.asked.get("concept")
    if not named and isinstance(asked, str) and concept_key(asked) in reading.question.concepts:
        named = {concept_key(asked)}
    if not named and len(kinds_marked := {concept_key(a.concept or "") for a in marked}) == 1:
        named = kinds_marked
    right = {place_of(a) for a in marked if concept_key(a.concept or "") in named}
    return len(named) != 1 or any(tuple(map(int, place)) not in right or not _whole(place) for place in told)


def _whole(place: tuple[float, ...]) -> bool:
    return all(number.is_integer() for number in place)


def _same_places(
    reading: Reading,
    kinds: Collection[Kind],
    place_of: Callable[[Annotation], tuple[int, ...] | None],
    reason: Reason,
) -> Verdict:
    group = (str(reading.asked.get("label_set")), concept_key(str(reading.asked.get("concept"))))
    marked = [annotation for annotation in reading.facts.objects.get(group, []) if annotation.kind in kinds]
    right = Counter(place for annotation in marked if (place := place_of(annotation)) is not None)
    found = Counter(
        tuple(int(number) if number.is_integer() else number for number in place) for place in reading.answer.lists
    )
    if reading.question.lists:
        return no(reason, "the question holds coordinates")
    if reading.asked.get("all"):
        if group[0] not in reading.facts.exhaustive or found != right:
            return no(reason, f"the text has {found.total()} places, the annotations {right.total()}, not the same")
        if not right and not _is_denied(reading, group[1]) and not _is_empty_list(reading):
            return no(reason, "the answer does not say that there is none")
        return None
    if not found and not right and group[0] in reading.facts.exhaustive and _is_denied(reading, group[1]):
        return None  # there is nothing to be located
    if found.total() != 1 or not found <= right:
        return no(reason, "the text must hold one place, and one of the annotations'")
    return None


def _is_empty_list(reading: Reading) -> bool:
    return reading.draft.messages[-1].content.strip(" .。") == "[]"


def _is_denied(reading: Reading, key: str) -> bool:
    """True where an answer says that what is asked for is not there: by its name, or of the only thing in question."""
    if reading.facts.state(key) is not State.ABSENT:
        return False
    said = {claim.state for claim in reading.answer.claims if claim.mention.key(CONCEPT) == key}
    if not said and key in reading.question.concepts:
        said = {*reading.answer.bare, *reading.answer.stray, *reading.answer.ellipses}
    return said == {State.ABSENT}


def _referred(reading: Reading) -> Verdict:
    """An expression singles out the object whose box stands beside it; it is only read in English."""
    if reading.referred is None:
        return no(Reason.BOX, "a text that refers to objects is only read in English")
    label_set, facts = str(reading.asked.get("label_set")), reading.facts
    marked = facts.objects.get((label_set, concept_key(str(reading.asked.get("concept")))), [])
    wrong = problem_of(
        reading.referred,
        reading.asked,
        marked,
        facts.assets,
        (reading.question.lists, reading.answer.lists),
    )
    return None if wrong is None else no(Reason.BOX, wrong)


def _region(reading: Reading) -> Verdict:
    if reading.answer.lists or len(reading.question.lists) != 1:
        return no(Reason.BOX, "the question must hold one region")
    region = reading.question.lists[0]
    held = [annotation for annotation in reading.own if reading.facts.box(annotation) == region]
    if not held or len({concept_key(annotation.concept or "") for annotation in held}) != 1:
        return no(Reason.BOX, "the region in the question is not the box of one annotation")
    return None


def is_elsewhere(reading: Reading, key: str) -> bool:
    """True where every object of a kind is marked, and none of them within reach of the region in the question."""
    label_set, facts = str(reading.asked.get("label_set")), reading.facts
    places = [facts.box(a) for (_, each), marked in facts.objects.items() if each == key for a in marked]
    regions = reading.question.lists
    return (
        (label_set, key) in facts.objects
        and label_set in facts.exhaustive
        and len(regions) == 1
        and all(place is not None and _apart(place, regions[0]) for place in places)
    )


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """True for boxes without a pixel in common."""
    if not len(one) == len(other) == _BOX_NUMBERS:
        return False
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
