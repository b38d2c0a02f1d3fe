"""Answers to questions about one named quantity: its value, in the unit and with the digits that were asked for.

The value is taken from what the annotations of the draft measure, whoever wrote the text. An answer tells one number
and no other; question and answer name that quantity and no other. What the edge of the field of view cuts off has no
measure, unless the recipe says that it has (`cut_off` in the constraints).
"""

import math
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from curate.rows import Annotation, Asset
from curate.schema import Form, Reason, State
from curate.verify.lexicon import concept_key
from curate.verify.part import Claim, Part
from curate.verify.reading import Reading, words_of
from curate.verify.rules import Verdict, no
from curate.verify.text import normal
from curate.verify.units import unit_of, units

__all__ = ["is_direction", "is_option", "measured_problem", "names_quantity", "says_quantity"]

_AXES: Final = {"transverse extent": 0, "anteroposterior extent": 1, "craniocaudal extent": 2}
"""Of the patient: x, y and z in LPS."""
_TILT: Final = 0.97
_VOLUMES: Final = frozenset({"volume", "volume ratio", "larger volume"})
_WORDS: Final = {
    "volume": frozenset({"volume", "volumes"}),
    "area": frozenset({"area"}),
    "transverse extent": frozenset({"transverse"}),
    "anteroposterior extent": frozenset({"anteroposterior"}),
    "craniocaudal extent": frozenset({"craniocaudal"}),
    "mean attenuation": frozenset({"attenuation"}),
    "volume ratio": frozenset({"ratio", "times"}),
    "larger volume": frozenset({"larger"}),
    "pieces": frozenset({"distinct", "separate"}),
}
"""What a question about a quantity says; of another quantity neither question nor answer does."""
_ELSE: Final = frozenset(
    {
        *("diameter", "radius", "width", "height", "depth", "length", "thickness", "circumference", "perimeter"),
        *("density", "minimum", "maximum", "median", "smaller", "smallest", "largest", "distance", "surface"),
        *("average", "minimal", "maximal", "longest", "shortest"),
    }
)
"""Words for what none of these quantities is."""
_BOUNDS: Final = frozenset(
    {"least", "most", "over", "under", "more", "less", "than", "up", "exceeds", "exceeding", "below", "above", "within"}
)
_OF_CLASS: Final = re.compile(r"^(?:region|object) of class ")
"""Before a label that is no name of a thing by itself: `region of class vertebra L1`."""
_NO_WORDS: Final[frozenset[str]] = frozenset()
_VOLUME: Final = frozenset({"volume", "volumes"})
_WITH: Final = {
    "volume ratio": _VOLUME,
    "larger volume": _VOLUME,
    **dict.fromkeys(_AXES, frozenset({"direction", "extent"})),
}
"""What may be said beside it."""
_UNREADABLE: Final = "the constraints name a quantity in a way that is not known"


class _Truth(msgspec.Struct, frozen=True):
    """A value in the unit that was asked for."""

    value: float
    unit: str | None
    decimals: int
    tolerance: float


def names_quantity(reading: Reading) -> bool:
    """True for a question about a measure that says which quantity it is."""
    return reading.topic == "measure" and "quantity" in reading.asked


def says_quantity(reading: Reading, word: str) -> bool:
    """True for a word for the quantity that is asked for."""
    quantity = str(reading.asked.get("quantity"))
    return names_quantity(reading) and word.lower() in _WORDS.get(quantity, _NO_WORDS) | _WITH.get(quantity, _NO_WORDS)


def is_direction(reading: Reading, part: Part, claim: Claim) -> bool:
    """True for the word by which an extent is asked for, and which elsewhere names a view: `craniocaudal`."""
    words = [token.low for token in part.tokens[claim.mention.start : claim.mention.end]]
    return claim.state is State.PRESENT and bool(words) and all(says_quantity(reading, word) for word in words)


