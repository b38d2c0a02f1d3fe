"""Volumes in research formats: NIfTI, Analyze, NRRD, MetaImage, MINC, MGH, AFNI, PAR/REC.

A header is parsed without the voxels; then sizes are checked, the affine brought to LPS and millimetres, and the array
permuted and flipped, never resampled, so that it lies nearest to LPS. Values stay as they are stored, in the byte order
of this machine's kind (little-endian); a slope and an intercept of the whole volume stand beside them. Where they
differ within a volume they are applied, and `changes` says so.

Words in `changes`: `geometry:not_stated`, `geometry:...` (what a header lacks, or which of its two statements was
taken), `units:assumed=mm`, `reoriented:from=RAS` (an array that was permuted or flipped), `rescaled:per=...` (several
scales that were applied), `axis_dropped:...`.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from curate.geometry_3d import Affine, Grid, Reorientation, flat, nearest_lps, orientation_of, reorient, turned
from curate.images.base import quiet
from curate.images.volume_data import Array, VolumeData, VolumeLimits
from curate.images.volume_minc import parse_minc
from curate.images.volume_nifti import parse_analyze, parse_mgh, parse_nifti
from curate.images.volume_raw import (
    Block,
    Compression,
    Parsed,
    VolumeFile,
    block_refusal,
    is_gzip,
    mapped_array,
    opening,
    whole_array,
)
from curate.images.volume_scans import parse_afni, parse_par
from curate.images.volume_text import parse_metaimage, parse_nrrd
from curate.schema import Reason, Refusal

__all__ = ["VolumeFile", "affine_refusal", "read_volume"]

HEAD_BYTES: Final = 2**16

MAX_TEXT_BYTES: Final = 4 * 2**20
"""Of a header that is text: a PAR file has a line per slice, of a few hundred bytes."""

_NIFTI_LENGTHS: Final = (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""348 and 540, as NIfTI headers begin."""

MAX_MM: Final = 1e6
"""Of any number in an affine: a kilometre from the origin is no place in a patient."""

MIN_DETERMINANT: Final = 1e-4
"""Of the three directions, each of length 1: below it they lie in one plane, to the precision of a header's floats."""

Beat = Callable[[], None]


def read_volume(
    files: Sequence[VolumeFile],
    *,
    beat: Beat,
    limits: VolumeLimits | None = None,
    rescale_unit: str | None = None,
) -> VolumeData | Refusal:
    """One volume, from a file or from a header and its data file, in that order.

    `rescale_unit` is the unit of the values after rescaling where somebody vouches for one. No file is read as a whole
    before `slabs` is asked for; errors of the operating system are raised.
    """
    limits = limits or VolumeLimits()
    with quiet():
        parsed = _parse(tuple(files), limits)
    if isinstance(parsed, Refusal):
        return parsed
    refusal = block_refusal(parsed.block, limits) if parsed.loaded is None else None
    if refusal is not None:
        return refusal
    if parsed.affine_lps is not None:
        refusal = affine_refusal(parsed.affine_lps)
        if refusal is not None:
            return refusal
    parsed = _in_order(parsed, limits)
    return parsed if isinstance(parsed, Refusal) else _delivered(parsed, beat, limits, rescale_unit)


def affine_refusal(affine_lps: Affine) -> Refusal | None:
    """Why an affine places nothing: not finite, singular, or beyond any patient."""
    if not np.all(np.isfinite(affine_lps)):
        return Refusal(Reason.INVALID_AFFINE, "the affine holds numbers that are not finite")
    lengths = np.linalg.norm(np.clip(affine_lps[:3, :3], -MAX_MM, MAX_MM), axis=0)
    if np.any(lengths <= 1 / MAX_MM) or np.any(np.abs(affine_lps) > MAX_MM):
        return Refusal(Reason.INVALID_AFFINE, f"a step of 0, or a number above {MAX_MM:g} mm, stands in the affine")
    if abs(float(np.linalg.det(affine_lps[:3, :3] / lengths))) < MIN_DETERMINANT:
        return Refusal(Reason.INVALID_AFFINE, "the affine is singular: two axes run the same way")
    return None


