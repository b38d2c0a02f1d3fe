"""Videos: proved by decoding every picture, delivered by moving the packets.

Times are exact: whole ticks of the stream's time base, counted from the first picture. Nothing is encoded anew: the
packets of the one video stream move to a clean container, which is read back and compared.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from curate.images.video_containers import (
    HEAD_BYTES,
    MP4,
    Container,
    Muxer,
    container_of,
    media_type_of,
    muxers_for,
    refuse_if_cut,
)
from curate.images.video_open import (
    Beat,
    Limits,
    Packets,
    VideoRefused,
    decoded,
    opened_video,
    packets_without_edits,
    refuse,
)
from curate.images.video_pictures import FirstPicture, colours_of, digest_of, has_user_data
from curate.schema import Reason, Refusal

__all__ = ["Facts", "Limits", "Picture", "Remuxed", "VideoRefused", "examine", "muxing_options", "pictures", "remux"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What decoding the whole video proved.

    `ticks` are the times of the pictures in units of `time_base` seconds from the first one; they grow. `end` is where
    the last picture ends, null where no duration of it is stated. `frame_rate`: the one of pictures that are equally
    far apart, else what the stream states on average.
    """

    container: Container
    muxers: tuple[Muxer, ...]
    media_type: str  # of the file as it came
    codec: str
    width: int
    height: int
    pixel_format: str
    channels: int
    bit_depth: int
    frame_rate: Fraction | None
    time_base: Fraction
    ticks: tuple[int, ...]
    end: int | None
    rotation: int  # degrees counter-clockwise that the container asks a player to turn the pictures
    colours: tuple[int, int, int, int]  # range, matrix, primaries and transfer, as numbers of ITU-T H.273
    left_out: tuple[str, ...]  # words of `changes`
    user_data: bool  # the stream itself carries words of its maker or captions
    packets: bytes  # digest over the packets and their times
    first: bytes  # digest over the samples of the first picture
    samples: bytes  # the same over all pictures

    @property
    def duration(self) -> Fraction | None:
        """Seconds from the first picture to the end of the last, exactly."""
        return None if self.end is None else self.end * self.time_base

    def time_of(self, position: int) -> Fraction:
        """Seconds from the first picture to the one at `position`, exactly."""
        return self.ticks[position] * self.time_base


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: its 0-based position, its ticks from the first one, and PyAV's frame."""

    position: int
    tick: int
    frame: Any


@dataclass(frozen=True, slots=True)
class Remuxed:
    """A video as it is delivered."""

    data: bytes
    media_type: str
    changes: tuple[str, ...]


def examine(path: Path, beat: Beat, limits: Limits | None = None) -> Facts:
    """Decode every picture of a video once.

    Raises:
        VideoRefused: too large, no known container, no video stream, cut short, damaged anywhere, or times that do not
            grow.
    """
    limits = Limits() if limits is None else limits
    size = path.stat().st_size
    if size > limits.max_bytes:
        refuse(Reason.TOO_LARGE, f"{size} bytes, the limit for a video is {limits.max_bytes}")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    container = container_of(head)
    if container is None:
        refuse(Reason.UNSUPPORTED_FORMAT, "the first bytes are those of no container of videos that is read here")
    cut = refuse_if_cut(path, container)
    if cut is not None:
        raise VideoRefused(cut)
    with opened_video(path, container, limits) as (source, stream):
        packets = Packets()
        time_base = _time_base(stream, container)
        walk = _walk(decoded(source, stream, packets, limits, beat), container, limits)
        first = walk.first
        stated = stream.frames if container is Container.MOV else 0
        if packets.count < stated and packets_without_edits(path, limits) < stated:
            refuse(Reason.TRUNCATED_IMAGE, f"the container states {stated} pictures, {packets.count} are there")
        return Facts(
            container=container,
            muxers=muxers_for(container, head),
            media_type=media_type_of(container, head),
            codec=stream.codec_context.name,
            width=first.width,
            height=first.height,
            pixel_format=first.pixel_format,
            channels=first.channels,
            bit_depth=first.bit_depth,
            frame_rate=_rate(stream, time_base, walk.ticks),
            time_base=time_base,
            ticks=walk.ticks,
            end=_end(container, packets, walk.start, walk.ticks),
            rotation=first.rotation,
            colours=first.colours,
            left_out=_left_out(source, stream),
            user_data=walk.user_data or packets.user_data,
            packets=packets.digest(),
            first=first.digest,
            samples=walk.samples,
        )


