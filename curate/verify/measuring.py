"""Measures in a text against those of the annotations."""

from collections.abc import Sequence

from curate.verify.lexicon import concept_key
from curate.verify.measures import Measure, agree, kinds_named
from curate.verify.part import Part
from curate.verify.reading import Reading
from curate.verify.text import STOP
from curate.verify.units import Quantity, equal, units

__all__ = ["measured_as", "measures_asked", "measures_of_draft"]

_NEAR = 6
"""Words for what is measured stand at most so many tokens from the number."""


def measures_of_draft(reading: Reading) -> list[Measure]:
    """The measures of the annotations that a draft rests on."""
    own = set(reading.draft.annotation_ids)
    return [measure for measure in reading.facts.measures if measure.annotation_id in own]


def measures_asked(reading: Reading) -> list[Measure]:
    """Those that a question about a measure asks for."""
    key = concept_key(str(reading.asked.get("concept", "")))
    return [measure for measure in measures_of_draft(reading) if measure.key == key]


def measured_as(part: Part, quantity: Quantity, measure: Measure) -> bool:
    """True where a number with its unit is the value of a measure, and nothing else is said to be measured."""
    if measure.unit is None or not measure.visible:
        return False
    if measure.unit in units():
        same = equal(quantity.value, quantity.unit, quantity.decimals, measure.value, measure.unit)
    else:
        same = quantity.value == measure.value and quantity.unit == measure.unit
    return same and agree(_kinds_near(part, quantity), measure.kinds)


def _kinds_near(part: Part, quantity: Quantity) -> frozenset[str]:
    """What the words beside a quantity say that it measures."""
    return kinds_named(word for word in _beside(part, quantity))


def _beside(part: Part, quantity: Quantity) -> Sequence[str]:
    words: list[str] = []
    for step in (-1, 1):
        at, seen = quantity.place + step, 0
        while 0 <= at < len(part.tokens) and seen < _NEAR and part.tokens[at].kind != STOP:
            token = part.tokens[at]
            if at in dict(part.numbers):
                break
            words += [token.low, token.stem]
            at, seen = at + step, seen + 1
    return words
