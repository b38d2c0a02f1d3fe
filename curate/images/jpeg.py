"""JPEG: walk the markers, leave metadata behind, prove the rest by a strict decode.

The compressed pixels are never touched. What is verified is what is stored: the strict decode reads the bytes after
stripping. ITU-T T.81 Annex B names the markers; libjpeg's warnings are told apart because some are harmless.
"""

import io
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from curate.images.base import Array, Limits, quiet, ratio_refusal, size_refusal
from curate.images.exif import orientation_of
from curate.images.hash import BLOCK, difference_hash, reduction
from curate.schema import Reason, Refusal

__all__ = ["Frame", "Jpeg", "decode_jpeg", "read_jpeg", "verify", "walk"]

TEM, SOI, EOI, SOS, APP0, APP2, APP14 = 0x01, 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE

BROWSER_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended sequential and progressive, all with Huffman coding: what every browser draws."""

SEQUENTIAL_FRAMES: Final = frozenset({0xC0, 0xC1})
ARITHMETIC_FRAMES: Final = frozenset({0xC9, 0xCA})
DECODED_FRAMES: Final = BROWSER_FRAMES | ARITHMETIC_FRAMES
JPEG_LS: Final = 0xF7
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

MAX_SCANS: Final = 200
"""Encoders write about ten. Each scan costs a pass over the raster, so that thousands of empty ones are an attack."""

JFIF_WITHOUT_THUMBNAIL: Final = 16
"""Length of a JFIF segment, its own two bytes included (JFIF 1.02); what follows is a thumbnail."""

NO_MARKER: Final = frozenset({0x00, *range(0xD0, 0xD8), 0xFF})

_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The end of entropy-coded data: 0xFF is followed by 0x00 or a restart marker within it."""

_SCALES: Final[dict[int, dict[str, int]]] = {1: {}, BLOCK: {"min_height": 1, "min_width": 1}}
"""How `simplejpeg` is asked for a reduction: at least one pixel is wanted, so that it takes its smallest scale, 1/8."""

_HARMLESS: Final = (
    ("Unknown Adobe color transform", "unknown_adobe_transform"),
    ("unknown JFIF revision", "unknown_jfif_revision"),
    ("Invalid SOS parameters", "sos_parameters"),
)
"""Warnings of libjpeg that say nothing about the pixels."""

_EXTRANEOUS: Final = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


class Frame(NamedTuple):
    """What a frame header states (T.81, B.2.2)."""

    marker: int
    precision: int
    height: int
    width: int
    components: int


class Jpeg(NamedTuple):
    """A walked file: `data` holds what is kept."""

    data: bytes
    frame: Frame
    orientation: int | None
    changes: tuple[str, ...]
    ended: bool  # the source has its end-of-image marker


def read_jpeg(data: bytes, *, keep_metadata: bool, limits: Limits) -> tuple[Jpeg, int] | tuple[Jpeg, Array] | Refusal:
    """A verified file with its hash, or with its RGB samples where no browser would draw it."""
    jpeg = walk(data, keep_metadata=keep_metadata)
    if isinstance(jpeg, Refusal):
        return jpeg
    frame = jpeg.frame
    refusal = size_refusal(frame.width, frame.height, limits) or _unsupported(frame)
    # The strict decode holds a 64th of the raster; a progressive one also all coefficients, two bytes each.
    cost = frame.width * frame.height * frame.components * (1 if frame.marker in SEQUENTIAL_FRAMES else 2)
    refusal = refusal or ratio_refusal(cost, len(data), limits)
    if refusal:
        return refusal
    if frame.marker not in BROWSER_FRAMES or frame.components == 4:
        return _foreign(jpeg)
    verified = verify(jpeg)
    if isinstance(verified, Refusal):
        return verified
    luma, warning = verified
    if warning:
        jpeg = jpeg._replace(changes=(*jpeg.changes, warning))
    return jpeg, difference_hash(luma)


