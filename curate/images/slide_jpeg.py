"""Compressed tiles of a TIFF as pictures of their own: JPEG tables merged, colours marked, or decoded at a scale.

A TIFF keeps the tables that its tiles share in `JPEGTables`, and says in `PhotometricInterpretation` whether the
samples are RGB or YCbCr (TIFF Technical Note 2). A file of its own must say both itself: the tables go before the
frame, and Adobe's marker with transform 0 says RGB (ITU-T T.872, 6.5.3). Three components numbered 1, 2, 3 without any
marker are YCbCr to every decoder, so that YCbCr needs none. The compressed pixels are never touched.
"""

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import simplejpeg

from curate.images.base import DEFAULT_LIMITS, Array
from curate.images.jpeg import Jpeg, read_jpeg
from curate.schema import Reason, Refusal

__all__ = ["FACTORS", "Colour", "copied", "decode_j2k", "decode_tile", "standalone"]

Colour = Literal["rgb", "ycbcr", "grey"]

FACTORS: Final = (8, 4, 2, 1)
"""By how much a decoder can shrink while it decodes: an 8 x 8 block becomes 1, 2 x 2, 4 x 4 or all of its samples."""

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APPS: Final = range(0xE0, 0xF0)
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
"""The frames that a TIFF's tiles may have; others could hold scans without end."""

