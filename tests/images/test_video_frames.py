"""Which pictures of a video become frames, what their samples are, and clips that lose nothing."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.images.video import Facts, examine, pictures
from curate.images.video_clips import Clip, ClipWriter, intervals
from curate.images.video_frames import Samples, evenly_spread, exact_seconds, paced, samples_of
from curate.schema import Reason, Refusal
from tests.images import made_videos as made


def beat() -> None:
    """Nobody waits here."""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Ten pictures, one a second."""
    path = made.write(tmp_path_factory.mktemp("video"), made.video(rate=Fraction(1), number=10))
    return examine(path, beat)


def timed(facts: Facts, ticks: list[int], end: int | None, time_base: Fraction = Fraction(1, 10)) -> Facts:
    """A video whose pictures are shown at these times."""
    return replace(facts, ticks=tuple(ticks), end=end, time_base=time_base)


# Which pictures.


def test_frames_are_those_shown_in_the_middle_of_equal_intervals(facts: Facts) -> None:
    assert evenly_spread(facts, 1) == [5]
    assert evenly_spread(facts, 2) == [2, 7]
    assert evenly_spread(facts, 5) == [1, 3, 5, 7, 9]
    assert evenly_spread(facts, 10) == list(range(10))
    assert evenly_spread(facts, 1000) == list(range(10)), "each picture once"


def test_a_picture_is_shown_until_the_next_one_comes(facts: Facts) -> None:
    still = timed(facts, [0, 1, 90], 100)
    assert evenly_spread(still, 4) == [1]
    assert evenly_spread(still, 10) == [1, 2]
    assert paced(still, 2.0) == [0, 1]
    assert paced(still, 9.5) == [0, 2]


def test_a_pace_starts_at_the_first_picture_and_counts_in_decimals(facts: Facts) -> None:
    assert paced(facts, 3.0) == [0, 3, 6, 9]
    assert paced(facts, 2.5) == [0, 2, 5, 7]
    assert paced(facts, 100.0) == [0]
    tenths = timed(facts, list(range(1000)), 1000)
    assert paced(tenths, 0.7) == list(range(0, 1000, 7)), "0.7 is seven tenths, not the nearest float"
    assert exact_seconds(0.1) == Fraction(1, 10)


def test_a_pace_finer_than_the_pictures_takes_each_once(facts: Facts) -> None:
    assert paced(facts, 0.001) == list(range(10))


def test_a_video_whose_end_is_not_stated_still_gives_its_last_picture_once(facts: Facts) -> None:
    assert paced(timed(facts, [0, 10, 20], None), 1.0) == [0, 1, 2]
    assert evenly_spread(timed(facts, [0, 10, 20], None), 2) == [0, 1]
    assert evenly_spread(timed(facts, [0], None), 3) == [0]


times = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(
    lambda gaps: [sum(gaps[:number]) for number in range(len(gaps) + 1)]
)


@given(times, st.integers(1, 20), st.integers(1, 300))
def test_choices_are_in_order_each_once_and_shown_when_wanted(ticks: list[int], number: int, tenths: int) -> None:
    video = _bare(ticks)
    spread, pace = evenly_spread(video, number), paced(video, tenths / 10)
    for chosen in (spread, pace):
        assert chosen == sorted(set(chosen))
        assert chosen[-1] < len(video.ticks)
    wanted = {
        max(place for place, tick in enumerate(video.ticks) if tick <= time) for time in range(0, ticks[-1], tenths)
    }
    assert set(pace) == wanted


@given(times, st.integers(1, 300))
def test_clips_part_the_video_without_a_gap_or_a_repeat(ticks: list[int], tenths: int) -> None:
    video = _bare(ticks)
    parts = list(intervals(video, Fraction(tenths, 10)))
    assert [first for _, _, first, _ in parts] == [0, *(first + count for _, _, first, count in parts[:-1])]
    assert sum(count for *_, count in parts) == len(video.ticks)
    for start, end, first, count in parts:
        assert end - start == Fraction(tenths, 10)
        assert all(start <= video.time_of(place) < end for place in range(first, first + count))


def _bare(ticks: list[int]) -> Facts:
    """Facts of which only times matter; the last number is the end."""
    plain: dict[str, Any] = dict.fromkeys(Facts.__dataclass_fields__)
    return Facts(**plain | {"ticks": tuple(ticks[:-1]), "end": ticks[-1], "time_base": Fraction(1, 10)})


# Their samples.