def walk(data: bytes, *, keep_metadata: bool) -> Jpeg | Refusal:  # noqa: PLR0912  (one loop over one grammar)
    """The segments of a file, without those that are metadata, without stray bytes and what follows the end."""
    kept: list[bytes] = [b"\xff\xd8"]
    changes: dict[str, None] = {}
    frame: Frame | None = None
    orientation: int | None = None
    scans, end, ended = 0, 2, False
    for found in _segments(data, changes):
        if isinstance(found, Refusal):
            return found
        marker, segment, end = found
        if marker == EOI:
            ended = True
            break
        if marker == JPEG_LS:
            return Refusal(Reason.UNSUPPORTED_FORMAT, "JPEG-LS outside DICOM")
        if marker >= APP0:
            if orientation is None and segment.startswith(b"Exif\x00\x00", 4):
                orientation = orientation_of(segment[10:])
            stripped = segment if keep_metadata else _without_metadata(marker, segment)
            if stripped != segment:
                changes["metadata_stripped"] = None
            segment = stripped
        elif marker in FRAMES:
            if frame is not None or len(segment) < 10:
                return Refusal(Reason.CORRUPT_IMAGE, "a second frame header, or one that is too short")
            frame = _frame(marker, segment)
        elif marker == SOS:
            scans += 1
        kept.append(segment)
    if frame is None or scans == 0:
        return Refusal(Reason.CORRUPT_IMAGE if ended else Reason.TRUNCATED_IMAGE, "no frame header, or no scan")
    if scans > MAX_SCANS:
        return Refusal(Reason.CORRUPT_IMAGE, f"{scans} scans, an honest file has at most {MAX_SCANS}")
    if not ended and frame.marker not in SEQUENTIAL_FRAMES:
        return Refusal(Reason.TRUNCATED_IMAGE, "a progressive file without its end")
    if not ended:
        changes["end_marker_added"] = None
    elif end < len(data):
        changes["trailing_bytes_trimmed"] = None
    kept.append(b"\xff\xd9")
    return Jpeg(b"".join(kept) if changes else data, frame, orientation, tuple(changes), ended)


def _segments(data: bytes, changes: dict[str, None]) -> Iterator[tuple[int, bytes, int] | Refusal]:
    """Marker, bytes and end of each segment, a scan with its compressed pixels, up to the end marker or a refusal."""
    at, size = 2, len(data)
    while at + 2 <= size:
        start, marker = at, data[at + 1]
        if data[at] != 0xFF or marker in NO_MARKER:
            found = _MARKER.search(data, at)
            if found is None:
                break
            start = found.start()
            marker = data[start + 1]
            if data[at:start].strip(b"\xff"):  # 0xFF alone is fill (T.81, B.1.1.2)
                changes["stray_bytes_removed"] = None
        at = start + 2
        if marker == EOI:
            yield marker, b"", at
            return
        if marker == SOI:
            yield Refusal(Reason.CORRUPT_IMAGE, "a second image begins within the first")
            return
        if marker != TEM:
            if at + 2 > size:
                break
            length = data[at] << 8 | data[at + 1]
            at += length
            if length < 2:
                yield Refusal(Reason.CORRUPT_IMAGE, f"segment 0x{marker:02x} states a length of {length}")
                return
            if at > size:
                yield Refusal(Reason.TRUNCATED_IMAGE, f"segment 0x{marker:02x} reaches beyond the end of the file")
                return
        if marker == SOS:
            behind = _MARKER.search(data, at)
            at = behind.start() if behind else size
        yield marker, data[start:at], at


def _frame(marker: int, segment: bytes) -> Frame:
    height, width = int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
    return Frame(marker, segment[4], height, width, segment[9])


def _unsupported(frame: Frame) -> Refusal | None:
    if frame.marker not in DECODED_FRAMES:
        detail = f"lossless or hierarchical JPEG (frame marker 0x{frame.marker:02x})"
    elif frame.precision != 8:
        detail = f"JPEG of {frame.precision} bits per sample"
    elif frame.components not in {1, 3, 4}:
        detail = f"JPEG of {frame.components} components"
    else:
        return None
    return Refusal(Reason.UNSUPPORTED_FORMAT, detail)


