"""DICOM series, and multi-frame objects, as volumes: proved from headers first, then decoded slice by slice.

The first pass reads headers alone: a series that is no volume is refused before a pixel is touched. The second reads
each file once, in slice order, and holds a few slices at a time; only planes that must change places with rows or
columns (sagittal and coronal series) need the whole array. A slice that does not decode ends the volume.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

import numpy as np

from curate.geometry_3d import Grid, Reorientation, nearest_lps, orientation_of, reorient, turned
from curate.images.base import DEFAULT_LIMITS, RATIO_FREE_BYTES, size_refusal
from curate.images.series_frames import OBJECT, Slice
from curate.images.series_geometry import Stack, same_places, stacked, tilt_word
from curate.images.series_headers import FileHeader, Raster, SeriesFile, read_head, what_differs
from curate.images.series_pixels import FrameReader, frames_of
from curate.images.volume_data import Array, VolumeData, VolumeLimits
from curate.schema import Reason, Refusal

__all__ = ["SeriesFile", "read_series"]

THREADS: Final = 2
AHEAD: Final = 4
"""Slices that are being decoded or wait for their turn."""

DEFAULT_VOLUME_LIMITS: Final = VolumeLimits()

Rescale = tuple[float | None, float | None, str | None]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where one slice comes from."""

    file: int
    index: int
    slice: Slice


@dataclass(frozen=True, slots=True)
class _Plan:
    """A proved volume. `frames` are in the order of the stored array: time, then slices along `stack`."""

    files: tuple[SeriesFile, ...]
    headers: tuple[FileHeader, ...]
    frames: tuple[_Frame, ...]
    times: int
    grid: Grid
    how: Reorientation
    dtype: np.dtype[np.generic]
    per_slice: bool
    words: set[str] = field(default_factory=set)  # what decoding shows, for `changes`


def read_series(
    files: Sequence[SeriesFile],
    *,
    beat: Callable[[], None],
    limits: VolumeLimits = DEFAULT_VOLUME_LIMITS,
) -> VolumeData | Refusal:
    """The volume that the files of one series make, in any order of theirs; or the frames of one file.

    `beat` is called before each header and each slice. The volume is integers as they are stored, with one rescale; or,
    where the rescale differs between slices (PET), floats in modality units. Padding values stay as they are.

    Raises:
        OSError: the bytes of a file cannot be had, here or while slabs are taken.
    """
    headers = _headers(files, beat)
    if isinstance(headers, Refusal):
        return headers
    frames = [
        _Frame(file, index, part) for file, header in enumerate(headers) for index, part in enumerate(header.slices)
    ]
    refused = _unlike(headers) or _scouts(frames) or _without_place(frames) or _several_stacks(frames)
    if refused:
        return refused
    raster = headers[0].raster
    arranged = _arranged(files, frames, raster)
    if isinstance(arranged, Refusal):
        return arranged
    ordered, times, stack = arranged
    rescale = _rescale(ordered)
    if isinstance(rescale, Refusal):
        return rescale
    per_slice = rescale is None
    dtype = raster.dtype if not per_slice else np.dtype(np.float64 if raster.allocated > 16 else np.float32)
    how = nearest_lps(stack.grid.matrix)
    plan = _Plan(tuple(files), headers, ordered, times, reorient(stack.grid, how), how, dtype, per_slice)
    refused = _too_large(plan, limits)
    return refused or _volume(plan, stack, rescale or (1.0, 0.0, ordered[0].slice.rescale[2]), beat)


def _volume(plan: _Plan, stack: Stack, rescale: Rescale, beat: Callable[[], None]) -> VolumeData:
    raster = plan.headers[0].raster
    colour = raster.samples > 1
    windows = {frame.slice.window for frame in plan.frames}
    orientation = orientation_of(stack.grid.matrix)
    changes = [*tilt_word(stack)]
    if not plan.how.changes_nothing:
        changes.append(f"reoriented:from={orientation}")
    if plan.per_slice:
        changes.append("rescaled:per_slice")
    if colour and raster.photometric != "RGB":
        changes.append(f"rgb:from={raster.photometric.lower()}")
    overlays = max(header.overlays for header in plan.headers)
    if overlays:
        changes.append(f"overlays_ignored:{overlays}")
    return VolumeData(
        axes=("t" if plan.times > 1 else "") + "zyx" + ("c" if colour else ""),
        shape=_shape(plan),
        dtype=plan.dtype,
        grid=plan.grid,
        slabs=partial(_slabs, plan, beat),
        orientation=orientation,
        photometric="RGB" if colour else raster.photometric,
        rescale_slope=rescale[0],
        rescale_intercept=rescale[1],
        rescale_unit=rescale[2],
        frame_of_reference=plan.headers[0].frame_of_reference,
        window=windows.pop() if len(windows) == 1 else None,
        changes=tuple(changes),
        found_while_read=lambda: tuple(sorted(plan.words.difference(changes))),
    )


