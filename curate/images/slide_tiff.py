"""Where the compressed tiles of a TIFF lie: an index of its tiled pages, made once, so that tiles are read as bytes."""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from curate.images.slide_jpeg import Colour
from curate.schema import Reason, Refusal

__all__ = ["TIFF_STARTS", "TiledPage", "broken_chain", "quiet_tifffile", "tiled_pages"]

TIFF_STARTS: Final = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
"""The first bytes of TIFF and BigTIFF, with their byte order."""

BIG: Final = frozenset({b"II+\0", b"MM\0+"})

MAX_PAGES: Final = 256
"""Levels and associated images of a slide are about ten; a longer list is not read any further."""

JPEG, JPEG_2000_RGB = 7, 33005
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR = 0, 1, 2, 6
CHUNKY: Final = 1

_COLOURS: Final[dict[int, Colour]] = {BLACK_IS_ZERO: "grey", RGB: "rgb", YCBCR: "ycbcr"}


@dataclass(frozen=True, slots=True)
class TiledPage:
    """One tiled page of 8-bit samples whose tiles this package can decode. Tiles are numbered row by row from 0."""

    codec: Literal["jpeg", "j2k"]
    colour: Colour
    width: int
    height: int
    tile_width: int
    tile_height: int
    tables: bytes | None = field(repr=False)
    offsets: npt.NDArray[np.int64] = field(repr=False)
    counts: npt.NDArray[np.int64] = field(repr=False)

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return -(-self.width // self.tile_width)


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """What tifffile logs within is not heard: it names files."""
    logger = logging.getLogger("tifffile")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def broken_chain(path: Path) -> Refusal | None:
    """Why the list of a TIFF's directories cannot be followed to its end: it leaves the file, or runs in a circle."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
        order = TIFF_STARTS.get(start[:4])
        if order is None:
            return None
        big = start[:4] in BIG
        count_format, entry_bytes, next_format = ("Q", 20, "Q") if big else ("H", 12, "I")
        try:
            (offset,) = struct.unpack_from(order + next_format, start, 8 if big else 4)
        except struct.error:
            return Refusal(Reason.TRUNCATED_IMAGE, "the header ends early")
        seen: set[int] = set()
        while offset:
            if offset in seen or len(seen) == MAX_PAGES:
                return Refusal(Reason.CORRUPT_IMAGE, f"the list of directories has no end after {len(seen)}")
            seen.add(offset)
            try:
                file.seek(offset)
                (entries,) = struct.unpack(order + count_format, file.read(struct.calcsize(count_format)))
                file.seek(min(entries * entry_bytes, size), 1)
                (offset,) = struct.unpack(order + next_format, file.read(struct.calcsize(next_format)))
            except struct.error:
                return Refusal(Reason.TRUNCATED_IMAGE, f"directory {len(seen)} lies beyond the end of the file")
    return None


def tiled_pages(path: Path) -> tuple[TiledPage, ...] | Refusal:
    """The tiled pages of a TIFF in its own order, up to where its directories stop making sense.

    Nothing is decoded. A page is left out where its samples are not 8 bits of one or three colours side by side, or its
    tiles are compressed otherwise than by JPEG or as JPEG 2000 of RGB: another reader must see to it. A page whose
    number of tiles is not the one that its size needs refuses the file.
    """
    import tifffile

    found: list[TiledPage] = []
    with quiet_tifffile():
        try:
            with tifffile.TiffFile(path) as file:
                for number in range(MAX_PAGES):
                    try:
                        page = file.pages[number]
                    except IndexError:
                        break
                    wrong = _miscounted(page)
                    if wrong is not None:
                        return wrong
                    indexed = _indexed(page)
                    if indexed is not None:
                        found.append(indexed)
        except Exception:  # (the parser raises whatever it meets)
            return tuple(found)
    return tuple(found)


def _miscounted(page: Any) -> Refusal | None:
    if not page.is_tiled or page.imagedepth != 1:
        return None
    planes = page.samplesperpixel if int(page.planarconfig) != CHUNKY else 1
    needed = -(-page.imagewidth // page.tilewidth) * -(-page.imagelength // page.tilelength) * planes
    if len(page.dataoffsets) == needed and len(page.databytecounts) == needed:
        return None
    stated = f"{len(page.dataoffsets)} offsets and {len(page.databytecounts)} lengths of tiles"
    return Refusal(Reason.CORRUPT_IMAGE, f"{stated}, where its size needs {needed}")


def _indexed(page: Any) -> TiledPage | None:
    compression, photometric = int(page.compression), int(page.photometric)
    colours = 1 if photometric == BLACK_IS_ZERO else 3
    if not page.is_tiled or page.samplesperpixel != colours or page.bitspersample != 8 or page.imagedepth != 1:
        return None
    if int(page.planarconfig) != CHUNKY and colours > 1:
        return None
    if compression == JPEG and photometric in _COLOURS:
        colour, codec = _COLOURS[photometric], "jpeg"
    elif compression == JPEG_2000_RGB and photometric == RGB:
        colour, codec = "rgb", "j2k"
    else:
        return None
    return TiledPage(
        codec=codec,  # type: ignore[arg-type]
        colour=colour,
        width=int(page.imagewidth),
        height=int(page.imagelength),
        tile_width=int(page.tilewidth),
        tile_height=int(page.tilelength),
        tables=page.jpegtables,
        offsets=np.asarray(page.dataoffsets, np.int64),
        counts=np.asarray(page.databytecounts, np.int64),
    )