def measured_problem(reading: Reading) -> Verdict:
    """What is wrong with the numbers of a question about one quantity, and of its answer."""
    quantity = str(reading.asked.get("quantity"))
    if quantity not in _WORDS:
        return no(Reason.NUMBER, _UNREADABLE)
    problem = _shown(reading, quantity) or _worded(reading, quantity) or _of_whom(reading)
    if problem is not None:
        return problem
    if reading.choice is not None:  # which option is the value, the rule for options judges
        return no(Reason.NUMBER, "the answer gives a number beside its option") if reading.answer.numbers else None
    truth = _truth(reading, quantity)
    if truth is None:
        return no(Reason.NUMBER, f"the draft names no {quantity}")
    if quantity == "pieces" and truth.value == 0:
        none = any(number == 0 for _, number in reading.answer.numbers) or reading.answer.claims
        positive = any(number != 0 for _, number in reading.answer.numbers)
        return no(Reason.NUMBER, "the answer counts what is not there") if positive or not none else None
    if len(reading.answer.numbers) != 1:
        return no(Reason.NUMBER, "the answer does not give one number, which is what was asked for")
    if not _says(reading.answer, truth):
        return no(Reason.NUMBER, f"the answer does not give the {quantity} as the annotations measure it")
    return None


def is_option(reading: Reading, option: str) -> bool | None:
    """Whether an option is the value; None where nothing is known, or it is too near to the value to be wrong."""
    quantity = str(reading.asked.get("quantity"))
    if quantity == "larger volume":
        return _is_larger(reading, option)
    truth = _truth(reading, quantity)
    part = words_of(reading, option)
    if truth is None or len(part.numbers) != 1 or part.mentions:
        return None
    if _unit(part) != truth.unit:
        return None
    if _says(part, truth):
        return True
    said = _number(part)
    return None if abs(said - truth.value) <= truth.tolerance else False


def _shown(reading: Reading, quantity: str) -> Verdict:
    """Whether the asset shows the quantity at all."""
    for annotation in reading.own:
        asset = reading.facts.by_id[annotation.asset_id]
        if quantity in _VOLUMES | {"pieces", "mean attenuation"} and asset.form is not Form.VOLUME:
            return no(Reason.UNANSWERABLE, f"one picture does not show the {quantity}")
        cut_off = reading.asked.get("cut_off") is True or quantity == "pieces"
        if not cut_off and _reaches_edge(annotation, asset):
            return no(Reason.UNANSWERABLE, "the edge of the field of view cuts it off")
        if not {"clipped", "gaps", "crowd", "truncated"}.isdisjoint(annotation.flags):
            return no(Reason.UNANSWERABLE, "the annotation does not mark the whole of it")
    return None


def _reaches_edge(annotation: Annotation, asset: Asset) -> bool:
    if annotation.box is None:
        return True
    half = len(annotation.box) // 2
    ends = (asset.width, asset.height, asset.depth or 0)[:half]
    return any(low <= 0 for low in annotation.box[:half]) or any(
        high >= end for high, end in zip(annotation.box[half:], ends, strict=True)
    )


def _worded(reading: Reading, quantity: str) -> Verdict:
    """Question and answer speak of this quantity alone."""
    allowed = _WORDS[quantity] | _WITH.get(quantity, _NO_WORDS)
    other = (_ELSE | frozenset().union(*_WORDS.values())) - allowed
    asked, told = (set(normal(text).split()) for text in (reading.question.text, reading.answer.text))
    names = {word for key in _concepts(reading) for word in key.split()}
    if _WORDS[quantity].isdisjoint(asked):
        return no(Reason.NUMBER, f"the question does not name the {quantity}")
    if not (other - names).isdisjoint(asked | told):
        return no(Reason.NUMBER, "the text speaks of another quantity than the one that is asked for")
    if reading.answer.cued("bounds") or not _BOUNDS.isdisjoint(told):
        return no(Reason.NUMBER, "the text bounds a number in place of giving it")
    return None


def _of_whom(reading: Reading) -> Verdict:
    """Question and answer speak of what is measured, and of nothing else that could be."""
    asked = set(_concepts(reading))
    general = {key.rpartition(" ")[2] for key in asked}
    for part in (reading.question, reading.answer):
        named = {key for _, key in part.keyed}
        if not named <= asked | general:
            return no(Reason.NUMBER, "the text speaks of something else than what is measured")
    return None


def _concepts(reading: Reading) -> list[str]:
    named = reading.asked.get("concepts")
    listed = named if isinstance(named, Sequence) and not isinstance(named, str) else [reading.asked.get("concept")]
    return [concept_key(str(name)) for name in listed if name is not None]


