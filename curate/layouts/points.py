"""Points in text files: one file per image, one point a line, cells parted by white space or a separator.

What a number means is the card's `convention`: the number of a pixel whose centre is meant (`index`), the same from 1
(`index1`), a place on the raster (`continuous`) or a fraction of the image (`normalised`).
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import msgspec

from curate.geometry import POINT_CONVENTIONS, Convention
from curate.layouts.base import Context, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.lines import label_files, scan_lines
from curate.layouts.objects import (
    Names,
    class_label,
    labelled,
    number,
)
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, State

__all__ = ["Points", "PointsOptions"]

_PLACE: Final = ("x", "y")
_LABEL: Final = "label"


class PointsOptions(LayoutOptions, frozen=True):
    """`columns` names the cells of a line in their order; what is neither x, y nor label becomes a qualifier."""

    columns: list[str] = msgspec.field(default_factory=lambda: [*_PLACE, _LABEL])
    separator: str | None = None
    names: Names = None
    convention: Convention = Convention.INDEX

    def __post_init__(self) -> None:
        if len(set(self.columns)) != len(self.columns) or not set(_PLACE) <= set(self.columns):
            raise ValueError(f"columns names x and y and each column once, got {self.columns}")
        if self.convention not in POINT_CONVENTIONS:
            raise ValueError(f"convention of points is one of {sorted(POINT_CONVENTIONS)}, got {self.convention!r}")
        if self.separator == "":
            raise ValueError("separator is at least one character; leave it out for white space")


class Points:
    """One text file per image; points are located as `line 1`, `line 2`, ..."""

    name: ClassVar[str] = "points"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = PointsOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The text files and the file of names, sorted."""
        return label_files(context, _options(context).names)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Per text file one record that covers its image, then its points. A line that repeats `columns` is a header.

        Raises:
            DataError: the card's file of names is not there or holds none.
        """
        options = _options(context)

        def parse(
            position: int, line: str, locator: str, names: Mapping[str, str] | None
        ) -> RawAnnotation | Refusal | None:
            cells = [cell.strip() for cell in line.split(options.separator)]
            is_header = position == 1 and cells == options.columns
            return None if is_header else _point(context, cells, locator, names)

        return scan_lines(context, options.names, parse)


def _options(context: Context) -> PointsOptions:
    assert isinstance(context.options, PointsOptions)
    return context.options


def _point(
    context: Context, cells: list[str], locator: str, names: Mapping[str, str] | None
) -> RawAnnotation | Refusal:
    options = _options(context)
    if len(cells) != len(options.columns):
        return Refusal(Reason.INVALID_ROW, f"{len(cells)} cells, the card names {len(options.columns)} columns")
    row = dict(zip(options.columns, cells, strict=True))
    x, y = (number(row[axis]) for axis in _PLACE)
    if x is None or y is None:
        return Refusal(Reason.INVALID_ROW, "a coordinate is not a number")
    if not (math.isfinite(x) and math.isfinite(y)):
        return Refusal(Reason.INVALID_GEOMETRY, "a coordinate is not finite")
    annotation = RawAnnotation(
        kind=Kind.POINT,
        locator=locator,
        state=State.PRESENT,
        coords=(x, y),
        convention=options.convention,
        qualifiers={name: cell for name, cell in row.items() if name not in (*_PLACE, _LABEL) and cell},
    )
    if _LABEL not in row:
        return annotation
    if not row[_LABEL]:
        return Refusal(Reason.MISSING_VALUE, "the point has no label")
    label = class_label(row[_LABEL], names, context.labels)
    return label if isinstance(label, Refusal) else labelled(annotation, label, context.labels)
