"""Clips of a disc that crosses the field, each picture at a known time, and a table that says which way it goes."""

import io
from fractions import Fraction
from typing import Any, Final

import numpy as np

from curate.phantom.folder import Folder
from curate.phantom.shapes import Bytes, generator
from curate.phantom.truth import ImageTruth
from curate.schema import identity

__all__ = ["CLIPS", "WAYS", "write_clips"]

WIDTH: Final = 128
HEIGHT: Final = 96
PICTURES: Final = 24
CLIPS: Final = 8
"""More would only take longer."""

RADIUS_PX: Final = 11.0
DISC: Final = 208
GROUND: Final = 40

STEPS_MS: Final = (40, 40, 80, 40)
"""Between pictures, in turn: the rate is not even, so that a picture's number does not tell its time."""

WAYS: Final = {"left to right": (1, 0), "right to left": (-1, 0), "downwards": (0, 1), "upwards": (0, -1)}
"""What the table calls a movement, and its direction along x and y."""


def write_clips(folder: Folder, images: int) -> list[ImageTruth]:
    """`clips/<id>.mkv`, FFV1 without loss, and `clips.csv` with the movement in each."""
    items = []
    rows = ["file,movement class\n"]
    for index in range(images):
        name = f"{identity(folder.seed, folder.id, index)[:12]}.mkv"
        way = tuple(WAYS)[index % len(WAYS)]
        times = tuple(int(number) for number in np.cumsum((0, *(STEPS_MS * PICTURES)[: PICTURES - 1])))
        pictures, centres = _pictures(generator(folder.seed, folder.id, index), WAYS[way])
        folder.write(f"clips/{name}", _matroska(pictures, times))
        rows.append(f"{name},{way}\n")
        item = ImageTruth(
            path=f"clips/{name}",
            width=WIDTH,
            height=HEIGHT,
            depth=PICTURES,
            label=way,
            times_s=tuple(time / 1000 for time in times),
            centres=centres,
        )
        items.append(item)
    folder.write("clips.csv", "".join(rows))
    return items


def _pictures(rng: np.random.Generator, way: tuple[int, int]) -> tuple[Bytes, tuple[tuple[float, float], ...]]:
    """Grey pictures (pictures, height, width), and the centre of the disc in each, on the raster."""
    ground = GROUND + rng.integers(0, 9, (HEIGHT, WIDTH))
    path = np.arange(PICTURES, dtype=np.float64) * 2 - (PICTURES - 1)  # the same both ways from the middle
    x = WIDTH / 2 + path * way[0] * 2 + (rng.integers(-6, 7) if way[1] else 0)
    y = HEIGHT / 2 + path * way[1] + (rng.integers(-6, 7) if way[0] else 0)
    columns, rows = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
    away = (columns[None, None, :] - x[:, None, None]) ** 2 + (rows[None, :, None] - y[:, None, None]) ** 2
    pictures = np.where(away <= RADIUS_PX * RADIUS_PX, DISC, ground[None]).astype(np.uint8)
    return pictures, tuple((float(one), float(other)) for one, other in zip(x, y, strict=True))


def _matroska(pictures: Bytes, times_ms: tuple[int, ...]) -> bytes:
    """FFV1 in Matroska with these presentation times; neither a clock nor chance enters the bytes."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"flags": "+bitexact", "level": "3", "slicecrc": "1"}
        for picture, time in zip(pictures, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()
