"""The frames of a DICOM segmentation: which pixels of which plane in the patient belong to a segment.

Nothing is put together here: each frame keeps its own plane (PS3.3 C.7.6.16.2.3 and .4), so that gaps, crops and
overlaps stay what they are. Frames are decoded one by one, when they are asked for.
"""

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Grid, flat
from curate.images.base import DEFAULT_LIMITS, Array, Limits, quiet, size_refusal
from curate.images.dicom import read_dataset
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["SegmentPlane", "Segmentation", "plane_grid", "read_segmentation"]

MAX_FRAMES: Final = 100_000
"""A body of 2000 slices in fifty segments; more is a header that lies."""

UNIT_TOLERANCE: Final = 1e-3
"""How far a direction cosine's length may be from 1, and two of them from a right angle: rounding to three decimals."""

DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
"""Deflated Image Frame Compression (PS3.5 A.4.13): each frame by itself, which pydicom does not decode yet."""


@dataclass(frozen=True, slots=True)
class SegmentPlane:
    """The pixels of one segment in one plane: `grid` has one slice, `mask` is [row, column]."""

    grid: Grid
    mask: npt.NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A segmentation whose header was understood. `frames` are the indices of each segment's frames.

    In a label map every frame may hold every segment: then `frames` has one list, under null, and `padding` is the
    value of pixels that no segment has.
    """

    dataset: "Dataset" = field(repr=False)
    frames: dict[int | None, tuple[int, ...]]
    threshold: float  # stored values from which on a pixel belongs to the segment; of a label map it means nothing
    padding: int
    frame_of_reference: str | None  # the raw UID: only its token may be stored

    @property
    def is_label_map(self) -> bool:
        """True where the stored values are the numbers of segments."""
        return None in self.frames

    def planes(self, segment: int, beat: Callable[[], None]) -> Iterator[SegmentPlane | Refusal]:
        """The planes on which a segment has pixels, in the file's order; a refusal ends it."""
        for found in self._frames(self.frames.get(segment, ()), beat):
            if isinstance(found, Refusal):
                yield found
                return
            grid, values = found
            mask = values >= self.threshold
            if mask.any():
                yield SegmentPlane(grid, mask)

    def labelled_planes(self, beat: Callable[[], None]) -> Iterator[tuple[int, SegmentPlane] | Refusal]:
        """The number of a segment and a plane on which it has pixels, of all segments of a label map, frame by frame.

        A refusal ends it.
        """
        for found in self._frames(self.frames.get(None, ()), beat):
            if isinstance(found, Refusal):
                yield found
                return
            grid, values = found
            for number in np.unique(values).tolist():
                if number != self.padding:
                    yield number, SegmentPlane(grid, values == number)

    def _frames(self, indices: tuple[int, ...], beat: Callable[[], None]) -> Iterator[tuple[Grid, Array] | Refusal]:
        """Where each frame lies and its stored values, or the refusal of the first that has neither."""
        for index in indices:
            beat()
            values = _decoded(self.dataset, index)
            if isinstance(values, Refusal):
                yield values
                return
            grid = _grid_of(self.dataset, index, values.shape)
            if isinstance(grid, Refusal):
                yield grid
                return
            yield grid, values


def read_segmentation(data: bytes, fraction: float, limits: Limits = DEFAULT_LIMITS) -> Segmentation | Refusal:
    """The segmentation in a DICOM file; of a fractional one, pixels of at least `fraction` of the largest value."""
    if len(data) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")
    with quiet():
        read = read_dataset(data, limits, pixels=True)
        if isinstance(read, Refusal):
            return read
        try:
            return _understood(read[0], fraction, limits)
        except Exception as problem:  # (conversion of a damaged value raises whatever it meets)
            return Refusal(Reason.INVALID_HEADER, f"the segmentation is not understood ({type(problem).__name__})")


def plane_grid(position: Any, orientation: Any, spacing: Any, shape: tuple[int, ...]) -> Grid | Refusal:
    """The grid of one plane, by image position and orientation (patient) and pixel spacing (row, column).

    The third column of its affine is the normal, one millimetre long: a plane states no step to another one.
    """
    try:
        origin, cosines = np.array(position, dtype=np.float64), np.array(orientation, dtype=np.float64)
        steps = np.array(spacing, dtype=np.float64)
    except (TypeError, ValueError):
        return Refusal(Reason.NO_GEOMETRY, "a frame states no position, orientation or spacing")
    if origin.shape != (3,) or cosines.shape != (6,) or steps.shape != (2,):
        return Refusal(Reason.NO_GEOMETRY, "a frame states no position, orientation or spacing")
    row, column = cosines[:3], cosines[3:]
    finite = np.isfinite(origin).all() and np.isfinite(cosines).all() and np.isfinite(steps).all()
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not finite or (steps <= 0).any() or any(abs(length - 1) > UNIT_TOLERANCE for length in lengths):
        return Refusal(Reason.INVALID_AFFINE, "the direction cosines or the spacing of a frame are no such numbers")
    if abs(float(row @ column)) > UNIT_TOLERANCE:
        return Refusal(Reason.INVALID_AFFINE, "the rows and columns of a frame are not at right angles")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * steps[1], column * steps[0], np.cross(row, column)
    affine[:3, 3] = origin
    return Grid((1, shape[0], shape[1]), flat(affine))