def _truth(reading: Reading, quantity: str) -> _Truth | None:
    unit, decimals = reading.asked.get("unit"), reading.asked.get("decimals")
    tolerance = reading.asked.get("tolerance", 0.0)
    if not isinstance(unit, str) or not isinstance(decimals, int) or not isinstance(tolerance, (int, float)):
        return None
    known = unit_of(unit) if unit else None
    if unit and known is None:
        return None
    value = _value(reading, quantity, known)
    return None if value is None else _Truth(value, known, decimals, float(tolerance))


def _value(reading: Reading, quantity: str, unit: str | None) -> float | None:
    keys = _concepts(reading)
    found = [[a for a in reading.own if a.concept and concept_key(a.concept) == key] for key in keys]
    if quantity == "volume ratio":
        volumes = _volumes(reading)
        return None if volumes is None or unit is not None else volumes[0] / volumes[1]
    if len(keys) != 1 or len(found[0]) > 1:
        return None
    if quantity == "pieces":
        none = not found[0] and reading.facts.state(keys[0]) is State.ABSENT
        return 0.0 if none else float(found[0][0].pieces) if found[0] and found[0][0].pieces is not None else None
    if not found[0]:
        return None
    annotation = found[0][0]
    asset = reading.facts.by_id[annotation.asset_id]
    if quantity == "mean attenuation":
        return annotation.mean_hu if asset.rescale_unit == "HU" and unit == "hu" else None
    given = {"volume": (annotation.volume_mm3, "mm3"), "area": (annotation.area_mm2, "mm2")}.get(quantity)
    value, of = given or (_extent(annotation, asset, _AXES[quantity]), "mm")
    said, true = units().get(unit or ""), units()[of]
    return (
        None if value is None or said is None or said.dimension != true.dimension else value * true.factor / said.factor
    )


def _extent(annotation: Annotation, asset: Asset, patient_axis: int) -> float | None:
    """Along a patient's axis, by the one array axis that runs along it."""
    if asset.affine_lps is None or annotation.extent_mm is None:
        return None
    for axis, extent in enumerate(annotation.extent_mm):
        step = asset.affine_lps[axis:12:4]
        length = math.sqrt(sum(part * part for part in step))
        if length > 0 and abs(step[patient_axis]) >= _TILT * length:
            return extent
    return None


def _volumes(reading: Reading) -> tuple[float, float] | None:
    """Of the two concepts that are compared, in that order; by their sides where they have one name."""
    keys = _concepts(reading)
    sides = reading.asked.get("sides", (None, None))
    if len(keys) != 2 or not isinstance(sides, Sequence) or len(sides) != 2:
        return None
    found: list[float] = []
    for key, side in zip(keys, sides, strict=True):
        own = [
            a.volume_mm3
            for a in reading.own
            if a.concept and concept_key(a.concept) == key and (side is None or a.side == side) and a.volume_mm3
        ]
        if len(own) != 1:
            return None
        found.append(own[0])
    return found[0], found[1]


def _is_larger(reading: Reading, option: str) -> bool | None:
    volumes = _volumes(reading)
    keys = _concepts(reading)
    key = concept_key(_OF_CLASS.sub("", option))
    sides = reading.asked.get("sides") or (None, None)
    names = [key if side is None else concept_key(f"{side} {key}") for key, side in zip(keys, sides, strict=True)]
    if volumes is None or volumes[0] == volumes[1] or key not in names or names[0] == names[1]:
        return None
    return names[volumes[1] > volumes[0]] == key


def _number(part: Part) -> float:
    """The one number with its sign."""
    place, number = part.numbers[0]
    start = part.tokens[place].start
    signed = part.text[:start].endswith(("-", "\u2212")) and number > 0
    return -number if signed else number


def _unit(part: Part) -> str | None:
    place = part.numbers[0][0]
    return next((quantity.unit for quantity in part.quantities if quantity.place == place), None)


def _says(part: Part, truth: _Truth) -> bool:
    place, _ = part.numbers[0]
    decimals = len(part.tokens[place].raw.partition(".")[2])
    near = float(f"{truth.value:.{truth.decimals}f}") == _number(part)  # a half has one digit that it is told by
    return near and decimals == truth.decimals and _unit(part) == truth.unit
