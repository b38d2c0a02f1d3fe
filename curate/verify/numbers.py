"""Every number in the text has a source; none is left over."""

from collections.abc import Iterator
from typing import ClassVar

from curate.schema import Kind, Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.counting import kinds_asked, total_of
from curate.verify.lexicon import concept_key, cues
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Numbers"]


class Numbers(ReadingRule):
    """Image sizes, coordinates, counts, values: whatever the text counts or measures."""

    name: ClassVar[str] = "numbers"

    def judge(self, reading: Reading) -> Verdict:
        """Applies where there is a number that is not part of a name."""
        if reading.verbatim:
            return NOT_APPLICABLE
        applies = bool(reading.question.lists or reading.answer.lists)
        for part in (reading.question, reading.answer):
            problem = _size_problem(reading, part) or _coordinate_problem(reading, part)
            if problem is not None:
                return problem
            if part is reading.answer and part.cues["quantities"]:
                return no(Reason.NUMBER, "the text gives a vague quantity that no annotation states")
            for place, number in part.numbers:
                applies = True
                start = part.tokens[place].start
                if any(size.start <= start < size.end for size in part.sizes):
                    continue
                if part is reading.question:
                    return no(Reason.NUMBER, f"the question holds the number {number:g}, which nothing asks for")
                if not _explained(reading, part, place, number):
                    return no(Reason.NUMBER, f"no annotation gives the number {number:g}")
        return None if applies else NOT_APPLICABLE


def _size_problem(reading: Reading, part: Part) -> Verdict:
    for size in part.sizes:
        if not any((asset.width, asset.height) == (size.width, size.height) for asset in reading.facts.assets):
            return no(Reason.NUMBER, f"the text gives the image a size of {size.width} x {size.height}")
    return None


def _coordinate_problem(reading: Reading, part: Part) -> Verdict:
    if not part.lists:
        return None
    known = {float(number) for place in _places(reading) for number in place}
    for numbers in part.lists:
        for number in numbers:
            if number not in known:
                return no(Reason.NUMBER, f"no annotation of the draft gives the coordinate {number:g}")
    return None


def _places(reading: Reading) -> Iterator[tuple[int, ...]]:
    for annotation in reading.own:
        for place in (reading.facts.box(annotation), reading.facts.point(annotation)):
            if place is not None:
                yield place


def _explained(reading: Reading, part: Part, place: int, number: float) -> bool:
    label_set = str(reading.asked.get("label_set"))
    counts: set[float] = set()
    if reading.ask in ("count", "count_total"):
        known = [reading.facts.count(label_set, key) for key in kinds_asked(reading)]
        counts = {float(count) for count in known if count is not None}
        total = total_of(reading)
        counts |= {float(total)} if total is not None else set()
    after = part.tokens[place + 1].low if place + 1 < len(part.tokens) else ""
    if after in cues().units or (after + "/") in part.text.lower():
        return any(
            annotation.value == number and (annotation.unit or "").lower().startswith(after)
            for annotation in reading.own
            if annotation.kind in (Kind.MEASUREMENT, Kind.GRADE)
        )
    values = {a.value for a in reading.own if a.kind in (Kind.GRADE, Kind.COUNT) and a.value is not None}
    asked = concept_key(str(reading.asked.get("concept", "")))
    if reading.ask == "grade":
        values = {a.value for a in reading.facts.grades.get(asked, ()) if a.value is not None}
    return number in counts or number in values
