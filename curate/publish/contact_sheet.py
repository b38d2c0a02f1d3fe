"""A contact sheet: one picture that shows examples of a release, with what their sources drew on them.

Examples are rows that go and show one still picture; each source and task takes its turn, and within them the row with
the smallest digest of its id. What is drawn are the boxes, points and outlines of the annotations that the row names.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curate.publish.base import Release, Row
from curate.publish.figures import COLOURS, FAINT, GROUND, INK, MUTED, WIDTH, encoded, font, shortened
from curate.rows import Annotation, Subject
from curate.run_lengths import decode_mask
from curate.schema import identity

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

__all__ = ["Example", "chosen_examples", "contact_sheet"]

COLUMNS: Final = 4
MOST: Final = 12
"""Examples on one sheet."""

MOST_SHAPES: Final = 200
"""Shapes drawn on one picture; a crowded field would be covered by more."""

_STILL: Final = frozenset({"image/jpeg", "image/png"})
_GAP: Final = 28
_TEXT: Final = 78


@dataclass(frozen=True, slots=True)
class Example:
    """A row of the sheet, with the annotations that it names."""

    row: Row
    said: tuple[Annotation, ...]


def chosen_examples(release: Release, most: int = MOST) -> list[Example]:
    """The rows that a sheet shows, in the order of their sources and tasks; one pass."""
    best: dict[tuple[str, str], tuple[str, Example]] = {}
    for row, subjects in release.annotated():
        if len(row.media) != 1 or row.media[0].media_type not in _STILL:
            continue
        place, rank = (row.source, row.task), identity("contact sheet", row.pair_id)
        if place not in best or rank < best[place][0]:
            best[place] = (rank, Example(row, _named(row, subjects)))
    return [best[place][1] for place in sorted(_in_turns(sorted(best), most))]


def _in_turns(places: Sequence[tuple[str, str]], most: int) -> Iterator[tuple[str, str]]:
    """So many of the places that every source has its turn before one has a second; tasks differ from turn to turn."""
    by_source: dict[str, list[str]] = {}
    for source, task in places:
        by_source.setdefault(source, []).append(task)
    taken = 0
    shown: dict[str, int] = {}
    while taken < most and any(by_source.values()):
        for source, tasks in by_source.items():
            if tasks and taken < most:
                task = min(tasks, key=lambda one: (shown.get(one, 0), one))
                tasks.remove(task)
                shown[task] = shown.get(task, 0) + 1
                taken += 1
                yield source, task


def _named(row: Row, subjects: Sequence[Subject]) -> tuple[Annotation, ...]:
    """What the row's annotations are; those of a rendering stand with the raster that it shows."""
    wanted = frozenset(row.annotation_ids)
    return tuple(said for subject in subjects for said in subject.annotations if said.annotation_id in wanted)


def contact_sheet(release: Release, examples: Sequence[Example]) -> bytes | None:
    """The sheet as a PNG, numbered from 1 in the order of the examples; null without any."""
    from PIL import Image, ImageDraw

    if not examples:
        return None
    cell = (WIDTH - _GAP * (COLUMNS + 1)) // COLUMNS
    rows = -(-len(examples) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH, _GAP + rows * (cell + _TEXT + _GAP)), GROUND)
    draw = ImageDraw.Draw(sheet)
    pictures = dict(_pictures(release, examples))
    for place, example in enumerate(examples):
        x = _GAP + (place % COLUMNS) * (cell + _GAP)
        y = _GAP + (place // COLUMNS) * (cell + _TEXT + _GAP)
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill="#000000")
        shown = _drawn(pictures[example.row.media[0].asset_id], example, cell)
        sheet.paste(shown, (x + (cell - shown.width) // 2, y + (cell - shown.height) // 2))
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), outline=FAINT, width=2)
        _caption(draw, (place + 1, example), (x, y + cell + 10), cell)
    return encoded(sheet)


def _caption(draw: "ImageDraw.ImageDraw", numbered: tuple[int, Example], place: tuple[int, int], room: int) -> None:
    (number, example), (x, y) = numbered, place
    head = f"{number}  {example.row.task}"
    draw.text((x, y), shortened(head, font(28), room), fill=INK, font=font(28))
    draw.text((x, y + 36), shortened(example.row.source, font(24), room), fill=MUTED, font=font(24))


def _pictures(release: Release, examples: Sequence[Example]) -> Iterator[tuple[str, "Image.Image"]]:
    media = {example.row.media[0].asset_id: example.row.media[0] for example in examples}
    for medium, data in release.medium_bytes(media.values()):
        yield medium.asset_id, _opened(data)


def _opened(data: bytes) -> "Image.Image":
    """The stored raster as the eye sees it, in RGB, not turned by its EXIF; 16 bits are stretched."""
    from PIL import Image

    picture: Image.Image = Image.open(io.BytesIO(data))
    picture.load()
    if picture.mode.startswith(("I", "F")):
        low, high = picture.getextrema()
        span = max(float(high) - float(low), 1.0)  # type: ignore[arg-type]
        scale, offset = 255.0 / span, -float(low) * 255.0 / span  # type: ignore[arg-type]
        picture = picture.convert("F").point(lambda value: value * scale + offset).convert("L")
    return picture.convert("RGB")


def _drawn(picture: "Image.Image", example: Example, cell: int) -> "Image.Image":
    """The picture within a square of so many pixels, with its shapes."""
    from PIL import Image, ImageDraw

    scale = min(cell / picture.width, cell / picture.height)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    shown = picture.resize(size, way)
    draw = ImageDraw.Draw(shown)
    concepts = sorted({one.concept or "" for one in example.said})
    for one in example.said[:MOST_SHAPES]:
        colour = COLOURS[1:][concepts.index(one.concept or "") % (len(COLOURS) - 1)]
        _shape(draw, shown, one, colour, (size[0] / picture.width, size[1] / picture.height))
    return shown


def _shape(
    draw: "ImageDraw.ImageDraw", shown: "Image.Image", one: Annotation, colour: str, scale: tuple[float, float]
) -> None:
    across, down = scale
    if one.point is not None and len(one.point) == 2:
        x, y = one.point[0] * across, one.point[1] * down
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), outline="#000000", width=2)
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), outline=colour, width=4)
    elif one.mask is not None and one.mask.depth is None:
        _outline(shown, decode_mask(one.mask), colour)
    elif one.polygons:
        for ring in one.polygons:
            ends = [(x * across, y * down) for x, y in zip(ring[::2], ring[1::2], strict=True)]
            draw.line([*ends, ends[0]], fill=colour, width=3)
    elif one.box is not None and len(one.box) == 4:
        x0, y0, x1, y1 = one.box
        corners = (x0 * across, y0 * down, max(x1 * across - 1, x0 * across), max(y1 * down - 1, y0 * down))
        draw.rectangle(corners, outline=colour, width=3)


def _outline(shown: "Image.Image", mask: Any, colour: str) -> None:
    """Paint the edge of a mask, three pixels wide."""
    from PIL import Image, ImageChops, ImageFilter

    grown = Image.fromarray(mask).convert("L").resize(shown.size, Image.Resampling.BILINEAR)
    whole = grown.point(lambda value: 255 * (value > 127))
    edge = ImageChops.subtract(whole.filter(ImageFilter.MaxFilter(3)), whole.filter(ImageFilter.MinFilter(3)))
    shown.paste(colour, (0, 0), edge)
