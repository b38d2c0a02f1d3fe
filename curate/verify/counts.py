"""Counts, zeros, "all" and "only" rest on exhaustive or complete sets, and are right."""

from collections.abc import Mapping
from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.counting import counted, kinds_asked, total_of
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Counts"]


class Counts(ReadingRule):
    """Each number in front of a concept is how many there are; each total is their sum; what is all is all."""

    name: ClassVar[str] = "counts"
    version: ClassVar[int] = 2

    def judge(self, reading: Reading) -> Verdict:
        """Applies to counting questions, and where the text says all, every, each, both or only."""
        if reading.verbatim:
            return NOT_APPLICABLE
        widened = any(part.cues["complete"] for part in (reading.question, reading.answer))
        both_sides = reading.ask == "attribute"
        if widened and not both_sides:
            problem = self._complete(reading)
            if problem is not None:
                return problem
        if reading.ask in ("count", "count_total"):
            return self._counts(reading)
        return None if widened and not both_sides else NOT_APPLICABLE

    def _complete(self, reading: Reading) -> Verdict:
        label_set = str(reading.asked.get("label_set"))
        facts = reading.facts
        if reading.ask in ("locate", "point", "count", "count_total"):
            if label_set not in facts.exhaustive:
                return no(Reason.COUNT, "the text speaks of all objects, the label set is not exhaustive")
            return None
        if label_set not in facts.closed:
            return no(Reason.COUNT, "the text speaks of all findings, the label set is open")
        told = reading.answer.concepts
        missing = [
            key
            for key in sorted(facts.kinds.get(label_set, ()))
            if facts.state(key) not in (State.ABSENT, None) and key not in told
        ]
        return no(Reason.COUNT, "the text does not name all findings") if missing else None

    def _counts(self, reading: Reading) -> Verdict:
        label_set, kinds = str(reading.asked.get("label_set")), kinds_asked(reading)
        right = {key: reading.facts.count(label_set, key) for key in kinds}
        unknown = sorted(key for key, number in right.items() if number is None)
        if unknown:
            return no(Reason.COUNT, f"the number of {unknown[0]!r} is not known")
        if any(reading.answer.cues[kind] for kind in ("around", "hedges")):
            return no(Reason.COUNT, "the number is denied or doubted")
        return self._told(reading, kinds, right)

    def _told(self, reading: Reading, kinds: list[str], right: Mapping[str, int | None]) -> Verdict:
        total = total_of(reading)
        told: list[str] = []
        total_told = False
        for key, number in counted(reading.answer):
            if key is None and total is None:
                key = kinds[0]  # noqa: PLW2901
            if key is None:
                total_told = True
                if number != total:
                    return no(Reason.COUNT, f"the text gives a total of {number:g}, there are {total}")
            elif number != right.get(key):
                return no(Reason.COUNT, f"the text counts {number:g} of {key!r}, there are {right.get(key)}")
            else:
                told.append(key)
        if (total is None and not told) or (total is not None and not total_told):
            return no(Reason.COUNT, "the answer gives no number")
        if total is not None and told and sorted(told) != sorted(set(kinds)):
            return no(Reason.COUNT, "the answer does not count each kind once")
        return None
