"""One compressed frame to samples: a named decoder for each transfer syntax, so that the same file gives the same
samples wherever other decoders happen to be installed, and a named second for what the first refuses.

The size in the code stream is compared with the header's before a decoder sees it: decoders believe the stream.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from isal import isal_zlib

from curate.images import jpeg
from curate.images.base import Array, Limits
from curate.images.dicom_layout import DEFLATED_FRAMES, RLE, Layout
from curate.schema import Reason, Refusal

__all__ = ["SYNTAXES", "decode_compressed"]

JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS: Final = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG_LS: Final = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
JPEG_2000: Final = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
HTJ2K: Final = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
JPEG_XL: Final = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112")

SYNTAXES: Final[Mapping[str, tuple[str, ...]]] = {
    JPEG_BASELINE: ("pylibjpeg",),
    JPEG_EXTENDED: ("pylibjpeg", "imagecodecs.jpeg8"),
    **dict.fromkeys(JPEG_LOSSLESS, ("imagecodecs.jpeg8", "pylibjpeg")),
    **dict.fromkeys(JPEG_LS, ("pyjpegls",)),
    **dict.fromkeys(JPEG_2000, ("pylibjpeg",)),
    **dict.fromkeys(HTJ2K, ("pylibjpeg",)),
    **dict.fromkeys(JPEG_XL, ("imagecodecs.jpegxl",)),
    RLE: ("pylibjpeg",),
    DEFLATED_FRAMES: ("isal",),
}
"""Decoders by transfer syntax, in the order in which they are tried: plugins of pydicom, and others.

There is a second only where it notices what is missing, or is made to: a lenient one would turn a refusal of the first
into made-up pixels.
"""

SIZED: Final = frozenset(SYNTAXES) - {RLE, DEFLATED_FRAMES, *JPEG_XL}
"""Syntaxes whose code stream states a size that is read here."""

RLE_HEADER_BYTES: Final = 64
PANIC: Final = "PanicException"

HUFFMAN: Final = frozenset({JPEG_EXTENDED, *JPEG_LOSSLESS})
"""Syntaxes whose decoders make up what is missing at the end of a scan, without a word."""

END_OF_IMAGE: Final = b"\xff\xd9"
SURPLUS: Final = bytes(number * 37 % 251 for number in range(1, 256))
"""Entropy-coded bytes that no whole scan needs: a decoder that uses them did not have all of its own."""

SOT, EOC = 0xFF90, 0xFFD9
SOT_BYTES: Final = 12

SOC_SIZ: Final = b"\xff\x4f\xff\x51"
NO_FRAME: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Among the markers C0 to CF those that begin no frame (ITU-T T.81, table B.1)."""
SOF_LS: Final = 0xF7


def decode_compressed(
    encoded: bytes, syntax: str, layout: Layout, limits: Limits
) -> tuple[Array, str | None] | Refusal:
    """Rows, columns, and RGB where there is colour; and the decoder where it is not the first.

    `syntax` is one of `SYNTAXES`.
    """
    refused = _size_refusal(encoded, syntax, layout)
    if refused is None and syntax == JPEG_BASELINE:
        # The decoder behind pydicom fills what is missing without a word.
        read = jpeg.read_jpeg(encoded, keep_metadata=True, limits=limits)
        refused = read if isinstance(read, Refusal) else None
    if refused is not None:
        return refused
    problem = ""
    for number, name in enumerate(SYNTAXES[syntax]):
        try:
            samples = _decoder(name, syntax, layout)(encoded)
            if isinstance(samples, Refusal):
                return samples
            if samples.shape[:2] != (layout.rows, layout.columns) or samples.size != _expected(layout):
                raise ValueError
            if syntax in HUFFMAN and not _is_whole_scan(encoded, samples, _decoder(name, syntax, layout)):
                return Refusal(Reason.TRUNCATED_IMAGE, "a frame's compressed samples end early")
        except MemoryError:
            return Refusal(Reason.MEMORY_LIMIT, "decoding asks for more memory than there is")
        except BaseException as raised:  # (decoders raise whatever they meet; those in Rust panic past Exception)
            if not isinstance(raised, Exception) and type(raised).__name__ != PANIC:
                raise
            problem = problem or type(raised).__name__
            continue
        return samples, None if number == 0 else name
    return Refusal(Reason.CORRUPT_IMAGE, f"the pixel data do not decode ({problem})")


def _is_whole_scan(encoded: bytes, samples: Array, decode: Callable[[bytes], Array | Refusal]) -> bool:
    """Whether a scan holds all of its samples: then bytes put behind them change nothing."""
    end = encoded.rfind(END_OF_IMAGE)
    if end < 0:
        return False
    again = decode(encoded[:end] + SURPLUS + END_OF_IMAGE)
    return not isinstance(again, Refusal) and np.array_equal(samples, again)


def _expected(layout: Layout) -> int:
    return layout.rows * layout.columns * layout.samples


def _decoder(name: str, syntax: str, layout: Layout) -> Callable[[bytes], Array | Refusal]:
    if name == "isal":
        return lambda encoded: _inflated_frame(encoded, layout)
    if name.startswith("imagecodecs."):
        return lambda encoded: _by_imagecodecs(encoded, name.removeprefix("imagecodecs."), layout)
    if syntax == RLE and layout.allocated == 1:
        return lambda encoded: _packed_rle(encoded, layout)
    return lambda encoded: by_pydicom(encapsulated(encoded), syntax, layout, plugin=name)


def encapsulated(encoded: bytes) -> bytes:
    """One frame as an object of one frame has it."""
    return b"".join(
        [
            b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0",
            struct.pack("<I", len(encoded) + len(encoded) % 2),
            encoded,
            b"\0" * (len(encoded) % 2),
            b"\xfe\xff\xdd\xe0\x00\x00\x00\x00",
        ]
    )


