"""Pictures out of videos: which ones, and their samples.

Colours. Grey pictures keep their samples. RGB and palettes become RGB as they are. YUV becomes full-range R'G'B' by the
matrix and range that the stream states; where it states none, by those that its kind of picture is made with: BT.709
from 720 rows on, else BT.601 (ITU-R BT.709, BT.601), and the limited range. Chroma is interpolated bicubically. The
conversion is FFmpeg's with its exact and machine-independent paths, within 0.51 grey levels of the formula in 8 bits;
more than 8 bits become 16, where white is 65,280.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np

from curate.images.base import Array
from curate.images.video import Facts
from curate.schema import Reason, Refusal

__all__ = ["Samples", "evenly_spread", "exact_seconds", "paced", "samples_of"]

HD_ROWS: Final = 720
"""Rows from which pictures without a stated matrix are taken for high definition (BT.709)."""


@dataclass(frozen=True, slots=True)
class Samples:
    """A picture as an array, rows by columns (by three for RGB), and what was done to get there."""

    array: Array
    changes: tuple[str, ...]


def exact_seconds(seconds: float) -> Fraction:
    """A number of a recipe as it was written there: 0.1 is a tenth, not the nearest float."""
    return Fraction(repr(seconds))


def evenly_spread(facts: Facts, number: int) -> list[int]:
    """Positions of so many pictures: those shown in the middle of each of `number` equal intervals.

    A picture is shown until the next one comes; the last one until the end of the video. A video of fewer pictures, or
    with long ones, gives each of them once.
    """
    length = facts.end if facts.end is not None else facts.ticks[-1]
    return _shown_at([Fraction(length * (2 * part + 1), 2 * number) for part in range(number)], facts.ticks)


def paced(facts: Facts, every_s: float) -> list[int]:
    """Positions of the pictures that are shown at 0, `every_s`, twice `every_s`, ... seconds, each once."""
    step = exact_seconds(every_s) / facts.time_base
    length = facts.end if facts.end is not None else facts.ticks[-1] + 1
    if step <= 1:  # finer than the stream's own clock: every picture
        return list(range(len(facts.ticks)))
    chosen = []
    for position, (tick, after) in enumerate(pairwise((*facts.ticks, length))):
        first = -(-tick // step) * step  # the first wanted time at or after this picture
        if first < after:
            chosen.append(position)
    return chosen


def samples_of(frame: Any) -> Samples | Refusal:
    """The samples of a decoded picture for a PNG: grey as it is, else RGB."""
    name = frame.format.name
    if name.startswith("gray") and "f" not in name:
        return Samples(np.ascontiguousarray(frame.to_ndarray()), ())
    parts = frame.format.components
    if any(part.bits > 16 for part in parts) or frame.format.is_bayer:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, f"pictures of the kind {name} have no colours that are converted here"
        )
    form = "rgb48le" if any(part.bits > 8 for part in parts) else "rgb24"
    changes = [f"rgb:from={name}"]
    if any(part.is_alpha for part in parts) and not frame.format.has_palette:
        changes.append("alpha_dropped")
    if frame.format.is_rgb or frame.format.has_palette or len(parts) < 3:
        return Samples(_converted(frame, form), tuple(changes))
    matrix = _MATRICES.get(int(frame.colorspace))
    if matrix is None:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, f"the stream states colour matrix {int(frame.colorspace)} (ITU-T H.273)"
        )
    assumed = int(frame.colorspace) == _UNSTATED
    if assumed:
        matrix = _MATRICES[1] if frame.height >= HD_ROWS else _MATRICES[5]
    full = name.startswith("yuvj") or int(frame.color_range) == _FULL
    unstated = not name.startswith("yuvj") and int(frame.color_range) == 0
    changes += [
        f"matrix:{matrix[1]}{',assumed' if assumed else ''}",
        f"range:{'full' if full else 'limited'}{',assumed' if unstated else ''}",
    ]
    array = _converted(
        frame,
        form,
        src_colorspace=matrix[0],
        dst_colorspace=matrix[0],
        src_color_range=2 if full else 1,
        dst_color_range=2,
    )
    return Samples(array, tuple(changes))


_UNSTATED: Final = 2
_FULL: Final = 2
_MATRICES: Final = {
    1: (1, "bt709"),
    2: (5, "bt601"),
    4: (4, "fcc"),
    5: (5, "bt601"),
    6: (5, "bt601"),
    7: (7, "smpte240m"),
    9: (9, "bt2020"),
}
"""MatrixCoefficients of ITU-T H.273 -> swscale's number and our word."""


def _converted(frame: Any, form: str, **colours: int) -> Array:
    from av.video.reformatter import Interpolation

    exact = (
        Interpolation.BICUBIC
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.FULL_CHR_H_INP
        | Interpolation.ACCURATE_RND
        | Interpolation.BITEXACT
    )
    converted = frame.reformat(format=form, interpolation=int(exact), threads=1, **colours)
    return np.ascontiguousarray(converted.to_ndarray())


def _shown_at(times: Sequence[Fraction], ticks: Sequence[int]) -> list[int]:
    """Positions of the pictures that are shown at the given times, in order and each once."""
    chosen: list[int] = []
    position = 0
    for time in times:
        while position + 1 < len(ticks) and ticks[position + 1] <= time:
            position += 1
        if not chosen or chosen[-1] != position:
            chosen.append(position)
    return chosen