def _without_metadata(marker: int, segment: bytes) -> bytes:
    """A segment without what identifies: only JFIF's header, ICC profiles and Adobe's colour transform stay."""
    if marker == APP0 and segment.startswith(b"JFIF\x00", 4) and len(segment) >= 18:
        if len(segment) == 2 + JFIF_WITHOUT_THUMBNAIL:
            return segment
        return segment[:2] + JFIF_WITHOUT_THUMBNAIL.to_bytes(2, "big") + segment[4:16] + bytes(2)
    if marker == APP2 and segment.startswith(b"ICC_PROFILE\x00", 4):
        return segment
    if marker == APP14 and segment.startswith(b"Adobe", 4) and len(segment) >= 16:
        return segment[:2] + (14).to_bytes(2, "big") + segment[4:16] if len(segment) > 16 else segment
    return b""


def verify(jpeg: Jpeg) -> tuple[npt.NDArray[np.uint8], str] | Refusal:
    """The luma, reduced as `hash` wants it, and a word where the decoder warned of something harmless.

    The strict decode reads every coefficient of every component, at the scale that needs the least arithmetic.
    """
    frame = jpeg.frame
    factor = reduction(frame.width, frame.height)
    try:
        luma = simplejpeg.decode_jpeg(jpeg.data, "GRAY", strict=True, **_SCALES[factor])
    except (ValueError, RuntimeError) as problem:
        return _second_look(jpeg, str(problem), factor)
    return luma[..., 0], ""


def _second_look(jpeg: Jpeg, message: str, factor: int) -> tuple[npt.NDArray[np.uint8], str] | Refusal:
    """What a warning means: cut short, damaged, or harmless; harmless only if another full decode succeeds."""
    if not jpeg.ended or "Premature end" in message:
        return Refusal(Reason.TRUNCATED_IMAGE, "the compressed pixels end early")
    padded = _EXTRANEOUS.search(message)
    if padded and len(set(jpeg.data[-2 - int(padded[1]) : -2])) == 1:
        word = "padded_scan"
    elif message.startswith("Corrupt JPEG") or "Inconsistent progression" in message:
        return Refusal(Reason.CORRUPT_IMAGE, "the compressed pixels do not decode cleanly")
    else:
        word = next((name for text, name in _HARMLESS if text in message), "other")
    image = _pillow(jpeg.data)
    if isinstance(image, Refusal):
        return image
    luma = image.convert("L")
    reduced = luma.reduce(factor) if factor > 1 else luma
    return np.asarray(reduced), f"decoder_warning:{word}"


def _foreign(jpeg: Jpeg) -> tuple[Jpeg, Array] | Refusal:
    """The RGB or grey samples of a file that browsers do not draw: CMYK, or arithmetic coding."""
    if not jpeg.ended:
        return Refusal(Reason.TRUNCATED_IMAGE, "the compressed pixels end early")
    if jpeg.frame.components == 4:
        try:
            simplejpeg.decode_jpeg(jpeg.data, "CMYK", strict=True, **_SCALES[BLOCK])
        except (ValueError, RuntimeError):
            return Refusal(Reason.CORRUPT_IMAGE, "the compressed pixels do not decode cleanly")
    image = _pillow(jpeg.data)
    if isinstance(image, Refusal):
        return image
    return jpeg, np.asarray(image if image.mode in {"L", "RGB"} else image.convert("RGB"))


def _pillow(data: bytes) -> Image.Image | Refusal:
    with quiet():
        try:
            image = Image.open(io.BytesIO(data), formats=("JPEG",))
            image.load()
        except Image.DecompressionBombError:
            return Refusal(Reason.TOO_MANY_PIXELS, "beyond the decoder's own limit")
        except MemoryError:
            return Refusal(Reason.MEMORY_LIMIT, "decoding asks for more memory than there is")
        except Exception as problem:
            reason = Reason.TRUNCATED_IMAGE if "truncated" in str(problem) else Reason.CORRUPT_IMAGE
            return Refusal(reason, f"the decoder gives up ({type(problem).__name__})")
    return image


def decode_jpeg(data: bytes) -> Array:
    """The samples of a stored JPEG: rows, columns, and three channels unless it is grey."""
    _, _, colorspace, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    wanted = "GRAY" if colorspace.lower() == "gray" else "RGB"
    samples: Array = simplejpeg.decode_jpeg(data, wanted, strict=False)
    return samples[..., 0] if wanted == "GRAY" else samples
