"""Formats that are decoded and stored anew as PNG: TIFF, BMP, GIF, WebP, JPEG 2000.

Pillow decodes. Whatever it would quietly reduce (16-bit colour), guess (signed samples) or rotate (EXIF) is undone or
refused here, so that the delivered samples are the file's own.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from PIL import Image

from curate.images.base import Array, Limits, quiet, ratio_refusal, size_refusal
from curate.images.formats import Format
from curate.schema import Reason, Refusal

__all__ = ["MAX_FRAMES", "Raster", "count_frames", "decode_foreign"]

T = TypeVar("T")

MAX_FRAMES: Final = 10_000
"""Pages or frames of one file: a list of directories that never ends is an attack."""

SIGNED_16_OFFSET: Final = 1 << 15

BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION = 258, 262, 274
WHITE_IS_ZERO: Final = 0

_PILLOW: Final = {
    Format.TIFF: "TIFF",
    Format.BMP: "BMP",
    Format.GIF: "GIF",
    Format.WEBP: "WEBP",
    Format.JPEG2000: "JPEG2000",
}

_UNROTATE: Final = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""Pillow turns a TIFF by its orientation while loading; each of these turns it back."""


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded samples: rows, columns, and channels where there is more than one; uint8 or uint16.

    `offset` was added to signed values. `indices` are a palette's, where there is one.
    """

    samples: Array
    frames: int
    orientation: int | None = None
    offset: int = 0
    photometric: str | None = None
    icc_profile: bytes | None = None
    changes: tuple[str, ...] = ()
    indices: Array | None = None


def count_frames(data: bytes, known: Format) -> int | Refusal:
    """How many pages or frames a file holds, at least one. Nothing is decoded."""
    return _guarded(lambda: _count(_opened(data, known), known))


def decode_foreign(data: bytes, known: Format, frame: int | None, limits: Limits) -> Raster | Refusal:
    """One page or frame, 0-based, as the file's own samples; the first where none is named."""
    stream = _codestream(data) if known is Format.JPEG2000 else None
    if isinstance(stream, Refusal):
        return stream

    def read() -> Raster | Refusal:
        image = _opened(data, known)
        frames = _count(image, known) if frame is None else 1
        if isinstance(frames, Refusal):
            return frames
        try:
            image.seek(frame or 0)
        except EOFError:
            return Refusal(Reason.NO_PIXELS, f"there is no frame {frame}")
        return _beyond(image, len(data), limits) or _raster(image, known, frames, stream)

    return _guarded(read)


def _opened(data: bytes, known: Format) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=(_PILLOW[known],))


def _count(image: Image.Image, known: Format) -> int | Refusal:
    if known is not Format.TIFF:
        return int(getattr(image, "n_frames", 1))
    for frame in range(1, MAX_FRAMES + 1):
        try:
            image.seek(frame)
        except EOFError:
            return frame
    return Refusal(Reason.CORRUPT_IMAGE, f"more than {MAX_FRAMES} pages")


def _guarded(read: Callable[[], T | Refusal]) -> T | Refusal:
    """What `read` gives, or the refusal that stands for whatever a decoder raised."""
    with quiet():
        try:
            return read()
        except MemoryError:
            return Refusal(Reason.MEMORY_LIMIT, "decoding asks for more memory than there is")
        except Exception as problem:  # (decoders raise whatever they meet)
            return _refusal_of(problem)


def _refusal_of(problem: Exception) -> Refusal:
    """The class of a decoder's complaint; its words are not repeated, they may quote the file."""
    text = str(problem).lower()
    name = type(problem).__name__
    if isinstance(problem, Image.DecompressionBombError):
        return Refusal(Reason.TOO_MANY_PIXELS, "beyond the decoder's own limit")
    if "truncated" in text or "end of file" in text or isinstance(problem, EOFError):
        return Refusal(Reason.TRUNCATED_IMAGE, f"the decoder gives up ({name})")
    if "unknown pixel mode" in text or "unknown raw mode" in text or "not available" in text:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"samples or a compression that no decoder here knows ({name})")
    return Refusal(Reason.CORRUPT_IMAGE, f"the decoder gives up ({name})")


def _beyond(image: Image.Image, encoded_bytes: int, limits: Limits) -> Refusal | None:
    pixel_bytes = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}.get(image.mode, 4)
    width, height = image.size
    return size_refusal(width, height, limits) or ratio_refusal(width * height * pixel_bytes, encoded_bytes, limits)


