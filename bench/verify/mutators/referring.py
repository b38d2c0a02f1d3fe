"""Expressions that single out another object, none, or several: other extremes, places, shapes, sizes and numbers.

A change is proved by the extents of the objects alone: it is made only where the word is plainly false of what is
marked, or where the box is another object's.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.verify.facts import Facts, whole_box
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from curate.rows import Annotation
from curate.schema import Kind

__all__ = ["KINDS"]

DRAWN = (Kind.BOX, Kind.MASK, Kind.POLYGON)
BOX = re.compile(r"\[\s*(\d+),\s*(\d+),\s*(\d+),\s*(\d+)\s*\]")
EXTREMES = ("largest", "smallest", "leftmost", "rightmost", "topmost", "lowest")
OPPOSITE = {"left": "right", "right": "left", "upper": "lower", "lower": "upper", "top": "bottom", "bottom": "top"}
SIDE = re.compile(r"\b(left|right|upper|lower|top|bottom)\b(?=[^.\[]* of the image)")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
SIZES = ("tiny", "small", "medium-sized", "large")
CLEARLY = 1.05
"""Two extents that differ by less might be called alike."""


def _marked(row: Row, facts: Facts) -> list[Annotation]:
    """The objects of the concept that is asked about."""
    return [
        each
        for each in facts.own
        if each.concept == row.asks.get("concept")
        and each.label_set == row.asks.get("label_set")
        and each.kind in DRAWN
        and each.box is not None
    ]


def _refers(row: Row) -> bool:
    return row.asks.get("ask") in ("refer", "describe")


def _expression(row: Row) -> str:
    return row.question if row.asks["ask"] == "refer" else row.answer


def _changed(row: Row, text: str, why: str) -> Change:
    return Change(why, question=text) if row.asks["ask"] == "refer" else Change(why, answer=text)


def _meant(row: Row, marked: Sequence[Annotation]) -> Annotation | None:
    found = BOX.search(row.answer if row.asks["ask"] == "refer" else row.question)
    place = [int(edge) for edge in found.groups()] if found else None
    held = [each for each in marked if each.box is not None and whole_box((*each.box,)) == place]  # type: ignore[arg-type]
    return held[0] if len(held) == 1 else None


def _area(one: Annotation) -> float:
    x0, y0, x1, y1 = one.box or (0.0, 0.0, 0.0, 0.0)
    return one.area_px if one.kind is not Kind.BOX and one.area_px else (x1 - x0) * (y1 - y0)


def _centre(one: Annotation, axis: int) -> float:
    box = one.box or [0.0] * 4
    return (box[axis] + box[axis + 2]) / 2


_MORE: Mapping[str, Callable[[Annotation], float]] = {
    "largest": _area,
    "smallest": lambda one: 1 / max(_area(one), 1e-9),
    "leftmost": lambda one: 1 / (1 + _centre(one, 0)),
    "rightmost": lambda one: _centre(one, 0),
    "topmost": lambda one: 1 / (1 + _centre(one, 1)),
    "lowest": lambda one: _centre(one, 1),
}


def expression_other_extreme(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Another extreme, of which another object of the picture has more."""
    if not _refers(row):
        return
    text, marked = _expression(row), _marked(row, facts)
    one = _meant(row, marked)
    said = next((word for word in EXTREMES if f" {word} " in text), None)
    if one is None or said is None or " of the image" in text:
        return
    for word in draw.some("word", [word for word in EXTREMES if word != said], 2):
        more = _MORE[word]
        if any(more(other) > CLEARLY * more(one) for other in marked if other is not one):
            yield _changed(row, text.replace(said, word), f"another one is more so: {word}")


