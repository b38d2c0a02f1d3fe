"""Pixels: what an image file holds, proved by decoding it in full. Knows nothing of labels."""

from curate.images.base import Delivered, Limits
from curate.images.dicom import Header, read_header
from curate.images.masks import read_mask
from curate.images.raster import decode, deliver, frames_of, pixel_sha256

__all__ = [
    "Delivered",
    "Header",
    "Limits",
    "decode",
    "deliver",
    "frames_of",
    "pixel_sha256",
    "read_header",
    "read_mask",
]
