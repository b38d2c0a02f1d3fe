"""YOLO text files: one file per image, one object a line, all numbers fractions of the image.

`class cx cy w h` is a box, with a sixth number it is a detector's box with its score; `class x y x y x y ...` is a
polygon. An empty file says that the image was looked at and holds nothing.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from curate.geometry import Convention
from curate.layouts.base import Context, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.lines import label_files, scan_lines
from curate.layouts.objects import (
    Names,
    class_label,
    labelled,
    number,
)
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal

__all__ = ["FRACTION_SLACK", "Yolo", "YoloOptions"]

FRACTION_SLACK: Final = 0.01
"""How far a fraction may leave 0 to 1: rounding, and overhangs that only the raster can judge. More is no fraction."""

_BOX_VALUES: Final = 5
_SCORED_BOX_VALUES: Final = 6
_POLYGON_VALUES: Final = 7


class YoloOptions(LayoutOptions, frozen=True):
    """Without `names` the class ids are labels of their own, which `concepts` must then list."""

    names: Names = None


class Yolo:
    """One text file per image; objects are located as `line 1`, `line 2`, ..."""

    name: ClassVar[str] = "yolo"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = YoloOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The text files and the file of names, sorted."""
        return label_files(context, _options(context).names)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Per text file one record that covers its image, then its objects.

        Raises:
            DataError: the card's file of names is not there or holds none.
        """

        def parse(_: int, line: str, locator: str, names: Mapping[str, str] | None) -> RawAnnotation | Refusal:
            return _object(context, line.split(), locator, names)

        return scan_lines(context, _options(context).names, parse)


def _options(context: Context) -> YoloOptions:
    assert isinstance(context.options, YoloOptions)
    return context.options


def _object(
    context: Context, cells: list[str], locator: str, names: Mapping[str, str] | None
) -> RawAnnotation | Refusal:
    values = [number(cell) for cell in cells[1:]]
    numbers = [value for value in values if value is not None]
    if len(numbers) != len(values):
        return Refusal(Reason.INVALID_ROW, "a coordinate is not a number")
    annotation = _shape(numbers, locator)
    if isinstance(annotation, Refusal):
        return annotation
    label = class_label(cells[0], names, context.labels)
    return label if isinstance(label, Refusal) else labelled(annotation, label, context.labels)


def _shape(numbers: list[float], locator: str) -> RawAnnotation | Refusal:
    n_values = len(numbers) + 1
    scored = n_values == _SCORED_BOX_VALUES
    if n_values < _BOX_VALUES or (n_values > _SCORED_BOX_VALUES and n_values % 2 == 0):
        found = f"{n_values} values; a box has 5, a scored box 6, a polygon an odd number from 7 on"
        return Refusal(Reason.INVALID_ROW, found)
    fractions = numbers[:4] if scored else numbers
    if not all(math.isfinite(value) for value in numbers):
        return Refusal(Reason.INVALID_GEOMETRY, "a coordinate is not finite")
    if not all(-FRACTION_SLACK <= value <= 1 + FRACTION_SLACK for value in fractions):
        return Refusal(Reason.INVALID_GEOMETRY, "a coordinate is not a fraction of the image")
    if n_values >= _POLYGON_VALUES:
        ring = tuple(numbers)
        return RawAnnotation(kind=Kind.POLYGON, locator=locator, polygons=(ring,), convention=Convention.NORMALISED)
    qualifiers = {"score": repr(numbers[4])} if scored else {}
    return RawAnnotation(
        kind=Kind.BOX, locator=locator, coords=tuple(fractions), convention=Convention.YOLO, qualifiers=qualifiers
    )
