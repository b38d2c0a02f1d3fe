"""Referring expressions: words that single out one marked object, both ways, and prompts for segmentation by level.

Seeds: RefHL-Seg (slice, expression of type, place and size -> mask), MedRPG (phrase -> box), medvlsm (prompts p0..p6,
each level adding one attribute), VisionLLM and MedRegInstruct (expressions as questions and as answers).

An expression is drafted only where it is true of one object and of no other, each by a margin (`shown` tells which):
the only one; the largest or smallest by 1.2 times the area (by masks) or 1.5 times (by boxes); the outermost by 5 % of
the picture's side; the one at a place, where the centre of no other is near that place; the one that is round or
elongated, where no other comes close. An extreme within a place beats every object that may lie there.

Rules and their reasons. Nothing is unique in a set that is not exhaustive: another one may be unmarked. Places are the
picture's and always say so (`of the image`), because a side alone is the patient's. A picture that viewers turn (EXIF)
has no places. A concept beside which another one of its kind is marked (cell, red cell), or which two label sets mark,
is left out: the expression would be ambiguous. The pixels of a class in a label map are one region, of which only the
place is told; of anatomy neither, since `the large heart` would be a diagnosis. What the picture may cut off at its
border is not called the smallest. What has a side shorter than `min_side_px` is not asked about.

Prompts add one attribute per level: class (p1), the picture's part and view (p2), number (p3), size as a share of the
picture (p4), place (p5), shape (p6). A level whose attribute is not proved says what the one before it says;
`constraints.levels` holds, for p1 to p6, the line of the answer. Only masks and polygons have prompts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Kind, Refusal
from curate.tasks.base import Scope, TaskOptions, Vocabulary
from curate.tasks.english import capitalised, joined, plural, region_name, singular, thing_name
from curate.tasks.facts import Objects, objects
from curate.tasks.kin import akin
from curate.tasks.picture import noun
from curate.tasks.places import json_list, pixel_box, sized
from curate.tasks.shown import EXTREMES, Shown, beats, has_shape, is_in, is_upright, place_of, shape_of, shown, size_of
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["Referring"]

_KINDS: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON})
_TRACED: Final = frozenset({Kind.MASK, Kind.POLYGON})
_PLACES: Final = (
    "top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right",
)  # fmt: skip
_SHAPES: Final = ("round", "elongated")
_SAID: Final = {
    "left": "on the left side of the image",
    "right": "on the right side of the image",
    "top": "at the top of the image",
    "bottom": "at the bottom of the image",
    "center": "in the center of the image",
    "top left": "in the upper left of the image",
    "top right": "in the upper right of the image",
    "bottom left": "in the lower left of the image",
    "bottom right": "in the lower right of the image",
}
_NUMBERS: Final = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_NONE: Final = frozenset[str]()
_ACROSS, _DOWN = frozenset({"left", "right"}), frozenset({"top", "bottom"})
_AXIS: Final = {"leftmost": _ACROSS, "rightmost": _ACROSS, "topmost": _DOWN, "lowest": _DOWN}
"""Extremes and the places that lie along the same axis."""
_WORDED: Final = {"medium": "medium-sized"}


class ReferringOptions(TaskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`objects`: how many are located by an expression, and how many described, per picture.

    `prompts`: whether prompts for segmentation are written; `max_prompted`: for at most so many objects at once, up to
    twenty. `min_side_px`: what has a shorter side is not asked about, but still stands beside the others.
    """

    objects: int = 2
    prompts: bool = False
    max_prompted: int = 5
    min_side_px: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.max_prompted < len(_NUMBERS):
            raise ValueError(f"max_prompted must be 1 to {len(_NUMBERS) - 1}, got {self.max_prompted}")


@dataclass(frozen=True, slots=True)
class _Expression:
    """What singles out an object beside its name."""

    extreme: str | None = None
    shape: str | None = None
    place: str | None = None
    only: bool = False

    @property
    def kind(self) -> tuple[bool, bool, bool]:
        """By what it refers: so that no kind is drowned by one that there are more of."""
        return self.extreme is not None, self.shape is not None, self.place is not None

    def of(self, name: str, picture: str) -> str:
        """The expression in English: `the largest nucleus in this image`, `the nucleus at the top of the image`."""
        front = " ".join(filter(None, ("the", "only" if self.only else None, self.extreme, self.shape, name)))
        return f"{front} {_SAID[self.place] if self.place else f'in {picture}'}"