MATRICES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def flat(y: int, u: int, v: int, *, kind: str = "yuv420p", height: int = 48) -> Any:
    """A picture of one colour."""
    frame = av.VideoFrame(64, height, kind)
    for plane, value in zip(frame.planes, (y, u, v), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def by_formula(y: int, u: int, v: int, weights: tuple[float, float], *, full: bool) -> np.ndarray:
    """ITU-R BT.601 and BT.709: R'G'B' of a colour, 0 to 255."""
    red, blue = weights
    luma, cb, cr = (
        (y, u - 128, v - 128) if full else ((y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224)
    )
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip([r, g, b], 0, 255)


@pytest.mark.parametrize("matrix", sorted(MATRICES))
@pytest.mark.parametrize("range_", [1, 2])
def test_colours_follow_the_matrix_and_range_that_the_stream_states(matrix: int, range_: int) -> None:
    for y, u, v in np.random.default_rng(1).integers(16, 236, (40, 3)).tolist():
        frame = flat(y, u, v)
        frame.colorspace, frame.color_range = matrix, range_
        found = samples_of(frame)
        assert isinstance(found, Samples)
        wanted = by_formula(y, u, v, MATRICES[matrix], full=range_ == 2)
        assert np.abs(found.array.astype(float) - wanted).max() <= 0.6
        assert not any("assumed" in change for change in found.changes)


def test_what_the_stream_does_not_state_is_assumed_and_said() -> None:
    for height, word, weights in ((48, "bt601", MATRICES[5]), (720, "bt709", MATRICES[1])):
        found = samples_of(flat(120, 90, 180, height=height))
        assert isinstance(found, Samples)
        assert found.changes == ("rgb:from=yuv420p", f"matrix:{word},assumed", "range:limited,assumed")
        assert np.abs(found.array[5, 5] - by_formula(120, 90, 180, weights, full=False)).max() <= 0.6


def test_a_matrix_that_is_not_known_is_refused() -> None:
    frame = flat(120, 90, 180)
    frame.colorspace = 8  # YCgCo
    found = samples_of(frame)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSUPPORTED_FORMAT


def test_grey_pictures_keep_their_samples_however_deep(tmp_path: Path) -> None:
    for kind, most in (("gray", 255), ("gray12le", 4095), ("gray16le", 65535)):
        frame = av.VideoFrame(64, 48, kind)
        size = 1 if kind == "gray" else 2
        ramp = np.linspace(0, most, 64 * 48).astype("<u2" if size == 2 else "u1").reshape(48, 64)
        plane = frame.planes[0]
        rows = np.zeros((48, plane.line_size), np.uint8)
        rows[:, : 64 * size] = ramp.view(np.uint8).reshape(48, -1)
        plane.update(rows.tobytes())
        found = samples_of(frame)
        assert isinstance(found, Samples)
        assert np.array_equal(found.array, ramp)
        assert found.changes == ()


def test_rgb_pictures_become_rgb_as_they_are(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video("avi", "rawvideo", "bgr24", number=3))
    for shown in pictures(path, examine(path, beat), beat):
        found = samples_of(shown.frame)
        assert isinstance(found, Samples)
        assert np.array_equal(found.array, made.picture(shown.position))


# Clips.


def clips_of(path: Path, clip_s: str) -> list[Clip | Refusal]:
    """Every clip of a video."""
    facts = examine(path, beat)
    found: list[Clip | Refusal] = []
    parts = iter(intervals(facts, Fraction(clip_s)))
    part = next(parts)
    writer = ClipWriter(facts, part)
    for shown in pictures(path, facts, beat):
        if shown.position == part[2] + part[3]:
            found.append(writer.finish())
            part = next(parts)
            writer = ClipWriter(facts, part)
        refusal = writer.add(shown)
        if refusal is not None:
            return [refusal]
    return [*found, writer.finish()]


@pytest.mark.parametrize(
    ("container", "codec", "kind"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mp4", "libx265", "yuv420p10le"),
        ("mov", "prores", "yuv422p10le"),
        ("avi", "mjpeg", "yuvj420p"),
        ("matroska", "ffv1", "gray"),
        ("avi", "ffv1", "gray12le"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("mpeg", "mpeg1video", "yuv420p"),
    ],
)
def test_the_pictures_of_clips_are_those_of_the_video_bit_for_bit(
    tmp_path: Path, container: str, codec: str, kind: str
) -> None:
    path = made.write(tmp_path, made.video(container, codec, kind, rate=Fraction(25)))
    whole = made.decoded(path)
    clips = [clip for clip in clips_of(path, "0.3") if isinstance(clip, Clip)]
    assert [clip.count for clip in clips] == [8, 7, 5]
    facts = examine(path, beat)
    for clip in clips:
        inside = made.decoded(clip.data)
        assert len(inside) == clip.count
        for place, (time, _, planes) in enumerate(inside):
            assert made.equal(planes, whole[clip.first + place][2])
            assert time == facts.time_of(clip.first + place) - facts.time_of(clip.first)


@pytest.mark.parametrize(("container", "codec", "kind"), [("avi", "rawvideo", "bgr24"), ("mov", "qtrle", "rgb24")])
def test_clips_in_another_order_of_samples_still_hold_the_same_colours(
    tmp_path: Path, container: str, codec: str, kind: str
) -> None:
    path = made.write(tmp_path, made.video(container, codec, kind, rate=Fraction(25)))
    (clip,) = clips_of(path, "5")
    assert isinstance(clip, Clip)
    with av.open(str(made.write(tmp_path, clip.data))) as opened:
        for number, frame in enumerate(opened.decode(video=0)):
            assert np.array_equal(frame.to_ndarray(format="rgb24"), made.picture(number))


def test_a_clip_has_the_same_bytes_every_time_and_its_range_of_values(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video("avi", "mjpeg", "yuvj420p", rate=Fraction(25)))
    once, again = clips_of(path, "0.3"), clips_of(path, "0.3")
    assert once == again
    first = once[0]
    assert isinstance(first, Clip)
    frame = next(av.open(str(made.write(tmp_path, first.data))).decode(video=0))
    assert frame.color_range == 2, "full range, as the yuvj of its source said"


def test_pictures_that_do_not_fit_without_loss_are_refused(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video("avi", "msvideo1", "rgb555le", rate=Fraction(25)))
    (refusal,) = clips_of(path, "1")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.UNSUPPORTED_FORMAT


def test_times_of_clips_stay_exact_at_any_rate(tmp_path: Path) -> None:
    path = made.write(tmp_path, made.video(rate=made.NTSC))
    facts = examine(path, beat)
    for clip in clips_of(path, "0.25"):
        assert isinstance(clip, Clip)
        shown = [time for time, _, _ in made.decoded(clip.data)]
        assert [after - before for before, after in pairwise(shown)] == [1 / made.NTSC] * (clip.count - 1)
        assert clip.start <= facts.time_of(clip.first) < clip.end
