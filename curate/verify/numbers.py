"""Every number in the text has a source; none is left over."""

from collections.abc import Iterator
from typing import ClassVar

from curate.schema import Kind, Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.collective import denies_the_rest
from curate.verify.counting import kinds_asked, total_of
from curate.verify.lexicon import CONCEPT, broader, concept_key, place_terms
from curate.verify.measured import measured_problem, names_quantity
from curate.verify.measuring import measured_as, measures_of_draft
from curate.verify.name_parts import places_of_name
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import NUMBER, stem
from curate.verify.units import Quantity, unit_of

__all__ = ["Numbers"]

_NUMBERED = frozenset({"image", "figure", "scan", "radiograph", "picture", "panel", "study", "view"})
_FORMS = frozenset(
    map(
        stem,
        (
            "sentence",
            "line",
            "word",
            "paragraph",
            "phrase",
            "caption",
            "option",
            "choice",
            "answer",
            "image",
            "picture",
            "radiograph",
            "scan",
            "study",
            "examination",
            "film",
            "lung",
            "eye",
            "breast",
            "kidney",
            "side",
        ),
    )
)
_LISTABLE = frozenset(
    map(
        stem,
        [
            "device",
            "abnormality",
            "finding",
            "structure",
            "feature",
            "condition",
            "label",
            "lesion",
            "type",
            "kind",
            "item",
            "entity",
            "class",
            "change",
            "sign",
            "disease",
            "diagnosis",
            "pathology",
            "tube",
            "line",
            "instrument",
            "tool",
            "object",
            "compartment",
            "category",
            "stage",
        ],
    )
)
"""Words for findings of any kind, whose number is that of those which are listed."""
_GROUPS = frozenset(map(stem, ("group", "class", "category", "type", "kind", "label", "possibility", "diagnosis")))
"""Words for what a question offers to choose from: `one of four groups`."""
_ORGANS = frozenset(map(stem, ("lung", "eye", "breast", "kidney", "side")))
_PAIR = 2
_BEYOND = 3
"""A bound like `at least` begins at most so many tokens before its number."""


class Numbers(ReadingRule):
    """Image sizes, coordinates, counts, values: whatever the text counts or measures."""

    name: ClassVar[str] = "numbers"
    version: ClassVar[int] = 5

    def judge(self, reading: Reading) -> Verdict:
        """Applies where there is a number that is not part of a name."""
        if reading.verbatim:
            return NOT_APPLICABLE
        applies = bool(reading.question.lists or reading.answer.lists) or reading.ask == "measure"
        for part in (reading.question, reading.answer):
            problem = _size_problem(reading, part) or _coordinate_problem(reading, part)
            if problem is not None:
                return problem
            vague = [span for span in part.cued("quantities") if part is reading.answer and not _is_exact(part, span)]
            if vague and not (len(vague) == 1 and denies_the_rest(reading.prose[1])):
                return no(Reason.NUMBER, "the text gives a vague quantity that no annotation states")
            if part.numbers and not (part is reading.answer and names_quantity(reading)):
                applies = True
                problem = _numbers_problem(reading, part)
                if problem is not None:
                    return problem
        if names_quantity(reading):
            return measured_problem(reading)
        if reading.ask == "measure":
            return _measure_problem(reading)
        return None if applies else NOT_APPLICABLE


def _is_exact(part: Part, span: tuple[int, int]) -> bool:
    """True for a vague word beside what makes it exact: `some 54 mm`; `another at` and the box of it."""
    following = part.tokens[span[1]].kind if span[1] < len(part.tokens) else ""
    word = part.tokens[span[0]].low
    return (word == "some" and following == NUMBER) or (word == "another" and len(part.lists) > 1)


def _numbers_problem(reading: Reading, part: Part) -> Verdict:
    quantities = {quantity.place: quantity for quantity in part.quantities}
    for place, number in part.numbers:
        start = part.tokens[place].start
        if any(size.start <= start < size.end for size in part.sizes) or _is_image_number(reading, part, place, number):
            continue
        if part is reading.question and _asks_form(part, place):
            continue
        if part is reading.question:
            return no(Reason.NUMBER, f"the question holds the number {number:g}, which nothing asks for")
        if _is_bound(part, place):
            return no(Reason.NUMBER, "the text bounds a number in place of giving it")
        quantity = quantities.get(place)
        if part.tokens[place].low == "one" and reading.ask in ("presence", "compare") and (None, 1.0) in part.counted:
            continue  # `there might be one on the right`
        told = quantity is None and _counts_told(reading, part, place, number)
        if not told and not (_measured(reading, part, quantity) if quantity else _explained(reading, number)):
            return no(Reason.NUMBER, f"no annotation gives the number {number:g}")
    return None


def _counts_told(reading: Reading, part: Part, place: int, number: float) -> bool:
    """True for the number of the findings that a text itself lists: `two abnormalities are present: A and B`."""
    following = {token.stem for token in part.tokens[place + 1 : place + 2 + _BEYOND]}
    all_of = place > 0 and part.tokens[place - 1].low == "all"
    if following.isdisjoint(_LISTABLE) and not all_of:
        return False
    said: dict[State, set[str]] = {}
    for claim in part.claims:
        key = claim.mention.key(CONCEPT)
        if key is not None and reading.facts.names(key):
            said.setdefault(claim.state, set()).add(key)
    named = reading.facts.kinds.get(str(reading.asked.get("label_set")), ())
    listed = [token.low for token in part.tokens[max(0, place - 2) : place]] == ["of", "the"]
    if not said.get(State.PRESENT) and number == len(said.get(State.ABSENT, ())) and not said.get(State.UNCERTAIN):
        return True
    return number in (len(said.get(State.PRESENT, ())), len(named) if listed or not said.get(State.PRESENT) else None)


