"""Whole slides: an overview of the pyramid, and tiles where there is tissue.

Words of `changes`, besides those of `images.base`: `mpp:unknown`, no scale is stated; `icc_profile:on_overview`, a
tile's colours are those of the profile that its slide's overview carries; `reduced:4`, averaged over 4 x 4 pixels of a
level; `resized:1.25x1.25`, resampled from so many pixels (column, row) to one; `reencoded_jpeg:quality=90`;
`unscanned_filled:ffffff`, what was not scanned has the slide's background colour; `damaged_filled`, what did not decode
as well (of an overview alone: a damaged tile is refused); `jpeg_tables_merged`, `colour_marked:rgb`, the compressed
pixels are the file's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import simplejpeg

from curate.images.base import DEFAULT_LIMITS
from curate.images.hash import hash_of_array
from curate.images.resize import shrunk_size
from curate.images.slide_grid import MAX_POSITIONS, Grid, chosen, grid_of, mask_size
from curate.images.slide_tissue import tissue_mask
from curate.images.slide_views import View, read_view, read_whole, view_at, view_of_size
from curate.images.slides import Slide, open_slide
from curate.recipe import Slides
from curate.schema import Form, Reason, Refusal, Verdict
from curate.stages.media.base import Made, RefusedRegion, Request
from curate.stages.placing import Raster

__all__ = ["make_slide"]

BATCH: Final = 16
"""Tiles between two signs of life."""

MAX_JPEG_SIDE: Final = 65_500
"""Pixels that libjpeg encodes along one side."""

PROFILE_PIECE: Final = 65_519
"""Bytes of an ICC profile in one segment (ICC.1:2022, B.4)."""

PROFILE_PIECES: Final = 255
WHOLE: Final = (None,)


@dataclass(frozen=True, slots=True)
class _Tiling:
    """What tiles of one slide share."""

    view: View
    grid: Grid
    size: int
    quality: int
    mpp: tuple[float, float] | None  # of the view
    notes: tuple[str, ...]
    raw: bool  # the grid is that of the level's own JPEG tiles


def make_slide(request: Request) -> Iterator[Made | RefusedRegion | Refusal] | Refusal:
    """The overview first, then tiles row by row. A slide in several files is refused."""
    if len(request.files) != 1:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"a slide in {len(request.files)} files; convert it to one")
    return _assets(request)


def _assets(request: Request) -> Iterator[Made | RefusedRegion | Refusal]:
    with request.files[0].local() as path:
        request.beat()
        with open_slide(path) as slide:
            if isinstance(slide, Refusal):
                yield slide
                return
            settings = request.recipe.slides
            overview = _overview(slide, settings, request)
            if isinstance(overview, Refusal):
                yield overview
                return
            yield overview
            if settings.mpp is not None or settings.magnification is not None:
                yield from _tiles(slide, settings, request)


def _overview(slide: Slide, settings: Slides, request: Request) -> Made | Refusal:
    """The whole slide at the size that the recipe asks for; its target is level 0, so that labels follow it down."""
    full = slide.levels[0]
    width, height = shrunk_size(full.width, full.height, settings.overview)
    if width * height > DEFAULT_LIMITS.max_pixels or max(width, height) > MAX_JPEG_SIDE:
        return Refusal(Reason.TOO_MANY_PIXELS, f"an overview of {width} x {height} pixels; ask for a smaller one")
    view = view_of_size(slide.levels, width, height)
    whole = read_whole(slide, view, request.beat)
    if whole.unknown is not None and whole.unknown.all():
        return whole.damage or Refusal(Reason.CORRUPT_IMAGE, "nothing of it decodes")
    if whole.filled and bool((whole.samples == np.array(slide.background, np.uint8)).all()):
        return Refusal(Reason.NO_PIXELS, "nothing of it was scanned")
    changes = [
        *_made_from(view, slide, whole.filled),
        *(["damaged_filled"] if whole.damage is not None else []),
        f"reencoded_jpeg:quality={settings.jpeg_quality}",
        *slide.changes,
    ]
    data = _with_profile(_encoded(whole.samples, settings.jpeg_quality), slide.icc_profile)
    delivered = None if (width, height) == (full.width, full.height) else (width, height)
    columns = _columns(_grown(slide.mpp, view.scale), changes, hash_of_array(whole.samples))
    columns |= {"width": width, "height": height, "channels": 3}
    target = Raster(width=full.width, height=full.height, delivered=delivered)
    return Made(form=Form.SLIDE, place=WHOLE, columns=columns, data=data, target=target)


def _tiles(slide: Slide, settings: Slides, request: Request) -> Iterator[Made | RefusedRegion]:
    tiling = _tiling(slide, settings)
    if isinstance(tiling, Refusal):
        yield RefusedRegion("tiles", tiling)
        return
    grid = tiling.grid
    if any(grid.margin):
        lost = f"{grid.margin[0]} columns of pixels at the right edge and {grid.margin[1]} rows at the lower one"
        yield RefusedRegion("margin", Refusal(Reason.PARTIAL_TILE, f"{lost} fill no tile", Verdict.FILTERED))
    if grid.positions == 0:
        return
    mask = _mask(slide, settings, request)
    places = chosen(grid, tiling.view, mask, settings.tissue)
    if len(places) < grid.positions:
        left = f"{grid.positions - len(places)} of {grid.positions} positions hold less tissue than {settings.tissue:g}"
        yield RefusedRegion("grid", Refusal(Reason.NO_TISSUE, left, Verdict.FILTERED))
    for number, (column, row) in enumerate(places):
        if number % BATCH == 0:
            request.beat()
        yield _tile(slide, tiling, column, row)


def _tiling(slide: Slide, settings: Slides) -> _Tiling | Refusal:
    """How a slide is tiled as the recipe asks; a refusal where it states no scale, or not so fine a one."""
    scale = _scale(slide, settings)
    if isinstance(scale, Refusal):
        return scale
    view = view_at(slide.levels, scale)
    if view is None:
        return Refusal(
            Reason.NO_RESOLUTION, f"the finest level is {1 / min(scale):.3g} times coarser; nothing is enlarged"
        )
    size = settings.size
    if size * size > DEFAULT_LIMITS.max_pixels or size > MAX_JPEG_SIDE:
        return Refusal(Reason.TOO_MANY_PIXELS, f"tiles of {size} x {size} pixels; ask for smaller ones")
    grid = grid_of(view, size, settings.overlap)
    if grid.positions > MAX_POSITIONS:
        return Refusal(
            Reason.TOO_MANY_PIXELS, f"a grid of {grid.positions} tiles, the limit is {MAX_POSITIONS}; ask for less"
        )
    page = slide.levels[view.level].page
    own = page is not None and page.codec == "jpeg" and (page.tile_width, page.tile_height) == (size, size)
    notes = [
        *(["icc_profile:on_overview"] if slide.icc_profile is not None else []),
        *slide.changes,
    ]
    return _Tiling(
        view=view,
        grid=grid,
        size=size,
        quality=settings.jpeg_quality,
        mpp=_grown(slide.mpp, view.scale),
        notes=tuple(notes),
        raw=own and view.exact and view.factor == 1 and settings.overlap == 0,
    )


def _scale(slide: Slide, settings: Slides) -> tuple[float, float] | Refusal:
    """Pixels of level 0 along one of the tiles', column and row."""
    if settings.mpp is not None:
        if slide.mpp is None:
            return Refusal(Reason.NO_RESOLUTION, "the slide states no microns per pixel; no default stands in for them")
        return settings.mpp / slide.mpp[0], settings.mpp / slide.mpp[1]
    assert settings.magnification is not None
    if slide.power is None:
        return Refusal(
            Reason.NO_RESOLUTION, "the slide states no objective power; ask by mpp where it states microns per pixel"
        )
    scale = slide.power / settings.magnification
    return scale, scale


