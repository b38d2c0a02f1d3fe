"""Boxes and points that the source does not draw: moved, turned, scaled, dropped, doubled, or of other objects."""

import re
from collections.abc import Iterator, Mapping, Sequence

from bench.verify.facts import Box, Facts, whole_box, whole_point
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row

__all__ = ["KINDS"]

PLACE = re.compile(r"\[\s*-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?){1,3}\s*\]")
APART_PX = 3
"""Edges that differ by less may be another way to round the same box."""

Place = list[float]


def _places(text: str, size: int) -> list[tuple[int, int, Place]]:
    """Where a text writes boxes (four numbers) or points (two)."""
    found = []
    for match in PLACE.finditer(text):
        numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", match.group())]
        if len(numbers) == size:
            found.append((match.start(), match.end(), numbers))
    return found


def _written(place: Sequence[float]) -> str:
    return "[" + ", ".join(f"{edge:g}" for edge in place) + "]"


def _whole(facts: Facts, concept: str, size: int) -> list[Place]:
    """The boxes or points of one concept as texts write them."""
    places = [whole_box(box) for box in facts.boxes.get(concept, [])] if size == 4 else []
    places += [whole_point(point) for point in facts.points.get(concept, [])] if size == 2 else []
    return [[float(edge) for edge in place] for place in places]


def _drawn(row: Row, facts: Facts, size: int) -> list[Place]:
    """All places of what is asked about, or of everything where the box is in the question."""
    wanted = [str(row.asks["concept"])] if "concept" in row.asks else sorted({*facts.boxes, *facts.points})
    return [place for concept in wanted for place in _whole(facts, concept, size)]


def _differ(one: Place, other: Place) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) >= APART_PX


def _is_elsewhere(place: Place, row: Row, facts: Facts) -> bool:
    return all(_differ(place, each) for each in _drawn(row, facts, len(place)))


def _inside_drawn(place: Place, row: Row, facts: Facts) -> bool:
    """True where a point lies in a box of what is asked about: then it may point to it after all."""
    boxes: list[Box] = facts.boxes.get(str(row.asks.get("concept")), [])
    return len(place) == 2 and any(x0 <= place[0] <= x1 and y0 <= place[1] <= y1 for x0, y0, x1, y1 in boxes)


def _asked(row: Row) -> int | None:
    """4 where boxes are asked for, 2 where points are."""
    return {"locate": 4, "point": 2}.get(row.asks["ask"])


def _each(row: Row, facts: Facts, draw: Draw, ways: "Mapping[str, object]", name: str) -> Iterator[Change]:
    size = _asked(row)
    text, in_question = row.answer, False
    if row.asks["ask"] == "identify":
        size, text, in_question = 4, row.question, True
    if size is None:
        return
    found = [each for each in _places(text, size) if not _is_elsewhere(each[2], row, facts)]
    for start, end, place in draw.some("which", found, 1):
        for moved in ways[name](place, facts, draw):  # type: ignore[operator]
            if not _is_elsewhere(moved, row, facts) or _inside_drawn(moved, row, facts):
                continue
            changed = text[:start] + _written(moved) + text[end:]
            why = f"no such place is drawn: {_written(moved)}"
            yield Change(why, question=changed) if in_question else Change(why, answer=changed)


def _shifted(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    for step in draw.some("step", (4, 8, 15, 30, 60, 120), 2):
        way = draw.pick(("way", step), ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)))
        yield [edge + step * way[index % 2] for index, edge in enumerate(place)]


