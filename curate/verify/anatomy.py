"""Every place in the body that the text names is one that the annotations give."""

from typing import ClassVar

from curate.schema import Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.bodily import regions_of
from curate.verify.lexicon import CONCEPT, PLACE, place_key
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Anatomy"]


_POSITIONS = frozenset(
    map(
        place_key,
        (
            "upper",
            "lower",
            "middle",
            "central",
            "peripheral",
            "lobe",
            "segment",
            "quadrant",
            "zone",
            "blood",
            "cell",
            "mucosa",
            "lymph node",
            "gland",
            "vessel",
        ),
    )
)


class Anatomy(ReadingRule):
    """Places in the body come from concepts, attributes and what these imply; places in the picture from nothing."""

    name: ClassVar[str] = "anatomy"

    def judge(self, reading: Reading) -> Verdict:
        """Applies where a place is named."""
        if reading.verbatim:
            return NOT_APPLICABLE
        applies = False
        for part in (reading.question, reading.answer):
            if part.cued("positions"):
                return no(Reason.ANATOMY, "the text names a place in the picture, which is not the patient's")
            named = _places(reading, part)
            applies = applies or bool(named)
            for key in named:
                if key in reading.facts.places:
                    continue
                if part is reading.answer or not _may_be_asked(reading, key):
                    return no(Reason.ANATOMY, f"the text names the place {key!r}, which the annotations do not give")
        return None if applies else NOT_APPLICABLE


def _places(reading: Reading, part: Part) -> list[str]:
    """The places that stand by themselves, not within the name of a finding of which something is known."""
    named = []
    for mention in part.situated:
        concept = mention.key(CONCEPT)
        if concept is None or (concept not in reading.facts.states and concept not in reading.facts.grades):
            named.append(mention.key(PLACE) or "")
    return named


def _may_be_asked(reading: Reading, key: str) -> bool:
    """True for a part of what is shown, and for a word of position: a question does not say that anything is there."""
    return key in _POSITIONS or not reading.facts.places.isdisjoint(regions_of(key))
