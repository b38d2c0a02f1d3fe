"""Whole slides: what their file states, and the pixels of any window of any level.

OpenSlide opens a slide, says which levels it has and what their scale is. Where a level's tiles are JPEG, or JPEG 2000
of RGB, in a TIFF, its windows are put together from the tiles themselves: the same samples at less cost, and shrunk
while they are decoded. Everything else OpenSlide decodes. Label, macro and thumbnail images are never opened.
A TIFF of one page without tiles, of moderate size, is a slide of one level.

Coordinates: a window lies on a level that was reduced by a whole factor; pixel (x, y) of it covers the level's pixels
from (x f, y f) up to (x f + f, y f + f), and `downsample` times those of level 0.
"""

import math
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from curate.images.base import DEFAULT_LIMITS, Array
from curate.images.foreign import count_frames, decode_foreign
from curate.images.formats import Format
from curate.images.slide_decoders import CACHE_BYTES, Decoder, OpenSlideDecoder, Picture
from curate.images.slide_jpeg import FACTORS, copied, decode_j2k, decode_tile
from curate.images.slide_tiff import TIFF_STARTS, TiledPage, broken_chain, tiled_pages
from curate.schema import Reason, Refusal

__all__ = ["Level", "Pixels", "Slide", "open_slide"]

MAX_SLIDE_PIXELS: Final = 500_000_000_000
"""Columns times rows of level 0: a whole glass of 75 x 25 mm at 0.1 microns per pixel has less than half."""

MAX_TILE_PIXELS: Final = 4096 * 4096
"""Of one compressed tile: decoders hold it whole. Scanners write at most a sixteenth of it."""

MAX_LEVELS: Final = 64

MPP_BOUNDS: Final = (0.01, 100.0)
"""Microns per pixel that a microscope or its pyramid can have; a statement beyond them is none."""

SEVERAL_FILES: Final = frozenset({"mirax", "hamamatsu", "dicom"})
"""Formats that OpenSlide puts together from files beside the one that is named. NDPI, a TIFF, is one file."""

RAW_FORMATS: Final = frozenset({"aperio", "generic-tiff"})
"""Formats whose levels are whole pages of a TIFF, without overlaps or offsets between tiles."""

WINDOW_SIDE: Final = 1024
"""Pixels of a level that OpenSlide is asked for at once, in each direction."""

WHITE: Final = (255, 255, 255)
RGB: Final = 3
Window = tuple[int, int, int, int]
"""x, y, width, height."""

Hole = tuple[int, int, int, int]
"""x0, y0, x1, y1."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid. `downsample` is how many pixels of level 0 lie along one of its own: column, row."""

    width: int
    height: int
    downsample: tuple[float, float]
    page: TiledPage | None = field(default=None, repr=False)  # null: OpenSlide decodes it

    @property
    def factors(self) -> tuple[int, ...]:
        """By how much its windows can be reduced, greatest first: tiles must divide evenly."""
        sides = (self.width, self.height) if self.page is None else (self.page.tile_width, self.page.tile_height)
        whole = tuple(factor for factor in FACTORS if min(self.width, self.height) >= factor)
        return whole if self.page is None else tuple(f for f in whole if not any(side % f for side in sides))


class Pixels(NamedTuple):
    """A window: rows x columns x RGB, 8 bits.

    `filled`: some of it was never scanned, and has the slide's background colour. `holes`: what did not decode, as
    x0, y0, x1, y1 in the window, filled alike; `damage` is the first one's reason.
    """

    samples: npt.NDArray[np.uint8]
    filled: bool = False
    holes: tuple[Hole, ...] = ()
    damage: Refusal | None = None


