"""Videos: the packets as they came, without metadata; frames and clips as the recipe asks for them."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from curate.images.store_png import from_samples
from curate.images.video import Facts, Picture, Remuxed, VideoRefused, examine, pictures, remux
from curate.images.video_clips import Clip, ClipWriter, intervals
from curate.images.video_frames import Samples, evenly_spread, exact_seconds, paced, samples_of
from curate.recipe import Videos
from curate.schema import Form, Reason, Refusal
from curate.stages.media.base import Made, RefusedRegion, Request
from curate.stages.placing import Space

__all__ = ["make_video"]


def make_video(request: Request) -> Iterator[Made | RefusedRegion | Refusal] | Refusal:
    """The video, then its frames and clips in the order in which they end.

    Every picture is decoded before the video counts as one. What the source says is said of the video as a whole:
    frames and clips carry no annotations, since a finding need not be seen in each of them.
    """
    (file,) = request.files
    if not file.size:
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    return _made(request)


def _made(request: Request) -> Iterator[Made | RefusedRegion | Refusal]:
    with request.files[0].local() as path:
        try:
            facts = examine(path, request.beat)
            delivered = remux(path, facts, request.beat, keep_metadata=request.images.keep_metadata)
        except VideoRefused as refused:
            yield refused.refusal
            return
        yield _video(facts, delivered)
        del delivered
        wanted = request.recipe.videos
        if wanted.every_s is not None or wanted.frames is not None or wanted.clip_s is not None:
            try:
                yield from _cut(facts, wanted, pictures(path, facts, request.beat))
            except VideoRefused as refused:  # it decoded a moment ago: the file changed, or memory is short
                yield RefusedRegion("the rest", refused.refusal)


def _video(facts: Facts, delivered: Remuxed) -> Made:
    return Made(
        form=Form.VIDEO,
        place=(None,),
        columns={
            **_raster(facts),
            "media_type": delivered.media_type,
            "changes": list(delivered.changes),
            "depth": len(facts.ticks),
            "duration_s": _seconds(facts.duration),
        },
        data=delivered.data,
        target=Space(grid=None),
    )


def _cut(facts: Facts, wanted: Videos, shown: Iterator[Picture]) -> Iterator[Made | RefusedRegion]:
    """Frames and clips in one pass over the pictures."""
    frames = set(_positions(facts, wanted))
    waiting = iter(()) if wanted.clip_s is None else intervals(facts, exact_seconds(wanted.clip_s))
    interval = next(waiting, None)
    writer: ClipWriter | None = None
    for picture in shown:
        if picture.position in frames:
            yield _frame(facts, picture)
        if interval is None:
            continue
        if picture.position == interval[2]:
            writer = ClipWriter(facts, interval)
        refusal = writer.add(picture) if writer is not None else None
        if refusal is not None:
            writer = None
            yield RefusedRegion(f"clip {float(interval[0])} s to {float(interval[1])} s", refusal)
        if picture.position == interval[2] + interval[3] - 1:
            if writer is not None:
                yield _clip(facts, writer.finish())
            writer, interval = None, next(waiting, None)


def _positions(facts: Facts, wanted: Videos) -> list[int]:
    if wanted.frames is not None:
        return evenly_spread(facts, wanted.frames)
    return [] if wanted.every_s is None else paced(facts, wanted.every_s)


def _frame(facts: Facts, picture: Picture) -> Made | RefusedRegion:
    samples = samples_of(picture.frame)
    if isinstance(samples, Refusal):
        return RefusedRegion(f"frame {picture.position}", samples)
    one = from_samples(samples.array, changes=_frame_changes(facts, samples))
    return Made(
        form=Form.FRAME,
        place=("frame", picture.position),
        columns={
            "media_type": one.media_type,
            "width": one.width,
            "height": one.height,
            "channels": one.channels,
            "bit_depth": one.bit_depth,
            "exif_orientation": _orientation(facts),
            "phash": one.phash,
            "changes": list(one.changes),
            "position": picture.position,
            "time_s": _seconds(facts.time_of(picture.position)),
        },
        data=one.data,
        derived_from=(None,),
    )


def _frame_changes(facts: Facts, samples: Samples) -> tuple[str, ...]:
    return (f"frame:of={facts.codec}", *samples.changes)


def _clip(facts: Facts, clip: Clip) -> Made:
    after = clip.first + clip.count
    begin = facts.time_of(clip.first)
    end = facts.time_of(after) if after < len(facts.ticks) else facts.duration
    return Made(
        form=Form.CLIP,
        place=("clip", str(clip.start), str(clip.end)),
        columns={
            **_raster(facts),
            "media_type": clip.media_type,
            "changes": list(clip.changes),
            "depth": clip.count,
            "position": clip.first,
            "time_s": _seconds(begin),
            "duration_s": _seconds(None if end is None else end - begin),
        },
        data=clip.data,
        derived_from=(None,),
    )


def _raster(facts: Facts) -> dict[str, Any]:
    return {
        "width": facts.width,
        "height": facts.height,
        "channels": facts.channels,
        "bit_depth": facts.bit_depth,
        "exif_orientation": _orientation(facts),
        "frame_rate": None if facts.frame_rate is None else float(facts.frame_rate),
    }


def _orientation(facts: Facts) -> int | None:
    """How a player turns the stored raster, in EXIF's words; the raster itself is never turned."""
    return {90: 8, -270: 8, 180: 3, -180: 3, -90: 6, 270: 6}.get(facts.rotation)


def _seconds(time: Fraction | None) -> float | None:
    return None if time is None else float(time)