def expression_other_side(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The opposite side of the picture, where the object lies plainly on this one."""
    if not _refers(row):
        return
    text, one = _expression(row), _meant(row, _marked(row, facts))
    if one is None:
        return
    for found in list(SIDE.finditer(text)):
        axis, side = (0, facts.asset.width) if found[1] in ("left", "right") else (1, facts.asset.height)
        share = _centre(one, axis) / side
        if share < 0.4 if found[1] in ("left", "upper", "top") else share > 0.6:
            other = text[: found.start()] + OPPOSITE[found[1]] + text[found.end() :]
            yield _changed(row, other, f"its centre lies at {share:.2f} of the side")


def expression_other_box(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The box of another object of the same concept."""
    if not _refers(row):
        return
    marked = _marked(row, facts)
    one = _meant(row, marked)
    others = [whole_box((*each.box,)) for each in marked if each is not one and each.box]  # type: ignore[arg-type]
    if one is None:
        return
    for box in draw.some("box", others, 2):
        if row.asks["ask"] == "refer":
            yield Change("the expression is of another object", answer=BOX.sub(str(box), row.answer, count=1))
        else:
            yield Change("the expression is of another object", question=BOX.sub(str(box), row.question, count=1))


def expression_dropped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """No word that tells one from the other objects, or one that says there are no others."""
    if not _refers(row) or len(_marked(row, facts)) < 2:
        return
    text = _expression(row)
    plain = re.sub(r" (?:on|at|in) the [a-z ]+? of the image", " in the image", text)
    plain = re.sub(rf" (?:{'|'.join((*EXTREMES, 'round', 'elongated'))})(?= )", "", plain)
    yield _changed(row, plain, "several are marked, and nothing tells which is meant")
    if " the " in f" {plain.lower()}":
        yield _changed(row, re.sub(r"\b([Tt]he) ", r"\1 only ", plain, count=1), "several are marked")


def prompt_other_number(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Another number of objects than are marked."""
    if row.asks.get("ask") != "prompts":
        return
    found = re.search(rf"^({'|'.join(NUMBERS)}) ", row.answer, re.IGNORECASE | re.MULTILINE)
    if found is None:
        return
    others = [word for word in NUMBERS if word != found[1].lower()]
    for word in draw.some("number", others, 2):
        changed = re.sub(rf"^{found[1]}\b", word.capitalize(), row.answer, flags=re.MULTILINE)
        yield Change(f"{len(_marked(row, facts))} are marked", answer=changed)


def prompt_other_size(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Another size word: the true one holds with a margin, so every other is false."""
    if row.asks.get("ask") != "prompts":
        return
    said = next((word for word in SIZES if re.search(rf"\b{word}\b", row.answer)), None)
    if said is not None:
        for word in draw.some("size", [word for word in SIZES if word != said], 2):
            yield Change(f"by its share of the picture it is {said}", answer=re.sub(rf"\b{said}\b", word, row.answer))


def prompt_other_place(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The opposite side, of which nothing that is marked lies."""
    if row.asks.get("ask") != "prompts":
        return
    marked = _marked(row, facts)
    for found in list(SIDE.finditer(row.answer)):
        axis, side = (0, facts.asset.width) if found[1] in ("left", "right") else (1, facts.asset.height)
        shares = [_centre(each, axis) / side for each in marked]
        low = found[1] in ("left", "upper", "top")
        if shares and (max(shares) < 0.4 if low else min(shares) > 0.6):
            other = row.answer[: found.start()] + OPPOSITE[found[1]] + row.answer[found.end() :]
            yield Change("nothing that is marked lies there", answer=other)


def definition_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A definition with one of its words changed or left out."""
    if not row.asks.get("defined"):
        return
    found = re.search(r"(?:which means|\bis|\bare) (an? [a-z ]{12,}|the [a-z ']{12,})", row.question)
    if found is None:
        return
    words = found[1].split(" ")
    at = 1 + draw.below("word", max(1, len(words) - 2))
    for other in ([*words[:at], *words[at + 1 :]], [*words[:at], "never", *words[at:]]):
        text = row.question[: found.start(1)] + " ".join(other) + row.question[found.end(1) :]
        yield Change("that is not what the word means", question=text)


KINDS: Mapping[str, Make] = {
    "expression_other_extreme": expression_other_extreme,
    "expression_other_side": expression_other_side,
    "expression_other_box": expression_other_box,
    "expression_dropped": expression_dropped,
    "prompt_other_number": prompt_other_number,
    "prompt_other_size": prompt_other_size,
    "prompt_other_place": prompt_other_place,
    "definition_changed": definition_changed,
}
