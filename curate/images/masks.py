"""Mask images as label maps: the numbers that the file holds, never the colours that a viewer would draw."""

import numpy as np

from curate.images.base import DEFAULT_LIMITS, Array, Limits
from curate.images.foreign import decode_foreign
from curate.images.formats import Format, format_of
from curate.images.png import Png, inflate, walk
from curate.images.samples import png_samples
from curate.schema import Reason, Refusal

__all__ = ["read_mask"]

LOSSLESS = frozenset({Format.PNG, Format.TIFF, Format.BMP, Format.GIF})


def read_mask(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Array | Refusal:
    """A label map: rows, columns; uint8, uint16, int32 or uint32, on the raster before any EXIF rotation.

    A palette gives its indices, as Pascal VOC means them; 1 to 16 bits give the coded values, unscaled; signed values
    stay signed. Colour whose channels are equal everywhere is one channel; true colour gives 0xRRGGBB per pixel. Alpha
    has no say.
    """
    if not data:
        return Refusal(Reason.EMPTY_FILE, "no bytes")
    if len(data) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")
    known = format_of(data)
    if known not in LOSSLESS:
        found = known or "an unknown format"
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, f"a mask must be PNG, TIFF, BMP or GIF, where each value is kept; found {found}"
        )
    values = _png_values(data, limits) if known is Format.PNG else _foreign_values(data, known, limits)
    return values if isinstance(values, Refusal) else _one_channel(values)


def _png_values(data: bytes, limits: Limits) -> Array | Refusal:
    png = walk(data, keep_metadata=True, limits=limits)
    if not isinstance(png, Png):
        return png
    raw = inflate(png)
    return raw if isinstance(raw, Refusal) else png_samples(png, raw)


def _foreign_values(data: bytes, known: Format, limits: Limits) -> Array | Refusal:
    raster = decode_foreign(data, known, None, limits)
    if isinstance(raster, Refusal):
        return raster
    if raster.frames > 1:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"a mask of {raster.frames} frames: which one holds is not said")
    if raster.indices is not None:
        return raster.indices.astype(np.uint8)
    return raster.samples.astype(np.int32) - raster.offset if raster.offset else raster.samples


def _one_channel(values: Array) -> Array | Refusal:
    if values.ndim == 2:
        return np.ascontiguousarray(values)
    if values.shape[2] == 2:
        return np.ascontiguousarray(values[..., 0])
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)
    if values.dtype != np.uint8:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a mask in colour of 16 bits: its values have no number")
    wide = values.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