def _understood(dataset: "Dataset", fraction: float, limits: Limits) -> Segmentation | Refusal:
    kind = str(dataset.get("SegmentationType", ""))
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        return Refusal(Reason.INVALID_HEADER, "the file states no type of segmentation")
    if "PixelData" not in dataset:
        return Refusal(Reason.NO_PIXELS, "the segmentation has no pixel data")
    refusal = size_refusal(int(dataset.Columns), int(dataset.Rows), limits)
    if refusal is not None:
        return refusal
    bits = int(dataset.BitsAllocated)
    if int(dataset.get("SamplesPerPixel", 1)) != 1 or bits not in ((1, 8) if kind == "BINARY" else (8, 16)):
        return Refusal(Reason.INVALID_HEADER, f"a {kind.lower()} segmentation does not have pixels of {bits} bits")
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    stated = int(dataset.get("NumberOfFrames") or 1)
    if len(groups) != stated or stated > MAX_FRAMES:
        return Refusal(Reason.INVALID_HEADER, f"{stated} frames are stated, {len(groups)} are described")
    frames: dict[int | None, list[int]] = {None: list(range(stated))} if kind == "LABELMAP" else {}
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    for index in range(stated) if kind != "LABELMAP" else ():
        identified = _first(groups[index], "SegmentIdentificationSequence") or _first(
            shared, "SegmentIdentificationSequence"
        )
        if identified is None:
            return Refusal(Reason.INVALID_HEADER, "a frame does not say which segment it belongs to")
        frames.setdefault(int(identified.ReferencedSegmentNumber), []).append(index)
    threshold = 1.0
    if kind == "FRACTIONAL":
        threshold = fraction * float(dataset.MaximumFractionalValue)
        if not (math.isfinite(threshold) and threshold > 0):
            return Refusal(Reason.INVALID_HEADER, "the largest value of a fractional segmentation is not positive")
    space = dataset.get("FrameOfReferenceUID")
    lists = {number: tuple(indices) for number, indices in frames.items()}
    padding = int(dataset.get("PixelPaddingValue") or 0)
    return Segmentation(dataset, lists, threshold, padding, str(space) if space else None)


def _first(dataset: "Dataset | None", keyword: str) -> "Dataset | None":
    """The first item of a sequence; null where there is none."""
    sequence = None if dataset is None else dataset.get(keyword)
    return sequence[0] if sequence else None


def _grid_of(dataset: "Dataset", index: int, shape: tuple[int, ...]) -> Grid | Refusal:
    groups = (dataset.PerFrameFunctionalGroupsSequence[index], _first(dataset, "SharedFunctionalGroupsSequence"))

    def stated(sequence: str, keyword: str) -> Any:
        for group in groups:
            item = _first(group, sequence)
            if item is not None and item.get(keyword) is not None:
                return item.get(keyword)
        return None

    try:
        return plane_grid(
            stated("PlanePositionSequence", "ImagePositionPatient"),
            stated("PlaneOrientationSequence", "ImageOrientationPatient"),
            stated("PixelMeasuresSequence", "PixelSpacing"),
            shape,
        )
    except Exception as problem:  # (conversion of a damaged value raises whatever it meets)
        return Refusal(Reason.INVALID_HEADER, f"the plane of a frame is not understood ({type(problem).__name__})")


def _decoded(dataset: "Dataset", index: int) -> Array | Refusal:
    """The stored values of one frame [row, column]."""
    from pydicom.pixels.decoders.base import get_decoder

    with quiet():
        try:
            syntax = dataset.file_meta.TransferSyntaxUID
            if str(syntax) == DEFLATED_FRAMES:
                values = _inflated(dataset, index)
            else:
                values = get_decoder(syntax).as_array(dataset, index=index)[0]
        except MemoryError:
            raise
        except NotImplementedError:
            return Refusal(Reason.UNSUPPORTED_FORMAT, "no decoder for the transfer syntax of the segmentation")
        except Exception as problem:  # (decoders raise whatever they meet)
            return Refusal(
                Reason.CORRUPT_IMAGE, f"a frame of the segmentation does not decode ({type(problem).__name__})"
            )
    if isinstance(values, Refusal):
        return values
    if values.shape != (int(dataset.Rows), int(dataset.Columns)):
        return Refusal(Reason.CORRUPT_IMAGE, "a frame of the segmentation has another size than its header states")
    return values


def _inflated(dataset: "Dataset", index: int) -> Array | Refusal:
    from pydicom.encaps import get_frame

    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    size = (rows * columns * bits + 7) // 8
    packed = get_frame(dataset.PixelData, index, number_of_frames=int(dataset.NumberOfFrames))
    stream = zlib.decompressobj(-15)
    plain = stream.decompress(packed, size + 2)
    if not size <= len(plain) <= size + 1:  # frames are padded to even length
        return Refusal(Reason.CORRUPT_IMAGE, "a deflated frame has another length than its header states")
    if bits == 1:
        return np.unpackbits(np.frombuffer(plain, np.uint8), count=rows * columns, bitorder="little").reshape(
            rows, columns
        )
    return np.frombuffer(plain[:size], "<u2" if bits == 16 else np.uint8).reshape(rows, columns)
