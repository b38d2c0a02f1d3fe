"""Boxes and points in a text are those of the annotations, all of them where all were asked for."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import ClassVar

from curate.rows import Annotation
from curate.schema import Kind, Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import concept_key
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Boxes", "Points"]

_BOXED = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON})
_POINTED = frozenset({Kind.POINT})
_BOX_NUMBERS, _POINT_NUMBERS = 4, 2


class Boxes(ReadingRule):
    """A box in a text is that of an annotation, rounded outwards to whole pixels."""

    name: ClassVar[str] = "boxes"

    def judge(self, reading: Reading) -> Verdict:
        """Applies to questions that ask for boxes or give one, and to any text with four numbers in brackets."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if reading.ask == "locate":
            return _same_places(reading, _BOXED, reading.facts.box, Reason.BOX)
        if reading.ask == "identify":
            return _region(reading)
        if any(len(numbers) == _BOX_NUMBERS for part in (reading.question, reading.answer) for numbers in part.lists):
            return no(Reason.BOX, "a box stands where none was asked for")
        return NOT_APPLICABLE


class Points(ReadingRule):
    """A point in a text is the pixel in which an annotation's point lies."""

    name: ClassVar[str] = "points"

    def judge(self, reading: Reading) -> Verdict:
        """Applies to questions that ask for points, and to any text with two numbers in brackets."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if reading.ask == "point":
            return _same_places(reading, _POINTED, reading.facts.point, Reason.POINT)
        if any(len(numbers) == _POINT_NUMBERS for part in (reading.question, reading.answer) for numbers in part.lists):
            return no(Reason.POINT, "a point stands where none was asked for")
        return NOT_APPLICABLE


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
        return None
    if found.total() != 1 or not found <= right:
        return no(reason, "the text must hold one place, and one of the annotations'")
    return None


def _region(reading: Reading) -> Verdict:
    boxes = {reading.facts.box(annotation) for annotation in reading.own}
    if reading.answer.lists or len(reading.question.lists) != 1 or len(reading.own) != 1:
        return no(Reason.BOX, "the question must hold one region, of one annotation")
    if tuple(int(number) for number in reading.question.lists[0]) not in boxes:
        return no(Reason.BOX, "the region in the question is not the box of the annotation")
    return None