def _one_edge(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    edge, step = draw.below("edge", len(place)), draw.pick("step", (5, -5, 12, -12, 40, -40))
    yield [value + step * (index == edge) for index, value in enumerate(place)]


def _axes_swapped(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    yield [place[index ^ 1] for index in range(len(place))]


def _inverted(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    if len(place) == 4:
        yield [place[2], place[3], place[0], place[1]]
        yield [place[2], place[1], place[0], place[3]]


def _mirrored(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    width, height = facts.asset.width, facts.asset.height
    if len(place) == 4:
        yield [width - place[2], place[1], width - place[0], place[3]]
        yield [place[0], height - place[3], place[2], height - place[1]]
    else:
        yield [width - place[0], place[1]]


def _sized(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    """Written as corner and size."""
    if len(place) == 4:
        yield [place[0], place[1], place[2] - place[0], place[3] - place[1]]


def _scaled(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    width, height = facts.asset.width, facts.asset.height
    size = [width, height] * 2
    if (width, height) != (1000, 1000):
        yield [round(edge * 1000 / size[index]) for index, edge in enumerate(place)]
    yield [round(edge / size[index], 3) for index, edge in enumerate(place)]
    yield [round(edge / 2) for edge in place]


def _outside(place: Place, facts: Facts, draw: Draw) -> Iterator[Place]:
    size = [facts.asset.width, facts.asset.height] * 2
    yield [edge + size[index] for index, edge in enumerate(place)]
    yield [-edge - 1 for edge in place]


WAYS = {
    "place_shifted": _shifted,
    "place_edge_moved": _one_edge,
    "place_axes_swapped": _axes_swapped,
    "place_inverted": _inverted,
    "place_mirrored": _mirrored,
    "place_as_size": _sized,
    "place_scaled": _scaled,
    "place_outside": _outside,
}


def _moves(name: str) -> Make:
    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        yield from _each(row, facts, draw, WAYS, name)

    make.__doc__ = f"A {name.replace('_', ' ')}."
    return make


def place_dropped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One of all places left out, or every one."""
    size = _asked(row)
    found = _places(row.answer, size) if size else []
    if size is None or not found or len(found) != len(PLACE.findall(row.answer)):
        return
    if not row.answer.lstrip().startswith("["):
        return
    if row.asks["all"] and len(found) > 1:
        kept = [place for _, _, place in found]
        gone = draw.below("which", len(kept))
        answer = "[" + ", ".join(_written(place) for place in kept[:gone] + kept[gone + 1 :]) + "]"
        yield Change(f"{len(found)} are marked and all are asked for", answer=answer)
    yield Change("some are marked", answer="[]")


def place_doubled(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One place twice, as if there were two objects."""
    size = _asked(row)
    found = _places(row.answer, size) if size else []
    if not found or not row.answer.lstrip().startswith("["):
        return
    kept = [place for _, _, place in found]
    again = draw.pick("which", kept)
    if _drawn(row, facts, len(again)).count(again) > 1:
        return
    answer = "[" + ", ".join(_written(place) for place in [*kept, again]) + "]"
    yield Change("it is marked once", answer=answer)


def place_invented(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A place more than there are."""
    size = _asked(row)
    found = _places(row.answer, size) if size else []
    if size is None or not found or not row.answer.lstrip().startswith("["):
        return
    x, y = draw.below("x", max(1, facts.asset.width - 40)), draw.below("y", max(1, facts.asset.height - 40))
    new = [float(x), float(y), x + 31.0, y + 27.0][:size]
    if _is_elsewhere(new, row, facts) and not _inside_drawn(new, row, facts):
        answer = "[" + ", ".join(_written(place) for place in [*(place for _, _, place in found), new]) + "]"
        yield Change(f"nothing is marked at {_written(new)}", answer=answer)


def place_of_another(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The place of another object, or in a question that of another label than the answer names."""
    size = 4 if row.asks["ask"] == "identify" else _asked(row)
    if size is None:
        return
    in_question = row.asks["ask"] == "identify"
    text = row.question if in_question else row.answer
    found = _places(text, size)
    if not found:
        return
    names = sorted({*facts.boxes, *facts.points})
    whole = {name: _whole(facts, name, size) for name in names}
    own = [name for name, places in whole.items() if found[0][2] in places]
    if len(own) != 1 or (not in_question and own[0] != row.asks["concept"]):
        return
    others = [place for name, places in sorted(whole.items()) if name != own[0] for place in places]
    others = [place for place in others if all(_differ(place, each) for each in whole[own[0]])]
    for place in draw.some("place", others, 1):
        start, end, _ = found[0]
        changed = text[:start] + _written(place) + text[end:]
        why = f"{_written(place)} does not mark {own[0]}"
        yield Change(why, question=changed) if in_question else Change(why, answer=changed)


KINDS: Mapping[str, Make] = {
    **{name: _moves(name) for name in WAYS},
    "place_dropped": place_dropped,
    "place_doubled": place_doubled,
    "place_invented": place_invented,
    "place_of_another": place_of_another,
}