def _parse(files: tuple[VolumeFile, ...], limits: VolumeLimits) -> Parsed | Refusal:
    """By the first bytes; by the suffix where a format has no magic ones."""
    if any(file.size == 0 for file in files):
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    head = files[0].head(HEAD_BYTES)
    compression: Compression = "gzip" if is_gzip(head) else "none"
    if compression == "gzip":
        inflated = _inflated_head(head)
        if isinstance(inflated, Refusal):
            return inflated
        head = inflated
    beside: Compression = "gzip" if len(files) > 1 and is_gzip(files[1].head(3)) else "none"
    name = files[0].name.lower().removesuffix(".gz")
    if head[:4] in _NIFTI_LENGTHS:
        pair = head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0"
        if pair or head[344:347] == b"n+1" or head[4:7] == b"n+2":
            return parse_nifti(head, files, beside if pair else compression)
        if name.endswith(".hdr"):
            return parse_analyze(head, files, beside)
    if name.endswith((".mgh", ".mgz")):
        return parse_mgh(head, files[0], compression)
    if compression == "none":
        found = _parse_plain(head, name, files, beside, limits)
        if found is not None:
            return found
    return Refusal(Reason.UNSUPPORTED_FORMAT, "the first bytes are of no volume format that is known")


def _parse_plain(
    head: bytes, name: str, files: tuple[VolumeFile, ...], beside: Compression, limits: VolumeLimits
) -> Parsed | Refusal | None:
    """Formats whose header is never compressed itself."""
    if head.startswith(b"NRRD000"):
        return parse_nrrd(_longer(files[0], head), files)
    if head.startswith(b"CDF\x01") or head.startswith(b"CDF\x02"):
        return parse_minc(files[0], False, limits)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return parse_minc(files[0], True, limits)
    if name.endswith((".mha", ".mhd")):
        return parse_metaimage(_longer(files[0], head), files)
    if name.endswith((".head", ".par")):
        if files[0].size > MAX_TEXT_BYTES:
            return Refusal(Reason.TOO_LARGE, f"a text header of {files[0].size} bytes, the limit is {MAX_TEXT_BYTES}")
        text = files[0].read().decode("latin-1").replace("\r\n", "\n")
        parse = parse_afni if name.endswith(".head") else parse_par
        return parse(text, files, beside, limits)
    return None


def _longer(file: VolumeFile, head: bytes) -> bytes:
    """More of a file whose text header may not end in its first bytes."""
    return head if len(head) < HEAD_BYTES else file.head(MAX_TEXT_BYTES)


def _inflated_head(head: bytes) -> bytes | Refusal:
    """What the first bytes of a gzip file inflate to, at most `HEAD_BYTES`."""
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error as problem:
        return Refusal(Reason.CORRUPT_IMAGE, f"the compressed data are damaged ({type(problem).__name__})")


def _in_order(parsed: Parsed, limits: VolumeLimits) -> Parsed | Refusal:
    """Frames first and colours last; an array that has them elsewhere is sorted in memory."""
    block = parsed.block
    axes = "t" * ("t" in block.axes) + "zyx" + "c" * ("c" in block.axes)
    if axes == block.axes:
        return parsed
    if block.size > limits.max_decoded_bytes:
        return Refusal(
            Reason.TOO_LARGE, f"{block.size} bytes must be sorted in memory, the limit is {limits.max_decoded_bytes}"
        )
    order = [block.axes.index(axis) for axis in axes]

    def load(beat: Beat) -> Array | Refusal:
        array = whole_array(block, beat)
        return array if isinstance(array, Refusal) else array.transpose(order)

    described = replace(block, shape=tuple(block.shape[axis] for axis in order), axes=axes)
    return replace(parsed, block=described, loaded=load)


