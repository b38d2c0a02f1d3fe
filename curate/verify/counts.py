"""Counts, zeros, "all" and "only" rest on exhaustive or complete sets, and are right."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.collective import denies_the_rest
from curate.verify.counting import kinds_asked, total_of
from curate.verify.lexicon import CONCEPT
from curate.verify.naming import covers
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Counts"]

_PLACED = frozenset({"locate", "point", "count", "count_total"})


class Counts(ReadingRule):
    """Each number in front of a concept is how many there are; each total is their sum; what is all is all."""

    name: ClassVar[str] = "counts"
    version: ClassVar[int] = 5

    def judge(self, reading: Reading) -> Verdict:
        """Applies to counting questions, and where the text says all, every, each, both or only."""
        if reading.verbatim:
            return NOT_APPLICABLE
        asked_for_all = reading.asked.get("all") is True and reading.topic == "findings" and not reading.chinese
        parts = (reading.answer,) if asked_for_all else (reading.question, reading.answer)
        widened = any(part.cued("complete") for part in parts)
        both_sides = reading.topic == "attribute"
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
        if _is_of_the_rest(reading):
            return None  # the rule of labels judges it
        if reading.topic in _PLACED:
            kinds = kinds_asked(reading) if reading.topic in ("count", "count_total") else []
            counted = bool(kinds) and all(facts.count(label_set, key) is not None for key in kinds)
            if label_set not in facts.exhaustive and not counted:
                return no(Reason.COUNT, "the text speaks of all objects, the label set is not exhaustive")
            return None
        if label_set not in facts.closed and label_set not in facts.exhaustive:
            return no(Reason.COUNT, "the text speaks of all findings, the label set is open")
        told = reading.answer.concepts
        missing = [
            key
            for key in sorted(facts.kinds.get(label_set, ()))
            if facts.state(key) not in (State.ABSENT, None) and key not in told
        ]
        if reading.choice is not None:
            return None
        return no(Reason.COUNT, "the text does not name all findings") if missing else None

    def _counts(self, reading: Reading) -> Verdict:
        label_set, kinds = str(reading.asked.get("label_set")), kinds_asked(reading)
        right = {key: reading.facts.count(label_set, key) for key in kinds}
        unknown = sorted(key for key, number in right.items() if number is None)
        if unknown:
            return no(Reason.COUNT, f"the number of {unknown[0]!r} is not known")
        answer = reading.answer
        said = {*answer.bare, *answer.stray, *answer.ellipses}
        if State.UNCERTAIN in said or any(claim.state is State.UNCERTAIN for claim in answer.claims):
            return no(Reason.COUNT, "the number is doubted")
        if State.ABSENT in said and any(right.values()):
            return no(Reason.COUNT, "the number is denied")
        return self._told(reading, kinds, right)

    def _told(self, reading: Reading, kinds: list[str], right: Mapping[str, int | None]) -> Verdict:
        total = total_of(reading)
        told = [key for key in _denied(reading) if right.get(key) == 0]
        total_told = State.ABSENT in {*reading.answer.bare, *reading.answer.stray, *reading.answer.ellipses}
        if total is None and total_told:
            told.append(kinds[0])
        for key, number in _counted(reading, total, right):
            if key is None and total is None:
                key = kinds[0]  # noqa: PLW2901
            if key is not None and key not in right and total is not None and covers(key, set(kinds)):
                key = None  # noqa: PLW2901  # `two nodules: a solid one and a ground-glass one`
            if key is None:
                total_told = True
                if number != total:
                    return no(Reason.COUNT, f"the text gives a total of {number:g}, there are {total}")
            elif number != right.get(key):
                return no(Reason.COUNT, f"the text counts {number:g} of {key!r}, there are {right.get(key)}")
            elif key not in told:
                told.append(key)
            elif number:
                return no(Reason.COUNT, f"the text counts {key!r} twice")
        if (total is None and not told) or (total is not None and not total_told):
            return no(Reason.COUNT, "the answer gives no number")
        untold = set(kinds) - set(told)
        zeros = any(number == 0 for _, number in reading.answer.counted)
        if total is not None and told and (not set(told) <= set(kinds) or any(right[key] or zeros for key in untold)):
            return no(Reason.COUNT, "the answer does not count each kind once")
        return None


def _single(reading: Reading) -> list[str]:
    """What an answer tells one of by its article: `two red cells and a white cell`."""
    tokens = reading.answer.tokens
    return [
        key for mention, key in reading.answer.keyed if mention.start and tokens[mention.start - 1].low in ("a", "an")
    ]


def _counted(
    reading: Reading, total: int | None, right: Mapping[str, int | None]
) -> Iterator[tuple[str | None, float]]:
    """The numbers of an answer, with those that it tells by `both` and by an article."""
    counted = reading.answer.counted
    yield from counted
    if total is None and not counted and _is_pair(reading):
        yield None, 2.0
    if total is not None:
        yield from ((key, 2.0) for key in _of_both(reading))
        yield from ((key, 1.0) for key in _single(reading) if (key, 1.0) not in counted and right.get(key) == 1)


def _of_both(reading: Reading) -> list[str]:
    """What an answer says both to be: `two nodules, and both are solid`."""
    tokens = reading.answer.tokens
    return [
        key
        for mention, key in reading.answer.keyed
        if [token.low for token in tokens[max(0, mention.start - 2) : mention.start]]
        in (["both", "are"], ["both", "were"])
    ]


def _is_pair(reading: Reading) -> bool:
    """True where an answer counts two without a number: `both are solid`."""
    return not reading.chinese and any(token.low == "both" for token in reading.answer.tokens)


def _is_of_the_rest(reading: Reading) -> bool:
    """True where nothing but a denial of what is not named speaks of all: `no other abnormality`."""
    if reading.chinese or reading.question.cued("complete") or not denies_the_rest(reading.prose[1]):
        return False
    part = reading.answer
    return all(part.tokens[start].low in ("no", "none", "nothing") for start, _ in part.cued("complete"))


def _denied(reading: Reading) -> list[str]:
    """The concepts of which the answer says that there are none."""
    keys = (claim.mention.key(CONCEPT) for claim in reading.answer.claims if claim.state is State.ABSENT)
    return sorted({key for key in keys if key is not None})
