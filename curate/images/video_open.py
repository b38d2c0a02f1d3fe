"""Opening videos so that nothing else is touched, and decoding them so that nothing damaged passes.

FFmpeg through PyAV. Its own messages are neither printed nor passed on: they may quote what the file says.
"""

import errno
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from curate.images.video_containers import Container
from curate.schema import Reason, Refusal

__all__ = ["Beat", "Limits", "Packets", "VideoRefused", "decoded", "opened_video", "packets_without_edits", "refuse"]

MAX_BYTES: Final = 128 * 2**20
"""Of one video file: its bytes are held up to eight times on their way into a table, within 2 GB."""

MAX_PIXELS: Final = 8192 * 4320
"""Of one picture: the largest that the levels of H.264 and H.265 know. Sixteen of them are held as references."""

MAX_PICTURES: Final = 500_000
"""Five hours at 25 pictures a second."""

MAX_DECODED_PIXELS: Final = 2**38
"""Pixels of all pictures: more than an hour of Full HD at 30 pictures a second."""

STRICT: Final = "crccheck+bitstream+buffer+explode"
"""What FFmpeg is to check, and that it is to stop there: it would else paint over what is damaged."""

Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one video may cost."""

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    max_pictures: int = MAX_PICTURES
    max_decoded_pixels: int = MAX_DECODED_PIXELS


class VideoRefused(Exception):  # noqa: N818
    """A video that cannot be used, with its refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def refuse(reason: Reason, detail: str) -> NoReturn:
    raise VideoRefused(Refusal(reason, detail))


def _av() -> Any:
    import av

    return av


USER_DATA: Final = b"\0\0\x01\xb2"
_WITH_USER_DATA: Final = frozenset({"mpeg1video", "mpeg2video"})


class Packets:
    """A digest over packets, their times from the first one and whether they are shown; where the last picture ends."""

    def __init__(self) -> None:
        self.count = 0
        self.user_data = False  # an MPEG-1 or MPEG-2 stream has user_data (ISO/IEC 13818-2 6.2.2.2.2)
        self.end: int | None = None
        self._last: int | None = None
        self._start: int | None = None
        self._digest = sha256()

    def add(self, packet: Any) -> None:
        """Take one packet in."""
        if not packet.size:
            return
        self.count += 1
        pts = packet.pts
        if self._start is None:
            self._start = pts
        if pts is not None and (self._last is None or pts >= self._last):
            self._last = pts
            self.end = pts + packet.duration if packet.duration else None
        relative = None if pts is None or self._start is None else (pts - self._start) * packet.time_base
        self._digest.update(f"{relative} {packet.size} {packet.is_discard}\n".encode())
        data = memoryview(packet)
        self._digest.update(data)
        if packet.stream.codec_context.name in _WITH_USER_DATA and USER_DATA in bytes(data):
            self.user_data = True

    def digest(self) -> bytes:
        """Over all packets so far."""
        return self._digest.digest()


class _Nameless:
    """A file without its name: FFmpeg sees bytes, and whatever those bytes say, nothing else can be opened.

    A seek to where no file can be is answered as the operating system answers it, by a negative number.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new place, at most at the end; FFmpeg asks for places that hostile lengths name."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._size}.get(whence)
        if base is None or base + offset < 0:
            return -errno.EINVAL
        self._file.seek(min(base + offset, self._size))
        return base + offset


class _Sealed(Exception):  # noqa: N818
    """A container asked for another file."""


def _open_nothing(*_: object) -> NoReturn:
    raise _Sealed


@contextmanager
def opened_video(source: Path | bytes, container: Container, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """A container and its video stream, ready to be decoded by one thread; refuses what FFmpeg cannot open or read."""
    av = _av()
    checks = {"err_detect": STRICT, "max_pixels": str(limits.max_pixels)}
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
            av.open(
                _Nameless(file),
                "r",
                format=container.value,
                options=checks | {"fflags": "+genpts"},
                metadata_errors="ignore",
                io_open=_open_nothing,
            ) as opened,
        ):
            stream = _video_stream(opened)
            stream.codec_context.options = checks
            stream.codec_context.thread_count = 1
            yield opened, stream
    except (av.FFmpegError, _Sealed) as problem:
        if isinstance(problem, MemoryError):
            raise
        raise VideoRefused(
            Refusal(Reason.CORRUPT_IMAGE, f"the container does not open or does not read on ({type(problem).__name__})")
        ) from None


def _video_stream(opened: Any) -> Any:
    """The first video stream that is no cover picture."""
    from av.stream import Disposition

    moving = [stream for stream in opened.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        kinds = sorted({stream.type for stream in opened.streams})
        refuse(Reason.NO_VIDEO, f"the container holds no video stream, only: {', '.join(kinds) or 'nothing'}")
    if moving[0].codec_context is None:
        refuse(Reason.UNSUPPORTED_FORMAT, "the video is coded in a way that no decoder here knows")
    return moving[0]


def decoded(source: Any, stream: Any, packets: Packets, limits: Limits, beat: Beat) -> Iterator[Any]:
    """Every picture in the order of showing; a damaged one ends it."""
    av = _av()
    count = 0
    context = stream.codec_context
    if context.width * context.height > limits.max_pixels:
        refuse(
            Reason.TOO_MANY_PIXELS,
            f"{context.width} x {context.height} pixels, the limit for a picture of a video is {limits.max_pixels}",
        )
    for packet in source.demux(stream):
        beat()
        if packet.size and packet.is_corrupt:
            refuse(Reason.TRUNCATED_IMAGE, f"a packet is cut short after {count} pictures")
        packets.add(packet)
        try:
            frames = packet.decode()
        except av.FFmpegError as problem:
            if isinstance(problem, MemoryError):
                raise
            refuse(
                Reason.CORRUPT_IMAGE, f"the picture after {count} decoded ones is damaged ({type(problem).__name__})"
            )
        for frame in frames:
            if frame.is_corrupt:
                refuse(Reason.CORRUPT_IMAGE, f"picture {count} is damaged")
            count += 1
            yield frame


def packets_without_edits(path: Path, limits: Limits) -> int:
    """Packets of an MP4 or QuickTime file, those too that an edit list (ISO/IEC 14496-12 8.6.6) leaves out."""
    with (
        path.open("rb") as file,
        _av().open(
            _Nameless(file),
            "r",
            format=Container.MOV.value,
            options={"ignore_editlist": "1", "max_pixels": str(limits.max_pixels)},
            metadata_errors="ignore",
            io_open=_open_nothing,
        ) as opened,
    ):
        return sum(packet.size > 0 for packet in opened.demux(_video_stream(opened)))
