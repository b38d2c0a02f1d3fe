"""Numbers as cells write them: finite, whole, censored, or no number at all."""

import math
import re
from typing import Final

from curate.layouts.row import Broken
from curate.schema import Reason

__all__ = ["NUMBER", "count_in", "finite", "measured", "number_in", "read_coordinate", "whole_number_in"]

MAX_EXACT: Final = 2**53
"""Above this a float no longer holds every whole number, so a count there is not a count."""

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INFINITE = re.compile(r"(?P<sign>[+-]?)inf(?:inity)?", re.IGNORECASE)
_LIMIT = re.compile(r"(?P<side>[<>])=?\s*(?P<limit>.+)")


def read_coordinate(cell: str, column: str) -> float:
    """A finite coordinate. Raises `Broken`."""
    if _INFINITE.fullmatch(cell):
        raise Broken(Reason.INVALID_GEOMETRY, f"column {column!r} is not finite")
    return number_in(cell, column)


def finite(cell: str) -> float | None:
    """The number that a text writes, or None: also where it is written with more than a float can hold."""
    if not NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def number_in(cell: str, column: str) -> float:
    """A finite number. Raises `Broken`, as all below do, with the column and never with the cell."""
    value = finite(cell)
    if value is None:
        raise Broken(Reason.INVALID_ROW, f"column {column!r} holds no number")
    return value


def measured(cell: str, column: str) -> tuple[float | None, dict[str, str]]:
    """A measured value; null with `censored` (and the `limit` where stated) beyond what the method can detect."""
    if infinite := _INFINITE.fullmatch(cell):
        return None, {"censored": "below" if infinite["sign"] == "-" else "above"}
    if beyond := _LIMIT.fullmatch(cell):
        limit = beyond["limit"]
        number_in(limit, column)
        return None, {"censored": "below" if beyond["side"] == "<" else "above", "limit": limit}
    return number_in(cell, column), {}


def whole_number_in(cell: str, column: str) -> int:
    """A whole number, also as `3.0`."""
    value = number_in(cell, column)
    if not value.is_integer() or abs(value) > MAX_EXACT:
        raise Broken(Reason.INVALID_ROW, f"column {column!r} holds no whole number")
    return int(value)


def count_in(cell: str, column: str) -> float:
    """How many: a whole number from zero on."""
    value = whole_number_in(cell, column)
    if value < 0:
        raise Broken(Reason.INVALID_ROW, f"column {column!r} holds a negative count")
    return float(value)
