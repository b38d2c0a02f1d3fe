"""Look-up tables of a header: palettes, modality tables, tables of interest (PS3.3 C.7.6.3.1.5, C.11.1, C.11.2).

A descriptor has three numbers: how many entries (0 stands for 65,536), the first value that is mapped, and the bits of
an entry. Tables whose data are not as long as their descriptor says are none.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curate.images.base import Array
from curate.images.dicom import element_value
from curate.images.windows import VoiTable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Palette", "apply_palette", "apply_table", "palette_of", "table_in"]

MAX_ENTRIES: Final = 2**16
CHANNELS: Final = ("Red", "Green", "Blue")
DISCRETE, LINEAR, INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Palette:
    """`first` is the index that the first row is for; `colours` has a row of red, green and blue for each index."""

    first: int
    colours: Array


def table_in(item: "Dataset", *, little_endian: bool) -> VoiTable | None:
    """The table in an item of a modality or VOI LUT sequence; null where it is not whole."""
    descriptor = _descriptor(element_value(item, "LUTDescriptor"), little_endian)
    if descriptor is None:
        return None
    count, first, bits = descriptor
    values = _words(element_value(item, "LUTData"), count, little_endian)
    if values is None or not 1 <= bits <= 16:
        return None
    return VoiTable(first, values.astype(np.uint16), bits)


def apply_table(samples: Array, table: VoiTable) -> Array:
    """Stored values through a modality table; values outside take its ends."""
    index = np.clip(samples.astype(np.int64) - table.first, 0, len(table.values) - 1)
    return table.values[index]


def palette_of(dataset: "Dataset", *, little_endian: bool) -> Palette | None:
    """The palette of PALETTE COLOR, plain or segmented; null where it is not whole."""
    columns: list[Array] = []
    firsts: set[int] = set()
    for channel in CHANNELS:
        name = f"{channel}PaletteColorLookupTable"
        descriptor = _descriptor(element_value(dataset, f"{name}Descriptor"), little_endian)
        if descriptor is None:
            return None
        count, first, bits = descriptor
        segmented = element_value(dataset, f"Segmented{name}Data")
        if segmented is not None:
            column = _expanded(segmented, count, bits, little_endian)
        else:
            column = _words(element_value(dataset, f"{name}Data"), count, little_endian)
        if column is None:
            return None
        if bits <= 8 and column.dtype != np.uint8 and int(column.max()) <= np.iinfo(np.uint8).max:
            column = column.astype(np.uint8)
        columns.append(column)
        firsts.add(first)
    if len(firsts) > 1 or len({len(column) for column in columns}) > 1:
        return None
    return Palette(firsts.pop(), np.stack(columns, axis=1))


def apply_palette(samples: Array, palette: Palette) -> Array:
    """Indices as colours: those below the first take the first, those behind the last the last."""
    index = np.clip(samples.astype(np.int32) - palette.first, 0, len(palette.colours) - 1)
    return palette.colours[index]


def _descriptor(value: Any, little_endian: bool) -> tuple[int, int, int] | None:
    if isinstance(value, bytes) and len(value) == 6:
        value = struct.unpack(("<" if little_endian else ">") + "3H", value)
    try:
        count, first, bits = (int(number) for number in value)
    except (TypeError, ValueError):
        return None
    return (count & 0xFFFF) or MAX_ENTRIES, first, bits & 0xFFFF


def _words(value: Any, count: int, little_endian: bool) -> Array | None:
    """Entries of a table: 16 bits each, or 8 where there are half as many bytes; one padding byte may follow."""
    if value is None:
        return None
    if not isinstance(value, bytes):
        try:
            numbers = np.atleast_1d(np.asarray(value, dtype=np.int64)) & 0xFFFF
        except (TypeError, ValueError, OverflowError):
            return None
        return numbers.astype(np.uint16) if len(numbers) == count else None
    if len(value) == 2 * count:
        return np.frombuffer(value, "<u2" if little_endian else ">u2").astype(np.uint16)
    if len(value) == count + count % 2:
        narrow = np.frombuffer(value, np.uint8)
        if not little_endian and not len(narrow) % 2:
            narrow = narrow.reshape(-1, 2)[:, ::-1].reshape(-1)  # (words of two entries)
        return narrow[:count]
    return None


def _expanded(value: Any, count: int, bits: int, little_endian: bool) -> Array | None:
    """A segmented table (PS3.3 C.7.9.2), never longer than its descriptor says.

    Its numbers have 16 bits; with entries of 8 bits they have 8, or 16 where every writer was careless.
    """
    if not isinstance(value, bytes):
        return None
    order = "<" if little_endian else ">"
    layouts = [(np.dtype(np.uint8), 8)] if bits <= 8 else []
    layouts += [(np.dtype(f"{order}u2"), 16)] if not len(value) % 2 else []
    for dtype, width in layouts:
        numbers = np.frombuffer(value, dtype).astype(int).tolist()
        entries = _segments(numbers, count, width)
        if entries is not None:
            return np.asarray(entries, np.uint8 if bits <= 8 and width == 8 else np.uint16)
    return None


def _segments(numbers: list[int], count: int, width: int) -> list[int] | None:
    """The entries, or null where segments are unknown, cut off, or give another number of them."""
    entries: list[int] = []
    at = 0
    while at + 2 <= len(numbers) and len(entries) < count:
        size = 2 if numbers[at] != INDIRECT else 4 if width == 16 else 6
        taken = _segment(numbers, at, entries, count)
        if taken is not None:
            at = taken
            continue
        if numbers[at] != INDIRECT or at + size > len(numbers):
            return None
        start = _offset(numbers[at + 2 : at + size], width)
        for _ in range(numbers[at + 1]):
            moved = _segment(numbers, start, entries, count)
            if moved is None:
                return None
            start = moved
        at += size
    return entries if len(entries) == count else None


def _segment(numbers: list[int], at: int, entries: list[int], count: int) -> int | None:
    """Append a discrete or linear segment, and where the next begins; null where there is none that fits."""
    if at + 2 > len(numbers) or len(entries) + numbers[at + 1] > count or not numbers[at + 1]:
        return None
    kind, length = numbers[at], numbers[at + 1]
    if kind == DISCRETE and at + 2 + length <= len(numbers):
        entries += numbers[at + 2 : at + 2 + length]
        return at + 2 + length
    if kind == LINEAR and entries and at + 3 <= len(numbers):
        first, last = entries[-1], numbers[at + 2]
        entries += [first + round((last - first) * step / length) for step in range(1, length + 1)]
        return at + 3
    return None


def _offset(parts: list[int], width: int) -> int:
    """Where an indirect segment points, in numbers: least significant part first."""
    return sum(part << width * place for place, part in enumerate(parts))
