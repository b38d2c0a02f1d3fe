"""Expressions that single out an object of the picture: read from the text, judged by the geometry of the annotations.

A text refers by extremes (`largest`, `leftmost`), places in the picture (`on the left side of the image`), shapes
(`round`), numbers (`the only`, `two`) and, in prompts, sizes as shares of the picture (`small`). These words leave the
text before other rules read it: beside them `left` is the patient's side and `large` a finding. What is not in the
lists below stays in the text, so that a bare side, or a size of which nothing is known, is judged as such.

Limits, each with its margin: larger is 1.2 times the area of a mask or polygon, 1.5 times that of a box; the outermost
lies 5 % of the side beyond the next; at an edge is a centre within 30 % of the side from it, and not there is one
beyond 55 %; in the center is within 13 % of the middle, not there beyond 22 %; round fills 0.70 to 0.86 of a box whose
sides differ by at most 1.2 times; elongated is a box twice as long as wide; tiny, small and medium end at 0.1 %, 8 %
and 30 % of the picture. An expression holds where it is true of one object and of no other that it might mean.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from curate.rows import Annotation, Asset
from curate.schema import Form, Kind
from curate.verify.lexicon import concept_key

__all__ = ["REFERRING", "Expression", "Referred", "problem_of", "referred_in"]

REFERRING: Final = ("refer", "describe", "prompts")
_READ_AS: Final = {"refer": "locate", "describe": "identify", "prompts": "locate"}
"""What kind of question each is once its expressions are out of the text."""

_BOXED: Final = (Kind.BOX, Kind.MASK, Kind.POLYGON)
_MOVING: Final = (Form.VOLUME, Form.VIDEO, Form.CLIP)
_PICTURE: Final = r"(?:of|in|within) (?:the|this) (?:image|picture|frame|slice|view|field(?: of view)?)"
_WHERE: Final = (
    r"(?:(?:upper|top|lower|bottom)[- ]?(?:left|right|center|centre|middle)(?:[- ]hand)?"
    r"|left(?:[- ]hand)?|right(?:[- ]hand)?|top|bottom|upper|lower|center|centre|middle)"
)
_AREA: Final = r"(?: (?:side|part|area|region|corner|edge|third|half|portion))?"
_PLACE: Final = re.compile(
    rf"(?:located |lying |situated |found |seen )?(?:,\s*)?\b(?:on|at|in|to|near|towards) the (?P<where>{_WHERE}{_AREA}"
    rf"(?:(?:,| and|, and) (?:the )?{_WHERE}{_AREA})*) {_PICTURE}\b",
    re.IGNORECASE,
)
_EXTREME: Final = re.compile(
    r"\b(?:(?P<largest>largest|biggest|greatest)|(?P<smallest>smallest|tiniest|littlest)"
    r"|(?P<leftmost>leftmost|furthest left)|(?P<rightmost>rightmost|furthest right)"
    r"|(?P<topmost>topmost|uppermost|highest)"
    r"|(?P<lowest>lowest|lowermost|bottommost))\b",
    re.IGNORECASE,
)
_SHAPE: Final = re.compile(
    r"\b(?:(?P<round>round|rounded|circular|roundish)|(?P<elongated>elongated|elongate|oblong))\b", re.I
)
_SIZE: Final = re.compile(
    r"\b(?:(?P<tiny>tiny)|(?P<small>small)|(?P<medium>medium(?:-sized)?)|(?P<large>large|big|huge))\b", re.I
)
_ONLY: Final = re.compile(r"(?<=\bthe )(?:only|sole|single)\b", re.IGNORECASE)
_NUMBERS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_NUMBER: Final = re.compile(
    rf"^[ \t]*(?P<number>{'|'.join(_NUMBERS)}|\d+)(?= )",
    re.IGNORECASE | re.MULTILINE,
)
_UNPROVED: Final = re.compile(
    r"\b(?:larger|smaller|bigger|tinier|longer|shorter|wider|narrower|longest|shortest|widest|narrowest|thickest|thinnest"
    r"|oval|ovoid|elliptical|square|rectangular|triangular|irregular(?:ly)?|lobulated|star-shaped|shaped|second|third|next"
    r"|second-\w+|middle|central|nearest|closest|farthest|furthest|outermost|innermost|leftward|rightward|upper|lower"
    r"|roundest|darkest|brightest|darker|brighter|not|no|without|except|other than|besides|unlike|or|either|neither)\b",
    re.IGNORECASE,
)
"""Words that would refer by what no rule here can prove, or turn an expression round."""
_EDGES: Final = {"upper": "top", "top": "top", "lower": "bottom", "bottom": "bottom", "left": "left", "right": "right"}

_EPSILON: Final = 1e-9


class Expression(msgspec.Struct, frozen=True):
    """The referring words of one text, or of one line of it. Places are sets of edges; the center is the empty set."""

    extremes: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    places: tuple[frozenset[str], ...] = ()
    only: bool = False
    number: int | None = None
    unproved: bool = False

    @property
    def refers(self) -> bool:
        """True where it says anything of which object is meant."""
        return bool(self.extremes or self.shapes or self.sizes or self.places or self.only or self.number)


class Referred(msgspec.Struct, frozen=True, gc=False):
    """A draft that refers: as what other rules read it, its texts without referring words, and these words."""

    kind: str
    ask: str
    question: str
    answer: str
    asked: Expression
    told: tuple[Expression, ...]


def referred_in(ask: str, question: str, answer: str) -> Referred | None:
    """What a draft refers by; None where its question is of another kind."""
    if ask not in REFERRING:
        return None
    asked, plain = _read(question)
    lines = [_read(line, numbered=ask == "prompts") for line in answer.splitlines() or [answer]]
    return Referred(ask, _READ_AS[ask], plain, "\n".join(text for _, text in lines), asked, tuple(e for e, _ in lines))


def _read(text: str, *, numbered: bool = False) -> tuple[Expression, str]:
    """The expression of a text, and the text without it."""
    places = tuple(place for found in _PLACE.finditer(text) for place in _places(found["where"]))
    rest = _PLACE.sub(" ", text)
    extremes = tuple(str(found.lastgroup) for found in _EXTREME.finditer(rest))
    shapes = tuple(str(found.lastgroup) for found in _SHAPE.finditer(rest))
    sizes = tuple(str(found.lastgroup) for found in _SIZE.finditer(rest))
    counted = _NUMBER.match(rest) if numbered else None
    only = _ONLY.search(rest) is not None
    for pattern in (_EXTREME, _SHAPE, _SIZE, _ONLY, *((_NUMBER,) if numbered else ())):
        rest = pattern.sub(" ", rest)
    word = counted["number"].lower() if counted else None
    expression = Expression(
        extremes=extremes, shapes=shapes, sizes=sizes, places=places, only=only,
        number=None if word is None else int(word) if word.isdigit() else _NUMBERS.index(word),
        unproved=_UNPROVED.search(_without_lists(rest)) is not None,
    )  # fmt: skip
    return expression, re.sub(r"[ \t]+", " ", re.sub(r"[ \t]+(?=[.,;?!])", "", rest))


def _without_lists(text: str) -> str:
    return re.sub(r"\[[^\]]*\]", " ", text)


def _places(where: str) -> list[frozenset[str]]:
    found = []
    for part in re.split(r",? and |, ", where.lower()):
        words = re.findall(r"upper|top|lower|bottom|left|right|center|centre|middle", part)
        found.append(frozenset(_EDGES[word] for word in words if word in _EDGES))
    return found


def problem_of(
    referred: Referred,
    asked: Mapping[str, Any],
    annotations: Sequence[Annotation],
    assets: Sequence[Asset],
    boxes: tuple[Sequence[tuple[float, ...]], Sequence[tuple[float, ...]]],
) -> str | None:
    """Why a draft does not refer rightly; None where it does.

    `annotations` are all of the concept that it asks about, of its label set; `boxes` the lists of numbers in the
    question and in the answer.
    """
    wrong = _unreadable(referred, annotations, assets)
    if wrong is not None:
        return wrong
    asset = assets[0]
    marked = [annotation for annotation in annotations if annotation.kind in _BOXED]
    if referred.kind == "prompts":
        return _prompts_problem(referred, asked, marked, asset, boxes)
    expression = referred.asked if referred.kind == "refer" else referred.told[0]
    other = referred.told if referred.kind == "refer" else (referred.asked, *referred.told[1:])
    if any(each.refers or each.unproved for each in other):
        return "the text refers to an object where none is to be told apart"
    given, empty = boxes if referred.kind == "describe" else boxes[::-1]
    if empty or len(given) != 1:
        return "the text must hold one box, where it was asked for or told"
    meant = [one for one in marked if _singles_out(expression, one, marked, asset)]
    if len(meant) != 1:
        return "the expression does not single out one object"
    if tuple(given[0]) != _drawn(meant[0], asset):
        return "the box is not that of the object that the expression singles out"
    return None


def _unreadable(referred: Referred, annotations: Sequence[Annotation], assets: Sequence[Asset]) -> str | None:
    if len(assets) != 1 or assets[0].form in _MOVING or assets[0].exif_orientation not in (None, 1):
        return "an expression refers in one still picture, shown as it is stored"
    if not all(annotation.exhaustive for annotation in annotations) or any(
        "crowd" in annotation.flags for annotation in annotations
    ):
        return "an expression needs a set in which every object is marked"
    if any(annotation.kind not in _BOXED or annotation.box is None for annotation in annotations):
        return "an expression needs a box of every object"
    if any("region" in annotation.flags for annotation in annotations) and len(annotations) > 1:
        return "several regions are no objects"
    if any(each.unproved for each in (referred.asked, *referred.told)):
        return "the text refers by words that nothing proves"
    if referred.kind != "prompts" and any(each.sizes for each in (referred.asked, *referred.told)):
        return "a size that is no comparison is said in prompts alone"
    return None


def _singles_out(expression: Expression, one: Annotation, marked: Sequence[Annotation], asset: Asset) -> bool:
    """True where an expression is true of one and of no other that it might mean."""
    others = [other for other in marked if other is not one]
    region = "region" in one.flags
    if not expression.refers and (others or not region):
        return False
    if (expression.only and others) or (region and (expression.only or expression.extremes)):
        return False
    if _all_of(expression, one, asset) is not True:
        return False
    for other in others:
        if _all_of(expression, other, asset) is False:
            continue
        if not expression.extremes or not all(_beats(one, other, each, asset) for each in expression.extremes):
            return False
    return True


def _all_of(expression: Expression, one: Annotation, asset: Asset) -> bool | None:
    known = [_is_shaped(one, shape, asset) for shape in expression.shapes]
    known += [_is_sized(one, size, asset) for size in expression.sizes]
    known += [_lies(one, place, asset) for place in expression.places]
    return False if False in known else None if None in known else True


def _clipped(one: Annotation, asset: Asset) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = one.box or (0.0, 0.0, 0.0, 0.0)
    return max(0.0, x0), max(0.0, y0), min(float(asset.width), x1), min(float(asset.height), y1)


def _drawn(one: Annotation, asset: Asset) -> tuple[int, ...]:
    x0, y0, x1, y1 = _clipped(one, asset)
    return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)


def _sides(one: Annotation, asset: Asset) -> tuple[float, float]:
    x0, y0, x1, y1 = _clipped(one, asset)
    return x1 - x0, y1 - y0


def _area(one: Annotation) -> float | None:
    return one.area_px or None if one.kind in (Kind.MASK, Kind.POLYGON) else None


def _is_sized(one: Annotation, word: str, asset: Asset) -> bool | None:
    limits = {"tiny": (0.0, 0.001), "small": (0.001, 0.08), "medium": (0.08, 0.30), "large": (0.30, math.inf)}
    low, high = limits[word]
    width, height = _sides(one, asset)
    area = _area(one)
    least, most = (area, area) if area else (width * height / 2, width * height)
    whole = asset.width * asset.height
    if low <= least / whole / 1.1 + _EPSILON and most / whole * 1.1 < high + _EPSILON:
        return True
    return False if most / whole < low or least / whole >= high else None


def _is_shaped(one: Annotation, word: str, asset: Asset) -> bool | None:
    short, long = sorted(_sides(one, asset))
    if short <= 0:
        return None
    area = _area(one)
    if word == "elongated":
        if long >= 2 * short - _EPSILON:
            return True
        return False if area and long <= 1.5 * short and area >= 0.6 * short * long else None
    if long >= 1.5 * short:
        return False
    if not area or long > 1.2 * short + _EPSILON:
        return None
    return True if 0.70 - _EPSILON <= area / (short * long) <= 0.86 + _EPSILON else None


def _lies(one: Annotation, place: frozenset[str], asset: Asset) -> bool | None:
    """Whether an object lies at the edges of a place; in the center, where none is named."""
    x0, y0, x1, y1 = _clipped(one, asset)
    across, down = (x0 + x1) / 2 / asset.width, (y0 + y1) / 2 / asset.height
    if not place:
        off = max(abs(across - 0.5), abs(down - 0.5))
        if off > 0.22:
            return False
        whole = max((x1 - x0) / asset.width, (y1 - y0) / asset.height)
        return True if off <= 0.13 + _EPSILON and whole <= 0.5 + _EPSILON else None
    shares = {"left": across, "right": 1 - across, "top": down, "bottom": 1 - down}
    near = [True if shares[edge] <= 0.30 + _EPSILON else False if shares[edge] >= 0.55 else None for edge in place]
    return False if False in near else None if None in near else True


def _beats(one: Annotation, other: Annotation, extreme: str, asset: Asset) -> bool:
    if extreme in ("largest", "smallest"):
        more, less = (one, other) if extreme == "largest" else (other, one)
        boxes = [math.prod(_sides(each, asset)) for each in (more, less)]
        areas = [_area(each) for each in (more, less)]
        if areas[0] is None or areas[1] is None:
            return boxes[0] >= 1.5 * boxes[1] - _EPSILON
        return areas[0] >= 1.2 * areas[1] - _EPSILON and boxes[0] >= boxes[1]
    first, second = _clipped(one, asset), _clipped(other, asset)
    axis = int(extreme in ("topmost", "lowest"))
    gap = (
        (second[axis] + second[axis + 2] - first[axis] - first[axis + 2]) / 2 / (asset.height if axis else asset.width)
    )
    if extreme in ("leftmost", "topmost"):
        return gap >= 0.05 - _EPSILON and first[axis] <= second[axis]
    return -gap >= 0.05 - _EPSILON and first[axis + 2] >= second[axis + 2]


def _prompts_problem(
    referred: Referred,
    asked: Mapping[str, Any],
    marked: Sequence[Annotation],
    asset: Asset,
    boxes: tuple[Sequence[tuple[float, ...]], Sequence[tuple[float, ...]]],
) -> str | None:
    """Each line of the prompts is true of all objects, and none says less than the one before."""
    if referred.asked.refers or any(boxes):
        return "a question for prompts refers to no object and holds no coordinates"
    levels = asked.get("levels")
    if (
        not isinstance(levels, list)
        or sorted(set(levels)) != list(range(len(referred.told)))
        or sorted(levels) != levels
    ):
        return "the levels of the prompts are not those of its lines"
    known = 0
    key = concept_key(str(asked.get("concept")))
    for line, text in zip(referred.told, referred.answer.splitlines(), strict=True):
        if not _is_true_of_all(line, marked, asset):
            return "a prompt is not true of what is marked"
        if not text.strip():
            return f"a prompt does not name {key!r}"
        said = sum(map(len, (line.sizes, line.shapes, line.places))) + (line.number is not None)
        if said < known:
            return "a prompt says less than the one before"
        known = said
    return None


def _is_true_of_all(line: Expression, marked: Sequence[Annotation], asset: Asset) -> bool:
    if line.extremes or line.only or (line.number is not None and line.number != len(marked)):
        return False
    if line.number is not None and any("region" in one.flags for one in marked):
        return False
    if not all(_is_sized(one, size, asset) for one in marked for size in line.sizes):
        return False
    if not all(_is_shaped(one, shape, asset) for one in marked for shape in line.shapes):
        return False
    if not line.places or len(line.places) > len(marked):
        return not line.places
    every = all(any(_lies(one, place, asset) for place in line.places) for one in marked)
    return every and all(any(_lies(one, place, asset) for one in marked) for place in line.places)
