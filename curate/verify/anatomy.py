"""Every place in the body that the text names is one that the annotations give."""

import functools
from typing import ClassVar

from curate.schema import Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.bodily import regions_of
from curate.verify.lexicon import CONCEPT, PLACE, concept_key, place_key
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


_MATTER = ("blood", "cell")
"""Words for what things are made of rather than for a place."""
_HALVES = {"hemisphere": "brain", "lobe": "thyroid"}
"""Halves of an organ that has one on each side: the organ."""


@functools.cache
def _matter() -> frozenset[str]:
    return frozenset(map(place_key, _MATTER))


@functools.cache
def _halves() -> dict[str, str]:
    return {place_key(half): place_key(whole) for half, whole in _HALVES.items()}


class Anatomy(ReadingRule):
    """Places in the body come from concepts, attributes and what these imply; places in the picture from nothing."""

    name: ClassVar[str] = "anatomy"
    version: ClassVar[int] = 3

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
            if part is reading.question and reading.asked.get("attribute") == "anatomy":
                continue  # the rule of negation judges what it suggests
            for key, denied in named:
                if key in _matter() or key in reading.facts.places or _is_sided_half(reading, part, key):
                    continue
                if reading.ask == "attribute_is" and reading.yes is False and key in _places_named(reading.question):
                    continue  # `it is not the abdomen`, which the question suggests
                if denied and _is_within(reading, key):
                    continue  # what is nowhere is not there either
                if part is reading.question and _may_be_passed(reading):
                    continue
                if part is reading.answer or not _may_be_asked(reading, key):
                    return no(Reason.ANATOMY, f"the text names the place {key!r}, which the annotations do not give")
        return None if applies else NOT_APPLICABLE


def _is_sided_half(reading: Reading, part: Part, key: str) -> bool:
    """True for one half of an organ that a source gives with a side: `in the left hemisphere`; the rule of laterality
    judges the side."""
    organ = _halves().get(key)
    if organ is None or organ not in reading.facts.places or not any(reading.facts.sides.values()):
        return False
    sided = {place for place, _ in part.sides}
    return all(
        not sided.isdisjoint(range(mention.start - 2, mention.start))
        for mention in part.situated
        if mention.key(PLACE) == key
    )


def _places_named(part: Part) -> frozenset[str]:
    return frozenset(key for mention in part.situated if (key := mention.key(PLACE)) is not None)


def _places(reading: Reading, part: Part) -> list[tuple[str, bool]]:
    """The places that stand by themselves, not in the name of a finding of which something is known, and whether their
    clause denies all that it names."""
    named = []
    for mention in part.situated:
        concept = mention.key(CONCEPT)
        if concept is None or (concept not in reading.facts.states and concept not in reading.facts.grades):
            named.append((mention.key(PLACE) or "", part.denied_at(mention.start)))
    return named


def _may_be_asked(reading: Reading, key: str) -> bool:
    """True for a part of what is shown, and for a word of position: a question does not say that anything is there."""
    return key in _POSITIONS or _is_within(reading, key)


def _may_be_passed(reading: Reading) -> bool:
    """True where the answer names what it is about itself, so that a place in the question changes nothing."""
    if reading.chinese:
        return False
    if reading.ask in ("findings", "class"):
        return bool(reading.answer.concepts & reading.own_keys)
    return reading.ask == "presence" and concept_key(str(reading.asked.get("concept"))) in reading.answer.concepts


def _is_within(reading: Reading, key: str) -> bool:
    """True for a part of what is shown."""
    shown = reading.facts.places
    return not shown.isdisjoint(regions_of(key)) or any(key in regions_of(place) for place in shown)