def _mask(slide: Slide, settings: Slides, request: Request) -> npt.NDArray[np.bool_]:
    """Where tiles may lie. What did not decode counts as tissue: its tiles are tried, and refused by name."""
    if settings.tissue == 0:
        return np.ones((1, 1), np.bool_)
    size = mask_size(slide.levels[0].width, slide.levels[0].height)
    small = read_whole(slide, view_of_size(slide.levels, *size), request.beat)
    mask = tissue_mask(small.samples)
    return mask if small.unknown is None else mask | small.unknown


def _tile(slide: Slide, tiling: _Tiling, column: int, row: int) -> Made | RefusedRegion:
    view, size = tiling.view, tiling.size
    x, y = column * tiling.grid.stride, row * tiling.grid.stride
    region = view.region(x, y, size, size)
    made = slide.copied(view.level, column, row) if tiling.raw else None
    if made is None:
        made = _decoded(slide, tiling, x, y)
    if isinstance(made, Refusal):
        return RefusedRegion(f"x={region[0]},y={region[1]},w={region[2]},h={region[3]}", made)
    data, changes, channels, phash = made
    columns = _columns(tiling.mpp, [*changes, *tiling.notes], phash)
    columns |= {"width": size, "height": size, "channels": channels, "region": list(region)}
    return Made(
        form=Form.TILE,
        place=(*region, size),
        columns=columns,
        data=data,
        derived_from=WHOLE,
    )


