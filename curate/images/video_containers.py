"""Which container a video lies in, by its first bytes alone, and whether the container says that bytes are missing.

Sources: ISO/IEC 14496-12 4.2 (boxes), RFC 8794 and RFC 9559 (EBML, Matroska), ISO/IEC 13818-1 2.4 and 2.5 (transport
and program streams), RIFF as in "Multimedia Programming Interface and Data Specifications 1.0", 1991.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from curate.schema import Reason, Refusal

__all__ = ["HEAD_BYTES", "MP4", "Container", "Muxer", "container_of", "media_type_of", "muxers_for", "refuse_if_cut"]

HEAD_BYTES: Final = 1024

MAX_BOXES: Final = 20_000
"""Boxes on the outermost level that are walked: a fragmented file of hours has some thousands."""


class Container(StrEnum):
    """The containers that may be opened, by the name of their demuxer; everything else is refused unopened.

    Formats that name other files (playlists, concat scripts, image sequences) are not among them.
    """

    MOV = "mov"  # MP4 and QuickTime
    MATROSKA = "matroska"  # and WebM
    MPEG_PS = "mpeg"
    MPEG_ES = "mpegvideo"
    MPEG_TS = "mpegts"
    AVI = "avi"
    OGG = "ogg"
    FLV = "flv"
    ASF = "asf"

    @property
    def word(self) -> str:
        """How `changes` call it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Muxer:
    """A container to write: its muxer, the demuxer that reads it back, and its media type."""

    name: str
    demuxer: Container
    media_type: str


MP4: Final = Muxer("mp4", Container.MOV, "video/mp4")
_MOV: Final = Muxer("mov", Container.MOV, "video/quicktime")
_MATROSKA: Final = Muxer("matroska", Container.MATROSKA, "video/x-matroska")
_WEBM: Final = Muxer("webm", Container.MATROSKA, "video/webm")
_MPEG_TS: Final = Muxer("mpegts", Container.MPEG_TS, "video/mp2t")
_AVI: Final = Muxer("avi", Container.AVI, "video/x-msvideo")
_OGG: Final = Muxer("ogg", Container.OGG, "video/ogg")
_FLV: Final = Muxer("flv", Container.FLV, "video/x-flv")
_ASF: Final = Muxer("asf", Container.ASF, "video/x-ms-asf")

_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_TS_PACKET: Final = 188


def container_of(head: bytes) -> Container | None:
    """The container whose signature the first bytes carry (1 kB or more), or none."""
    if head[4:8] in _BOXES:
        return Container.MOV
    for magic, found in _SIGNATURES:
        if head.startswith(magic):
            return found
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return Container.AVI
    packets = (head[place : place + 1] for place in range(0, 5 * _TS_PACKET, _TS_PACKET))
    return Container.MPEG_TS if all(first == b"\x47" for first in packets) else None


_SIGNATURES: Final = (
    (_EBML, Container.MATROSKA),
    (b"\0\0\x01\xba", Container.MPEG_PS),
    (b"\0\0\x01\xb3", Container.MPEG_ES),
    (b"OggS", Container.OGG),
    (b"FLV\x01", Container.FLV),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container.ASF),
)


def media_type_of(container: Container, head: bytes) -> str:
    """The media type of a file as it came."""
    match container:
        case Container.MOV:
            return "video/quicktime" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "video/mp4"
        case Container.MATROSKA:
            return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
        case Container.MPEG_PS | Container.MPEG_ES:
            return "video/mpeg"
        case _:
            return {muxer.demuxer: muxer for muxer in (_MPEG_TS, _AVI, _OGG, _FLV, _ASF)}[container].media_type


def muxers_for(container: Container, head: bytes) -> tuple[Muxer, ...]:
    """The containers that packets of one may move to, the best first; none where there is nothing but the stream.

    MP4 first where it can hold the codec: it keeps times to the tick, Matroska rounds them to milliseconds. A WebM
    stays one; an AVI, which states no times but an order, stays an AVI.
    """
    match container:
        case Container.MOV:
            return (MP4, _MOV, _MATROSKA)
        case Container.MATROSKA:
            return (_WEBM, _MATROSKA) if b"webm" in head[:64] else (_MATROSKA,)
        case Container.MPEG_TS:
            return (_MPEG_TS, MP4, _MATROSKA)
        case Container.MPEG_PS:
            return (MP4, _MPEG_TS, _MATROSKA)
        case Container.MPEG_ES:
            return ()
        case Container.AVI:
            return (_AVI,)
        case Container.OGG:
            return (_OGG, _MATROSKA)
        case Container.FLV:
            return (MP4, _FLV, _MATROSKA)
        case Container.ASF:
            return (MP4, _ASF, _MATROSKA)


def refuse_if_cut(path: Path, container: Container) -> Refusal | None:
    """A refusal where the container states more bytes than the file has. What states no length cannot be told."""
    size = path.stat().st_size
    with path.open("rb") as file:
        match container:
            case Container.MOV:
                end = _end_of_boxes(file, size)
            case Container.MATROSKA:
                end = _end_of_segment(file.read(HEAD_BYTES))
            case Container.AVI:
                end = 8 + int.from_bytes(file.read(8)[4:], "little")
            case _:
                return None
    if end > size:
        return Refusal(Reason.TRUNCATED_IMAGE, f"the container states {end} bytes, the file has {size}")
    return None


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last box of the outermost level ends (ISO/IEC 14496-12 4.2); a size of 0 reaches to the end."""
    at = 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return at
        length = int.from_bytes(header[:4])
        if length == 1:
            length = int.from_bytes(header[8:16])
        if length < 8:
            return at
        at += length
        if at >= size:
            return at
    return at


def _end_of_segment(head: bytes) -> int:
    """Where the Matroska segment ends; 0 where it states no length, as a stream does."""
    header = _number(head, 4)
    if header is None:
        return 0
    at = header[1] + header[0]
    if head[at : at + 4] != _SEGMENT:
        return 0
    length = _number(head, at + 4)
    return 0 if length is None else length[1] + length[0]


def _number(data: bytes, at: int) -> tuple[int, int] | None:
    """A variable-size integer (RFC 8794 4) and where it ends; none where its bits are all set: unknown."""
    first = data[at] if at < len(data) else 0
    if first == 0:
        return None
    width = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + width]) & ((1 << (7 * width)) - 1)
    return None if value == (1 << (7 * width)) - 1 else (value, at + width)
