"""Videos that lie, break off or reach for other files end as refusals, soon, in silence, with nothing of them told."""

import io
import random
import resource
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from curate.images.video import Limits, VideoRefused, examine, remux
from curate.images.video_containers import Container, container_of
from curate.images.video_open import _Nameless, _open_nothing, _Sealed
from curate.schema import Reason, Refusal
from tests.images import made_videos as made

SECRET = "Zebulon Quartermain"


def beat() -> None:
    """Nobody waits here."""


def outcome(path: Path, limits: Limits | None = None) -> Refusal | None:
    """The refusal of a file, or none."""
    try:
        remux(path, examine(path, beat, limits), beat)
    except VideoRefused as refused:
        return refused.refusal
    return None


def reason(tmp_path: Path, data: bytes, limits: Limits | None = None) -> Reason | None:
    found = outcome(made.write(tmp_path, data), limits)
    return None if found is None else found.reason


# What would open other files.

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{secret}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
    "smil": "<smil><video src='{secret}'/></smil>",
    "dash": "<?xml version='1.0'?><MPD><Period><BaseURL>{secret}</BaseURL></Period></MPD>",
    "svg": "<svg xmlns='http://www.w3.org/2000/svg'><image href='{secret}'/></svg>",
    "lrf": "[Script Info]\nDialogue: {secret}\n",
}


@pytest.mark.parametrize("kind", sorted(PLAYLISTS))
def test_lists_of_other_files_are_no_videos(tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(made.video())
    text = PLAYLISTS[kind].format(secret=other)
    assert reason(tmp_path, text.encode()) is Reason.UNSUPPORTED_FORMAT


def test_a_quicktime_file_whose_pictures_lie_elsewhere_opens_nothing(tmp_path: Path) -> None:
    """ISO/IEC 14496-12 8.7.2: a data reference names where the media data lie; here another file."""
    (tmp_path / "other.mov").write_bytes(made.video("mov", "mjpeg", "yuvj420p"))
    data = bytearray(made.video("mov", "mjpeg", "yuvj420p"))
    at = data.index(b"dref") + 12  # after the type, version and flags, and the number of entries
    data[at + 8 : at + 12] = bytes(4)  # the flag that said: in this file
    (tmp_path / "lives").mkdir()
    opened: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            opened.append(str(arguments[0]))

    path = made.write(tmp_path, bytes(data))
    sys.addaudithook(watch)
    outcome(path)
    assert not [name for name in opened if "other" in name]


def test_even_a_reader_of_playlists_would_get_no_file(tmp_path: Path) -> None:
    """Whatever FFmpeg wants to open beside the bytes it was given goes through one door, and that is shut."""
    other = tmp_path / "other.mp4"
    other.write_bytes(made.video())
    text = PLAYLISTS["hls"].format(secret=other).encode()
    with pytest.raises(_Sealed):
        av.open(_Nameless(io.BytesIO(text)), "r", format="hls", io_open=_open_nothing)


# Lies about size, time and number.


def resized(data: bytes, width: int, height: int) -> bytes:
    """An MP4 whose track and sample entry state another raster (ISO/IEC 14496-12 8.3.2, 12.1.3)."""
    changed = bytearray(data)
    entry = changed.index(b"mp4v" if b"mp4v" in data else b"avc1", changed.index(b"stsd"))
    changed[entry + 28 : entry + 32] = struct.pack(">HH", width, height)
    return bytes(changed)


@pytest.mark.parametrize("size", [(65535, 65535), (0, 0), (65535, 1), (1, 65535)])
def test_a_stated_raster_that_the_pictures_do_not_have_costs_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    for codec in ("libx264", "mpeg4"):
        began = time.monotonic()
        found = reason(tmp_path, resized(made.video(codec=codec), *size))
        assert time.monotonic() - began < 5
        assert found in (None, Reason.TOO_MANY_PIXELS, Reason.CORRUPT_IMAGE, Reason.UNSUPPORTED_FORMAT)


def test_a_tiny_file_that_states_a_giant_raster_is_refused(tmp_path: Path) -> None:
    """An MPEG-1 sequence header states 12 bits a side, a raw AVI as much as it likes."""
    data = bytearray(made.video("avi", "rawvideo", "bgr24", number=1))
    for name in (b"avih", b"strf"):
        at = data.index(name) + 8
        place = at + 32 if name == b"avih" else at + 4
        data[place : place + 8] = struct.pack("<II", 65535, 65535)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason(tmp_path, bytes(data)) in (Reason.TOO_MANY_PIXELS, Reason.CORRUPT_IMAGE, Reason.NO_VIDEO)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB"


def test_more_pictures_than_the_file_has_are_a_broken_promise(tmp_path: Path) -> None:
    """The table of sample sizes names twenty; the media data are emptied of the last five."""
    data = bytearray(made.video(codec="mpeg4", number=20))
    sizes = data.index(b"stsz") + 12
    count = int.from_bytes(data[sizes : sizes + 4])
    assert count == 20
    last = sum(int.from_bytes(data[sizes + 4 + 4 * n : sizes + 8 + 4 * n]) for n in range(15))
    start = data.index(b"mdat") + 4
    assert reason(tmp_path, bytes(data[: start + last])) in (Reason.TRUNCATED_IMAGE, Reason.CORRUPT_IMAGE)


def test_times_that_run_backwards_are_refused(tmp_path: Path) -> None:
    data = made.video("mpegts", "mpeg2video", number=10)
    found = reason(tmp_path, data + data)
    assert found in (Reason.CORRUPT_IMAGE, Reason.TRUNCATED_IMAGE)


def test_endless_still_pictures_meet_a_limit_before_the_clock(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video(codec="mpeg4", number=400))
    found = outcome(path, Limits(max_pictures=100))
    assert found is not None
    assert found.reason is Reason.TOO_MANY_PIXELS
    assert "100" in found.detail


# What is no video.


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=8000)
        for begin in range(0, 4096, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, begin
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    found = outcome(made.write(tmp_path, out.getvalue()))
    assert found is not None
    assert (found.reason, "audio" in found.detail) == (Reason.NO_VIDEO, True)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x18ftypmp42",
        b"\x1a\x45\xdf\xa3",
        b"\0\0\x01\xba",
        b"\0\0\x01\xb3",
        b"OggS",
        b"FLV\x01",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        b"RIFF\0\0\0\0AVI ",
        b"\x47",
    ],
)
def test_a_signature_and_nothing_behind_it(tmp_path: Path, head: bytes) -> None:
    noise = random.Random(1).randbytes(3000)
    for tail in (b"", bytes(2000), noise, b"\xff" * 2000):
        found = outcome(made.write(tmp_path, head + tail))
        assert found is not None
        assert not found.reason.is_environmental


