"""Encapsulated pixel data: items, offset tables, and which items make a frame (PS3.5, A.4).

Item lengths are followed, never searched for: a delimiter that happens to stand within compressed bytes is none.
"""

import itertools
import struct
from dataclasses import dataclass
from typing import Final

from curate.schema import Reason, Refusal

__all__ = ["Items", "frame_bytes", "frame_items", "read_items"]

MAX_ITEMS: Final = 2**20
"""Fragments of one object; the longest cine loops have a few thousand frames."""

ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
END_OF_CODE_STREAM: Final = (b"\xff\xd9", b"\xff\xd9\x00")
"""How a frame of the JPEG family ends, padded to an even length or not."""

_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Items:
    """(start, length) of each fragment in the file, the basic offset table, and where offset 0 lies."""

    fragments: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...]
    origin: int


def read_items(data: bytes | memoryview, start: int, length: int | None) -> Items | Refusal:
    """The items of encapsulated pixel data; `length` is null where a delimiter ends them."""
    end = len(data) if length is None else start + length
    if end > len(data):
        return Refusal(Reason.TRUNCATED_IMAGE, "the pixel data end early")
    found: list[tuple[int, int]] = []
    at = start
    while True:
        if at == end and length is not None:
            break
        if at + 8 > end:
            return Refusal(Reason.TRUNCATED_IMAGE, "the pixel data end early")
        tag = bytes(data[at : at + 4])
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            return Refusal(Reason.CORRUPT_IMAGE, "the pixel data are no sequence of items")
        (size,) = _LENGTH.unpack_from(data, at + 4)
        if at + 8 + size > end:
            return Refusal(
                Reason.TRUNCATED_IMAGE,
                f"an item of the pixel data is longer than the file by {at + 8 + size - end} bytes",
            )
        found.append((at + 8, size))
        if len(found) > MAX_ITEMS:
            return Refusal(Reason.TOO_LARGE, f"more than {MAX_ITEMS} items of pixel data")
        at += 8 + size
    if not found:
        return Refusal(Reason.NO_PIXELS, "the pixel data are empty")
    table, size = found[0]
    if size % 4:
        return Refusal(Reason.CORRUPT_IMAGE, f"the offset table has {size} bytes")
    offsets = struct.unpack_from(f"<{size // 4}I", data, table)
    return Items(tuple(found[1:]), offsets, table + size)


def frame_items(
    data: bytes | memoryview, items: Items, frames: int, extended: tuple[int, ...] | None
) -> list[tuple[int, int]] | Refusal:
    """The first fragment of each frame, and the one behind its last.

    By the extended table, the basic one, or one fragment to a frame; without any of these, a frame ends where a code
    stream of the JPEG family does. A table that disagrees with the items is a refusal: nobody can say which is right.
    """
    count = len(items.fragments)
    if not count:
        return Refusal(Reason.NO_PIXELS, "the pixel data are empty")
    table = extended if extended is not None else items.offsets
    if table and frames > 1:
        return _by_table(items, frames, table)
    if table and table != (0,) and frames == 1:
        return Refusal(Reason.CORRUPT_IMAGE, f"an offset table of {len(table)} entries for 1 frame")
    if frames == 1:
        return [(0, count)]
    if count == frames:
        return [(number, number + 1) for number in range(frames)]
    ends = [
        number + 1
        for number, (start, length) in enumerate(items.fragments)
        if bytes(data[max(start, start + length - 3) : start + length]).endswith(END_OF_CODE_STREAM)
    ]
    if len(ends) != frames or ends[-1] != count:
        return Refusal(Reason.CORRUPT_IMAGE, f"{count} fragments for {frames} frames, and nothing says which are whose")
    return list(itertools.pairwise([0, *ends]))


def _by_table(items: Items, frames: int, table: tuple[int, ...]) -> list[tuple[int, int]] | Refusal:
    number_of = {start - 8 - items.origin: number for number, (start, _) in enumerate(items.fragments)}
    firsts = [number_of.get(offset) for offset in table]
    if len(table) != frames or firsts[0] != 0 or None in firsts:
        return Refusal(
            Reason.CORRUPT_IMAGE, f"the offset table has {len(table)} entries for {frames} frames, or points elsewhere"
        )
    known = [first for first in firsts if first is not None]
    if any(after <= before for before, after in itertools.pairwise(known)):
        return Refusal(Reason.CORRUPT_IMAGE, "the offset table does not ascend")
    return list(itertools.pairwise([*known, len(items.fragments)]))


def frame_bytes(data: bytes | memoryview, items: Items, span: tuple[int, int]) -> bytes:
    """The compressed bytes of one frame."""
    return b"".join(bytes(data[start : start + length]) for start, length in items.fragments[span[0] : span[1]])
