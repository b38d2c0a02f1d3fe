"""The samples of a verified PNG: numpy undoes the simple filters, Pillow's C decoder all others."""

import zlib
from typing import Final

import numpy as np
from PIL import Image

from curate.images.base import Array
from curate.images.hash import hash_of_array, hash_of_image
from curate.images.png import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, Header, Png, scanlines

__all__ = ["drawn_samples", "hash_of_png", "png_samples"]

STORED_BLOCK: Final = 0xFFFF
"""Most bytes in one stored block of deflate (RFC 1951, 3.2.4)."""

RESTORE_BYTES: Final = 64 * 2**20
"""Inflated size up to which a second copy in memory is cheaper than inflating twice."""

_MODES: Final = {
    (GREY, 1): ("P", "P;1"),  # as indices: Pillow's grey modes would scale them
    (GREY, 2): ("P", "P;2"),
    (GREY, 4): ("P", "P;4"),
    (GREY, 8): ("L", "L"),
    (GREY, 16): ("I;16", "I;16B"),
    (RGB, 8): ("RGB", "RGB"),
    (PALETTE, 1): ("P", "P;1"),
    (PALETTE, 2): ("P", "P;2"),
    (PALETTE, 4): ("P", "P;4"),
    (PALETTE, 8): ("P", "P"),
    (GREY_ALPHA, 8): ("LA", "LA"),
    (RGBA, 8): ("RGBA", "RGBA"),
}
"""Mode and raw mode that give Pillow's decoder the samples unscaled."""


def png_samples(png: Png, raw: bytes) -> Array:
    """Samples as coded: rows, columns, and channels where there is more than one. Indices and small depths stay.

    `raw` is what `png.inflate` gave. 8 bits and less are uint8, 16 bits uint16.
    """
    header = png.header
    rows = scanlines(header, raw) if header.depth >= 8 else None
    if rows is not None:
        samples: Array = rows if header.depth == 8 else np.ascontiguousarray(rows).view(">u2").astype(np.uint16)
        if header.channels > 1:
            samples = samples.reshape(header.height, header.width, header.channels)
        return samples
    packed = _restored(png, raw)
    if header.depth == 16 and header.colour in {RGB, RGBA}:
        # The raw mode for little-endian samples picks the other byte of each: Pillow itself would keep the high ones.
        mode = "RGB" if header.colour == RGB else "RGBA"
        high = _unpack(header, packed, mode, f"{mode};16B").astype(np.uint16)
        return high << 8 | _unpack(header, packed, mode, f"{mode};16L")
    if header.depth == 16 and header.colour == GREY_ALPHA:
        quads = _unpack(header, packed, "RGBA", "RGBA").astype(np.uint16)
        return quads[..., 0::2] << 8 | quads[..., 1::2]
    return _unpack(header, packed, *_MODES[header.colour, header.depth])


def drawn_samples(png: Png, raw: bytes) -> Array:
    """Samples as a viewer draws them: small depths scaled to 8 bits, palettes applied, fully opaque alpha left out."""
    header, samples = png.header, png_samples(png, raw)
    if header.colour == PALETTE:
        samples = _palette(png)[samples]
    else:
        key = png.transparency
        if key is not None and header.colour in {GREY, RGB} and len(key) == 2 * header.channels:
            samples = _keyed(samples, np.frombuffer(key, ">u2"), header.depth)
        if header.depth < 8:
            samples = samples * np.uint8(255 // (2**header.depth - 1))
    return _without_opaque_alpha(samples)


def hash_of_png(png: Png, raw: bytes) -> int:
    """The difference hash, without more copies than it needs: alpha and transparency have no say."""
    header = png.header
    if header.depth != 8 or header.colour == GREY_ALPHA:
        samples = _palette(png)[png_samples(png, raw)] if header.colour == PALETTE else png_samples(png, raw)
        if header.depth < 8 and header.colour == GREY:
            samples = samples * np.uint8(255 // (2**header.depth - 1))
        return hash_of_array(samples)
    rows = scanlines(header, raw)
    if header.colour == PALETTE:
        indices = rows if rows is not None else _unpack(header, _restored(png, raw), "P", "P")
        return hash_of_array(_palette(png)[indices])
    mode, rawmode = {GREY: ("L", "L"), RGB: ("RGB", "RGB"), RGBA: ("RGB", "RGBX")}[header.colour]
    size = (header.width, header.height)
    if rows is not None:
        return hash_of_image(Image.frombuffer(mode, size, np.ascontiguousarray(rows), "raw", rawmode, 0, 1))
    return hash_of_image(_image(header, _restored(png, raw), mode, rawmode))


def _restored(png: Png, raw: bytes) -> bytes:
    """A zlib stream of `raw` in stored blocks: Pillow undoes filters from zlib only, and copying beats inflating."""
    if len(raw) > RESTORE_BYTES:
        return png.pixels
    view = memoryview(raw)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(raw), STORED_BLOCK):
        block = view[start : start + STORED_BLOCK]
        last = start + STORED_BLOCK >= len(raw)
        parts += [bytes([last]), len(block).to_bytes(2, "little"), (len(block) ^ 0xFFFF).to_bytes(2, "little"), block]
    parts.append(zlib.adler32(raw).to_bytes(4, "big"))
    return b"".join(parts)


def _image(header: Header, packed: bytes, mode: str, rawmode: str) -> Image.Image:
    return Image.frombytes(mode, (header.width, header.height), packed, "zip", rawmode, int(header.interlaced))


def _unpack(header: Header, packed: bytes, mode: str, rawmode: str) -> Array:
    return np.asarray(_image(header, packed, mode, rawmode))


def _palette(png: Png) -> Array:
    """256 rows of RGB, or RGBA where the file states transparency; indices beyond the palette are black."""
    colours = np.frombuffer(png.palette, np.uint8).reshape(-1, 3)
    table = np.zeros((256, 3 if png.transparency is None else 4), np.uint8)
    table[: len(colours), :3] = colours
    if png.transparency is not None:
        table[:, 3] = 255
        alpha = np.frombuffer(png.transparency[:256], np.uint8)
        table[: len(alpha), 3] = alpha
    return table


def _keyed(samples: Array, key: Array, depth: int) -> Array:
    """Samples with an alpha channel that is zero where they equal the transparent colour."""
    pixels = samples if samples.ndim == 3 else samples[..., None]
    opaque = (pixels != key.astype(samples.dtype)).any(axis=2, keepdims=True)
    return np.concatenate([pixels, opaque * np.asarray(2**depth - 1, samples.dtype)], axis=2)


def _without_opaque_alpha(samples: Array) -> Array:
    if samples.ndim == 3 and samples.shape[2] in {2, 4}:
        if (samples[..., -1] != np.iinfo(samples.dtype).max).any():
            return samples
        samples = samples[..., 0] if samples.shape[2] == 2 else samples[..., :3]
    return samples