def by_pydicom(
    source: bytes | memoryview,
    syntax: str,
    layout: Layout,
    *,
    plugin: str = "",
    frame: int = 0,
    frames: int = 1,
    vr: str = "OW",
) -> Array:
    """A frame by pydicom's decoder of the transfer syntax, colours as RGB; bits that are not the samples' stay.

    Raises:
        Exception: whatever a decoder raises.
    """
    from pydicom.pixels.decoders.base import get_decoder

    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": frames,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
        "planar_configuration": layout.planar,
        "correct_unused_bits": False,
        "allow_excess_frames": False,
    }
    samples, _ = get_decoder(syntax).as_array(source, index=frame, validate=False, decoding_plugin=plugin, **options)
    return samples


def _by_imagecodecs(encoded: bytes, name: str, layout: Layout) -> Array:
    import imagecodecs

    samples: Array = getattr(imagecodecs, f"{name}_decode")(encoded)
    if name == "jpeg8" and layout.samples != 1:
        raise ValueError  # nobody says whether its colours are converted
    if samples.ndim != (3 if layout.samples > 1 else 2) or samples.dtype.kind not in "iu":
        raise ValueError
    if samples.dtype.kind == "u" and layout.signed:
        samples = samples.astype(f"u{layout.dtype.itemsize}").view(layout.dtype)
    return samples.astype(layout.dtype)


def _packed_rle(encoded: bytes, layout: Layout) -> Array:
    """A frame of single bits: one segment of bytes, eight pixels to a byte, the first in the lowest bit."""
    import imagecodecs

    count, start = struct.unpack_from("<II", encoded)
    needed = (layout.rows * layout.columns + 7) // 8
    if count != 1 or start != RLE_HEADER_BYTES:
        raise ValueError
    packed = imagecodecs.packbits_decode(encoded[start:])
    if not needed <= len(packed) <= needed + 1:
        raise ValueError
    return _unpacked(packed, layout)


def _unpacked(packed: bytes | bytearray, layout: Layout) -> Array:
    pixels = layout.rows * layout.columns
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=pixels, bitorder="little")
    return bits.reshape(layout.rows, layout.columns)


def _inflated_frame(encoded: bytes, layout: Layout) -> Array | Refusal:
    """A frame of a deflated image (PS3.5, 8.2.16): a raw stream of exactly one uncompressed frame."""
    needed = (layout.frame_bits + 7) // 8
    stream = isal_zlib.decompressobj(-15)
    plain = stream.decompress(encoded, needed + 2)
    if not needed <= len(plain) <= needed + needed % 2 or not stream.eof:
        return Refusal(Reason.CORRUPT_IMAGE, f"a frame inflates to {len(plain)} bytes, {needed} are needed")
    if layout.allocated == 1:
        return _unpacked(plain, layout)
    from pydicom.uid import ExplicitVRLittleEndian

    return by_pydicom(plain, ExplicitVRLittleEndian, layout)


def _size_refusal(encoded: bytes, syntax: str, layout: Layout) -> Refusal | None:
    if syntax not in SIZED:
        return None
    is_j2k = syntax in {*JPEG_2000, *HTJ2K}
    found = _code_stream_size(encoded, is_j2k)
    if found is None:
        return Refusal(Reason.CORRUPT_IMAGE, "a frame's code stream states no size")
    if found != (layout.columns, layout.rows):
        return Refusal(
            Reason.CORRUPT_IMAGE,
            f"a code stream of {found[0]} x {found[1]} pixels, the header states {layout.columns} x {layout.rows}",
        )
    if is_j2k and not _has_all_tiles(encoded):
        return Refusal(Reason.TRUNCATED_IMAGE, "a code stream ends within a tile")
    return None


def _has_all_tiles(encoded: bytes) -> bool:
    """Whether every tile-part is as long as it says (ITU-T T.800, A.4.2): decoders make up what is missing."""
    at = encoded.find(SOC_SIZ, 0, 2**16) + 2
    while at + 4 <= len(encoded):
        marker, length = struct.unpack_from(">HH", encoded, at)
        if marker == EOC:
            return True
        if marker != SOT:
            at += 2 + length
            continue
        if at + SOT_BYTES > len(encoded):
            return False
        (part,) = struct.unpack_from(">I", encoded, at + 6)
        if not part:  # (the last one, up to the end)
            return encoded.rstrip(b"\0").endswith(END_OF_IMAGE)
        if part < SOT_BYTES:
            return False
        at += part
    return at <= len(encoded) and encoded[at : at + 2] in {b"", b"\0", END_OF_IMAGE}


def _code_stream_size(encoded: bytes, is_j2k: bool) -> tuple[int, int] | None:
    """Columns and rows, from SIZ (ITU-T T.800, A.5.1) or the frame header (T.81, B.2.2; T.87, C.2.2)."""
    if is_j2k:
        at = encoded.find(SOC_SIZ, 0, 2**16)
        if at < 0 or at + 24 > len(encoded):
            return None
        right, lower, left, upper = struct.unpack_from(">4I", encoded, at + 8)
        return right - left, lower - upper
    at = 2
    while at + 9 <= len(encoded):
        if encoded[at] != 0xFF:
            return None
        marker = encoded[at + 1]
        if marker == 0xFF:  # (fill)
            at += 1
            continue
        if marker == SOF_LS or (0xC0 <= marker <= 0xCF and marker not in NO_FRAME):
            rows, columns = struct.unpack_from(">HH", encoded, at + 5)
            return columns, rows
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
    return None
