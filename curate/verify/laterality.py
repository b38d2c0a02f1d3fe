"""Sides are the patient's, and those of the annotations."""

from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import CONCEPT, concept_key
from curate.verify.reading import SIDES, Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import STOP

__all__ = ["Laterality"]

_BOTH = {"left", "right"}
_LEADING = ("the", "on", "at", "to", "patient's", "in")
"""Words after which a side stands by itself: `effusion on the left`."""
_JOINING = ("and", "or", "with", "but")


class Laterality(ReadingRule):
    """Each side in the text is that of the concept beside it, or of the image."""

    name: ClassVar[str] = "laterality"
    version: ClassVar[int] = 4

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text names a side or has to."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if reading.ask == "attribute_is" and reading.asked.get("attribute") == "laterality":
            return self._suggested(reading)
        of_image = _sides_of_image(reading)
        told = reading.answer.sides
        choice = reading.topic == "attribute" and reading.asked.get("attribute") == "laterality"
        asked = reading.question.sides
        if (
            choice
            and reading.choice is None
            and sorted(side for _, side in asked) not in ([], ["left", "right"], ["bilateral", "left", "right"])
        ):
            return no(Reason.LATERALITY, "the question names one side, the side is what it asks about")
        for part, sides in ((reading.question, () if choice else asked), (reading.answer, told)):
            problem = _problem(reading, part, sides, of_image)
            if problem is not None:
                return problem
        if choice and reading.choice is None and not {side for _, side in told} & of_image:
            return no(Reason.LATERALITY, "the answer does not name the side of the image")
        if reading.ask == "caption" and "laterality" in reading.asked.get("attributes", ()):
            named = {side for _, side in told} | {token.low for token in reading.answer.tokens if token.low in SIDES}
            if not named & of_image:
                return no(Reason.LATERALITY, "the caption does not name the side of the image")
        return None if asked or told or choice else NOT_APPLICABLE

    def _suggested(self, reading: Reading) -> Verdict:
        """A side is suggested, and affirmed or denied."""
        true = _sides_of_image(reading)
        suggested = {side for _, side in reading.question.sides}
        if len(suggested) != 1 or len(true) != 1 or reading.yes is not (suggested == true):
            return no(Reason.LATERALITY, "the answer does not fit the side of the image")
        if {side for _, side in reading.answer.sides} - true:
            return no(Reason.LATERALITY, "the answer names a side that is not that of the image")
        return None


def _sides_of_image(reading: Reading) -> set[str]:
    return {str(asset.laterality) for asset in reading.facts.assets if asset.laterality}


def _problem(reading: Reading, part: Part, sides: tuple[tuple[int, str], ...], of_image: set[str]) -> Verdict:
    said: dict[str, set[str]] = {}
    for place, side in sides:
        key = _concept_of(reading, part, place)
        about = key or _asked(reading)
        if about is not None:
            said.setdefault(about, set()).add(side)
        known = _known(reading, about, of_image)
        if (
            about is not None
            and reading.facts.state(about) is State.ABSENT
            and (side == "bilateral" or (about not in reading.facts.sides and _denies(reading, part, place)))
        ):
            continue  # what is nowhere is on neither side
        if about is not None and reading.facts.sided.get(about, {}).get(side) is State.ABSENT:
            said[about].discard(side)
            continue  # the rule of negation judges it
        if part is reading.question and side == "bilateral" and (about is None or about in reading.facts.sided):
            continue  # `how are both lungs`: nothing is said to be on both sides
        if side not in _sayable(known):
            return no(Reason.LATERALITY, f"the text says {side}, the annotations do not")
    for key, told in said.items():
        if _known(reading, key, of_image) == _BOTH and told not in (_BOTH, {"bilateral"}, _BOTH | {"bilateral"}):
            own = {a.side for a in reading.own if a.concept and concept_key(a.concept) == key}
            if own != told:
                return no(Reason.LATERALITY, "the text says one side, the annotations both")
    return None


def _denies(reading: Reading, part: Part, place: int) -> bool:
    """True for a side in a clause that denies what it names, or that asks about it."""
    return part is reading.question or part.denied_at(place) or reading.chinese


def _asked(reading: Reading) -> str | None:
    """What a side word is about that stands by no concept: what was asked about."""
    concept = reading.asked.get("concept")
    return concept_key(concept) if isinstance(concept, str) else None


def _known(reading: Reading, key: str | None, of_image: set[str]) -> set[str]:
    """The sides of a concept, else of the image."""
    sides = (reading.facts.sides.get(key, set()) if key is not None else set()) or of_image
    return _BOTH if sides == {"bilateral"} else sides


def _sayable(known: set[str]) -> set[str]:
    if known == _BOTH:
        return known | {"bilateral"}
    return known | {"unilateral"} if len(known) == 1 else known


def _concept_of(reading: Reading, part: Part, place: int) -> str | None:
    """The concept that a side word belongs to: behind it in its phrase, before it where the side stands alone."""
    clause = part.clause_of(place)
    near = {
        key
        for mention in part.mentions
        if (key := mention.key(CONCEPT)) in reading.facts.states and part.clause_of(mention.start) == clause
    }
    if clause is not None and len(near) == 1:
        return near.pop()
    before: list[tuple[int, str]] = []
    after: list[tuple[int, str]] = []
    for mention in part.mentions:
        key = mention.key(CONCEPT)
        if key is None or key not in reading.facts.states:
            continue
        gap = part.tokens[mention.end : place] if mention.end <= place else part.tokens[place + 1 : mention.start]
        if any(token.kind == STOP and token.raw != ":" for token in gap):
            continue
        (before if mention.end <= place else after).append((len(gap), key))
    if after and min(after)[0] == 0:
        return min(after)[1]
    if after and not _stands_alone(part, place) and not _joined(part, place, min(after)[0]):
        return min(after)[1]
    nearest = min(before) if before else min(after) if after else None
    return nearest[1] if nearest else None


def _stands_alone(part: Part, place: int) -> bool:
    return place > 0 and part.tokens[place - 1].low in _LEADING


def _joined(part: Part, place: int, length: int) -> bool:
    """True where a new thing begins between the side and the concept behind it: `on the left and edema`."""
    gap = part.tokens[place + 1 : place + 1 + length]
    return any(
        token.low in _JOINING and (n + 1 >= len(gap) or gap[n + 1].low not in SIDES) for n, token in enumerate(gap)
    )
