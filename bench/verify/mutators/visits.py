"""Two images of a patient: another course of a finding or a value, the images exchanged, the earlier one missing.

What each image shows is taken from its own annotations; a lie is another of the four things that can become of a
finding that is known of both, or another sign, amount or unit of a change of a measured value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import msgspec

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import phrases, spans
from curate.rows import Asset
from curate.schema import Kind, State

__all__ = ["KINDS"]

BECAME = {
    (State.ABSENT, State.PRESENT): "became_new",
    (State.PRESENT, State.ABSENT): "became_gone",
    (State.PRESENT, State.PRESENT): "became_same",
    (State.ABSENT, State.ABSENT): "became_none",
}
CHANGED = ("became_new", "became_gone")
UNITS = {"mm": ("cm", "m"), "cm": ("mm", "m"), "mL": ("mm3", "L"), "HU": ("mm",), "%": ("mm",)}
DIRECTIONS = (("rose", "fell"), ("increased", "decreased"), ("risen", "fallen"), ("grew", "shrank"), ("升", "降"))
EXCHANGED = {
    "en": (("first", "second"), ("earlier", "later"), ("previous", "current")),
    "zh": (("第一", "第二"), ("前一", "后一"), ("较早", "较晚")),
}
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")


def _states(row: Row, concept: str) -> tuple[State, State] | None:
    """The state of a concept on each of the two images, where both are certain."""
    if len(row.assets) != 2:
        return None
    found = []
    for asset in row.assets:
        own = tuple(each for each in row.annotations if each.asset_id == asset.asset_id)
        found.append(Facts(replace(row, assets=(asset,), annotations=own)).states.get(concept))
    first, second = found
    return (first, second) if first and second and (first, second) in BECAME else None


def _became(row: Row) -> str | None:
    """What became of the finding that a comparison asks about."""
    if row.asks["ask"] != "compare":
        return None
    states = _states(row, str(row.asks["concept"]))
    return None if states is None else BECAME[states]


def _values(row: Row) -> tuple[float, float, str | None] | None:
    """The values of the two images and their unit, where a comparison asks about a measured value."""
    if row.asks["ask"] != "compare" or len(row.assets) != 2:
        return None
    found = [
        [
            (each.value, each.unit)
            for each in row.annotations
            if each.asset_id == asset.asset_id and each.kind is Kind.MEASUREMENT and each.value is not None
            and each.concept == row.asks["concept"]
        ]
        for asset in row.assets
    ]  # fmt: skip
    if any(len(values) != 1 for values in found):
        return None
    (first, unit), (second, other) = found[0][0], found[1][0]
    return None if unit != other or first is None or second is None else (first, second, unit)


def _told_as(wanted: Callable[[str, str], bool]) -> Make:
    """The answer exchanged for a sentence that says that something else became of the finding."""

    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        became = _became(row)
        if became is None:
            return
        name = next((row.question[a:b] for a, b in spans(row.question, row.asks["concept"], row.language)), None)
        name = name or next((row.answer[a:b] for a, b in spans(row.answer, row.asks["concept"], row.language)), None)
        if name is None:
            return
        for other in BECAME.values():
            if other != became and wanted(became, other):
                for answer in draw.some(other, phrases(other, row.language, name), 2):
                    yield Change(f"of {name} it is known that it {became}", answer=answer)

    return make


def images_exchanged(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The later image first, under the words that speak of the earlier one first."""
    if row.asks["ask"] == "compare" and len(row.assets) == 2 and row.assets[0].day_offset != row.assets[1].day_offset:
        yield Change("the first image is the later one", assets=row.assets[::-1])


