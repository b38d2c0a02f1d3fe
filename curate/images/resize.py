"""Shrinking: a verified image with its longest side brought down to what the recipe asks. Nothing is ever enlarged.

A JPEG stays a JPEG: the decoder's scaled inverse transform does the coarse reduction, the windowed resampler the rest.
A PNG stays a PNG of the same depth; a palette becomes the colours that it stands for. Colour profiles are kept, since
the samples mean nothing without them; other metadata are left behind.
"""

import struct
from dataclasses import replace
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image

from curate.images.base import Array, Delivered
from curate.images.hash import hash_of_array
from curate.images.png import SIGNATURE, encode_png
from curate.images.raster import decode
from curate.recipe import Resize

__all__ = ["resized", "shrunk_size"]

FILTER: Final = Image.Resampling.HAMMING
"""No overshoot, so that no grey value appears that the source does not span; sharper than an average of areas."""

REDUCING_GAP: Final = 2.0
"""Large rasters are first reduced by whole factors, down to this multiple of the target."""

EIGHTHS: Final = 8
"""The scaled inverse transform of libjpeg yields 1 to 8 samples per side of a block of 8."""

SUBSAMPLINGS: Final = frozenset({"444", "422", "420", "440", "411", "Gray"})
"""What the encoder writes; a source with another arrangement of chroma is written without subsampling."""