def test_words_of_the_file_stay_in_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither FFmpeg's messages nor ours quote titles, handler names or paths, whatever breaks."""
    data = made.video(metadata={"title": SECRET, "comment": "\udcff broken".encode("utf-8", "replace").decode()})
    folder = tmp_path / SECRET
    folder.mkdir()
    for cut in (40, len(data) // 2, len(data) - 60):
        found = outcome(made.write(folder, data[:cut]))
        if found is not None:
            assert SECRET not in found.detail
            assert str(tmp_path) not in found.detail
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_metadata_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    data = made.video("mov", metadata={"title": "AAAAAAAA"}).replace(b"AAAAAAAA", b"\xff\xfe\x80\xc0\xff\xff\xff\xff")
    assert reason(tmp_path, data) is None


SEEDS = [
    ("avi", "mjpeg", "yuvj420p"),
    ("avi", "rawvideo", "bgr24"),
    ("mpeg", "mpeg1video", "yuv420p"),
    ("mpeg2video", "mpeg2video", "yuv420p"),
    ("mpegts", "libx264", "yuv420p"),
    ("matroska", "libx264", "yuv420p"),
    ("webm", "libvpx-vp9", "yuv420p"),
    ("flv", "flv", "yuv420p"),
    ("asf", "wmv2", "yuv420p"),
    ("mov", "prores", "yuv422p10le"),
    ("mp4", "libx264", "yuv420p"),
]


@pytest.mark.parametrize(("container", "codec", "kind"), SEEDS)
def test_any_damage_is_a_refusal_or_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], container: str, codec: str, kind: str
) -> None:
    whole = made.video(container, codec, kind, number=6)
    chance = random.Random(container + codec)
    seen: Counter[Reason | None] = Counter()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 10))):
            at = chance.randrange(min(len(data), 700) if chance.random() < 0.6 else len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"))
                case 2:
                    del data[at : at + chance.randrange(1, 200)]
                case _:
                    data[at:at] = chance.randbytes(8)
        began = time.monotonic()
        seen[reason(tmp_path, bytes(data))] += 1
        assert time.monotonic() - began < 10
    assert sum(seen.values()) == 60
    assert not any(found is not None and found.is_environmental for found in seen)
    assert capfd.readouterr() == ("", "")


def test_the_container_is_told_by_its_bytes() -> None:
    assert container_of(made.video("mpegts", "mpeg2video")[:1024]) is Container.MPEG_TS
    assert container_of(b"\x47" + bytes(1023)) is None
    assert container_of(b"GIF89a" + bytes(1018)) is None
    assert container_of(b"") is None