def pictures(path: Path, facts: Facts, beat: Beat) -> Iterator[Picture]:
    """The pictures of a video that was examined, one after another; a frame may be kept."""
    with opened_video(path, facts.container, Limits()) as (source, stream):
        for position, frame in enumerate(decoded(source, stream, Packets(), Limits(), beat)):
            yield Picture(position, facts.ticks[position], frame)


def remux(path: Path, facts: Facts, beat: Beat, *, keep_metadata: bool = False) -> Remuxed:
    """The packets of the video stream alone, in a container without metadata, read back and compared.

    Equal are the bytes and times of all packets, and the samples of the first picture. Where the stream itself carries
    user data, these units are taken out of the packets, and equal are the times and samples of all pictures; where that
    cannot be, `changes` says that they are kept. An elementary stream, which has no container, stays as it came; so
    does everything where `keep_metadata` vouches for it.

    Raises:
        VideoRefused: none of the containers holds this codec with these times.
    """
    if keep_metadata or facts.container is Container.MPEG_ES:
        kept = facts.user_data and not keep_metadata
        return Remuxed(path.read_bytes(), facts.media_type, ("user_data_kept",) if kept else ())
    without = _USER_DATA.get(facts.codec) if facts.user_data else None
    for sieving in (without, None) if without else (None,):
        for muxer in facts.muxers:
            data = _written_and_proved(path, facts, muxer, sieving, beat)
            if data is not None:
                words = ["user_data_stripped" if sieving else "user_data_kept"] if facts.user_data else []
                changes = (f"remuxed:from={facts.container.word}", *facts.left_out, *words)
                return Remuxed(data, muxer.media_type, changes)
    raise VideoRefused(
        Refusal(
            Reason.UNSUPPORTED_FORMAT, f"no container that is written here holds {facts.codec} and its times unchanged"
        )
    )


_USER_DATA: Final = {
    "h264": "filter_units=remove_types=6",
    "hevc": "filter_units=remove_types=39-40",
    "mpeg2video": "filter_units=remove_types=178",
}
"""FFmpeg's filters that take user data out: SEI of H.264 (7.4.1) and H.265 (7.4.2.2), user_data of MPEG-2 (6.2.2.2.2).

Where an encoder puts them before the first packet, as some do of H.265, they stay, and `changes` says so.
"""


def muxing_options(muxer: Muxer, facts: Facts) -> dict[str, str]:
    """Options of a muxer: nothing random and no dates; the range of values is said where the source says one."""
    exact = {"fflags": "+bitexact"}
    stated = muxer.demuxer is Container.MOV and facts.colours[0] != 0
    return exact | {"movflags": "+write_colr"} if stated else exact


@dataclass(frozen=True, slots=True)
class _Walk:
    """What all pictures together say: `start` is the time of the first in ticks, `ticks` count from there."""

    first: FirstPicture
    start: int
    ticks: tuple[int, ...]
    samples: bytes
    user_data: bool


def _walk(frames: Iterator[Any], container: Container, limits: Limits) -> _Walk:
    """Go through all pictures; refuses what no video has."""
    first: FirstPicture | None = None
    ticks: list[int] = []
    start, user_data, samples = 0, False, sha256()
    for frame in frames:
        tick = _tick(frame, container, len(ticks))
        if first is None:
            first, start = FirstPicture.of(frame), tick
        first.compare(frame)
        if ticks and tick - start <= ticks[-1]:
            refuse(Reason.CORRUPT_IMAGE, f"the time of picture {len(ticks)} does not follow that of the one before")
        ticks.append(tick - start)
        if len(ticks) > limits.max_pictures or len(ticks) * first.pixels > limits.max_decoded_pixels:
            refuse(Reason.TOO_MANY_PIXELS, f"more than {len(ticks) - 1} pictures of {first.pixels} pixels")
        samples.update(digest_of(frame))
        user_data = user_data or has_user_data(frame)
    if first is None:
        refuse(Reason.NO_PIXELS, "no picture of the video decodes")
    return _Walk(first, start, tuple(ticks), samples.digest(), user_data)


def _time_base(stream: Any, container: Container) -> Fraction:
    """Seconds of a tick. An elementary stream states a rate instead of times: then a tick is one picture."""
    if container is not Container.MPEG_ES:
        return Fraction(stream.time_base)
    if not stream.guessed_rate:
        refuse(Reason.UNSUPPORTED_FORMAT, "the stream states neither times nor a rate of pictures")
    return 1 / Fraction(stream.guessed_rate)


