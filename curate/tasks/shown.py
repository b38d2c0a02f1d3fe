"""How marked objects look in the delivered picture: size, place and shape words that hold by a margin.

Everything is measured in pixels of the stored raster. Areas are those of the mask or polygon; where only a box is
known its area is a bound from above, and half of it is taken for the bound from below (an ellipse fills 0.79 of its
box, a slanted one less). A word is given only where it holds whatever lies within the bounds; else it is None.

Size words are shares of the picture's area, with medvlsm's limits (`scripts/features_from_img.py` of
naamiinepal/medvlsm): tiny below 0.1 %, small to 8 %, medium to 30 %, large beyond; within a tenth of a limit none is
given. Places are those of the picture, never the patient's: `left` is the picture's left.
"""

from dataclasses import dataclass
from typing import Final

from curate.rows import Annotation, Asset
from curate.schema import Form, Kind
from curate.tasks.places import VOLUME

__all__ = [
    "EXTREMES",
    "Shown",
    "beats",
    "has_shape",
    "is_in",
    "is_upright",
    "place_of",
    "shape_of",
    "shown",
    "size_of",
]

_TRACED: Final = frozenset({Kind.MASK, Kind.POLYGON})
_MOVING: Final = frozenset({Form.VOLUME, Form.VIDEO, Form.CLIP})
_LIMITS: Final = ((0.001, "tiny"), (0.08, "small"), (0.30, "medium"), (float("inf"), "large"))
_LIMIT_MARGIN: Final = 1.1
_FILLED: Final = 0.5
"""Share of its box that an object fills at least, where only the box is known."""
_NEAR, _FAR = 0.30, 0.55
"""A centre within this share of a side from an edge lies at it; beyond the second share it does not."""
_MIDDLE, _OFF_MIDDLE = 0.13, 0.22
"""A centre that is so near to the middle, as a share of the side, lies in it; beyond the second share it does not."""
_WIDE: Final = 0.5
"""What is wider or higher than this share of the picture is at no place in it."""
_BIGGER, _BIGGER_BOX = 1.2, 1.5
"""How many times one is as large as another that is called smaller: by masks, by boxes."""
_FURTHER: Final = 0.05
"""How far, as a share of the side, an object lies beyond another that is not called the outermost."""
_LONG, _SHORT, _EVEN = 2.0, 1.5, 1.2
"""Ratios of the sides of a box: from the first an object is elongated, to the last it may be round."""
_ROUND: Final = (0.70, 0.86)
"""Share of its box that a disc fills: pi / 4, give or take what pixels and slight ovals change."""
_COMPACT: Final = 0.6
"""Share of its box from which an object is no slanted rod."""

EXTREMES: Final = ("largest", "smallest", "leftmost", "rightmost", "topmost", "lowest")