def _shape(plan: _Plan) -> tuple[int, ...]:
    samples = plan.headers[0].raster.samples
    return (*((plan.times,) if plan.times > 1 else ()), *plan.grid.shape, *((samples,) if samples > 1 else ()))


def _headers(files: Sequence[SeriesFile], beat: Callable[[], None]) -> tuple[FileHeader, ...] | Refusal:
    if not files:
        return Refusal(Reason.NOT_A_VOLUME, "a series without files")
    headers: list[FileHeader] = []
    for file in files:
        beat()
        header = read_head(file, headers[-1] if headers else None)
        if isinstance(header, Refusal):
            return header
        if len(files) > 1 and len(header.slices) > 1:
            return Refusal(Reason.INCONSISTENT_SERIES, "a file of several frames among the slices")
        headers.append(header)
    return tuple(headers)


def _unlike(headers: Sequence[FileHeader]) -> Refusal | None:
    """What the files of one series must have in common."""
    first = headers[0]
    for header in headers:
        one, other = first.raster, header.raster
        differs = {
            "raster": (other.rows, other.columns) != (one.rows, one.columns),
            "bits, sign or samples": (other.dtype, other.stored, other.samples) != (one.dtype, one.stored, one.samples),
            "photometric interpretation": other.photometric != one.photometric,
            "frame of reference": header.frame_of_reference != first.frame_of_reference,
            "SOP class or modality": header.kind != first.kind,
        }
        if any(differs.values()):
            named = ", ".join(name for name, answer in differs.items() if answer)
            return Refusal(Reason.INCONSISTENT_SERIES, f"slices of one series differ in {named}")
    return size_refusal(first.raster.columns, first.raster.rows, DEFAULT_LIMITS)


def _scouts(frames: Sequence[_Frame]) -> Refusal | None:
    found = sum(frame.slice.is_scout for frame in frames)
    return Refusal(Reason.LOCALIZER, f"{found} of {len(frames)} slices are localizers") if found else None


def _without_place(frames: Sequence[_Frame]) -> Refusal | None:
    found = sum(frame.slice.plane is None for frame in frames)
    words = f"{found} of {len(frames)} slices state no usable position, orientation or pixel spacing"
    return Refusal(Reason.NO_GEOMETRY, words) if found else None


def _several_stacks(frames: Sequence[_Frame]) -> Refusal | None:
    found = len({frame.slice.stack for frame in frames})
    return Refusal(Reason.NOT_A_VOLUME, f"{found} stacks in one object") if found > 1 else None


def _arranged(
    files: Sequence[SeriesFile], frames: Sequence[_Frame], raster: Raster
) -> tuple[tuple[_Frame, ...], int, Stack] | Refusal:
    """Frames by time and place, the number of times, and the stack that each time is."""
    times = sorted({frame.slice.time for frame in frames if frame.slice.time is not None})
    if len(times) > 1 and all(frame.slice.time is not None for frame in frames):
        return _by_time(files, frames, times, raster)
    stack = _stack(files, frames, raster)
    return stack if isinstance(stack, Refusal) else (tuple(frames[index] for index in stack.order), 1, stack)


def _by_time(
    files: Sequence[SeriesFile], frames: Sequence[_Frame], times: Sequence[int], raster: Raster
) -> tuple[tuple[_Frame, ...], int, Stack] | Refusal:
    """Several temporal positions (PS3.3 C.7.6.16.2.2), each of which must be the same stack."""
    ordered: list[_Frame] = []
    first: Stack | None = None
    for time in times:
        now = [frame for frame in frames if frame.slice.time == time]
        stack = _stack(files, now, raster)
        if isinstance(stack, Refusal):
            return Refusal(stack.reason, f"at one of {len(times)} temporal positions: {stack.detail}")
        first = first or stack
        if first.grid.shape != stack.grid.shape or not np.allclose(first.grid.matrix, stack.grid.matrix, atol=1e-3):
            return Refusal(Reason.INCONSISTENT_SERIES, "temporal positions whose slices lie at different places")
        ordered += [now[index] for index in stack.order]
    assert first is not None
    return tuple(ordered), len(times), first


def _stack(files: Sequence[SeriesFile], frames: Sequence[_Frame], raster: Raster) -> Stack | Refusal:
    """The frames as a stack; where several lie at one position, the refusal says what tells them apart."""
    planes = [frame.slice.plane for frame in frames if frame.slice.plane is not None]
    stack = stacked(planes, raster.rows, raster.columns)
    if not isinstance(stack, Refusal) or stack.reason not in {Reason.DUPLICATE_POSITION, Reason.NOT_A_VOLUME}:
        return stack
    groups = same_places(planes) if len(planes) > 1 else []
    if not groups:
        return stack
    differing = what_differs([(files[frames[index].file], frames[index].index) for index in groups[0]])
    if isinstance(differing, Refusal):
        return stack
    named = [keyword for keyword in differing if keyword != OBJECT]
    if len(files) > 1 and OBJECT not in differing:
        told = "the same object again"
    elif named:
        told = f"they differ in {', '.join(named)}"
    else:
        told = "nothing in their headers that is known here tells them apart"
    return Refusal(stack.reason, f"{stack.detail}: {told}")


