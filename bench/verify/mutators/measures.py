"""Lies about a named quantity: another value, unit, direction or organ, fewer or more digits, a bound, a turned ratio.

What is true is the one value that a task wrote in the answer of an accepted row: no geometry is measured here.
"""

import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row

__all__ = ["KINDS"]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\d)")
_UNITS = {
    "mL": ("L", "mm³", "mm", "HU"), "mm³": ("mL", "cm³", "mm²"), "mm": ("cm", "m", "mm²", "µm"),
    "cm²": ("mm²", "cm", "cm³"), "mm²": ("cm²", "mm", "mm³"), "HU": ("mm", "mL", "%"),
}  # fmt: skip
_QUANTITIES = ("volume", "area", "transverse extent", "anteroposterior extent", "craniocaudal extent",
               "mean attenuation", "diameter", "width", "radius", "surface area", "mass")  # fmt: skip
_BOUNDS = ("at least", "at most", "more than", "less than", "over", "up to")


def _told(row: Row) -> tuple[str, re.Match[str]] | None:
    """The quantity that was asked for, and the one number of the answer behind the words of its question."""
    quantity = row.asks.get("quantity")
    if row.asks["ask"] != "measure" or not quantity or row.language != "en":
        return None
    names = [str(name) for name in (row.asks.get("concept"), *row.asks.get("concepts", ())) if name]
    spans = [match.span() for name in names for match in re.finditer(re.escape(name), row.answer, re.IGNORECASE)]
    found = [m for m in _NUMBER.finditer(row.answer) if not any(a <= m.start() < b for a, b in spans)]
    return (str(quantity), found[0]) if len(found) == 1 else None


def _instead(row: Row, match: re.Match[str], other: str) -> str:
    return row.answer[: match.start()] + other + row.answer[match.end() :]


def value_off(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A value that is off by two of the last digit or by a share of itself."""
    told = _told(row)
    if told is None:
        return
    said, decimals = float(told[1].group()), len(told[1].group().partition(".")[2])
    near = [
        said + 2 * 10**-decimals,
        said - 2 * 10**-decimals,
        said * 1.1,
        said * 0.9,
        said * 2,
        said / 10,
        said * 10,
        -said,
    ]
    pool = sorted({f"{value:.{decimals}f}" for value in near} - {told[1].group()})
    for other in draw.some("off", pool, 3):
        yield Change(f"the mask measures {told[1].group()}", answer=_instead(row, told[1], other))


def digits_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Digits that nobody measured behind the last."""
    told = _told(row)
    if told is not None and told[0] != "pieces":
        text = told[1].group()
        longer = f"{text}{draw.pick('digit', '123456789')}" if "." in text else f"{text}.{draw.pick('digit', '1234')}"
        yield Change(f"{text} is as many digits as were asked for", answer=_instead(row, told[1], longer))


def unit_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The number in another unit, or in none."""
    told, unit = _told(row), str(row.asks.get("unit") or "")
    if told is None or unit not in _UNITS or f" {unit}" not in row.answer:
        return
    for other in draw.some("unit", (*_UNITS[unit], ""), 2):
        answer = row.answer.replace(f" {unit}", f" {other}".rstrip(), 1)
        yield Change(f"it is measured in {unit}", answer=answer)


def quantity_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The value told as another quantity's, in the answer or in the question."""
    quantity = row.asks.get("quantity")
    if quantity not in _QUANTITIES or row.language != "en":
        return
    for other in draw.some("quantity", [each for each in _QUANTITIES if each != quantity], 2):
        for text in ("answer", "question"):
            before = getattr(row, text)
            after = re.sub(rf"\b{quantity}\b", other, before, count=1)
            if after != before:
                yield Change(f"what is asked for is the {quantity}", **{text: after})


def bounded(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A bound or a guess in place of the value."""
    told = _told(row)
    if told is not None:
        bound = draw.pick("bound", _BOUNDS)
        yield Change("the value is known", answer=_instead(row, told[1], f"{bound} {told[1].group()}"))


def ratio_turned(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The ratio of the second to the first."""
    told = _told(row)
    if told is None or told[0] != "volume ratio":
        return
    said = float(told[1].group())
    turned = f"{1 / said:.2f}"
    if said and turned != told[1].group():
        yield Change(f"the first is {said} times the second", answer=_instead(row, told[1], turned))


def thing_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The value of one thing told of another that is marked too."""
    concept = row.asks.get("concept")
    if row.asks.get("quantity") is None or not isinstance(concept, str) or row.language != "en":
        return
    others = sorted({one.concept for one in facts.own if one.concept and one.concept != concept})
    for other in draw.some("thing", others, 2):
        for text in ("answer", "question"):
            before = getattr(row, text)
            after = re.sub(rf"\b{re.escape(concept)}\b", other, before, count=1)
            if after != before:
                yield Change(f"what is measured is the {concept}", **{text: after})


KINDS: Mapping[str, Make] = {
    "value off": value_off,
    "digits changed": digits_changed,
    "unit swapped": unit_swapped,
    "quantity swapped": quantity_swapped,
    "value bounded": bounded,
    "ratio turned": ratio_turned,
    "thing swapped": thing_swapped,
}