def _decoded(slide: Slide, tiling: _Tiling, x: int, y: int) -> tuple[bytes, tuple[str, ...], int, int] | Refusal:
    pixels = read_view(slide, tiling.view, (x, y, tiling.size, tiling.size))
    if pixels.damage is not None:
        return pixels.damage
    changes = (*_made_from(tiling.view, slide, pixels.filled), f"reencoded_jpeg:quality={tiling.quality}")
    return _encoded(pixels.samples, tiling.quality), changes, 3, hash_of_array(pixels.samples)


def _made_from(view: View, slide: Slide, filled: bool) -> list[str]:
    """How a view's pixels come from its level's."""
    return [
        *([f"reduced:{view.factor}"] if view.factor > 1 else []),
        *([] if view.exact else [f"resized:{view.step[0]:.4g}x{view.step[1]:.4g}"]),
        *([f"unscanned_filled:{bytes(slide.background).hex()}"] if filled else []),
    ]


def _grown(mpp: tuple[float, float] | None, scale: tuple[float, float]) -> tuple[float, float] | None:
    return None if mpp is None else (mpp[0] * scale[0], mpp[1] * scale[1])


def _columns(mpp: tuple[float, float] | None, changes: list[str], phash: int) -> dict[str, Any]:
    """What overviews and tiles state alike."""
    return {
        "media_type": "image/jpeg",
        "bit_depth": 8,
        "mpp": None if mpp is None else list(mpp),
        "changes": changes,
        "phash": phash,
    }


def _encoded(samples: npt.NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG with chroma as fine as luma: stains are told apart by colour."""
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(samples), quality, "RGB", "444")
    return encoded


def _with_profile(jpeg: bytes, profile: bytes | None) -> bytes:
    """A JPEG file with a colour profile in as many segments as it needs."""
    if profile is None or len(profile) > PROFILE_PIECE * PROFILE_PIECES:
        return jpeg
    pieces = [profile[at : at + PROFILE_PIECE] for at in range(0, len(profile), PROFILE_PIECE)]
    segments = [
        b"\xff\xe2" + (len(piece) + 16).to_bytes(2, "big") + b"ICC_PROFILE\0" + bytes((number, len(pieces))) + piece
        for number, piece in enumerate(pieces, 1)
    ]
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
