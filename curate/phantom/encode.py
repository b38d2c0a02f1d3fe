"""Pixels and tables as bytes that depend on nothing but their content."""

import io
import zipfile

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

__all__ = ["coco_string", "jpeg", "png", "zip_of"]

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can state: members carry no clock."""


def jpeg(pixels: npt.NDArray[np.uint8], quality: int = 90) -> bytes:
    """A baseline JPEG of RGB pixels (height, width, 3)."""
    data: bytes = simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420")
    return data


def png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """A PNG of grey pixels (height, width) of 8 or 16 bits, or of RGB pixels (height, width, 3) of 8 bits."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def zip_of(members: list[tuple[str, bytes]]) -> bytes:
    """A zip archive of these members in this order; images are stored, everything else is deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3  # Unix, whatever system writes it
            info.external_attr = 0o644 << 16
            packed = name.endswith((".jpg", ".png"))
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()


def coco_string(counts: list[int]) -> str:
    """Run lengths as the COCO API compresses them.

    From the fourth on, a run is written as its difference to the one two before; each number goes out five bits at a
    time, lowest first, with a bit for "more follows", as a character from 48 on.
    """
    text = bytearray()
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            five = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if five & 0x10 else 0)
            text.append((five | 0x20 if more else five) + 48)
    return text.decode("ascii")
