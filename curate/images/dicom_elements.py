"""The elements of a data set, found without converting any: where each value lies, and where the pixel data begin.

A walk over tags and lengths with a stack of its own, so that nesting costs memory and no recursion, and that a length
is believed only where the file is long enough for it. Little endian alone, explicit or implicit (PS3.5, 7.1 and 7.5);
big endian and what no standard writer makes is left to pydicom, which knows more dialects.
"""

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_DEPTH", "PIXEL_TAGS", "Element", "Irregular", "TooDeep", "TooShort", "walk"]

MAX_DEPTH: Final = 64
"""Sequences within sequences: structured reports reach about twenty; parsers that recurse end near three hundred."""

PIXEL_TAGS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}

UNDEFINED: Final = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations whose length has 32 bits (PS3.5, 7.1.2)."""
SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_NAMES: Final = {vr: vr.decode("ascii") for vr in LONG | SHORT}

_EXPLICIT: Final = struct.Struct("<HH2sH")
_IMPLICIT: Final = struct.Struct("<HHI")
_LENGTH: Final = struct.Struct("<I")


class Irregular(Exception):  # noqa: N818
    """Something that no standard writer makes; another parser may know the dialect."""


class TooDeep(Exception):  # noqa: N818
    """More than `MAX_DEPTH` sequences within each other."""


@dataclass(frozen=True, slots=True)
class TooShort(Exception):  # noqa: N818
    """The element of this tag is longer than the file."""

    tag: int


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the top level: its value lies at `start`, `length` bytes without a delimiter.

    `vr` is null in an implicit data set. `undefined` says that the length was not stated, `end` where the next begins.
    """

    tag: int
    vr: str | None
    start: int
    length: int
    undefined: bool
    end: int


def walk(
    data: bytes, start: int, *, implicit: bool, nested: Container[int], taken: Container[int]
) -> Iterator[Element]:
    """The elements of the top level that are `taken`, and the pixel data, which come last and are not looked into.

    `nested` are tags that hold sequences where the file does not say so itself (implicit). An element of pixel data
    may be longer than the file; whoever reads it must look.

    Raises:
        Irregular: tags out of order, an unknown representation, or an unknown structure.
        TooDeep: sequences nested beyond any use.
        TooShort: an element that ends behind the file.
    """
    at, size, last = start, len(data), 0
    head = _EXPLICIT.unpack_from
    while at + 8 <= size:
        vr: bytes | None
        if implicit:
            tag, vr, value, length = _head(data, at, implicit)
        else:  # (most elements of most files: as `_head` has it, without the call)
            group, element, vr, length = head(data, at)
            if vr in SHORT:
                tag, value = group << 16 | element, at + 8
            else:
                tag, vr, value, length = _head(data, at, implicit)
        if tag <= last:
            raise Irregular
        last = tag
        name = None if vr is None else _NAMES[vr]
        if tag in PIXEL_TAGS:
            yield Element(tag, name, value, length if length != UNDEFINED else 0, length == UNDEFINED, size)
            return
        if length == UNDEFINED or vr == b"SQ" or (implicit and tag in nested):
            inner = implicit or (vr == b"UN" and length == UNDEFINED)
            end = _sequence_end(data, value, length, implicit=inner, tag=tag, nested=nested)
            used = end - value if length != UNDEFINED else end - value - 8
            if tag in taken:
                yield Element(tag, "SQ" if vr == b"UN" else name, value, used, length == UNDEFINED, end)
        else:
            end = value + length
            if end > size:
                raise TooShort(tag)
            if tag in taken:
                yield Element(tag, name, value, length, False, end)
        at = end


def _head(data: bytes, at: int, implicit: bool) -> tuple[int, bytes | None, int, int]:
    """Tag, representation, where the value begins, and its length."""
    if implicit:
        group, element, length = _IMPLICIT.unpack_from(data, at)
        return group << 16 | element, None, at + 8, length
    group, element, vr, length = _EXPLICIT.unpack_from(data, at)
    tag = group << 16 | element
    if vr in SHORT:
        return tag, vr, at + 8, length
    if vr not in LONG:
        raise Irregular
    if at + 12 > len(data):
        raise TooShort(tag)
    return tag, vr, at + 12, _LENGTH.unpack_from(data, at + 8)[0]


def _sequence_end(  # noqa: PLR0912  (one loop over one grammar)
    data: bytes, at: int, length: int, *, implicit: bool, tag: int, nested: Container[int]
) -> int:
    """Where a sequence ends, its delimiter included; every item and element in it stays within what holds it."""
    size = len(data)
    # (is it an item, where it ends or null, whether its elements are implicit)
    stack: list[tuple[bool, int | None, bool]] = [(False, _stop(at, length, size, tag), implicit)]
    while stack:
        is_item, stop, implicit = stack[-1]
        if stop is not None and at >= stop:
            if at > stop:
                raise Irregular
            stack.pop()
            continue
        if at + 8 > size:
            raise TooShort(tag)
        if not is_item or data[at : at + 2] == b"\xfe\xff":
            group, element, length = _IMPLICIT.unpack_from(data, at)
            delimiter = group << 16 | element
            at += 8
            if delimiter == ITEM and not is_item:
                stack.append((True, _stop(at, length, size, tag), implicit))
            elif delimiter == (ITEM_END if is_item else SEQUENCE_END) and stop is None:
                stack.pop()
            else:
                raise Irregular
            continue
        if not implicit:  # (as above)
            _, _, short, length = _EXPLICIT.unpack_from(data, at)
            if short in SHORT:
                at += 8 + length
                if at > size:
                    raise TooShort(tag)
                continue
        inner, vr, at, length = _head(data, at, implicit)
        if length == UNDEFINED or vr == b"SQ" or (implicit and inner in nested):
            if len(stack) >= 2 * MAX_DEPTH:
                raise TooDeep
            stack.append((False, _stop(at, length, size, tag), implicit or (vr == b"UN" and length == UNDEFINED)))
        else:
            at += length
            if at > size:
                raise TooShort(tag)
    return at


def _stop(at: int, length: int, size: int, tag: int) -> int | None:
    if length == UNDEFINED:
        return None
    if at + length > size:
        raise TooShort(tag)
    return at + length
