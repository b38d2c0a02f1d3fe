"""A video is delivered packet for packet, without what its container says of people; every picture is decoded first."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curate.images.video import Limits, VideoRefused, examine, pictures, remux
from curate.images.video_pictures import planes_of
from curate.schema import Reason
from tests.images import made_videos as made

CANARY = "JANE-DOE-19470312"

KINDS = [
    ("mp4", "libx264", "yuv420p", "video/mp4"),
    ("mp4", "libx265", "yuv420p10le", "video/mp4"),
    ("mp4", "mpeg4", "yuv420p", "video/mp4"),
    ("mov", "prores", "yuv422p10le", "video/quicktime"),
    ("mov", "qtrle", "rgb24", "video/quicktime"),
    ("matroska", "libx264", "yuv420p", "video/x-matroska"),
    ("matroska", "rawvideo", "nv12", "video/x-matroska"),
    ("matroska", "ffv1", "gray", "video/x-matroska"),
    ("webm", "libvpx-vp9", "yuv420p", "video/webm"),
    ("avi", "mpeg4", "yuv420p", "video/x-msvideo"),
    ("avi", "mjpeg", "yuvj420p", "video/x-msvideo"),
    ("avi", "rawvideo", "bgr24", "video/x-msvideo"),
    ("avi", "ffv1", "gray12le", "video/x-msvideo"),
    ("mpeg", "mpeg1video", "yuv420p", "video/mp4"),
    ("mpeg2video", "mpeg2video", "yuv420p", "video/mpeg"),
    ("mpegts", "libx264", "yuv420p", "video/mp2t"),
    ("mpegts", "mpeg2video", "yuv420p", "video/mp2t"),
    ("flv", "libx264", "yuv420p", "video/mp4"),
    ("flv", "flv", "yuv420p", "video/x-flv"),
    ("asf", "wmv2", "yuv420p", "video/x-ms-asf"),
]


def beat() -> None:
    """Nobody waits here."""


def refusal_of(path: Path, limits: Limits | None = None) -> Reason:
    with pytest.raises(VideoRefused) as caught:
        examine(path, beat, limits)
    return caught.value.refusal.reason


@pytest.fixture(scope="session")
def clips(test_data: Callable[[str], Path]) -> list[Path]:
    """The real lung ultrasound clips: H.264 in MP4 and QuickTime, MPEG-2 in program streams."""
    return sorted(path for path in (test_data("pocus-lung-ultrasound") / "pocus_videos").rglob("*") if path.is_file())


def test_every_real_clip_keeps_its_packets_and_their_times(clips: list[Path]) -> None:
    for path in clips:
        facts = examine(path, beat)
        delivered = remux(path, facts, beat)
        assert delivered.media_type == "video/mp4"
        if facts.codec == "mpeg2video":
            assert made.packets(delivered.data) == made.packets(path)
        else:  # x264 left its settings in the stream: they go, the pictures stay
            assert b"x264" not in delivered.data
            before, after = made.decoded(path), made.decoded(delivered.data)
            assert [time for time, *_ in before] == [time for time, *_ in after]
            assert all(made.equal(one[2], other[2]) for one, other in zip(before, after, strict=True))
        with av.open(str(path)) as opened:
            stream = opened.streams.video[0]
            assert stream.frames in (0, len(facts.ticks))
            assert (facts.width, facts.height) == (stream.width, stream.height)
            if stream.frames:  # a program stream states no duration, its last picture does
                assert facts.duration == stream.duration * stream.time_base
            else:
                assert facts.duration == len(facts.ticks) * Fraction(1, 25)
            assert facts.frame_rate == stream.average_rate


def test_the_makers_and_dates_of_real_clips_stay_behind(clips: list[Path]) -> None:
    marked = [path for path in clips if b"GE Healthcare" in path.read_bytes()]
    assert marked
    for path in marked:
        delivered = remux(path, examine(path, beat), beat)
        assert b"GE Healthcare" not in delivered.data
        assert b"Date:2020" not in delivered.data
        assert "metadata_stripped" in delivered.changes


@pytest.mark.parametrize(("container", "codec", "kind", "media_type"), KINDS)
def test_every_codec_moves_to_a_container_that_keeps_it_whole(
    tmp_path: Path, container: str, codec: str, kind: str, media_type: str
) -> None:
    data = made.video(container, codec, kind)
    path = made.write(tmp_path, data)
    facts = examine(path, beat)
    delivered = remux(path, facts, beat)
    assert delivered.media_type == media_type
    assert (facts.pixel_format, len(facts.ticks)) == (kind, 20)
    assert remux(path, facts, beat).data == delivered.data, "the same bytes every time"
    before, after = made.decoded(path), made.decoded(delivered.data)
    assert len(before) == len(after) == 20
    assert all(made.equal(one[2], other[2]) for one, other in zip(before, after, strict=True))


def test_times_are_those_of_the_stream_to_the_tick(tmp_path: Path) -> None:
    facts = examine(made.write(tmp_path, made.video(rate=made.NTSC)), beat)
    assert [facts.time_of(number) for number in range(20)] == [number * Fraction(1001, 30000) for number in range(20)]
    assert facts.duration == 20 * Fraction(1001, 30000)
    assert facts.frame_rate == made.NTSC


def test_pictures_need_not_be_equally_far_apart(tmp_path: Path) -> None:
    ticks = [0, 1, 2, 10, 11, 30]
    facts = examine(made.write(tmp_path, made.video(rate=Fraction(25), ticks=ticks)), beat)
    assert [facts.time_of(number) for number in range(6)] == [Fraction(tick, 25) for tick in ticks]


def test_an_elementary_stream_has_a_rate_instead_of_times_and_stays_as_it_came(tmp_path: Path) -> None:
    data = made.video("mpeg1video", "mpeg1video", options={"bf": "2"})
    path = made.write(tmp_path, data)
    facts = examine(path, beat)
    assert [facts.time_of(number) for number in (0, 1, 19)] == [number / made.NTSC for number in (0, 1, 19)]
    assert (remux(path, facts, beat).data, remux(path, facts, beat).changes) == (data, ())


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
def test_titles_places_sound_and_chapters_are_left_out_and_said(tmp_path: Path, container: str) -> None:
    named = {"title": CANARY, "location": f"+52.0+013.0/{CANARY}", "comment": CANARY, "artist": CANARY}
    data = made.video(container, metadata=named, audio=True, chapters=True)
    assert CANARY.encode() in data
    path = made.write(tmp_path, data)
    delivered = remux(path, examine(path, beat), beat)
    assert CANARY.encode() not in delivered.data
    assert b"Jane Doe" not in delivered.data
    assert "metadata_stripped" in delivered.changes
    assert "audio_dropped:streams=1" in delivered.changes
    assert "chapters_dropped:number=1" in delivered.changes
    with av.open(str(made.write(tmp_path, delivered.data))) as opened:
        assert [stream.type for stream in opened.streams] == ["video"]


def test_a_card_that_vouches_for_metadata_keeps_every_byte(tmp_path: Path) -> None:
    data = made.video(metadata={"title": "phantom"})
    path = made.write(tmp_path, data)
    delivered = remux(path, examine(path, beat), beat, keep_metadata=True)
    assert (delivered.data, delivered.media_type, delivered.changes) == (data, "video/mp4", ())


def test_the_raster_is_never_turned_and_the_turn_is_told(tmp_path: Path) -> None:
    """ISO/IEC 14496-12 8.3.2: the matrix of a track, 16.16 and 2.30 fixed point; here a quarter turn."""
    data = made.video()
    one = (1 << 16).to_bytes(4)
    plain = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4)
    minus = (-(1 << 16)).to_bytes(4, signed=True)
    turned = bytes(4) + one + bytes(4) + minus + bytes(4 * 4) + (1 << 30).to_bytes(4)
    track = data.index(b"tkhd")
    place = data.index(plain, track)
    path = made.write(tmp_path, data[:place] + turned + data[place + 36 :])
    facts = examine(path, beat)
    assert (facts.width, facts.height, facts.rotation) == (64, 48, -90)
    delivered = remux(path, facts, beat)
    assert examine(made.write(tmp_path, delivered.data), beat).rotation == -90


def test_a_video_that_breaks_off_anywhere_is_refused(clips: list[Path], tmp_path: Path) -> None:
    for path in (clips[0], next(clip for clip in clips if clip.suffix == ".mpeg")):
        data = path.read_bytes()
        for share in (0.02, 0.3, 0.5, 0.77, 0.95):
            cut = made.write(tmp_path, data[: int(share * len(data))])
            assert refusal_of(cut) in (Reason.TRUNCATED_IMAGE, Reason.CORRUPT_IMAGE)


def test_damage_in_the_pictures_is_not_painted_over(tmp_path: Path) -> None:
    data = bytearray(made.video(number=40))
    start = data.index(b"mdat") + 400
    data[start : start + 600] = bytes(600)
    assert refusal_of(made.write(tmp_path, bytes(data))) is Reason.CORRUPT_IMAGE


def test_pictures_that_change_their_size_are_refused(tmp_path: Path) -> None:
    small = made.video("mpeg2video", "mpeg2video")
    large = made.video("mpeg2video", "mpeg2video", size=(128, 96))
    assert refusal_of(made.write(tmp_path, small + large)) in (Reason.UNSUPPORTED_FORMAT, Reason.CORRUPT_IMAGE)


def test_limits_hold_for_bytes_pictures_and_pixels(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video())
    assert refusal_of(path, Limits(max_bytes=1000)) is Reason.TOO_LARGE
    assert refusal_of(path, Limits(max_pictures=19)) is Reason.TOO_MANY_PIXELS
    assert refusal_of(path, Limits(max_decoded_pixels=64 * 48 * 19)) is Reason.TOO_MANY_PIXELS
    assert refusal_of(path, Limits(max_pixels=64 * 47)) in (Reason.TOO_MANY_PIXELS, Reason.CORRUPT_IMAGE)
    assert len(examine(path, beat, Limits(max_pictures=20, max_decoded_pixels=64 * 48 * 20)).ticks) == 20


def test_samples_have_no_padding(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video("avi", "rawvideo", "bgr24", size=(62, 46), number=2))
    facts = examine(path, beat)
    for shown in pictures(path, facts, beat):
        (plane,) = planes_of(shown.frame)
        rows = np.frombuffer(plane, np.uint8).reshape(46, 62, 3)
        assert np.array_equal(rows[..., ::-1], made.picture(shown.position, 62, 46))


def test_the_work_is_alive_at_every_packet(tmp_path: Path) -> None:
    beats = 0

    def count() -> None:
        nonlocal beats
        beats += 1

    examine(made.write(tmp_path, made.video()), count)
    assert beats >= 20


def test_what_an_edit_list_hides_stays_hidden(tmp_path: Path) -> None:
    """ISO/IEC 14496-12 8.6.6: a presentation may begin later than its media; the pictures before are not shown."""
    data = bytearray(made.video(options={"bf": "0", "g": "20"}))
    entry = data.index(b"elst") + 12  # after the type, version and flags, and the number of entries
    duration, begin = (int.from_bytes(data[entry + place : entry + place + 4]) for place in (0, 4))
    data[entry : entry + 4] = (duration * 15 // 20).to_bytes(4)
    data[entry + 4 : entry + 8] = (begin + 5 * 1001).to_bytes(4)
    path = made.write(tmp_path, bytes(data))
    facts = examine(path, beat)
    shown = made.decoded(path)
    assert len(facts.ticks) == len(shown) == 15
    delivered = made.decoded(remux(path, facts, beat).data)
    assert [time for time, _, _ in delivered] == [time for time, _, _ in shown]
    assert all(made.equal(one[2], other[2]) for one, other in zip(shown, delivered, strict=True))


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv"])
def test_words_within_the_stream_are_taken_out_and_the_pictures_stay(tmp_path: Path, container: str) -> None:
    """x264 writes its settings as unregistered user data (ITU-T H.264 D.2.7); a device may name a patient there."""
    data = made.video(container, "libx264", rate=Fraction(25))
    assert b"x264 - core" in data
    path = made.write(tmp_path, data)
    facts = examine(path, beat)
    delivered = remux(path, facts, beat)
    assert facts.user_data
    assert b"x264 - core" not in delivered.data
    assert "user_data_stripped" in delivered.changes
    before, after = made.decoded(path), made.decoded(delivered.data)
    assert [time for time, *_ in before] == [time for time, *_ in after]
    assert all(made.equal(one[2], other[2]) for one, other in zip(before, after, strict=True))


def test_words_that_cannot_be_taken_out_are_said_to_be_there(tmp_path: Path) -> None:
    """x265 puts its settings before the first packet, into the description of the stream."""
    path = made.write(tmp_path, made.video("mp4", "libx265", rate=Fraction(25)))
    delivered = remux(path, examine(path, beat), beat)
    assert b"options: " in delivered.data
    assert "user_data_kept" in delivered.changes


def test_user_data_of_mpeg_2_are_taken_out(tmp_path: Path) -> None:
    """ISO/IEC 13818-2 6.2.2.2.2: user_data may follow the headers of a sequence, a group or a picture."""
    data = made.video("mpegts", "mpeg2video", rate=Fraction(25))
    plain = made.video("mpeg2video", "mpeg2video", rate=Fraction(25))
    group = plain.index(b"\0\0\x01\xb8")
    told = plain[: group + 8] + b"\0\0\x01\xb2" + CANARY.encode() + plain[group + 8 :]
    path = made.write(tmp_path, told)
    assert examine(path, beat).user_data
    assert remux(path, examine(path, beat), beat).changes == ("user_data_kept",), "an elementary stream stays as it is"
    assert not examine(made.write(tmp_path, data), beat).user_data
