"""PNG: walk the chunks, leave text behind, prove the rest: every checksum, the exact length, every filter byte.

The compressed pixels are never touched. Inflating is bounded by the length that the header implies, so that no stream
can be a bomb. Sources: W3C PNG (Third Edition), sections 5 (chunks), 7.2 (scanlines), 8 (interlace), 9 (filters).
"""

import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from isal import isal_zlib

from curate.images.base import Array, Limits, ratio_refusal, size_refusal
from curate.images.exif import orientation_of
from curate.schema import Reason, Refusal

__all__ = ["SIGNATURE", "Header", "Png", "encode_png", "inflate", "scanlines", "walk"]

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS: Final = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS: Final = {
    GREY: frozenset({1, 2, 4, 8, 16}),
    RGB: frozenset({8, 16}),
    PALETTE: frozenset({1, 2, 4, 8}),
    GREY_ALPHA: frozenset({8, 16}),
    RGBA: frozenset({8, 16}),
}
ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Per pass: first column, first row, column step, row step."""

CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
DRAWN: Final = CRITICAL | {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"cICP"}
"""Chunks that change how pixels are drawn; all others are text, time, previews or private."""

READ: Final = frozenset({b"PLTE", b"tRNS", b"eXIf", b"acTL"})
LAST_FILTER: Final = 4
SUB: Final = 1
UP: Final = 2

ROWS_PER_RUN: Final = 8
"""Rows that a run must have on average, for a call of numpy per run to be cheap."""


@dataclass(frozen=True, slots=True)
class Header:
    """What IHDR states."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def channels(self) -> int:
        """Samples per pixel as coded: a palette's index is one."""
        return CHANNELS[self.colour]

    def passes(self) -> list[tuple[int, int]]:
        """Rows, and bytes per row with its filter byte, of each pass that has pixels."""
        if not self.interlaced:
            return [(self.height, self._stride(self.width))]
        sizes = [
            (-(-(self.height - y) // down), -(-(self.width - x) // across))
            for x, y, across, down in ADAM7
            if self.width > x and self.height > y
        ]
        return [(rows, self._stride(columns)) for rows, columns in sizes]

    def _stride(self, columns: int) -> int:
        return 1 + (columns * self.channels * self.depth + 7) // 8


@dataclass(frozen=True, slots=True)
class Png:
    """A walked file: `data` holds what is kept, `pixels` the joined zlib stream."""

    data: bytes
    header: Header
    pixels: bytes
    palette: bytes
    transparency: bytes | None
    orientation: int | None
    changes: tuple[str, ...]


def walk(data: bytes, *, keep_metadata: bool, limits: Limits) -> Png | Refusal:
    """The chunks of a file, checksums checked, without those that are metadata and what follows the end."""
    header: Header | None = None
    kept: list[bytes | memoryview] = [SIGNATURE]
    pixels: list[memoryview] = []
    single: dict[bytes, bytes] = {}
    changes: dict[str, None] = {}
    end = 0
    for found in _chunks(data):
        if isinstance(found, Refusal):
            return found
        name, body, chunk, end = found
        if header is None:
            parsed = _header(bytes(body) if name == b"IHDR" else b"", len(data), limits)
            if isinstance(parsed, Refusal):
                return parsed
            header = parsed
        if name == b"IDAT":
            pixels.append(body)
        elif name in READ:
            single[name] = bytes(body)
        if name in DRAWN or keep_metadata:
            kept.append(chunk)
        else:
            changes["metadata_stripped"] = None
    palette = single.get(b"PLTE", b"")
    if header is None or not pixels or len(palette) % 3 or len(palette) > 768:
        return Refusal(Reason.CORRUPT_IMAGE, "no pixels, or a palette of a wrong length")
    if header.colour == PALETTE and not palette:
        return Refusal(Reason.CORRUPT_IMAGE, "indices without a palette")
    if end < len(data):
        changes["trailing_bytes_trimmed"] = None
    frames = int.from_bytes(single.get(b"acTL", b"")[:4], "big")
    if frames > 1 and not keep_metadata:
        changes[f"first_frame:of={frames}"] = None
    return Png(
        b"".join(kept) if changes else data,
        header,
        b"".join(pixels),
        palette,
        single.get(b"tRNS"),
        orientation_of(single.get(b"eXIf", b"")),
        tuple(changes),
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview, int] | Refusal]:
    """Name, body, whole and end of each chunk whose checksum holds, up to IEND or a refusal."""
    view, at, name = memoryview(data), len(SIGNATURE), b""
    while name != b"IEND":
        if at + 12 > len(data):
            yield Refusal(Reason.TRUNCATED_IMAGE, "the file ends before its IEND chunk")
            return
        start = at
        length, name = struct.unpack_from(">I4s", data, start)
        at = start + 12 + length
        if at > len(data):
            yield Refusal(Reason.TRUNCATED_IMAGE, "a chunk reaches beyond the end of the file")
            return
        if binascii.crc32(view[start + 4 : at - 4]) != int.from_bytes(view[at - 4 : at], "big"):
            yield Refusal(Reason.CORRUPT_IMAGE, f"the checksum of a chunk is wrong (byte {start})")
            return
        if not name[0] & 0x20 and name not in CRITICAL:
            yield Refusal(Reason.UNSUPPORTED_FORMAT, "a critical chunk that the PNG standard does not know")
            return
        if name == b"IHDR" and start != len(SIGNATURE):
            yield Refusal(Reason.CORRUPT_IMAGE, "a second IHDR chunk")
            return
        yield name, view[start + 8 : at - 4], view[start:at], at


def _header(body: bytes, encoded_bytes: int, limits: Limits) -> Header | Refusal:
    if len(body) != 13:
        return Refusal(Reason.CORRUPT_IMAGE, "the first chunk is no IHDR of 13 bytes")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if depth not in DEPTHS.get(colour, frozenset()) or compression or filtering or interlace > 1:
        return Refusal(Reason.CORRUPT_IMAGE, f"depth {depth}, colour type {colour} or a method that PNG does not have")
    header = Header(width, height, depth, colour, bool(interlace))
    samples = width * height * CHANNELS[colour] * (2 if depth == 16 else 1)
    return size_refusal(width, height, limits) or ratio_refusal(samples, encoded_bytes, limits) or header


def inflate(png: Png) -> bytes | Refusal:
    """The filtered scanlines, exactly as many bytes as the header implies, each with a filter that exists."""
    passes = png.header.passes()
    expected = sum(rows * stride for rows, stride in passes)
    stream = isal_zlib.decompressobj()
    try:
        raw: bytes = stream.decompress(png.pixels, expected + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # its stub declares an instance
        return Refusal(Reason.CORRUPT_IMAGE, "the compressed pixels do not inflate")
    if len(raw) < expected:
        return Refusal(Reason.CORRUPT_IMAGE, f"{len(raw)} bytes of pixels, {expected} are needed")
    if len(raw) > expected or not stream.eof or stream.unused_data:
        return Refusal(Reason.CORRUPT_IMAGE, "more compressed pixels than the header states")
    start = 0
    samples = np.frombuffer(raw, np.uint8)
    for rows, stride in passes:
        if samples[start : start + rows * stride : stride].max() > LAST_FILTER:
            return Refusal(Reason.CORRUPT_IMAGE, "a row with a filter that PNG does not have")
        start += rows * stride
    return raw


def scanlines(header: Header, raw: bytes) -> Array | None:
    """Unfiltered bytes, rows by bytes per row, where numpy can undo the filters; null where it would be slow.

    That is where no row uses Average or Paeth, and rows filtered by their upper neighbour stand in long runs. All sums
    are modulo 256.
    """
    if header.interlaced:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(header.height, -1)
    filters = rows[:, 0]
    if filters.max() > UP:
        return None
    up = np.concatenate([filters[1:] == UP, [False]])  # shifted by one: above the first row lies nothing but zeros
    edges = np.flatnonzero(np.diff(up, prepend=False))
    if len(edges) * ROWS_PER_RUN > 2 * header.height:
        return None
    body = rows[:, 1:].copy()
    left = filters == SUB
    if left.any():
        pixel = max(1, header.channels * header.depth // 8)
        shaped = body[left].reshape(int(left.sum()), -1, pixel)
        body[left] = np.add.accumulate(shaped, axis=1, dtype=np.uint8).reshape(len(shaped), -1)
    for first, last in edges.reshape(-1, 2).tolist():
        above, *below = body[first : last + 1]
        for row in below:  # whole rows at a time: three times faster than numpy's running sum down the columns
            np.add(above, row, out=row)
            above = row
    return body


def encode_png(array: Array, *, icc_profile: bytes | None = None) -> bytes:
    """Samples of 8 or 16 bits as a PNG: rows, columns, and 2 to 4 channels where there is more than one.

    One filter (Up) and the fastest level of compression: a third of the speed of memory, a few per cent larger than
    other writers. The bytes depend on the samples, the version of the compressor and the processor's architecture.
    """
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    colour = {count: colour for colour, count in CHANNELS.items() if colour != PALETTE}[channels]
    samples = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder(">"))
    rows = samples.reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    parts = [SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, colour, 0, 0, 0))]
    if icc_profile:
        parts.append(_chunk(b"iCCP", b"icc\x00\x00" + _deflated(icc_profile)))
    parts += [_chunk(b"IDAT", _deflated(filtered.tobytes())), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _deflated(data: bytes) -> bytes:
    """A zlib stream, the same bytes in every process.

    libdeflate, not ISA-L: that one is half as fast again, but about one stream in a thousand differs from one process
    to the next, though what it inflates to is the same.
    """
    from imagecodecs import deflate_encode

    return bytes(deflate_encode(data, level=1))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + binascii.crc32(body, binascii.crc32(name)).to_bytes(4, "big")
