"""Clips: intervals of a video, encoded anew without loss (FFV1, RFC 9043) in MP4, which keeps times to the tick."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from curate.images.video import Facts, Picture, muxing_options
from curate.images.video_containers import MP4
from curate.images.video_pictures import planes_of
from curate.schema import Reason, Refusal

__all__ = ["Clip", "ClipWriter", "intervals"]

OPTIONS: Final = {"level": "3", "g": "1", "slicecrc": "1", "threads": "1"}
"""FFV1 version 3, every picture by itself, a checksum for each slice; one thread: the bytes are always the same."""

MAX_CLIP_BYTES: Final = 128 * 2**20
"""Of one encoded clip, as of a video: it is held a few times on its way into a table."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip: the pictures from `first` on, in the interval [start, end) of seconds that was asked for."""

    start: Fraction
    end: Fraction
    first: int
    count: int
    data: bytes
    media_type: str
    changes: tuple[str, ...]


def intervals(facts: Facts, clip_s: Fraction) -> Iterator[tuple[Fraction, Fraction, int, int]]:
    """(start, end, first picture, number of pictures) of each interval of `clip_s` seconds in which one begins."""
    step = clip_s / facts.time_base
    first = 0
    while first < len(facts.ticks):
        number = facts.ticks[first] // step
        last = first
        while last < len(facts.ticks) and facts.ticks[last] < (number + 1) * step:
            last += 1
        yield number * clip_s, (number + 1) * clip_s, first, last - first
        first = last


class ClipWriter:
    """Encodes the pictures of one interval as they come."""

    def __init__(self, facts: Facts, interval: tuple[Fraction, Fraction, int, int]) -> None:
        self._facts = facts
        self._start, self._end, self._first, self._count = interval
        self._out = io.BytesIO()
        self._target: Any = None
        self._stream: Any = None
        self._kind = _ENCODED.get(facts.pixel_format, facts.pixel_format)

    def add(self, picture: Picture) -> Refusal | None:
        """Take the next picture in; a refusal where it has no place in a clip."""
        import av

        if self._target is None:
            refusal = self._open(picture.frame)
            if refusal is not None:
                return refusal
        frame = _as_encoded(picture.frame, self._kind)
        after = picture.position + 1
        until = self._facts.ticks[after] if after < len(self._facts.ticks) else self._facts.end
        frame.pts = picture.tick - self._facts.ticks[self._first]
        frame.time_base = self._facts.time_base
        frame.duration = until - picture.tick if until is not None else 0
        try:
            self._target.mux(self._stream.encode(frame))
        except av.FFmpegError as problem:
            if isinstance(problem, MemoryError):
                raise
            return Refusal(Reason.UNSUPPORTED_FORMAT, f"the clip cannot be encoded ({type(problem).__name__})")
        if self._out.tell() > MAX_CLIP_BYTES:
            return Refusal(Reason.TOO_LARGE, f"more than {MAX_CLIP_BYTES} bytes without loss; ask for shorter clips")
        return None

    def finish(self) -> Clip:
        """The clip, after its last picture."""
        self._target.mux(self._stream.encode(None))
        self._target.close()
        return Clip(
            start=self._start,
            end=self._end,
            first=self._first,
            count=self._count,
            data=self._out.getvalue(),
            media_type=MP4.media_type,
            changes=(f"reencoded_ffv1:from={self._facts.codec}", "metadata_stripped"),
        )

    def _open(self, frame: Any) -> Refusal | None:
        import av

        if self._kind not in {form.name for form in av.Codec("ffv1", "w").video_formats or ()}:
            return Refusal(
                Reason.UNSUPPORTED_FORMAT,
                f"pictures of the kind {self._facts.pixel_format} do not fit FFV1 without loss",
            )
        self._target = av.open(self._out, "w", format=MP4.name, container_options=muxing_options(MP4, self._facts))
        stream = self._target.add_stream("ffv1", options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, self._kind
        stream.time_base = stream.codec_context.time_base = self._facts.time_base
        stream.codec_context.thread_count = 1
        stream.codec_context.color_range = 2 if self._facts.pixel_format.startswith("yuvj") else frame.color_range
        stream.codec_context.colorspace = frame.colorspace
        stream.codec_context.color_primaries = frame.color_primaries
        stream.codec_context.color_trc = frame.color_trc
        self._stream = stream
        return None


_ENCODED: Final = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj440p": "yuv440p",
    "yuvj444p": "yuv444p",
    "nv12": "yuv420p",
    "rgb24": "bgr0",
    "bgr24": "bgr0",
    "rgb0": "bgr0",
    "gbrp": "bgr0",
    "rgba": "bgra",
    "pal8": "bgra",
}
"""Kinds of pictures that FFV1 does not know -> one that holds the same samples in another order."""


def _as_encoded(frame: Any, kind: str) -> Any:
    """The same samples as a picture of another kind; of `yuvj` kinds only the name differs, which says the range."""
    import av

    if frame.format.name == kind:
        return frame
    if not frame.format.name.startswith("yuvj"):
        return frame.reformat(format=kind)
    copy = av.VideoFrame(frame.width, frame.height, kind)
    copy.color_range = 2
    for plane, samples in zip(copy.planes, planes_of(frame), strict=True):
        width = len(samples) // plane.height
        padding = bytes(plane.line_size - width)
        plane.update(b"".join(samples[row * width : (row + 1) * width] + padding for row in range(plane.height)))
    return copy