def _tick(frame: Any, container: Container, position: int) -> int:
    """When a picture is shown, in ticks. Where only a rate is stated, pictures follow each other by one tick each."""
    if container in _BY_RATE:
        return position
    if frame.pts is None:
        refuse(Reason.UNSUPPORTED_FORMAT, f"picture {position} has no time")
    return int(frame.pts)


_BY_RATE: Final = frozenset({Container.AVI, Container.MPEG_ES})


def _end(container: Container, packets: Packets, start: int, ticks: tuple[int, ...]) -> int | None:
    """Where the last picture ends, in ticks from the first one; null where its duration is not stated."""
    if container in _BY_RATE:
        return len(ticks)
    end = None if packets.end is None else packets.end - start
    return end if end is not None and end > ticks[-1] else None


def _rate(stream: Any, time_base: Fraction, ticks: tuple[int, ...]) -> Fraction | None:
    """Pictures a second."""
    gaps = {after - before for before, after in pairwise(ticks)}
    if len(gaps) == 1:
        return 1 / (gaps.pop() * time_base)
    rate = stream.average_rate
    return Fraction(rate) if rate else None


def _left_out(source: Any, stream: Any) -> tuple[str, ...]:
    """What of a container does not go on, in words of `changes`."""
    others: dict[str, int] = {}
    for other in source.streams:
        if other.index != stream.index:
            others[other.type] = others.get(other.type, 0) + 1
    chapters = len(source.chapters())
    return (
        "metadata_stripped",
        *(f"{kind}_dropped:streams={number}" for kind, number in sorted(others.items())),
        *([f"chapters_dropped:number={chapters}"] if chapters else []),
    )


def _written_and_proved(path: Path, facts: Facts, muxer: Muxer, sieving: str | None, beat: Beat) -> bytes | None:
    """A video in another container, or none where that one does not hold it as it was."""
    import av

    try:
        data = _written(path, facts, muxer, sieving, beat)
        return data if (_shows_same if sieving else _same)(data, facts, muxer, beat) else None
    except (VideoRefused, av.FFmpegError, ValueError):
        return None


def _written(path: Path, facts: Facts, muxer: Muxer, sieving: str | None, beat: Beat) -> bytes:
    """The packets of the video stream in another container, with nothing that tells when or by whom it was written.

    `sieving` names the filters that take user data out of the packets.
    """
    import av
    from av.bitstream import BitStreamFilterContext

    out = io.BytesIO()
    with (
        opened_video(path, facts.container, Limits()) as (source, stream),
        av.open(out, "w", format=muxer.name, container_options=muxing_options(muxer, facts)) as target,
    ):
        copy = target.add_stream_from_template(stream, opaque=True)
        if muxer.demuxer is facts.container and muxer is not MP4:
            copy.codec_context.codec_tag = stream.codec_context.codec_tag  # names what the codec alone does not
        sieve = BitStreamFilterContext(sieving, stream, copy) if sieving else None
        for packet in source.demux(stream):
            beat()
            last = not packet.size
            whole = [] if last else [packet]
            for part in whole if sieve is None else sieve.filter(None if last else packet):
                part.stream = copy
                target.mux_one(part)
    return out.getvalue()


def _same(data: bytes, facts: Facts, muxer: Muxer, beat: Beat) -> bool:
    """True where a written video has the packets, the times and the first picture of the one that it came from."""
    packets = Packets()
    with opened_video(data, muxer.demuxer, Limits()) as (written, stream):
        for packet in written.demux(stream):
            beat()
            packets.add(packet)
    if packets.digest() != facts.packets:
        return False
    with opened_video(data, muxer.demuxer, Limits()) as (written, stream):
        first = next(decoded(written, stream, Packets(), Limits(), beat))
        told = (first.rotation, colours_of(first)) == (facts.rotation, facts.colours)
        return told and digest_of(first) == facts.first


def _shows_same(data: bytes, facts: Facts, muxer: Muxer, beat: Beat) -> bool:
    """True where a written video shows the pictures of the one that it came from, and has no user data any more."""
    packets = Packets()
    with opened_video(data, muxer.demuxer, Limits()) as (written, stream):
        time_base = _time_base(stream, muxer.demuxer)
        walk = _walk(decoded(written, stream, packets, Limits(), beat), muxer.demuxer, Limits())
    if walk.user_data or packets.user_data or walk.samples != facts.samples:
        return False
    told = (walk.first.rotation, walk.first.colours) == (facts.rotation, facts.colours)
    return told and all(
        tick * time_base == before * facts.time_base for tick, before in zip(walk.ticks, facts.ticks, strict=True)
    )
