"""Which format a file has, by its first bytes alone: names lie."""

from enum import StrEnum
from typing import Final

__all__ = ["Format", "format_of"]


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