def order_exchanged(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """First and second exchanged in an answer that says of each image something else."""
    became = _became(row)
    if became not in CHANGED:
        return
    for one, other in EXCHANGED[row.language]:
        pattern = re.compile(rf"{one}|{other}" if row.language == "zh" else rf"\b(?:{one}|{other})\b")
        if pattern.search(row.answer):
            answer = pattern.sub(lambda found, one=one, other=other: other if found[0] == one else one, row.answer)  # type: ignore[misc]
            yield Change("it is the other image that shows it", answer=answer)


def finding_of_another_course(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The finding exchanged, in question and answer and in what was asked, for one of which something else is true."""
    became = _became(row)
    if became is None or row.language != "en":
        return
    concept = str(row.asks["concept"])
    others = [
        other
        for other in facts.vocabulary
        if other != concept and (states := _states(row, other)) is not None and _is_lie(row, became, BECAME[states])
    ]
    for other in draw.some("other", others, 2):
        question, answer = (_renamed(text, concept, other) for text in (row.question, row.answer))
        if question != row.question:
            asks = row.asks | {"concept": other}
            yield Change(f"something else became of {other}", question=question, answer=answer, asks=asks)


def _is_lie(row: Row, became: str, other: str) -> bool:
    """True where what is said of one course is false of another; a bare no is true of all but the one asked about."""
    if re.match(r"no\b", row.answer, re.IGNORECASE):
        return other == {"became_none": "became_new", "became_same": "became_gone"}.get(became)
    return other != became


def finding_unknown(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The finding exchanged, as above, for one of which the source does not say of both images whether it is there."""
    if _became(row) is None or row.language != "en":
        return
    concept = str(row.asks["concept"])
    unknown = [other for other in facts.vocabulary if other != concept and _states(row, other) is None]
    for other in draw.some("other", unknown, 1):
        question, answer = (_renamed(text, concept, other) for text in (row.question, row.answer))
        asks = row.asks | {"concept": other}
        if question != row.question:
            yield Change(f"of {other} not both is known", question=question, answer=answer, asks=asks)


def _renamed(text: str, concept: str, other: str) -> str:
    for start, end in reversed(list(spans(text, concept, "en"))):
        name = other.capitalize() if text[start].isupper() else other
        text = text[:start] + name + text[end:]
    return text


def prior_missing(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """No earlier image: the later one alone, one of somebody else, or two of which none is known to be earlier."""
    if row.asks["ask"] != "compare" or len(row.assets) != 2:
        return
    first, second = row.assets
    image = row.tokens[: len(row.tokens) // 2]
    yield Change("there is no earlier image", assets=(second,), prompt=image + row.question)
    yield Change("the earlier image is somebody else's", assets=(_with(first, subject="somebody else"), second))
    yield Change("it is nobody's known", assets=(_with(first, subject=None), _with(second, subject=None)))
    same_day = _with(first, day_offset=second.day_offset, study=second.study)
    yield Change("both are of one day", assets=(same_day, second))
    undated = (_with(first, day_offset=None, study="a"), _with(second, day_offset=None, study="b"))
    yield Change("no day is known", assets=undated)


def _with(asset: Asset, **fields: object) -> Asset:
    return msgspec.structs.replace(asset, **fields)


def value_turned(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A rise told as a fall: by its verb, by its values, or by both images at once."""
    values = _values(row)
    if values is None or values[0] == values[1]:
        return
    for one, other in DIRECTIONS:
        for word, instead in ((one, other), (other, one)):
            if word in row.answer:
                yield Change("the value changed the other way", answer=row.answer.replace(word, instead))
    told = [f"{value:.12g}" for value in values[:2]]
    if all(row.answer.count(number) == 1 for number in told) and told[0] != told[1]:
        pattern = "|".join(map(re.escape, sorted(told, key=len, reverse=True)))
        turned = re.sub(pattern, lambda found: told[1 - told.index(found[0])], row.answer)
        yield Change("the values are of the other image", answer=turned)


def value_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One of the values in the answer made another one, near or far, of which no annotation tells."""
    values = _values(row)
    if values is None:
        return
    known = {f"{value:.12g}" for value in values[:2]}
    found = [number for number in NUMBER.finditer(row.answer) if number[0] in known]
    for number in draw.some("which", found, 2):
        digits = len(number[0].partition(".")[2])
        step = 10.0**-digits
        for told in draw.some((number.start(), "step"), (3 * step, -2 * step, 7 * step, 40 * step), 2):
            other = f"{float(number[0]) + told:.{digits}f}"
            if float(other) > 0 and float(other) not in facts.numbers:
                answer = row.answer[: number.start()] + other + row.answer[number.end() :]
                yield Change(f"the value is {number[0]}", answer=answer)
        for factor in draw.some((number.start(), "factor"), (0.1, 10, 2), 1):
            other = f"{float(number[0]) * factor:.12g}"
            if float(other) not in facts.numbers:
                answer = row.answer[: number.start()] + other + row.answer[number.end() :]
                yield Change(f"the value is {number[0]}", answer=answer)


def value_unit(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The unit exchanged, left out, or put behind a number that has none."""
    values = _values(row)
    if values is None:
        return
    unit = values[2]
    if unit is None:
        for word in draw.some("unit", ("mm", "cm", "%", "mL"), 2):
            answer = NUMBER.sub(lambda found, word=word: f"{found[0]} {word}", row.answer)  # type: ignore[misc]
            yield Change("the source gives no unit", answer=answer)
        return
    for other in ("", *UNITS.get(unit, ())):
        answer = re.sub(rf"(?<=\d) ?{re.escape(unit)}(?!\w)", f" {other}" if other else "", row.answer)
        if answer != row.answer:
            yield Change(f"the unit is {unit}", answer=answer)


def value_same_or_not(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A value that changed told as unchanged, and the other way round."""
    values = _values(row)
    if values is None:
        return
    first, second = (f"{value:.12g}" + (f" {values[2]}" if values[2] else "") for value in values[:2])
    if first != second:
        for told in (first, second):
            for answer in draw.some(told, phrases("value_same", row.language, value=told), 1):
                yield Change(f"it changed from {first} to {second}", answer=answer)
    else:
        for answer in draw.some("changed", phrases("value_moved", row.language, value=first), 2):
            yield Change(f"it is {first} on both", answer=answer)


KINDS: Mapping[str, Make] = {
    "visit_change_turned": _told_as(lambda was, told: was in CHANGED and told in CHANGED),
    "visit_no_change_for_change": _told_as(lambda was, told: was in CHANGED and told not in CHANGED),
    "visit_change_for_no_change": _told_as(lambda was, told: was not in CHANGED and told in CHANGED),
    "visit_presence_turned": _told_as(lambda was, told: was not in CHANGED and told not in CHANGED),
    "visit_images_exchanged": images_exchanged,
    "visit_order_exchanged": order_exchanged,
    "visit_finding_of_another_course": finding_of_another_course,
    "visit_finding_unknown": finding_unknown,
    "visit_prior_missing": prior_missing,
    "visit_value_turned": value_turned,
    "visit_value_changed": value_changed,
    "visit_value_unit": value_unit,
    "visit_value_same": value_same_or_not,
}