def _rescale(frames: Sequence[_Frame]) -> Rescale | Refusal | None:
    """The one rescale of all slices; null where they differ, and values must be brought to modality units."""
    found = {frame.slice.rescale for frame in frames}
    if len(found) == 1:
        return found.pop()
    if any(slope is None or intercept is None for slope, intercept, _ in found):
        return Refusal(Reason.INCONSISTENT_SERIES, "some slices state a rescale, and others none")
    if len({unit for _, _, unit in found}) > 1:
        return Refusal(Reason.INCONSISTENT_SERIES, "slices in different units")
    return None


def _too_large(plan: _Plan, limits: VolumeLimits) -> Refusal | None:
    count = int(np.prod(_shape(plan), dtype=object)) * plan.dtype.itemsize
    held = _is_held(plan)
    most = limits.max_decoded_bytes if held else limits.max_streamed_bytes
    if count > most:
        why = ", held as a whole" if held else ""
        return Refusal(Reason.TOO_MANY_PIXELS, f"{count} bytes when decoded{why}, the limit is {most}")
    encoded = sum(file.size for file in plan.files)
    if count > RATIO_FREE_BYTES and count > limits.max_ratio * encoded:
        return Refusal(Reason.TOO_MANY_PIXELS, f"{encoded} bytes claim to decode to {count}")
    return None


def _is_held(plan: _Plan) -> bool:
    """Whether the whole array is needed at once: axes change places, or a slab is a whole volume in time."""
    return plan.how.order != (0, 1, 2) or plan.times > 1


def _slabs(plan: _Plan, beat: Callable[[], None]) -> Iterator[Array | Refusal]:
    if _is_held(plan):
        yield from _held_slabs(plan, beat)
        return
    frames = plan.frames[::-1] if plan.how.flips[0] else plan.frames
    in_plane = Reorientation((0, 1, 2), (False, *plan.how.flips[1:]))
    for samples in _decoded(plan, frames, beat):
        if isinstance(samples, Refusal):
            yield samples
            return
        yield np.ascontiguousarray(turned(samples[None], in_plane))


def _held_slabs(plan: _Plan, beat: Callable[[], None]) -> Iterator[Array | Refusal]:
    """Of each time the whole array, then its planes; or the array itself where time is the first axis."""
    decoded = _decoded(plan, plan.frames, beat)
    for _ in range(plan.times):
        whole: Array | None = None
        for index, samples in enumerate(islice(decoded, len(plan.frames) // plan.times)):
            if isinstance(samples, Refusal):
                yield samples
                return
            if whole is None:
                whole = np.empty((len(plan.frames) // plan.times, *samples.shape), samples.dtype)
            whole[index] = samples
        assert whole is not None
        volume = turned(whole, plan.how)
        if plan.times > 1:
            yield np.ascontiguousarray(volume[None])
            continue
        for index in range(volume.shape[0]):
            beat()
            yield np.ascontiguousarray(volume[index : index + 1])


def _decoded(plan: _Plan, frames: Sequence[_Frame], beat: Callable[[], None]) -> Iterator[Array | Refusal]:
    """The samples of each frame, in order. Files are read here, and compressed frames decoded by threads."""
    plain = not any(header.is_compressed for header in plan.headers)
    readers: dict[int, FrameReader] = {}
    pending: deque[Future[Array | Refusal]] = deque()
    with ThreadPoolExecutor(THREADS) as threads:
        try:
            for frame in frames:
                beat()
                reader = readers.get(frame.file) or _reader(plan, frame.file)
                if isinstance(reader, Refusal):
                    yield from (future.result() for future in pending)
                    yield reader
                    return
                if len(plan.files) == 1:
                    readers[frame.file] = reader
                work = partial(_samples, reader, frame, plan)
                if plain:
                    yield work()
                    continue
                pending.append(threads.submit(work))
                if len(pending) >= AHEAD:
                    yield pending.popleft().result()
            while pending:
                beat()
                yield pending.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def _reader(plan: _Plan, file: int) -> FrameReader | Refusal:
    return frames_of(plan.files[file].read(), plan.headers[file], plan.words)


def _samples(reader: FrameReader, frame: _Frame, plan: _Plan) -> Array | Refusal:
    samples = reader(frame.index)
    if isinstance(samples, Refusal) or not plan.per_slice:
        return samples
    slope, intercept, _ = frame.slice.rescale
    assert slope is not None
    assert intercept is not None
    scaled: Array = (samples.astype(np.float64) * slope + intercept).astype(plan.dtype)
    return scaled
