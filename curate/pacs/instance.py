"""Which instance a DICOM file is, from its first bytes alone."""

import io
import struct
import zlib
from typing import Final

from curate.images.base import quiet

__all__ = ["HEAD_BYTES", "sop_instance_uid"]

HEAD_BYTES: Final = 1 << 20
"""How much of a file is looked at: SOP Instance UID (0008,0018) is among the first elements of a data set."""

_LONG_LENGTHS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
_TRANSFER_SYNTAX: Final = 0x0010
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_SOP_INSTANCE_UID: Final = 0x00080018


def sop_instance_uid(head: bytes) -> str | None:
    """The SOP Instance UID that a file's data set states; null where `head` does not begin a DICOM file."""
    from pydicom.filereader import read_dataset

    if not head.startswith(b"DICM", 128):
        return None
    with quiet():
        try:
            transfer_syntax, at = _file_meta(head)
            body = head[at:]
            if transfer_syntax in _DEFLATED:
                body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, HEAD_BYTES)
            dataset = read_dataset(
                io.BytesIO(body),
                transfer_syntax == _IMPLICIT,
                transfer_syntax != _BIG_ENDIAN,
                stop_when=lambda tag, vr, length: int(tag) > _SOP_INSTANCE_UID,
            )
            uid = dataset.get("SOPInstanceUID")
        except Exception:  # (parsers raise whatever they meet)
            return None
    return str(uid) if isinstance(uid, str) and uid else None


def _file_meta(head: bytes) -> tuple[str | None, int]:
    """The transfer syntax, and where the data set begins (PS3.10, 7.1: group 2 is explicit, little endian)."""
    at, transfer_syntax = 132, None
    while True:
        group, element, vr, length = struct.unpack_from("<HH2sH", head, at)
        if group != 2:
            return transfer_syntax, at
        start = at + 8
        if vr in _LONG_LENGTHS:
            (length,) = struct.unpack_from("<I", head, start)
            start += 4
        if element == _TRANSFER_SYNTAX:
            transfer_syntax = head[start : start + length].decode("ascii").strip("\0 ")
        at = start + length