def _raster(image: Image.Image, known: Format, frames: int, stream: "Codestream | None") -> Raster | Refusal:
    tags = dict(getattr(image, "tag_v2", {}))
    bits = max(tags.get(BITS_PER_SAMPLE, (8,)), default=8) if known is Format.TIFF else 8
    if stream:
        bits = stream.bits
    orientation = tags.get(ORIENTATION) if known is Format.TIFF else image.getexif().get(ORIENTATION)
    orientation = orientation if orientation in _UNROTATE else None
    icc_profile = image.info.get("icc_profile")
    mode = image.mode
    image.load()
    if bits > 8 and image.mode not in {"I;16", "I;16B", "I;16L", "I", "F"}:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"colour of {bits} bits per sample")
    read = _samples(image)
    if isinstance(read, Refusal):
        return read
    samples, offset, change = read
    if stream:
        samples, offset = stream.undo(samples)
    indices = np.asarray(image) if image.mode in {"P", "1"} else None
    if known is Format.TIFF and orientation:
        samples = _UNROTATE[orientation](samples)
        indices = None if indices is None else _UNROTATE[orientation](indices)
    inverted = known is Format.TIFF and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and samples.dtype == np.uint16
    return Raster(
        samples,
        frames,
        orientation,
        offset,
        "MONOCHROME1" if inverted else None,
        icc_profile if mode != "CMYK" and isinstance(icc_profile, bytes) else None,
        (change,) if change else (),
        indices,
    )


def _samples(image: Image.Image) -> tuple[Array, int, str] | Refusal:
    """The samples, what was added to them, and a word where the colour model changed."""
    mode = image.mode
    if mode in {"L", "LA", "RGB", "RGBA"}:
        return np.asarray(image), 0, ""
    if mode == "1":
        return np.asarray(image.convert("L")), 0, ""
    if mode in {"P", "PA"}:
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")), 0, ""
    if mode == "RGBX":
        return np.asarray(image.convert("RGB")), 0, ""
    if mode in {"CMYK", "YCbCr"}:
        return np.asarray(image.convert("RGB")), 0, f"rgb:from={mode.lower()}"
    if mode in {"I;16", "I;16B", "I;16L"}:
        return np.asarray(image).astype(np.uint16), 0, ""
    if mode == "I":
        return _narrowed(np.asarray(image))
    return Refusal(Reason.UNSUPPORTED_FORMAT, f"samples of mode {mode}: no PNG holds them without loss")


def _narrowed(values: Array) -> tuple[Array, int, str] | Refusal:
    """32-bit integers in 16 bits, where no value is lost; signed ones are shifted by the same number in every file."""
    low, high = int(values.min()), int(values.max())
    offset = SIGNED_16_OFFSET if low < 0 else 0
    if low + offset < 0 or high + offset > np.iinfo(np.uint16).max:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, "integers that need more than 16 bits: no PNG holds them without loss"
        )
    return (values + offset).astype(np.uint16), offset, ""


@dataclass(frozen=True, slots=True)
class Codestream:
    """What the SIZ segment of a JPEG 2000 codestream states (ISO/IEC 15444-1, A.5.1)."""

    bits: int
    signed: bool
    components: int

    def undo(self, samples: Array) -> tuple[Array, int]:
        """The coded values: Pillow spreads them over the whole sample and shifts signed ones by half their range."""
        spare = 8 * samples.itemsize - self.bits
        shifted = samples >> np.asarray(spare, samples.dtype) if spare > 0 else samples
        return shifted, 1 << (self.bits - 1) if self.signed else 0


def _codestream(data: bytes) -> Codestream | Refusal:
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or start + 45 > len(data):
        return Refusal(Reason.TRUNCATED_IMAGE, "no complete codestream header")
    right, lower, left, upper = struct.unpack_from(">IIII", data, start + 8)
    (components,) = struct.unpack_from(">H", data, start + 40)
    if right <= left or lower <= upper or not 1 <= components <= 4:
        return Refusal(Reason.CORRUPT_IMAGE, f"{right - left} x {lower - upper} pixels of {components} components")
    if start + 42 + 3 * components > len(data):
        return Refusal(Reason.TRUNCATED_IMAGE, "no complete codestream header")
    depths = {data[start + 42 + 3 * index] for index in range(components)}
    depth = min(depths)
    if len(depths) > 1:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "components of different depths")
    return Codestream((depth & 0x7F) + 1, bool(depth & 0x80), components)
