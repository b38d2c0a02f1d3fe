"""Which format a file has, by its first bytes alone: names lie."""

import zlib
from enum import StrEnum
from typing import Final

from curate.images.video_containers import container_of
from curate.schema import Form

__all__ = ["Format", "form_of", "format_of"]


class Format(StrEnum):
    """The formats that may be decoded; everything else is refused unopened."""

    JPEG = "jpeg"
    PNG = "png"
    DICOM = "dicom"
    TIFF = "tiff"
    BMP = "bmp"
    GIF = "gif"
    WEBP = "webp"
    JPEG2000 = "jpeg2000"


_SIGNATURES: Final = (
    (0, b"\xff\xd8\xff", Format.JPEG),
    (0, b"\x89PNG\r\n\x1a\n", Format.PNG),
    (128, b"DICM", Format.DICOM),
    (0, b"II*\x00", Format.TIFF),
    (0, b"MM\x00*", Format.TIFF),
    (0, b"II+\x00", Format.TIFF),
    (0, b"MM\x00+", Format.TIFF),
    (0, b"GIF87a", Format.GIF),
    (0, b"GIF89a", Format.GIF),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", Format.JPEG2000),
    (0, b"\xff\x4f\xff\x51", Format.JPEG2000),
)


def format_of(data: bytes) -> Format | None:
    """The format whose signature the bytes carry, or none.

    DICOM is looked for before TIFF: a DICOM preamble may hold a TIFF header (PS3.10, 7.1).
    """
    if data.startswith(b"\xff\xd8\xff") and not data.startswith(b"DICM", 128):
        return Format.JPEG
    found = [known for offset, magic, known in _SIGNATURES if data.startswith(magic, offset)]
    if Format.DICOM in found:
        return Format.DICOM
    if found:
        return found[0]
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Format.WEBP
    # Two letters are no proof: the reserved words of a BMP header are zero and its information header has a known size.
    if data.startswith(b"BM") and data[6:10] == bytes(4) and data[14:18] in _BMP_HEADERS:
        return Format.BMP
    return None


_BMP_HEADERS: Final = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def form_of(head: bytes) -> Form:
    """Whether a file is a volume, a video or a raster, by its first bytes (2 kB or more).

    What may be several things is a raster: a DICOM file is one slice, a TIFF one picture, unless a card says more.
    """
    plain = _first_inflated(head) if head.startswith(b"\x1f\x8b") else head
    if plain[344:348] in _NIFTI or plain[4:12] in _NIFTI2 or plain.startswith(_VOLUMES):
        return Form.VOLUME
    if container_of(head) is not None:
        return Form.VIDEO
    return Form.IMAGE


_NIFTI: Final = (b"n+1\0", b"ni1\0")
_NIFTI2: Final = (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")
_VOLUMES: Final = (b"NRRD000", b"CDF\x01", b"CDF\x02", b"\x89HDF\r\n\x1a\n", b"ObjectType = Image", b"\0\0\0\x01\0\0")
"""NRRD, MINC 1 (NetCDF), MINC 2 (HDF5), MetaImage, MGH (version 1 and a width below 65,536, big-endian)."""


def _first_inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""