def _delivered(parsed: Parsed, beat: Beat, limits: VolumeLimits, rescale_unit: str | None) -> VolumeData | Refusal:
    block = parsed.block
    at = block.axes.index("z")
    shape = block.shape[at : at + 3]
    grid, how, changes = None, Reorientation((0, 1, 2), (False, False, False)), list(parsed.changes)
    orientation = None
    if parsed.affine_lps is not None:
        grid = Grid((shape[0], shape[1], shape[2]), flat(parsed.affine_lps))
        how = nearest_lps(parsed.affine_lps)
        orientation = orientation_of(parsed.affine_lps)
        grid = reorient(grid, how)
        if not how.changes_nothing:
            changes.append(f"reoriented:from={orientation}")
    out_shape = (*block.shape[:at], *(shape[axis] for axis in how.order), *block.shape[at + 3 :])
    dtype = block.dtype.newbyteorder("<")
    slope, intercept = parsed.slope, parsed.intercept
    if rescale_unit is not None and slope is None:
        slope, intercept = 1.0, 0.0
    pieces = _pieces(parsed, how, limits)
    if isinstance(pieces, Refusal):
        return pieces

    def slabs() -> Iterator[Array | Refusal]:
        for piece in pieces(beat):
            yield piece if isinstance(piece, Refusal) else piece.astype(dtype, copy=False)

    colours = block.shape[-1] if block.axes.endswith("c") else 0
    return VolumeData(
        axes=block.axes,
        shape=out_shape,
        dtype=dtype,
        grid=grid,
        slabs=slabs,
        orientation=orientation,
        photometric={0: "MONOCHROME2", 3: "RGB", 4: "RGBA"}[colours],
        rescale_slope=slope,
        rescale_intercept=intercept,
        rescale_unit=rescale_unit if not colours else None,
        timepoint_s=parsed.timepoint_s,
        changes=tuple(changes),
    )


_Pieces = Callable[[Beat], Iterator[Array | Refusal]]


def _pieces(parsed: Parsed, how: Reorientation, limits: VolumeLimits) -> _Pieces | Refusal:
    """How the array is had piece by piece: from a map of the file, from a stream, or from memory."""
    block = parsed.block
    if parsed.loaded is not None:
        load = parsed.loaded
        return lambda beat: _from_memory(load(beat), block, how, beat)
    plain = block.compression == "none"
    if block.axes[0] == "t" or (how.order[0] == 0 and (plain or not how.flips[0])):
        return lambda beat: _from_stream(block, how, beat)
    if plain:
        return lambda beat: _from_map(block, how, beat)
    if block.size > limits.max_decoded_bytes:
        return Refusal(
            Reason.TOO_LARGE,
            f"{block.size} bytes must be turned in memory, the limit is {limits.max_decoded_bytes}; "
            "store the volume uncompressed, or with its slices in the order of the body",
        )
    return lambda beat: _from_memory(whole_array(block, beat), block, how, beat)


def _from_memory(array: Array | Refusal, block: Block, how: Reorientation, beat: Beat) -> Iterator[Array | Refusal]:
    if isinstance(array, Refusal):
        yield array
        return
    view = turned(array, how, block.axes.index("z"))
    for number in range(len(view)):
        beat()
        yield view[number : number + 1]


def _from_map(block: Block, how: Reorientation, beat: Beat) -> Iterator[Array | Refusal]:
    with mapped_array(block) as array:
        for piece in _from_memory(array, block, how, beat):
            yield piece if isinstance(piece, Refusal) else np.array(piece)


def _from_stream(block: Block, how: Reorientation, beat: Beat) -> Iterator[Array | Refusal]:
    """One index of the slowest axis at a time: the others are turned within it."""
    backwards = block.axes[0] == "z" and how.flips[0]
    with opening(block) as reader:
        for number in range(block.shape[0]):
            if backwards:
                reader.go_to(block.shape[0] - 1 - number)
            piece = reader.array((1, *block.shape[1:]), beat)
            if isinstance(piece, Refusal):
                yield piece
                return
            yield turned(piece, how, block.axes.index("z"))
        problem = reader.end()
        if problem is not None:
            yield problem
