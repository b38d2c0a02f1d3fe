"""AFNI's HEAD with BRIK and Philips' PAR with REC: a text header, the voxels in the file beside it.

nibabel reads the text; what it does not state is not made up here. Names, dates and comments in it are never looked at.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Affine, lps_from_ras
from curate.images.volume_data import VolumeLimits
from curate.images.volume_raw import Block, Compression, Parsed, VolumeFile, block_refusal, whole_array
from curate.schema import Reason, Refusal

__all__ = ["parse_afni", "parse_par"]

Array = npt.NDArray[Any]
Beat = Callable[[], None]

_BRICK_TYPES: Final = {0: "u1", 1: "i2", 3: "f4"}
_BYTE_ORDERS: Final[dict[str, Literal["<", ">"]]] = {"LSB_FIRST": "<", "MSB_FIRST": ">"}
_SECONDS: Final = {77001: 1e-3, 77002: 1.0}
"""Units of TAXIS_NUMS that are times: milliseconds and seconds; 77003 is hertz."""

_ORIENTATIONS: Final = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
"""ORIENT_SPECIFIC: the axis of LPS that an axis runs along; the sign of DELTA says which way."""

MIXED_TYPES: Final = "voxels of several types in one file"


def parse_afni(
    text: str, files: tuple[VolumeFile, ...], compression: Compression, limits: VolumeLimits
) -> Parsed | Refusal:
    """A HEAD file (README.attributes of AFNI). Its coordinates are LPS, in millimetres; sub-bricks lie along `t`."""
    import io

    from nibabel.brikhead import parse_AFNI_header

    try:
        info = parse_AFNI_header(io.StringIO(text))  # type: ignore[no-untyped-call]
        shape = [int(length) for length in np.atleast_1d(info["DATASET_DIMENSIONS"])[:3]]
        bricks = int(np.atleast_1d(info["DATASET_RANK"])[1])
        types = {int(code) for code in np.atleast_1d(info["BRICK_TYPES"])}
        factors = np.atleast_1d(np.asarray(info.get("BRICK_FLOAT_FACS", [0.0]), np.float64))
        order = _BYTE_ORDERS.get(str(info.get("BYTEORDER_STRING", "")))
        affine = _afni_affine(info)
    except Exception as problem:
        return _not_parsed(problem)
    if len(types) != 1:
        return Refusal(Reason.UNSUPPORTED_FORMAT, MIXED_TYPES)
    kind = _BRICK_TYPES.get(types.pop())
    if kind is None:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "voxels of another type than bytes, shorts and floats")
    if order is None and kind != "u1":
        return Refusal(Reason.CORRUPT_IMAGE, "no byte order is stated for voxels of several bytes")
    if len(shape) != 3 or bricks < 1 or len(factors) not in (1, bricks) or not np.all(np.isfinite(factors)):
        return Refusal(Reason.CORRUPT_IMAGE, f"dimensions {shape}, {bricks} sub-bricks and {len(factors)} factors")
    if len(files) < 2:
        return Refusal(Reason.MISSING_FILE, "the voxels are in a BRIK file, and there is none beside this header")
    timed = bricks > 1
    full = (bricks, *reversed(shape)) if timed else tuple(reversed(shape))
    block = Block(files[1], compression, 0, full, "tzyx" if timed else "zyx", np.dtype(kind).newbyteorder(order or "<"))
    slopes = np.broadcast_to(np.where(factors == 0, 1.0, factors), (bricks,))
    stated = bool(np.any(factors))
    scaled = _scaled(block, slopes, np.zeros(bricks), stated, limits, "volume")
    if isinstance(scaled, Refusal):
        return scaled
    return _with_affine(scaled, affine, _afni_step_s(info) if timed else None)


def _afni_affine(info: dict[str, Any]) -> Affine | None:
    affine = np.eye(4)
    if "IJK_TO_DICOM_REAL" in info:
        affine[:3] = np.asarray(info["IJK_TO_DICOM_REAL"], np.float64).reshape(3, 4)
        return affine
    if not {"ORIENT_SPECIFIC", "DELTA", "ORIGIN"} <= info.keys():
        return None
    affine[:3, :3] = 0
    for axis in range(3):
        patient = _ORIENTATIONS[int(info["ORIENT_SPECIFIC"][axis])]
        affine[patient, axis] = float(info["DELTA"][axis])
        affine[patient, 3] = float(info["ORIGIN"][axis])
    return affine


def _afni_step_s(info: dict[str, Any]) -> float | None:
    try:
        step, unit = float(info["TAXIS_FLOATS"][1]), int(info["TAXIS_NUMS"][2])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return step * _SECONDS[unit] if unit in _SECONDS and math.isfinite(step) and step > 0 else None


def parse_par(
    text: str, files: tuple[VolumeFile, ...], compression: Compression, limits: VolumeLimits
) -> Parsed | Refusal:
    """A PAR file; the values of its REC are those of the console (PV x RS + RI), and volumes lie along `t`."""
    import io

    from nibabel.parrec import PARRECHeader

    try:
        header = PARRECHeader.from_fileobj(io.StringIO(text))  # type: ignore[no-untyped-call]
        shape = tuple(int(length) for length in header.get_data_shape())
        recorded = tuple(int(length) for length in header.get_rec_shape())
        order = np.asarray(header.get_sorted_slice_indices())
        slopes, intercepts = (
            np.asarray(numbers, np.float64).reshape(-1, order="F") for numbers in header.get_data_scaling()
        )
        affine = lps_from_ras(header.get_affine(origin="scanner"))
        dtype = header.get_data_dtype()
        fields = header.image_defs.dtype.names or ()
        kinds = len(set(header.image_defs["image_type_mr"].tolist())) if "image_type_mr" in fields else 1
    except Exception as problem:
        return _not_parsed(problem)
    if kinds > 1:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"{kinds} types of image (magnitude, phase, ...) in one file")
    if not (np.all(np.isfinite(slopes)) and np.all(np.isfinite(intercepts))):
        return Refusal(Reason.CORRUPT_IMAGE, "values are scaled by numbers that are not finite")
    if len(files) < 2:
        return Refusal(Reason.MISSING_FILE, "the voxels are in a REC file, and there is none beside this header")
    stored = Block(files[1], compression, 0, tuple(reversed(recorded)), "zyx", dtype)
    timed = len(shape) > 3
    if len(order) != math.prod(shape[2:]):
        return Refusal(Reason.CORRUPT_IMAGE, f"{len(order)} whole slices for an array of {list(shape)}")
    in_order = bool(np.array_equal(order, np.arange(recorded[2])))
    block = Block(files[1], compression, 0, tuple(reversed(shape)), "tzyx" if timed else "zyx", dtype)
    scaled = _scaled(block, slopes, intercepts, True, limits, "slice", None if in_order else (stored, order))
    return scaled if isinstance(scaled, Refusal) else _with_affine(scaled, affine, None)


def _scaled(  # noqa: PLR0917
    block: Block,
    slopes: Array,
    intercepts: Array,
    stated: bool,
    limits: VolumeLimits,
    per: str,
    shuffled: tuple[Block, Array] | None = None,
) -> Parsed | Refusal:
    """A block with one scale, or, where scales differ, the array that they make: floats of 32 bits.

    `slopes` and `intercepts` are for equal runs of the array in order. `shuffled` is the block as the file has it, and
    the number there of each plane of `block`, where that is another order.
    """
    stored = block if shuffled is None else shuffled[0]
    refusal = block_refusal(stored, limits)
    if refusal is not None:
        return refusal
    one_scale = bool(np.all(slopes == slopes[0]) and np.all(intercepts == intercepts[0]))
    dtype = block.dtype if one_scale else np.dtype("<f4")
    slope, intercept = (float(slopes[0]), float(intercepts[0])) if one_scale and stated else (None, None)
    words = () if one_scale else (f"rescaled:per={per}",)
    if one_scale and shuffled is None:
        return Parsed(block=block, affine_lps=None, slope=slope, intercept=intercept)
    size = stored.size + math.prod(block.shape) * dtype.itemsize
    if size > limits.max_decoded_bytes:
        return Refusal(
            Reason.TOO_LARGE, f"{size} bytes must be sorted in memory, the limit is {limits.max_decoded_bytes}"
        )

    def load(beat: Beat) -> Array | Refusal:
        array = whole_array(stored, beat)
        if isinstance(array, Refusal):
            return array
        runs = (array if shuffled is None else array[shuffled[1]]).reshape(len(slopes), -1)
        if one_scale:
            return runs.reshape(block.shape)
        found = np.empty(runs.shape, np.float32)
        for number, run in enumerate(runs):
            beat()
            found[number] = run * slopes[number] + intercepts[number]
        return found.reshape(block.shape)

    described = Block(block.file, block.compression, 0, block.shape, block.axes, dtype)
    return Parsed(block=described, affine_lps=None, loaded=load, slope=slope, intercept=intercept, changes=words)


def _with_affine(parsed: Parsed, affine: Affine | None, step_s: float | None) -> Parsed:
    changes = parsed.changes if affine is not None else ("geometry:not_stated", *parsed.changes)
    return replace(parsed, affine_lps=affine, timepoint_s=step_s, changes=changes)


def _not_parsed(problem: Exception) -> Refusal:
    """A header that a library refuses; its words may quote the header, so that only its type goes on."""
    if isinstance(problem, MemoryError | OSError):
        raise problem
    return Refusal(Reason.CORRUPT_IMAGE, f"the header does not parse ({type(problem).__name__})")