@dataclass(frozen=True, slots=True)
class _Marked:
    """One object, where it lies, and how it is named beside its like."""

    annotation: Annotation
    seen: Shown


class Referring:
    """Expression to box, box to expression, and prompts by level."""

    name: ClassVar[str] = "referring"
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = ReferringOptions

    def __init__(self, options: ReferringOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Expressions to be located, then objects to be described, then prompts."""
        asset = subject.asset
        if not is_upright(asset):
            return
        marked = objects(subject, _KINDS)
        groups = [group for group in marked if _is_clear(group, marked)]
        for exchange in ("refer", "describe"):
            for said in self._singled_out(asset, groups, exchange):
                yield from drafts(self, asset, said)
        for group in groups if self.options.prompts else ():
            prompts = self._prompts(asset, group)
            if prompts is not None:
                yield from drafts(self, asset, prompts)

    def _singled_out(self, asset: Asset, groups: Sequence[Objects], exchange: str) -> Iterator[Said]:
        """Of all objects that an expression singles out some, and for each one of its expressions, by hash."""
        found: list[tuple[int, str, Objects, _Marked, list[_Expression]]] = []
        for group in groups:
            placed = _placed(asset, group)
            by_object: dict[str, list[_Expression]] = {}
            for expression, one in _expressions(placed, described=group.region or group.unique):
                by_object.setdefault(one.annotation.annotation_id, []).append(expression)
            for one in placed:
                identity = one.annotation.annotation_id
                if identity in by_object and self._is_large_enough(one.seen):
                    found.append((hash_of(identity, exchange), identity, group, one, by_object[identity]))
        found.sort(key=lambda entry: entry[:2])
        for _, identity, group, one, every in found[: self.options.objects]:
            kinds = sorted({way.kind for way in every})
            kind = kinds[hash_of(identity, exchange, "kind") % len(kinds)]
            ways = [way for way in every if way.kind == kind]
            expression = ways[hash_of(identity, exchange, "expression") % len(ways)]
            yield _said(asset, group, one.annotation, expression, exchange)

    def _is_large_enough(self, one: Shown) -> bool:
        return min(one.box[2] - one.box[0], one.box[3] - one.box[1]) >= self.options.min_side_px

    def _prompts(self, asset: Asset, group: Objects) -> Said | None:
        placed = _placed(asset, group)
        if len(placed) > self.options.max_prompted or any(a.kind not in _TRACED for a in group.annotations):
            return None
        lines, levels = _lines(asset, group, placed)
        return Said(
            aspect=f"{group.label_set}:{group.concept}:prompts",
            exchange="prompts",
            words={"things": _names(group, len(placed)), "noun": _noun(asset), "prompts": "\n".join(lines)},
            annotations=list(group.annotations),
            constraints={"ask": "prompts", "concept": group.concept, "label_set": group.label_set, "levels": levels},
        )


def _is_clear(group: Objects, marked: Sequence[Objects]) -> bool:
    """True where what is marked of a concept is all there is of it, and nothing else goes by its name."""
    if not group.exhaustive or any("crowd" in annotation.flags for annotation in group.annotations):
        return False
    if (group.region or group.unique) and len(group.annotations) != 1:
        return False
    return not any(other is not group and _might_be_called(group, other) for other in marked)


def _might_be_called(group: Objects, other: Objects) -> bool:
    """True where two concepts go by one name; an organ and what lies in it (liver, liver lesion) do not."""
    return akin(group.concept, other.concept) and group.unique == other.unique


def _placed(asset: Asset, group: Objects) -> list[_Marked]:
    """The objects of a group with their places; none at all where one of them has none."""
    placed = [
        _Marked(annotation, seen)
        for annotation in sorted(group.annotations, key=lambda each: each.annotation_id)
        if (seen := shown(annotation, asset)) is not None
    ]
    return placed if len(placed) == len(group.annotations) else []


def _expressions(placed: Sequence[_Marked], *, described: bool) -> Iterator[tuple[_Expression, _Marked]]:
    """Each expression that singles out one object, with that object; of what there is once only its place."""
    if described:
        place = place_of(placed[0].seen) if placed else None
        if place is not None:
            yield _Expression(place=place), placed[0]
        return
    if len(placed) == 1:
        yield _Expression(only=True), placed[0]
    for shape, place in itertools.product((None, *_SHAPES), (None, *_PLACES)):
        known = [(one, _holds(one.seen, shape, place)) for one in placed]
        might = [one for one, holds in known if holds is not False]
        sure = [one for one, holds in known if holds is True]
        if (shape or place) and len(sure) == len(might) == 1:
            yield _Expression(shape=shape, place=place), sure[0]
        if shape is not None or len(might) < 2:
            continue
        for extreme in EXTREMES:
            if place and not _AXIS.get(extreme, _NONE).isdisjoint(place.split(" ")):
                continue  # `the topmost at the top` says one thing twice, `the lowest at the top` two that quarrel
            winner = _winner(sure, might, extreme)
            if winner is not None:
                yield _Expression(extreme=extreme, place=place), winner


def _holds(one: Shown, shape: str | None, place: str | None) -> bool | None:
    known = [has_shape(one, shape) if shape else True, is_in(one, place) if place else True]
    return False if False in known else None if None in known else True


def _winner(sure: Sequence[_Marked], might: Sequence[_Marked], extreme: str) -> _Marked | None:
    """The one that is more so than all others that might be meant."""
    for one in sure:
        if extreme == "smallest" and one.seen.at_border:
            continue
        first = next((other for other in might if other is not one and not beats(one.seen, other.seen, extreme)), None)
        if first is None:
            return one
    return None


def _name(group: Objects) -> str:
    """What one of a group is called, without an article."""
    if group.region:
        return region_name(group.concept) if group.unique else f"region of {_bare_region(group.concept)}"
    return thing_name(group.concept) if group.unique else singular(thing_name(group.concept))


def _names(group: Objects, number: int) -> str:
    """What so many of a group are called."""
    return _name(group) if number == 1 else plural(thing_name(group.concept))


def _bare_region(concept: str) -> str:
    return region_name(concept).removeprefix("region of ")


def _noun(asset: Asset) -> str:
    return noun(asset, without=frozenset({"view"}))


def _said(asset: Asset, group: Objects, annotation: Annotation, expression: _Expression, exchange: str) -> Said:
    box = pixel_box(annotation, asset)
    if box is None:
        raise ValueError(f"annotation {annotation.annotation_id} has a place but no box")
    constraints: dict[str, object] = {"ask": exchange, "concept": group.concept, "label_set": group.label_set}
    form, frame = (sized("referring", key, asset, annotation.annotation_id) for key in ("form", "frame"))
    return Said(
        aspect=f"{group.label_set}:{group.concept}:{exchange}",
        exchange=exchange,
        words={
            "noun": _noun(asset),
            "referred": expression.of(_name(group), f"this {_noun(asset)}" if exchange == "refer" else "the image"),
            "form": form,
            "frame": frame,
            "boxes": json_list([box]),
            "region": str(list(box)),
        },
        annotations=[annotation],
        constraints=constraints,
    )


def _lines(asset: Asset, group: Objects, placed: Sequence[_Marked]) -> tuple[list[str], list[int]]:
    """The prompts from general to specific, each once, and for p1 to p6 which of them it is."""
    short = noun(asset, without=frozenset({"view", "anatomy"}))
    once = group.region or group.unique
    name = _names(group, len(placed))
    number = None if once else _NUMBERS[len(placed)]
    size = None if group.unique else _shared(size_of(one.seen) for one in placed)
    shape = None if once else _shared(shape_of(one.seen) for one in placed)
    places = [place_of(one.seen) for one in placed]
    where = "" if None in places else f", at the {joined(_in_order(places))} of the image"
    said = (
        (name, short, ""),
        (name, noun(asset), ""),
        (_phrase(number, name), noun(asset), ""),
        (_phrase(number, size and _WORDED.get(size, size), name), noun(asset), ""),
        (_phrase(number, size and _WORDED.get(size, size), name), noun(asset), where),
        (_phrase(number, size and _WORDED.get(size, size), shape, name), noun(asset), where),
    )
    lines: list[str] = []
    levels: list[int] = []
    for front, picture, behind in said:
        line = f"{capitalised(front)} in the {picture}{behind}."
        if line not in lines:
            lines.append(line)
        levels.append(lines.index(line))
    return lines, levels


def _in_order(places: Sequence[str | None]) -> list[str]:
    """The places once each, as a picture is read."""
    return [place for place in _PLACES if place in places]


def _phrase(*words: str | None) -> str:
    return " ".join(filter(None, words))


def _shared(words: Iterator[str | None]) -> str | None:
    """The word that holds of all; None where they differ or one is unknown."""
    found = set(words)
    return found.pop() if len(found) == 1 else None