YCBCR_NUMBERS: Final = b"\x01\x02\x03"
ADOBE: Final = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""An Adobe marker up to its last byte, the transform: 0 is none (RGB), 1 is YCbCr."""

J2K_START: Final = b"\xff\x4f\xff\x51"


def standalone(tables: bytes | None, tile: bytes, colour: Colour) -> tuple[bytes, tuple[str, ...]] | Refusal:
    """A tile as a JPEG file, and what was done to it: `jpeg_tables_merged`, `colour_marked:rgb`.

    Markers of colour that contradict the TIFF give way: a decoder of TIFF goes by its tags (libtiff, tif_jpeg.c).
    """
    if not tile:
        return Refusal(Reason.CORRUPT_IMAGE, "the tile holds no bytes")
    head: list[bytes] = []
    numbers, scan, told, dropped = b"", b"", False, False
    for marker, segment in _segments(tile):
        if marker == SOS:
            scan = segment
        elif (said := _colour_said(marker, segment)) is not None:
            kept = colour in (said, "grey")
            told, dropped = told or kept, dropped or not kept
            head += [segment] if kept else []
        else:
            if marker in FRAMES and marker not in SEQUENTIAL:
                return Refusal(Reason.UNSUPPORTED_FORMAT, f"a tile with a frame of marker 0x{marker:02x}")
            if marker in FRAMES and len(segment) >= 10:
                numbers = segment[10::3]
            head.append(segment)
    if not scan or not numbers:
        return Refusal(Reason.CORRUPT_IMAGE, "the tile has no frame header, or no scan")
    mark, changes = b"", []
    if tables:
        changes.append("jpeg_tables_merged")
    if len(numbers) == 3 and not told and (dropped or colour == "rgb" or numbers != YCBCR_NUMBERS):
        mark = ADOBE + (b"\0" if colour == "rgb" else b"\1")
        changes.append(f"colour_marked:{colour}")
    elif dropped:
        changes.append(f"colour_marked:{colour}")
    if not changes:
        return tile, ()
    shared = b"".join(segment for marker, segment in _segments(tables or b"") if marker not in APPS and marker != COM)
    return b"".join((b"\xff\xd8", mark, shared, *head, scan)), tuple(changes)


def _colour_said(marker: int, segment: bytes) -> Colour | None:
    """The colour that a segment says three components are in; null where it says none."""
    if marker == APPS[0] and segment.startswith(b"JFIF\0", 4):
        return "ycbcr"
    if marker == APPS[14] and segment.startswith(b"Adobe", 4) and len(segment) >= 16:
        return "rgb" if segment[15] == 0 else "ycbcr"
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment; the scan comes with all that follows. Ends where the grammar does."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xFF, SOI):
            at += 1 if marker == 0xFF else 2
            continue
        if marker == EOI:
            return
        if marker == SOS:
            yield marker, data[at:]
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at:end]
        at = end


def copied(
    tables: bytes | None, tile: bytes, colour: Colour, size: tuple[int, int]
) -> tuple[bytes, tuple[str, ...], int, int] | Refusal:
    """A tile's file, its changes, its number of channels and its hash, proved by a strict decode.

    `size` is width and height that the TIFF states for its tiles.
    """
    merged = standalone(tables, tile, colour)
    if isinstance(merged, Refusal):
        return merged
    data, changes = merged
    read = read_jpeg(data, keep_metadata=False, limits=DEFAULT_LIMITS)
    if isinstance(read, Refusal):
        return read
    jpeg, phash = read
    wrong = _mismatch(jpeg, size)
    if wrong is not None:
        return wrong
    if not isinstance(phash, int):
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a tile of four components or with arithmetic coding")
    return jpeg.data, tuple(dict.fromkeys((*changes, *jpeg.changes))), jpeg.frame.components, phash


def _mismatch(jpeg: Jpeg, size: tuple[int, int]) -> Refusal | None:
    found = (jpeg.frame.width, jpeg.frame.height)
    if found == size:
        return None
    return Refusal(
        Reason.CORRUPT_IMAGE, f"a tile of {found[0]} x {found[1]} pixels, the file states {size[0]} x {size[1]}"
    )


def decode_tile(
    tables: bytes | None, tile: bytes, colour: Colour, size: tuple[int, int], factor: int
) -> Array | Refusal:
    """RGB samples of a tile, each side `factor` times smaller (1, 2, 4, 8; both sides are multiples of it).

    The scaled inverse transform keeps the lower frequencies of each block: at 8 it is the mean of the block, at 2 and 4
    a low-pass that differs from the mean of areas by less than the compression's own error.
    """
    merged = standalone(tables, tile, colour)
    if isinstance(merged, Refusal):
        return merged
    data = merged[0]
    width, height = size
    try:
        # Asked before decoding, so that a tile that claims another size costs nothing.
        found_height, found_width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if (found_width, found_height) != size:
            found = f"a tile of {found_width} x {found_height} pixels"
            return Refusal(Reason.CORRUPT_IMAGE, f"{found}, the file states {width} x {height}")
        return _decoded(data, size, factor, strict=True)
    except (ValueError, RuntimeError):
        # A warning: harmless or not is told by the same rules as for any other JPEG.
        second = copied(tables, tile, colour, size)
        if isinstance(second, Refusal):
            return second
        return _decoded(second[0], size, factor, strict=False)


def _decoded(data: bytes, size: tuple[int, int], factor: int, *, strict: bool) -> Array:
    scale = {} if factor == 1 else {"min_width": size[0] // factor, "min_height": size[1] // factor}
    samples: Array = simplejpeg.decode_jpeg(data, "RGB", strict=strict, **scale)
    return samples


def decode_j2k(tile: bytes, size: tuple[int, int]) -> Array | Refusal:
    """RGB samples of a tile that is a JPEG 2000 codestream of RGB (Aperio 33005).

    The size that the codestream states is asked before it is decoded (ISO/IEC 15444-1, A.5.1).
    """
    from imagecodecs import jpeg2k_decode

    if not tile.startswith(J2K_START) or len(tile) < 48:
        return Refusal(Reason.CORRUPT_IMAGE, "the tile is no JPEG 2000 codestream")
    x1, y1, x0, y0 = (int.from_bytes(tile[at : at + 4], "big") for at in (8, 12, 16, 20))
    components = int.from_bytes(tile[40:42], "big")
    if (x1 - x0, y1 - y0) != size or components != 3:
        found = f"{x1 - x0} x {y1 - y0} pixels of {components} components"
        return Refusal(Reason.CORRUPT_IMAGE, f"a tile of {found}, the file states {size[0]} x {size[1]} of 3")
    try:
        samples: Array = np.asarray(jpeg2k_decode(tile))
    except MemoryError:
        raise
    except Exception as problem:  # (decoders raise whatever they meet)
        return Refusal(Reason.CORRUPT_IMAGE, f"the tile does not decode ({type(problem).__name__})")
    if samples.shape != (size[1], size[0], 3) or samples.dtype != np.uint8:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a tile of other samples than 8 bits of three colours")
    return samples