def _asks_form(part: Part, place: int) -> bool:
    """True for a number that says how to answer: `in two sentences`, `pick one`."""
    following = part.tokens[place + 1].stem if place + 1 < len(part.tokens) else ""
    number = dict(part.numbers)[place]
    if (
        following in _GROUPS
        and place
        and part.tokens[place - 1].low in ("of", "the", "these", "those", "into", "between")
    ):
        return True
    return part.tokens[place].low == "one" or (following in _FORMS and (number <= _PAIR or following not in _ORGANS))


def _is_image_number(reading: Reading, part: Part, place: int, number: float) -> bool:
    """True for the number of one of several images: `image 2`."""
    images = len(reading.facts.assets)
    following = {token.stem for token in part.tokens[place + 1 : place + 1 + _BEYOND]}
    if images > 1 and number == images and not following.isdisjoint(_FORMS):
        return True
    return (
        images > 1
        and place > 0
        and part.tokens[place - 1].stem in _NUMBERED
        and number in range(1, len(reading.facts.assets) + 1)
    )


def _is_bound(part: Part, place: int) -> bool:
    return any(0 <= place - end < _BEYOND or start == place + 1 for start, end in part.cued("bounds"))


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
    in_passing = reading.ask not in ("locate", "point", "identify")
    for annotation in reading.facts.annotations.values() if in_passing else reading.own:
        for place in (reading.facts.box(annotation), reading.facts.point(annotation)):
            if place is not None:
                yield place


def _measured(reading: Reading, part: Part, quantity: Quantity) -> bool:
    """True where a quantity is the measure of what it is said of, or the value of a grade in its unit."""
    measures = reading.facts.measures
    key = quantity.key or concept_key(str(reading.asked.get("concept", "")))
    if quantity.key is None and len({measure.key for measure in measures}) == 1:
        key = measures[0].key
    if any(
        (measure.key == key or _is_kind(key, measure.key) or _is_said_of(key, measure.key, reading))
        and measured_as(part, quantity, measure)
        for measure in measures
    ):
        return True
    return any(
        annotation.value == quantity.value and unit_of(annotation.unit or "") == quantity.unit
        for annotation in reading.own
        if annotation.kind is Kind.GRADE and annotation.unit
    )


def _is_said_of(key: str, measured: str, reading: Reading) -> bool:
    """True where what stands beside a measure has none of its own, and may be what is measured: the enlarged spleen, a
    benign lesion where the lesion is measured."""
    if any(measure.key == key for measure in reading.facts.measures):
        return False
    if f" {key} " in f" {measured} ":
        return True  # the polyp, where the `polyp size` is measured
    of_place = places_of_name(measured)
    if of_place and not of_place.isdisjoint(places_of_name(key)):
        return True
    return bool(place_terms(measured)) or key.rpartition(" ")[2] == measured.rpartition(" ")[2]


def _is_kind(key: str, general: str) -> bool:
    """True where what is measured is called by a special name: the glioma, where tumors are measured."""
    return key in broader().get(general, frozenset()) or key.endswith(f" {general}")


def _measure_problem(reading: Reading) -> Verdict:
    """A question about a measure is answered with it, in a unit where the source has one."""
    key = concept_key(str(reading.asked.get("concept", "")))
    measures = [measure for measure in measures_of_draft(reading) if measure.key == key]
    if not measures:
        return no(Reason.NUMBER, f"the draft names no measure of {key!r}")
    answer = reading.answer
    if any(measured_as(answer, quantity, measure) for quantity in answer.quantities for measure in measures):
        return None
    bare = {number for _, number in answer.numbers}
    if any(measure.unit is None and measure.value in bare for measure in measures):
        return None
    return no(Reason.NUMBER, "the answer does not give the measure with its unit")


def _explained(reading: Reading, number: float) -> bool:
    """True for a number without a unit that is a count, a grade, or a measure without a unit."""
    label_set = str(reading.asked.get("label_set"))
    known: set[float] = set()
    if reading.ask in ("count", "count_total"):
        counts = [reading.facts.count(label_set, key) for key in kinds_asked(reading)]
        total = total_of(reading)
        known = {float(count) for count in (*counts, total) if count is not None}
    known |= {a.value for a in reading.own if a.kind in (Kind.GRADE, Kind.COUNT) and a.value is not None}
    if reading.ask == "grade":
        asked = concept_key(str(reading.asked.get("concept", "")))
        known = {a.value for a in reading.facts.grades.get(asked, ()) if a.value is not None}
    if reading.ask in ("measure", "compare"):
        known |= {measure.value for measure in measures_of_draft(reading) if measure.unit is None}
    return number in known or _counts_rightly(reading, number)


def _counts_rightly(reading: Reading, number: float) -> bool:
    """True where each concept that the answer counts so often is there so often, by an exhaustive set."""
    keys = {key for key, said in reading.answer.counted if said == number}
    concept = reading.asked.get("concept")
    if None in keys and isinstance(concept, str):
        keys = keys - {None} | {concept_key(concept)}
    if not keys or None in keys or reading.ask in ("count", "count_total", "grade", "measure"):
        return False
    return all(
        any(reading.facts.count(label_set, key) == number for label_set in reading.facts.kinds)
        for key in keys
        if key is not None
    )
