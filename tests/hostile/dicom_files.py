"""DICOM files that mean harm, made by hand from a few honest bytes. Each has a name that says what is wrong with it."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
DEFLATED_JPIP: Final = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
RLE: Final = "1.2.840.10008.1.2.5"
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_XL: Final = "1.2.840.10008.1.2.4.110"

LONG: Final = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR"}
UNDEFINED: Final = 0xFFFFFFFF
MIB: Final = bytes(2**20)
ITEM: Final = b"\xfe\xff\x00\xe0"
ITEM_END: Final = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One explicit element; `length` lies where it is given."""
    stated = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    return head + (struct.pack("<xxI", stated) if vr in LONG else struct.pack("<H", stated)) + value


def part10(syntax: str, body: bytes) -> bytes:
    """A file: preamble, prefix, meta group, and the data set as it is given."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(0x00020010, b"UI", uid)
    return bytes(128) + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta + body


def us(tag: int, *values: int) -> bytes:
    """Unsigned shorts."""
    return element(tag, b"US", struct.pack(f"<{len(values)}H", *values))


def raster(
    rows: int = 4,
    columns: int = 4,
    *,
    bits: int = 16,
    stored: int | None = None,
    samples: int = 1,
    photometric: bytes = b"MONOCHROME2 ",
    frames: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """The elements of group 0028 in order; `extra` follows them."""
    stored = bits if stored is None else stored
    parts = [us(0x00280002, samples), element(0x00280004, b"CS", photometric)]
    if samples > 1:
        parts.append(us(0x00280006, 0))
    if frames:
        parts.append(element(0x00280008, b"IS", frames))
    parts += [us(0x00280010, rows), us(0x00280011, columns), us(0x00280100, bits), us(0x00280101, stored)]
    parts += [us(0x00280102, max(0, stored - 1)), us(0x00280103, 0), extra]
    return b"".join(parts)


def pixels(value: bytes, length: int | None = None) -> bytes:
    """Uncompressed pixel data."""
    return element(0x7FE00010, b"OW", value, length)


def items(*fragments: bytes, table: bytes = b"", end: bytes = SEQUENCE_END) -> bytes:
    """Encapsulated pixel data."""
    parts = [ITEM + struct.pack("<I", len(one)) + one for one in (table, *fragments)]
    return element(0x7FE00010, b"OB", b"".join(parts) + end, UNDEFINED)


def raw_deflated(body: bytes, zeros: int = 0) -> bytes:
    """A raw deflate stream of `body` and so many MiB of zeros."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([stream.compress(body), *(stream.compress(MIB) for _ in range(zeros)), stream.flush()])


def nested(depth: int, *, defined: bool) -> bytes:
    """Sequences within each other, with lengths or with delimiters."""
    inner = b""
    for _ in range(depth):
        if defined:
            inner = element(0x00081140, b"SQ", ITEM + struct.pack("<I", len(inner)) + inner)
        else:
            body = ITEM + struct.pack("<I", UNDEFINED) + inner + ITEM_END + SEQUENCE_END
            inner = element(0x00081140, b"SQ", body, UNDEFINED)
    return inner


def rle(*segments: bytes) -> bytes:
    """One frame of run lengths."""
    starts, at = [], 64
    for one in segments:
        starts.append(at)
        at += len(one)
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def j2k_header(width: int, height: int) -> bytes:
    """The beginning of a code stream that claims a size, one component of 16 bits, one tile."""
    siz = struct.pack(">HHIIIIIIIIH", 41, 0, width, height, 0, 0, width, height, 0, 0, 1) + b"\x0f\x01\x01"
    return b"\xff\x4f\xff\x51" + siz + b"\xff\xd9"


def palette(count: int, red: bytes, *, segmented: bool = False) -> bytes:
    """Three equal tables."""
    descriptors = b"".join(us(0x00281101 + number, count, 0, 16) for number in range(3))
    first = 0x00281221 if segmented else 0x00281201
    return descriptors + b"".join(element(first + number, b"OW", red) for number in range(3))


def voi_table(count: int, value: bytes) -> bytes:
    """A sequence of one table of interest."""
    item = us(0x00283002, count, 0, 16) + element(0x00283006, b"OW", value)
    return element(0x00283010, b"SQ", ITEM + struct.pack("<I", len(item)) + item)


