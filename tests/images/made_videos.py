"""Videos made on the spot, whose pictures and times are known."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

NTSC = Fraction(30000, 1001)


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A bright bar that moves right by two pixels a picture, and round again, over noise that is always the same."""
    noise = np.random.default_rng(7).integers(0, 80, (height, width, 3), dtype=np.uint8)
    noise[8:24, (2 * number + np.arange(8)) % width] = (250, 180, 60)
    return noise


def video(
    container: str = "mp4",
    codec: str = "libx264",
    kind: str = "yuv420p",
    *,
    number: int = 20,
    rate: Fraction = NTSC,
    ticks: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    audio: bool = False,
    chapters: bool = False,
    size: tuple[int, int] = (64, 48),
) -> bytes:
    """A small video; `ticks` are the times of its pictures in units of 1 / rate, default 0, 1, 2, ..."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        target.metadata.update(metadata or {})
        stream: Any = target.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, kind
        stream.codec_context.time_base = 1 / rate
        sound: Any = target.add_stream("aac", rate=8000) if audio else None
        if chapters:
            target.set_chapters(
                [{"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "Jane Doe"}}]
            )
        for place, tick in enumerate(ticks or range(number)):
            frame = av.VideoFrame.from_ndarray(picture(place, *size), format="rgb24").reformat(format=kind)
            frame.pts, frame.time_base = tick, 1 / rate
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
        if sound is not None:
            for begin in range(0, 4096, 1024):
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                quiet.sample_rate, quiet.pts = 8000, begin
                target.mux(sound.encode(quiet))
            target.mux(sound.encode(None))
    return out.getvalue()


def write(folder: Path, data: bytes) -> Path:
    """The bytes as a file whose name tells nothing."""
    path = folder / "item"
    path.write_bytes(data)
    return path


def decoded(source: bytes | Path) -> list[tuple[Fraction, str, list[np.ndarray]]]:
    """(seconds from the first picture, kind, planes) of every picture, by PyAV alone."""
    found: list[tuple[Fraction, str, list[np.ndarray]]] = []
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as opened:
        first = None
        for frame in opened.decode(video=0):
            first = frame.pts if first is None else first
            found.append(((frame.pts - first) * frame.time_base, frame.format.name, planes(frame)))
    return found


def planes(frame: Any) -> list[np.ndarray]:
    """Samples of each plane with the padding cut off, for planar kinds of one or two bytes, and packed ones."""
    cut = []
    for number, plane in enumerate(frame.planes):
        parts = [part for part in frame.format.components if part.plane == number]
        if len(frame.planes) == 1:
            width = plane.width * frame.format.padded_bits_per_pixel // 8
        else:
            width = plane.width * len(parts) * (2 if parts[0].bits > 8 else 1)
        cut.append(np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, :width])
    return cut


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """True where two pictures have the same samples."""
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def packets(source: bytes | Path) -> list[tuple[Fraction, bytes]]:
    """(seconds from the first packet's time, bytes) of every packet of the video stream, by PyAV alone."""
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as opened:
        stream = opened.streams.video[0]
        found = [(packet.pts, bytes(packet)) for packet in opened.demux(stream) if packet.size]
        return [((pts - found[0][0]) * stream.time_base, data) for pts, data in found]