KEPT_CHUNKS: Final = frozenset({b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP"})
"""PNG chunks that say what colour a sample is. A physical pixel size would no longer be true."""

IHDR_END: Final = len(SIGNATURE) + 25
SOS: Final = 0xDA
APP0, APP2, APP14, APP15, COM = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE


def shrunk_size(width: int, height: int, longest_side: int) -> tuple[int, int]:
    """Width and height with the longest side brought down to `longest_side`, rounded half up, at least one pixel."""
    longest = max(width, height)
    if longest <= longest_side:
        return width, height
    shrunk = [max(1, (2 * side * longest_side + longest) // (2 * longest)) for side in (width, height)]
    return shrunk[0], shrunk[1]


def resized(delivered: Delivered, resize: Resize) -> Delivered:
    """A delivered image, shrunk where it is larger than asked; else the same object.

    `changes` gains `resized:WxH->wxh`, and `metadata_stripped` or `opaque_alpha_removed` where that was a consequence.
    `spacing_mm` grows with the pixels; `rescale_*` stay, since averages of linear values are linear. Deterministic for
    one version of the libraries and one processor architecture.
    """
    size = shrunk_size(delivered.width, delivered.height, resize.longest_side)
    if size == (delivered.width, delivered.height):
        return delivered
    if delivered.media_type == "image/jpeg":
        samples, data, lost = _jpeg(delivered, size, resize.jpeg_quality)
    else:
        samples, data, lost = _png(delivered, size)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if channels < delivered.channels and delivered.channels in {2, 4}:
        lost = (*lost, "opaque_alpha_removed")
    word = f"resized:{delivered.width}x{delivered.height}->{size[0]}x{size[1]}"
    return replace(
        delivered,
        data=data,
        width=size[0],
        height=size[1],
        channels=channels,
        bit_depth=8 * samples.itemsize,
        changes=tuple(dict.fromkeys((*delivered.changes, *lost, word))),
        phash=hash_of_array(samples),
        spacing_mm=_grown(delivered, size),
    )


def _grown(delivered: Delivered, size: tuple[int, int]) -> tuple[float, float] | None:
    if delivered.spacing_mm is None:
        return None
    row, column = delivered.spacing_mm
    return row * delivered.height / size[1], column * delivered.width / size[0]


def _jpeg(delivered: Delivered, size: tuple[int, int], quality: int) -> tuple[Array, bytes, tuple[str, ...]]:
    _, _, colorspace, subsampling = simplejpeg.decode_jpeg_header(delivered.data, strict=False)
    wanted = "GRAY" if colorspace == "Gray" else "RGB"
    decoded: Array = simplejpeg.decode_jpeg(delivered.data, wanted, min_width=size[0], min_height=size[1], strict=False)
    # The last scaled sample may reach beyond the edge of the picture: the region names the picture alone.
    eighths = _eighths(delivered, decoded.shape[1], decoded.shape[0])
    region = (0.0, 0.0, delivered.width * eighths / EIGHTHS, delivered.height * eighths / EIGHTHS)
    image = Image.fromarray(decoded[..., 0] if wanted == "GRAY" else decoded)
    samples = np.asarray(image.resize(size, FILTER, box=region))
    kept = subsampling if subsampling in SUBSAMPLINGS else "444"
    encoded: bytes = simplejpeg.encode_jpeg(
        samples if samples.ndim == 3 else samples[..., None], quality, wanted, "Gray" if wanted == "GRAY" else kept
    )
    profile, others = _jpeg_segments(delivered.data)
    data = encoded[:2] + profile + encoded[2:] if profile else encoded
    return samples, data, ("metadata_stripped",) if others else ()


def _eighths(delivered: Delivered, width: int, height: int) -> int:
    """The scale at which the decoder answered, from the size that it gave."""
    for eighths in range(1, EIGHTHS):
        if -(-delivered.width * eighths // EIGHTHS) == width and -(-delivered.height * eighths // EIGHTHS) == height:
            return eighths
    return EIGHTHS


def _jpeg_segments(data: bytes) -> tuple[bytes, bool]:
    """The segments of the ICC profile, and whether there are others that encoding anew leaves behind."""
    profile: list[bytes] = []
    others = False
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != SOS:
        marker, length = data[at + 1], 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at : at + length]
        if marker == APP2 and segment.startswith(b"ICC_PROFILE\x00", 4):
            profile.append(segment)
        elif marker == COM or (APP0 <= marker <= APP15 and marker not in {APP0, APP14}):
            others = True
        at += length
    return b"".join(profile), others


def _png(delivered: Delivered, size: tuple[int, int]) -> tuple[Array, bytes, tuple[str, ...]]:
    samples = _resampled(decode(delivered.data), size)
    encoded = encode_png(samples)
    chunks, others = _png_chunks(delivered.data)
    data = encoded[:IHDR_END] + chunks + encoded[IHDR_END:] if chunks else encoded
    return samples, data, ("metadata_stripped",) if others else ()


def _png_chunks(data: bytes) -> tuple[bytes, bool]:
    """The chunks that say what colours mean, and whether there is text or the like that encoding leaves behind."""
    kept: list[bytes] = []
    others = False
    at = IHDR_END
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in KEPT_CHUNKS:
            kept.append(data[at : at + 12 + length])
        elif name[0] & 0x20 and name not in {b"tRNS", b"sBIT", b"pHYs"}:
            others = True
        at += 12 + length
    return b"".join(kept), others


def _resampled(samples: Array, size: tuple[int, int]) -> Array:
    """Samples of 8 or 16 bits at another size; what is transparent has no say in the colour of its neighbours."""
    if samples.dtype == np.uint8:
        return np.asarray(Image.fromarray(samples).resize(size, FILTER, reducing_gap=REDUCING_GAP))
    channels = [samples] if samples.ndim == 2 else list(np.moveaxis(samples, 2, 0))
    planes = [channel.astype(np.float32) for channel in channels]
    if len(planes) in {2, 4}:
        weight = planes[-1] / np.float32(np.iinfo(np.uint16).max)
        planes = [plane * weight for plane in planes[:-1]] + [planes[-1]]
    planes = [np.asarray(Image.fromarray(plane).resize(size, FILTER, reducing_gap=REDUCING_GAP)) for plane in planes]
    if len(planes) in {2, 4}:
        weight = np.maximum(planes[-1], np.float32(1)) / np.float32(np.iinfo(np.uint16).max)
        planes = [plane / weight for plane in planes[:-1]] + [planes[-1]]
    whole = np.stack(planes, axis=-1) if len(planes) > 1 else planes[0]
    return np.clip(np.rint(whole), 0, np.iinfo(np.uint16).max).astype(np.uint16)