def hostile() -> Iterator[tuple[str, bytes]]:
    """Every file that must be refused."""
    honest = raster() + pixels(bytes(32))
    yield "deflate bomb of the data set", part10(DEFLATED, raw_deflated(raster(), zeros=1024))
    for syntax in DEFLATED_JPIP:
        yield f"deflated syntax {syntax} read as empty", part10(syntax, raw_deflated(element(0x00080060, b"CS", b"CT")))
        yield f"deflate bomb of {syntax}", part10(syntax, raw_deflated(b"", zeros=1024))
    yield "deflated data set that is no stream", part10(DEFLATED, honest)
    frame_bomb = items(raw_deflated(b"", zeros=256))
    yield "deflate bomb of a frame", part10(DEFLATED_FRAMES, raster(64, 64) + frame_bomb)
    huge = raster(40_000, 5_000, bits=16)
    yield "run-length bomb", part10(RLE, huge + items(rle(b"\x81\0" * 241)))
    yield "run-length bomb of 32 bits", part10(RLE, raster(20_000, 10_000, bits=32) + items(rle(b"\x81\0" * 241)))
    yield (
        "segments beyond a frame",
        part10(RLE, raster() + items(struct.pack("<16I", 2, 64, 2**31, *[0] * 13) + bytes(8))),
    )
    yield "single bits in too long a run", part10(RLE, raster(8, 8, bits=1) + items(rle(b"\x81\0" * 2**20)))
    yield "4 GiB on three bytes", part10(EXPLICIT, raster() + pixels(b"abc", 0xFFFFFFFE))
    yield "4 GiB of free text", part10(EXPLICIT, element(0x00080060, b"UT", b"abc", 0xFFFFFFFE))
    yield (
        "4 GiB fragment",
        part10(
            JPEG_2000, raster() + element(0x7FE00010, b"OB", ITEM + b"\0\0\0\0" + ITEM + b"\xfe\xff\xff\xff", UNDEFINED)
        ),
    )
    yield "no delimiter", part10(JPEG_2000, raster() + items(bytes(64), end=b""))
    yield "uncompressed without a length", part10(EXPLICIT, raster() + pixels(bytes(32), UNDEFINED))
    for defined in (False, True):
        yield f"300 sequences, {defined=}", part10(EXPLICIT, nested(300, defined=defined) + honest)
    yield (
        "100,000 open sequences",
        part10(EXPLICIT, element(0x00081140, b"SQ", ITEM + b"\xff\xff\xff\xff", UNDEFINED) * 100_000),
    )
    yield (
        "2,000 private sequences of unknown type",
        part10(
            IMPLICIT,
            struct.pack("<HHI", 9, 0x1001, UNDEFINED)
            + (ITEM + b"\xff\xff\xff\xff" + struct.pack("<HHI", 9, 0x1001, UNDEFINED)) * 2000,
        ),
    )
    yield (
        "a palette shorter than it says",
        part10(
            EXPLICIT, raster(bits=8, photometric=b"PALETTE COLOR ", extra=palette(256, bytes(16))) + pixels(bytes(16))
        ),
    )
    yield (
        "a palette without colours",
        part10(EXPLICIT, raster(bits=8, photometric=b"PALETTE COLOR ") + pixels(bytes(16))),
    )
    bomb = struct.pack("<3H", 0, 1, 7) + struct.pack("<3H", 1, 60_000, 9) + struct.pack("<4H", 2, 65_535, 0, 0) * 8_000
    yield (
        "a segmented palette that expands without end",
        part10(
            EXPLICIT,
            raster(bits=16, photometric=b"PALETTE COLOR ", extra=palette(0, bomb, segmented=True)) + pixels(bytes(32)),
        ),
    )
    yield "more frames than bytes", part10(EXPLICIT, raster(frames=b"2000000 ") + pixels(bytes(32)))
    yield "more frames than fragments", part10(JPEG_LS, raster(frames=b"4 ") + items(bytes(64), bytes(64)))
    yield (
        "an offset table that points outside",
        part10(JPEG_LS, raster(frames=b"2 ") + items(bytes(64), bytes(64), table=struct.pack("<2I", 0, 2**31))),
    )
    yield (
        "an offset table that points into a fragment",
        part10(JPEG_LS, raster(frames=b"2 ") + items(bytes(64), bytes(64), table=struct.pack("<2I", 0, 10))),
    )
    extended = element(0x7FE00001, b"OV", struct.pack("<2Q", 0, 2**60))
    yield (
        "an extended offset table that points outside",
        part10(JPEG_LS, raster(frames=b"2 ") + extended + items(bytes(64), bytes(64))),
    )
    yield "a code stream larger than its header", part10(JPEG_2000, raster() + items(j2k_header(60_000, 60_000)))
    yield (
        "a code stream of 4 thousand million columns",
        part10(JPEG_2000, raster() + items(j2k_header(2**32 - 1, 2**32 - 1))),
    )
    yield "a code stream that ends after its size", part10(JPEG_2000, raster() + items(j2k_header(4, 4)))
    yield (
        "a JPEG of another size",
        part10(
            JPEG_BASELINE,
            raster(bits=8) + items(b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, 65_000, 65_000, 1) + bytes(40)),
        ),
    )
    yield "JPEG XL that is none", part10(JPEG_XL, raster() + items(b"\xff\x0a" + bytes(64)))
    yield "more pixels than anybody has", part10(EXPLICIT, raster(65_535, 65_535) + pixels(bytes(32)))
    yield "no rows", part10(EXPLICIT, raster(0, 4) + pixels(bytes(32)))
    yield "more bits stored than allocated", part10(EXPLICIT, raster(stored=40) + pixels(bytes(32)))
    yield "no bits stored", part10(EXPLICIT, raster(stored=0) + pixels(bytes(32)))
    yield "tags that descend", part10(EXPLICIT, us(0x00280010, 4) + us(0x00080060, 4) + b"\xff" * 30)
    yield "another language", bytes(128) + b"DICM" + bytes(range(256)) * 16
    yield "an unknown transfer syntax", part10("1.2.3.4", honest)
    yield "no transfer syntax", bytes(128) + b"DICM" + honest
    yield "no preamble", honest


def harmless() -> Iterator[tuple[str, bytes]]:
    """Files that lie about what is not needed: the picture is there, and the lie is left out."""
    yield (
        "a table of interest shorter than it says",
        part10(EXPLICIT, raster(extra=voi_table(4096, bytes(6))) + pixels(bytes(32))),
    )
    yield "a table of interest of no bits", part10(EXPLICIT, raster(extra=voi_table(3, bytes(6))) + pixels(bytes(32)))
    yield "run lengths that go on behind the frame", part10(RLE, raster(bits=8) + items(rle(b"\x81\0" * 2**16)))
