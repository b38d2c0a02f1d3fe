"""The one thing that is wanted of EXIF before it is stripped: the orientation."""

import struct
from typing import Final

__all__ = ["orientation_of"]

ORIENTATION_TAG: Final = 0x0112
SHORT: Final = 3


def orientation_of(tiff: bytes) -> int | None:
    """The orientation 2 to 8 that an EXIF block states (its TIFF part, without `Exif`), else null; 1 is null too.

    Exif 2.32, 4.6.4: tag 0x0112 of the first directory, one SHORT. A damaged block states nothing.
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(count):
            tag, kind, n, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * entry)
            if tag == ORIENTATION_TAG:
                return value if kind == SHORT and n == 1 and 2 <= value <= 8 else None
    except struct.error:
        return None
    return None
