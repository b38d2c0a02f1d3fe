"""Pictures of a dataset card, drawn with Pillow and the font that it brings: the same numbers give the same bytes.

Each is a PNG, twice as wide as a card shows it, on ground of its own, so that it reads on light and dark pages alike.
Colours are those of Okabe and Ito (2008), which readers with any colour vision tell apart.
"""

import io
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from curate.publish.facts import LENGTH_BINS, SIZE_BINS, Facts

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

__all__ = ["Bar", "bar_chart", "encoded", "font", "labels", "lengths", "shortened", "sizes", "sources", "splits"]

WIDTH: Final = 1600
"""Pixels; a card shows half as many."""

GROUND: Final = "#fbfaf7"
INK: Final = "#1c1c1c"
FAINT: Final = "#d9d6cf"
MUTED: Final = "#5c5850"
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#7f7f7f")

MOST_BARS: Final = 30
"""Bars of one chart; the others are told as a number."""

_MARGIN: Final = 48
_BAR: Final = 40
_STEP: Final = 58
_LABEL: Final = 470


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a chart: a name, and a number per series."""

    name: str
    values: tuple[int, ...]

    @property
    def total(self) -> int:
        """Of all series."""
        return sum(self.values)


def sources(facts: Facts) -> bytes | None:
    """Rows per source, by split."""
    return _stacked("Rows by source and split", facts, facts.sources_by_split)


def splits(facts: Facts) -> bytes | None:
    """Rows per task, by split."""
    return _stacked("Rows by task and split", facts, facts.tasks)


def labels(facts: Facts) -> bytes | None:
    """Images per label, by what is said of it; null where no row rests on a label."""
    order = ("present", "absent", "uncertain", "not_stated", "stated")
    states = [state for state in order if any(said == state for _, said, *_ in facts.labels)]
    counted: dict[str, dict[str, int]] = {}
    for concept, state, images, _ in facts.labels:
        counted.setdefault(str(concept), {})[str(state)] = images
    bars = [Bar(name, tuple(said.get(state, 0) for state in states)) for name, said in counted.items()]
    bars.sort(key=lambda bar: (-bar.total, bar.name))
    named = tuple("a value is given" if state == "stated" else state.replace("_", " ") for state in states)
    return bar_chart("Images by label, as rows speak of them", bars, named)


def sizes(facts: Facts) -> bytes | None:
    """Media by their longer side."""
    bars = [Bar(name, (n,)) for name, n in zip(_bin_names(SIZE_BINS, "px"), facts.sizes, strict=True)]
    return bar_chart("Media by their longer side", _trimmed(bars), ())


def lengths(facts: Facts) -> bytes | None:
    """Rows by the length of question and answer."""
    counted = zip(_bin_names(LENGTH_BINS, "characters"), facts.questions.bins, facts.answers.bins, strict=True)
    bars = [Bar(name, (question, answer)) for name, question, answer in counted]
    return bar_chart("Length of questions and answers", _trimmed(bars), ("questions", "answers"), stacked=False)


def bar_chart(title: str, bars: Sequence[Bar], series: Sequence[str], *, stacked: bool = True) -> bytes | None:
    """A chart of lying bars as a PNG; null without bars. With several series a key stands below the title.

    `stacked`: series follow each other in one bar, whose number is their sum; else each has its own line and number.
    """
    from PIL import Image, ImageDraw

    shown = list(bars[:MOST_BARS])
    most = max((bar.total if stacked else max(bar.values) for bar in shown), default=0)
    if not most:
        return None
    lines = 1 if stacked else len(shown[0].values)
    step = _STEP if lines == 1 else _BAR * lines + 22
    left_out = len(bars) - len(shown)
    top = _MARGIN + 74 + (58 if len(series) > 1 else 0)
    height = top + step * len(shown) + (56 if left_out else 0) + _MARGIN - 12
    image = Image.new("RGB", (WIDTH, height), GROUND)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN - 10), title, fill=INK, font=font(44))
    if len(series) > 1:
        _key(draw, series, _MARGIN + 66)
    room = WIDTH - 2 * _MARGIN - _LABEL - 150
    for place, bar in enumerate(shown):
        _bar(draw, bar, top + place * step, room / most, stacked=stacked)
    if left_out:
        told = f"and {left_out:,} more"
        draw.text((_MARGIN + _LABEL, height - _MARGIN - 34), told, fill=MUTED, font=font(30))
    return encoded(image)


def _bar(draw: "ImageDraw.ImageDraw", bar: Bar, y: int, scale: float, *, stacked: bool) -> None:
    x0 = _MARGIN + _LABEL
    lines = [bar.values] if stacked else [(value,) for value in bar.values]
    height = _BAR * len(lines)
    letters = font(30)
    name = shortened(bar.name, letters, _LABEL - 24)
    draw.text((x0 - 18, y + height / 2), name, fill=INK, font=letters, anchor="rm")
    for line, values in enumerate(lines):
        x, top = float(x0), y + line * _BAR
        for place, value in enumerate(values):
            if value:
                end = max(x + value * scale, x + 2)
                colour = COLOURS[(place if stacked else line) % len(COLOURS)]
                draw.rectangle((round(x), top + 3, round(end) - 1, top + _BAR - 4), fill=colour)
                x = end
        draw.text((round(x) + 14, top + _BAR / 2), f"{sum(values):,}", fill=INK, font=font(28), anchor="lm")
    draw.line((x0 - 4, y, x0 - 4, y + height), fill=FAINT, width=2)


def _key(draw: "ImageDraw.ImageDraw", series: Sequence[str], y: int) -> None:
    x = float(_MARGIN)
    for place, name in enumerate(series):
        draw.rectangle((x, y, x + 28, y + 28), fill=COLOURS[place % len(COLOURS)])
        draw.text((x + 40, y + 14), name, fill=INK, font=font(30), anchor="lm")
        x += 40 + draw.textlength(name, font=font(30)) + 44


def _stacked(title: str, facts: Facts, cells: Iterable[tuple[object, ...]]) -> bytes | None:
    """A bar for each first word, a series for each split."""
    order = _split_order(facts)
    counted: dict[str, dict[str, int]] = {}
    for name, split, rows in cells:
        counted.setdefault(str(name), {})[str(split)] = int(str(rows))
    bars = [Bar(name, tuple(rows.get(split, 0) for split in order)) for name, rows in counted.items()]
    return bar_chart(title, sorted(bars, key=lambda bar: (-bar.total, bar.name)), order)


def _split_order(facts: Facts) -> tuple[str, ...]:
    """The largest split first."""
    return tuple(str(split) for split, *_ in sorted(facts.splits, key=lambda cells: (-cells[1], cells[0])))


def _bin_names(edges: Sequence[int], unit: str) -> list[str]:
    names = [f"{low:,} to {high - 1:,} {unit}" for low, high in itertools.pairwise(edges)]
    return [*names, f"{edges[-1]:,} {unit} or more"]


def _trimmed(bars: Sequence[Bar]) -> list[Bar]:
    """Without the empty bins at both ends."""
    full = [place for place, bar in enumerate(bars) if bar.total]
    return list(bars[full[0] : full[-1] + 1]) if full else []


def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """The font that Pillow brings, in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def shortened(text: str, letters: "ImageFont.FreeTypeFont | ImageFont.ImageFont", room: float) -> str:
    """A text that fits into so many pixels, cut with an ellipsis where it must be."""
    if letters.getlength(text) <= room:
        return text
    kept = max(math.floor(len(text) * room / max(letters.getlength(text), 1)), 1)
    while kept > 1 and letters.getlength(f"{text[:kept].rstrip()}…") > room:
        kept -= 1
    return f"{text[:kept].rstrip()}…"


def encoded(image: object) -> bytes:
    """The PNG of a picture, without any metadata."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=False, compress_level=9)  # type: ignore[attr-defined]
    return file.getvalue()
