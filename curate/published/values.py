"""Values of published rows as plain ones: texts, paths and boxes out of whatever form a row gives them."""

import re
from collections.abc import Iterator
from typing import Any, Final

from curate.published.digests import within

__all__ = ["is_number", "is_picture", "path_list", "quads", "scalar", "text_list"]

_LARGEST: Final = 1e300
_MAX_PATH: Final = 1024
_PICTURE: Final = re.compile(r"(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|SUkq|TU0A|Qk[0-3])[A-Za-z0-9+/]{50,}={0,2}")
"""How PNG, JPEG, GIF, WebP, TIFF and BMP begin in base64."""


def quads(found: Any) -> Iterator[tuple[float, ...]]:
    """Four numbers each, of a box, a list of boxes, or objects with `x1` or `xmin`; anything else is left out."""
    if isinstance(found, list) and len(found) == 4 and all(is_number(one) for one in found):
        yield tuple(float(one) for one in found)
    elif isinstance(found, list):
        for one in found:
            yield from quads(one)
    elif isinstance(found, dict):
        for names in (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax")):
            if all(is_number(found.get(name)) for name in names):
                yield tuple(float(found[name]) for name in names)


def path_list(value: dict[str, Any], keys: tuple[str, ...]) -> tuple[str, ...]:
    """The paths under all keys of a medium, in the order of the keys; an empty one is a medium without a path.

    A medium that the row holds itself, as bytes (`{"bytes", "path"}` in Parquet) or in base64, is what it holds.
    """
    found: list[str] = []
    for key in keys:
        held = value[key]
        for one in held if isinstance(held, list) else (held,):
            path = one.get("bytes") or one.get("path") if isinstance(one, dict) else one
            if isinstance(path, bytes):
                found.append(within(path))
            elif isinstance(path, str) and path:
                found.append(within(path) if is_picture(path) else path)
            elif one is not None and not isinstance(path, str):
                found.append("")
    return tuple(found)


def is_picture(text: str) -> bool:
    """True for what is no path but the picture itself, in base64."""
    return len(text) >= _MAX_PATH or _PICTURE.fullmatch(text) is not None


def text_list(found: Any) -> tuple[str, ...]:
    """One plain value, or those of a list, as texts."""
    if isinstance(found, list):
        return tuple(str(one) for one in found if one is not None and not isinstance(one, (dict, list)))
    text = scalar(found)
    return () if text is None else (text,)


def scalar(found: Any) -> str | None:
    """A plain value as JSON writes it; null for anything else."""
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, (str, int, float)) else None


def is_number(found: Any) -> bool:
    """True for a number that a float can hold: JSON's whole numbers have no limit."""
    return isinstance(found, (int, float)) and not isinstance(found, bool) and -_LARGEST < found < _LARGEST
