"""Sides are the patient's, and those of the annotations."""

from typing import ClassVar

from curate.schema import Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import CONCEPT
from curate.verify.reading import SIDES, Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import STOP

__all__ = ["Laterality"]


class Laterality(ReadingRule):
    """Each side in the text is that of the concept beside it, or of the image."""

    name: ClassVar[str] = "laterality"

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text names a side or has to."""
        if reading.verbatim:
            return NOT_APPLICABLE
        of_image = {str(asset.laterality) for asset in reading.facts.assets if asset.laterality}
        told = reading.answer.sides
        choice = reading.ask == "attribute" and reading.asked.get("attribute") == "laterality"
        asked = reading.question.sides
        if choice and sorted(side for _, side in asked) not in ([], ["left", "right"]):
            return no(Reason.LATERALITY, "the question names one side, the side is what it asks about")
        for part, sides in ((reading.question, () if choice else asked), (reading.answer, told)):
            for place, side in sides:
                if side not in _allowed(reading, part, place, of_image):
                    return no(Reason.LATERALITY, f"the text says {side}, the annotations do not")
        if choice and not {side for _, side in told} & of_image:
            return no(Reason.LATERALITY, "the answer does not name the side of the image")
        if reading.ask == "caption" and "laterality" in reading.asked.get("attributes", ()):
            named = {side for _, side in told} | {word for word in _words(reading.answer) if word in SIDES}
            if not named & of_image:
                return no(Reason.LATERALITY, "the caption does not name the side of the image")
        return None if asked or told or choice else NOT_APPLICABLE


def _words(part: Part) -> set[str]:
    return {token.low for token in part.tokens}


def _allowed(reading: Reading, part: Part, place: int, of_image: set[str]) -> set[str]:
    """The sides of the concept nearest to the word within its clause; without one, the side of the image."""
    near = []
    for mention in part.mentions:
        key = mention.key(CONCEPT)
        gap = part.tokens[mention.end : place] if mention.end <= place else part.tokens[place : mention.start]
        if key in reading.facts.states and not any(token.kind == STOP for token in gap):
            near.append((len(gap), mention.end <= place, key))
    if not near:
        return of_image
    sides = reading.facts.sides.get(min(near)[2] or "", set())
    if sides == {"left", "right"}:
        return sides | {"bilateral"}
    return sides or of_image