@dataclass(slots=True)
class Slide:
    """An open slide. `mpp` (column, row of level 0) and `power` are null where the file does not state them."""

    levels: tuple[Level, ...]
    mpp: tuple[float, float] | None
    power: float | None
    background: tuple[int, int, int]
    icc_profile: bytes | None = field(repr=False)
    changes: tuple[str, ...]  # what holds for every picture of it
    _file: int = field(repr=False)
    _decoder: Decoder = field(repr=False)
    _cache: OrderedDict[tuple[int, int, int], Array | Refusal] = field(default_factory=OrderedDict, repr=False)
    _cached: int = 0

    def read(self, level: int, window: Window, factor: int = 1) -> Pixels:
        """A window of a level reduced by one of its factors; it lies within the reduced level."""
        page = self.levels[level].page
        if page is not None:
            pixels = self._from_tiles(level, page, window, factor)
            if pixels is not None:
                return pixels
        return self._from_openslide(level, window, factor)

    def copied(self, level: int, column: int, row: int) -> tuple[bytes, tuple[str, ...], int, int] | Refusal | None:
        """The JPEG tile at a place of a level's own grid as a file: bytes, changes, channels, hash; null: none."""
        page = self.levels[level].page
        if page is None or page.codec != "jpeg":
            return None
        data = self._tile_bytes(page, row * page.columns + column)
        if data is None or isinstance(data, Refusal):
            return data
        return copied(page.tables, data, page.colour, (page.tile_width, page.tile_height))

    def _tile_bytes(self, page: TiledPage, number: int) -> bytes | Refusal | None:
        """A tile's bytes; null where the file leaves it out."""
        offset, count = int(page.offsets[number]), int(page.counts[number])
        if count == 0 or offset == 0:
            return None
        if offset < 0 or not 0 < count <= DEFAULT_LIMITS.max_bytes:
            return Refusal(Reason.CORRUPT_IMAGE, f"a tile of {count} bytes")
        if offset + count > os.fstat(self._file).st_size:
            return Refusal(Reason.TRUNCATED_IMAGE, "a tile lies beyond the end of the file")
        return os.pread(self._file, count, offset)

    def _tile(self, level: int, page: TiledPage, number: int, factor: int) -> Array | Refusal | None:
        """A decoded tile, reduced; null where the file leaves it out."""
        key = (level, number, factor)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        data = self._tile_bytes(page, number)
        if data is None or isinstance(data, Refusal):
            return data
        size = (page.tile_width, page.tile_height)
        if page.codec == "jpeg":
            tile = decode_tile(page.tables, data, page.colour, size, factor)
        else:
            tile = decode_j2k(data, size)
            if factor > 1 and not isinstance(tile, Refusal):
                tile = np.asarray(Image.fromarray(tile).reduce(factor))
        self._cache[key] = tile
        self._cached += _bytes_of(tile)
        while self._cached > CACHE_BYTES and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._cached -= _bytes_of(old)
        return tile

    def _from_tiles(self, level: int, page: TiledPage, window: Window, factor: int) -> Pixels | None:
        """A window put together from tiles; null where one of them is left out by the file."""
        x, y, width, height = window
        side_x, side_y = page.tile_width // factor, page.tile_height // factor
        samples = np.empty((height, width, 3), np.uint8)
        holes: list[Hole] = []
        damage: Refusal | None = None
        for row in range(y // side_y, -(-(y + height) // side_y)):
            for column in range(x // side_x, -(-(x + width) // side_x)):
                tile = self._tile(level, page, row * page.columns + column, factor)
                if tile is None:
                    return None
                left, top = column * side_x, row * side_y
                x0, x1 = max(left, x), min(left + side_x, x + width)
                y0, y1 = max(top, y), min(top + side_y, y + height)
                part = samples[y0 - y : y1 - y, x0 - x : x1 - x]
                if isinstance(tile, Refusal):
                    damage = damage or tile
                    holes.append((x0 - x, y0 - y, x1 - x, y1 - y))
                    part[...] = self.background
                else:
                    part[...] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return Pixels(samples, False, tuple(holes), damage)

    def _from_openslide(self, level: int, window: Window, factor: int) -> Pixels:
        """A window decoded by OpenSlide, block by block, averaged over squares of `factor` pixels."""
        x, y, width, height = window
        samples = np.empty((height, width, 3), np.uint8)
        filled, damage = False, None
        holes: list[Hole] = []
        side = max(1, WINDOW_SIDE // factor)
        for top in range(0, height, side):
            for left in range(0, width, side):
                w, h = min(side, width - left), min(side, height - top)
                at = ((x + left) * factor, (y + top) * factor)
                block = self._decoder.region(level, at, (w * factor, h * factor), self.background)
                part = samples[top : top + h, left : left + w]
                if isinstance(block, Refusal):
                    damage = damage or block
                    holes.append((left, top, left + w, top + h))
                    part[...] = self.background
                    continue
                image, empty = block
                filled = filled or empty
                part[...] = np.asarray(image.reduce(factor) if factor > 1 else image)
        return Pixels(samples, filled, tuple(holes), damage)


def _bytes_of(tile: Array | Refusal) -> int:
    return 0 if isinstance(tile, Refusal) else tile.nbytes


@contextmanager
def open_slide(path: Path) -> Iterator[Slide | Refusal]:
    """A slide for as long as the block, or why it is none."""
    import openslide

    with ExitStack() as stack:
        try:
            vendor = openslide.OpenSlide.detect_format(path)
            slide = _plain(path) if vendor is None else _several_files(path, vendor) or _slide(path, vendor, stack)
        except openslide.OpenSlideError as problem:
            slide = Refusal(Reason.CORRUPT_IMAGE, f"the slide does not open ({type(problem).__name__})")
        yield slide


def _several_files(path: Path, vendor: str) -> Refusal | None:
    with path.open("rb") as file:
        is_tiff = file.read(4) in TIFF_STARTS
    if vendor not in SEVERAL_FILES or is_tiff:
        return None
    return Refusal(
        Reason.UNSUPPORTED_FORMAT, f"a slide in several files ({vendor}); convert it to one file, such as a TIFF"
    )


def _plain(path: Path) -> Slide | Refusal:
    """A TIFF of one page that OpenSlide does not take for a slide; of several, one may be the label on the glass."""
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    if head not in TIFF_STARTS:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "no format of slides that is known here")
    broken = broken_chain(path)
    if broken is not None:
        return broken
    if path.stat().st_size > DEFAULT_LIMITS.max_bytes:
        return Refusal(Reason.TOO_LARGE, "a TIFF without a pyramid of tiles; convert it to a tiled one")
    data = path.read_bytes()
    pages = count_frames(data, Format.TIFF)
    if isinstance(pages, int) and pages > 1:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, f"{pages} pages that form no pyramid known here; `form: image` reads them"
        )
    raster = pages if isinstance(pages, Refusal) else decode_foreign(data, Format.TIFF, 0, DEFAULT_LIMITS)
    if isinstance(raster, Refusal):
        return raster
    samples = raster.samples
    if samples.dtype != np.uint8 or raster.indices is not None or (samples.ndim == 3 and samples.shape[2] != RGB):
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a TIFF without a pyramid of tiles, of other than 8-bit grey or RGB")
    image = Image.fromarray(np.ascontiguousarray(samples)).convert("RGB")
    return Slide(
        levels=(Level(image.width, image.height, (1.0, 1.0)),),
        mpp=None,
        power=None,
        background=WHITE,
        icc_profile=raster.icc_profile,
        changes=(*raster.changes, "mpp:unknown"),
        _file=-1,
        _decoder=Picture(image),
    )


def _slide(path: Path, vendor: str, stack: ExitStack) -> Slide | Refusal:
    decoder = OpenSlideDecoder(path)
    stack.callback(decoder.close)
    opened = decoder.opened
    sizes = opened.level_dimensions
    wrong = _beyond(path, sizes, opened.properties)
    if wrong is not None:
        return wrong
    file = os.open(path, os.O_RDONLY)
    stack.callback(os.close, file)
    pages = tiled_pages(path) if vendor in RAW_FORMATS else ()
    if isinstance(pages, Refusal):
        return pages
    width, height = sizes[0]
    levels = []
    for level_width, level_height in sizes:
        fitting = (page for page in pages if (page.width, page.height) == (level_width, level_height))
        downsample = (_ratio(width, level_width), _ratio(height, level_height))
        levels.append(Level(level_width, level_height, downsample, next(fitting, None)))
    properties = opened.properties
    mpp = (_number(properties.get("openslide.mpp-x")), _number(properties.get("openslide.mpp-y")))
    stated = all(value is not None and MPP_BOUNDS[0] <= value <= MPP_BOUNDS[1] for value in mpp)
    power = _number(properties.get("openslide.objective-power"))
    return Slide(
        levels=tuple(levels),
        mpp=mpp if stated else None,  # type: ignore[arg-type]
        power=power,
        background=_colour(properties.get("openslide.background-color")),
        icc_profile=_icc_profile(opened),
        changes=() if stated else ("mpp:unknown",),
        _file=file,
        _decoder=decoder,
    )


def _beyond(path: Path, sizes: Any, properties: Any) -> Refusal | None:
    """A refusal where a header states more than a slide has, or than its bytes can honestly hold."""
    width, height = sizes[0]
    if len(sizes) > MAX_LEVELS or min(min(size) for size in sizes) < 1:
        return Refusal(Reason.CORRUPT_IMAGE, f"{len(sizes)} levels, one of which may be empty")
    if any(wide > width or high > height for wide, high in sizes):
        return Refusal(Reason.CORRUPT_IMAGE, "a level of the pyramid that is larger than the first")
    limits, encoded = DEFAULT_LIMITS, path.stat().st_size
    if width * height > MAX_SLIDE_PIXELS or (
        width * height > limits.max_pixels and 3 * width * height > limits.max_ratio * encoded
    ):
        return Refusal(Reason.TOO_MANY_PIXELS, f"{encoded} bytes claim a slide of {width} x {height} pixels")
    for level in range(len(sizes)):
        sides = [properties.get(f"openslide.level[{level}].tile-{side}") for side in ("width", "height")]
        tile = [int(side) for side in sides if side is not None and side.isdecimal()]
        if len(tile) == 2 and tile[0] * tile[1] > MAX_TILE_PIXELS:
            limit = f"the limit is {MAX_TILE_PIXELS} pixels"
            return Refusal(Reason.TOO_MANY_PIXELS, f"tiles of {tile[0]} x {tile[1]}, {limit}")
    return None


def _ratio(whole: int, part: int) -> float:
    """How many pixels of level 0 lie along one of a level: a whole number where rounding explains the difference."""
    nearest = round(whole / part)
    return float(nearest) if part in (whole // nearest, -(-whole // nearest)) else whole / part


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _colour(text: str | None) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text or "")
    except ValueError:
        return WHITE
    return red, green, blue


def _icc_profile(opened: Any) -> bytes | None:
    """The slide's colour profile; null where there is none, or none that is well-formed."""
    from PIL.ImageCms import PyCMSError

    try:
        profile = opened.color_profile
    except PyCMSError:
        return None
    return None if profile is None else bytes(profile.tobytes())