@dataclass(frozen=True, slots=True)
class Shown:
    """One marked object in its picture. `area` is null where only its box is known."""

    box: tuple[float, float, float, float]
    area: float | None
    width: int
    height: int

    @property
    def box_area(self) -> float:
        """Pixels of its box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def at_border(self) -> bool:
        """True where the picture may cut it off."""
        x0, y0, x1, y1 = self.box
        return x0 <= 0 or y0 <= 0 or x1 >= self.width or y1 >= self.height


def is_upright(asset: Asset) -> bool:
    """True for a still picture whose viewers show it as it is stored."""
    return asset.form not in _MOVING and asset.exif_orientation in (None, 1)


def shown(annotation: Annotation, asset: Asset) -> Shown | None:
    """An object as the picture shows it; None without a box of some extent on the raster."""
    if annotation.box is None or annotation.frame == VOLUME:
        return None
    x0, y0, x1, y1 = annotation.box
    box = (max(0.0, x0), max(0.0, y0), min(float(asset.width), x1), min(float(asset.height), y1))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    area = annotation.area_px if annotation.kind in _TRACED else None
    return Shown(box, area or None, asset.width, asset.height)


def size_of(one: Shown) -> str | None:
    """The word for its share of the picture."""
    whole = one.width * one.height
    low, high = (one.area, one.area) if one.area else (one.box_area * _FILLED, one.box_area)
    words = {
        next(word for limit, word in _LIMITS if share < limit)
        for share in (low / whole / _LIMIT_MARGIN, high / whole * _LIMIT_MARGIN)
    }
    return words.pop() if len(words) == 1 else None


def shape_of(one: Shown) -> str | None:
    """`round` or `elongated`; None for what is neither by a margin."""
    return next((word for word in ("round", "elongated") if has_shape(one, word)), None)


def has_shape(one: Shown, word: str) -> bool | None:
    """True or False where a shape word clearly holds or does not; None in between. Boxes alone prove no roundness."""
    sides = (one.box[2] - one.box[0], one.box[3] - one.box[1])
    ratio = max(sides) / min(sides)
    filled = None if one.area is None else one.area / one.box_area
    if word == "elongated":
        if ratio >= _LONG:
            return True
        return False if ratio <= _SHORT and filled is not None and filled >= _COMPACT else None
    if ratio >= _SHORT:
        return False
    if filled is None or not ratio <= _EVEN:
        return None
    return True if _ROUND[0] <= filled <= _ROUND[1] else None


def is_in(one: Shown, place: str) -> bool | None:
    """True or False where the object clearly is or is not at a place: `left`, `top left`, `center`; else None."""
    known = [_is_at(one, word) for word in place.split(" ")]
    return False if False in known else None if None in known else True


def _is_at(one: Shown, word: str) -> bool | None:
    x0, y0, x1, y1 = one.box
    across, down = (x0 + x1) / 2 / one.width, (y0 + y1) / 2 / one.height
    if word == "center":
        if max(abs(across - 0.5), abs(down - 0.5)) > _OFF_MIDDLE:
            return False
        near = max(abs(across - 0.5), abs(down - 0.5)) <= _MIDDLE
        return True if near and max((x1 - x0) / one.width, (y1 - y0) / one.height) <= _WIDE else None
    from_edge = {"left": across, "right": 1 - across, "top": down, "bottom": 1 - down}[word]
    return True if from_edge <= _NEAR else False if from_edge >= _FAR else None


def place_of(one: Shown) -> str | None:
    """Its cell of a grid of three by three, by its centre: `top left`, `right`, `center`."""
    row = next((word for word in ("top", "bottom") if _is_at(one, word)), None)
    column = next((word for word in ("left", "right") if _is_at(one, word)), None)
    if row and column:
        return f"{row} {column}"
    x0, y0, x1, y1 = one.box
    if row and abs((x0 + x1) / 2 / one.width - 0.5) <= _MIDDLE and (x1 - x0) / one.width <= _WIDE:
        return row
    if column and abs((y0 + y1) / 2 / one.height - 0.5) <= _MIDDLE and (y1 - y0) / one.height <= _WIDE:
        return column
    return "center" if is_in(one, "center") else None


def beats(one: Shown, other: Shown, extreme: str) -> bool:
    """True where one is further than another in a way, by a margin: larger, further to the left, ..."""
    if extreme == "largest":
        return _is_larger(one, other)
    if extreme == "smallest":
        return _is_larger(other, one)
    axis = 0 if extreme in ("leftmost", "rightmost") else 1
    side = (one.width, one.height)[axis]
    gap = (other.box[axis] + other.box[axis + 2] - one.box[axis] - one.box[axis + 2]) / 2 / side
    if extreme in ("leftmost", "topmost"):
        return gap >= _FURTHER and one.box[axis] <= other.box[axis]
    return -gap >= _FURTHER and one.box[axis + 2] >= other.box[axis + 2]


def _is_larger(one: Shown, other: Shown) -> bool:
    if one.area is None or other.area is None:
        return one.box_area >= _BIGGER_BOX * other.box_area
    return one.area >= _BIGGER * other.area and one.box_area >= other.box_area
