"""NIfTI-1 and NIfTI-2 (nifti1.h, nifti2.h), Analyze 7.5 beside them, and FreeSurfer's MGH.

Affines are RAS there. Text fields (descrip, aux_file, db_name, intent_name) and extensions are never looked at.
"""

import math
import struct
from typing import Any, Final

import numpy as np

from curate.geometry_3d import Affine, lps_from_ras
from curate.images.volume_raw import Block, Compression, Parsed, VolumeFile
from curate.schema import Reason, Refusal

__all__ = ["parse_analyze", "parse_mgh", "parse_nifti"]

MAX_DIMENSIONS: Final = 7
SINGLE_MAGICS: Final = (b"n+1\0", b"n+2\0\r\n\x1a\n")
PAIR_MAGICS: Final = (b"ni1\0", b"ni2\0\r\n\x1a\n")

_DTYPES: Final = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS: Final = {128: 3, 2304: 4}
"""Codes of RGB24 and RGBA32: so many bytes per voxel."""

_REFUSED_TYPES: Final = {
    1: "1-bit numbers",
    32: "complex numbers",
    1792: "complex numbers",
    2048: "complex numbers",
    1536: "128-bit numbers",
}

_MM: Final = {1: 1000.0, 2: 1.0, 3: 0.001}
_SECONDS: Final = {8: 1.0, 16: 1e-3, 24: 1e-6}

SAME_PLACE: Final = 0.1
"""How far, in voxels, sform and qform may put the same corner apart and still agree: they are stored in floats."""

_MGH_DTYPES: Final = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2"}
MGH_DATA: Final = 284
"""Where the voxels of an MGH file begin."""


def parse_nifti(head: bytes, files: tuple[VolumeFile, ...], compression: Compression) -> Parsed | Refusal:
    """A NIfTI header, by itself or before its voxels; `head` is inflated. `files` has the data file second, if any."""
    import nibabel

    second = head[4:8] in (b"n+2\0", b"ni2\0") or head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    size = 540 if second else 348
    if len(head) < size:
        return Refusal(Reason.TRUNCATED_IMAGE, f"the header breaks off after {len(head)} of {size} bytes")
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    header = kind(head[:size], check=False)  # type: ignore[no-untyped-call]
    if int(header["sizeof_hdr"]) != size:
        return Refusal(Reason.CORRUPT_IMAGE, f"the header states its length as {int(header['sizeof_hdr'])}")
    magic = head[4:12] if second else head[344:348]
    single = magic in SINGLE_MAGICS
    if not single and magic not in PAIR_MAGICS:
        return Refusal(Reason.CORRUPT_IMAGE, "the header has no magic string of NIfTI")
    if not single and len(files) < 2:
        return Refusal(Reason.MISSING_FILE, "the voxels are in an .img file, and there is none beside this header")
    offset = float(header["vox_offset"])
    least = (544 if second else 352) if single else 0
    if not math.isfinite(offset) or offset < least or offset != int(offset):
        return Refusal(Reason.CORRUPT_IMAGE, f"the voxels would begin at byte {offset:g}, which is in the header")
    block = _block(header, files[0] if single else files[1], compression, int(offset))
    if isinstance(block, Refusal):
        return block
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if "c" in block.axes or slope == 0 or math.isnan(slope):
        scale: tuple[float, float] | None = None
    elif not math.isfinite(slope) or not math.isfinite(intercept):
        return Refusal(Reason.CORRUPT_IMAGE, f"values are scaled by {slope:g} and {intercept:g}")
    else:
        scale = (slope, intercept)
    units = int(header["xyzt_units"])
    placed = _affine(header, units & 7, block)
    if isinstance(placed, Refusal):
        return placed
    affine, changes = placed
    step, second_s = float(header["pixdim"][4]), _SECONDS.get(units & 56)
    timed = "t" in block.axes and second_s is not None and math.isfinite(step) and step > 0
    return Parsed(
        block=block,
        affine_lps=affine,
        slope=None if scale is None else scale[0],
        intercept=None if scale is None else scale[1],
        timepoint_s=step * second_s if timed and second_s is not None else None,
        changes=(*_dropped(header, block), *changes),
    )


def parse_analyze(head: bytes, files: tuple[VolumeFile, ...], compression: Compression) -> Parsed | Refusal:
    """An Analyze 7.5 header: it has no orientation that anybody can trust, so the volume has no geometry."""
    import nibabel

    if len(files) < 2:
        return Refusal(Reason.MISSING_FILE, "the voxels are in an .img file, and there is none beside this header")
    header = nibabel.AnalyzeHeader(head[:348], check=False)  # type: ignore[no-untyped-call]
    offset = float(header["vox_offset"])
    if not math.isfinite(offset) or offset < 0 or offset != int(offset):
        return Refusal(Reason.CORRUPT_IMAGE, f"the voxels would begin at byte {offset:g}")
    block = _block(header, files[1], compression, int(offset))
    if isinstance(block, Refusal):
        return block
    return Parsed(block=block, affine_lps=None, changes=(*_dropped(header, block), "geometry:none_in_analyze"))


def parse_mgh(head: bytes, file: VolumeFile, compression: Compression) -> Parsed | Refusal:
    """A FreeSurfer volume: 284 bytes, then the voxels, all big-endian (FreeSurfer wiki, FsTutorial/MghFormat).

    The repetition time stands behind the voxels and is not looked for.
    """
    if len(head) < MGH_DATA:
        return Refusal(Reason.TRUNCATED_IMAGE, f"the header breaks off after {len(head)} of {MGH_DATA} bytes")
    version, width, height, depth, frames, code, _, good = struct.unpack_from(">7ih", head)
    if version != 1:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"MGH of version {version}, 1 is known")
    if code not in _MGH_DTYPES:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"MGH voxels of type {code}; 0, 1, 3 and 4 are known")
    timed = frames != 1
    shape = (frames, depth, height, width) if timed else (depth, height, width)
    block = Block(file, compression, MGH_DATA, shape, "tzyx" if timed else "zyx", np.dtype(_MGH_DTYPES[code]))
    if good != 1:
        return Parsed(block=block, affine_lps=None, changes=("geometry:not_stated",))
    numbers = np.array(struct.unpack_from(">15f", head, 30), dtype=np.float64)
    affine = np.eye(4)
    affine[:3, :3] = numbers[3:12].reshape(3, 3).T * numbers[:3]
    affine[:3, 3] = numbers[12:] - affine[:3, :3] @ (np.array([width, height, depth]) / 2)
    return Parsed(block=block, affine_lps=lps_from_ras(affine))


def _block(header: Any, file: VolumeFile, compression: Compression, offset: int) -> Block | Refusal:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code in _REFUSED_TYPES:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"voxels are {_REFUSED_TYPES[code]}")
    colours = _COLOURS.get(code, 0)
    if code not in _DTYPES and not colours:
        return Refusal(Reason.CORRUPT_IMAGE, f"voxels of type {code}, which NIfTI does not know")
    dtype = np.dtype("u1" if colours else _DTYPES[code]).newbyteorder(header.endianness)
    if bits not in (0, 8 * dtype.itemsize * max(1, colours)):
        return Refusal(Reason.CORRUPT_IMAGE, f"the header says {bits} bits a voxel, its type {code} has another number")
    dims = [int(length) for length in header["dim"]]
    count = dims[0]
    if not 1 <= count <= MAX_DIMENSIONS or any(length < 1 for length in dims[1 : count + 1]):
        return Refusal(Reason.CORRUPT_IMAGE, f"the header states {count} dimensions of {dims[1 : max(count, 0) + 1]}")
    sizes = dims[1 : count + 1]
    sizes += [1] * (3 - len(sizes))
    if any(length > 1 for length in sizes[4:]):
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, f"{count} dimensions of {sizes}: one value, or colour, a voxel is known"
        )
    timed = len(sizes) > 3 and sizes[3] > 1
    shape = tuple(sizes[3::-1] if timed else sizes[2::-1]) + ((colours,) if colours else ())
    axes = ("tzyx" if timed else "zyx") + ("c" if colours else "")
    return Block(file, compression, offset, shape, axes, dtype)


def _dropped(header: Any, block: Block) -> tuple[str, ...]:
    return ("axis_dropped:t",) if int(header["dim"][0]) > 3 and "t" not in block.axes else ()


def _affine(header: Any, unit: int, block: Block) -> tuple[Affine | None, tuple[str, ...]] | Refusal:
    """Methods 2 and 3 of nifti1.h: the sform where it is set, else the qform, else no place in the patient.

    An unknown unit is taken for millimetres, as every reader does, and that is said.
    """
    sform, qform = _sform(header), _qform(header)
    stated = qform if sform is None else sform
    if stated is None:
        return None, ("geometry:not_stated",)
    if unit not in (0, *_MM):
        return Refusal(Reason.INVALID_AFFINE, f"lengths are in unit {unit}, which NIfTI does not know")
    changes = [] if unit else ["units:assumed=mm"]
    if sform is not None and qform is not None and not _agree(sform, qform, block):
        changes.append("geometry:sform_over_qform")
    affine = lps_from_ras(np.diag([*[_MM.get(unit, 1.0)] * 3, 1.0]) @ stated)
    return affine, tuple(changes)


def _sform(header: Any) -> Affine | None:
    if int(header["sform_code"]) <= 0:
        return None
    affine = np.eye(4)
    affine[:3] = [header["srow_x"], header["srow_y"], header["srow_z"]]
    return affine


def _qform(header: Any) -> Affine | None:
    """The affine of the quaternion, not finite where it is none."""
    if int(header["qform_code"]) <= 0:
        return None
    affine = np.eye(4)
    b, c, d = (float(header[f"quatern_{name}"]) for name in "bcd")
    rest = 1.0 - (b * b + c * c + d * d)
    steps = [float(length) for length in header["pixdim"][:4]]
    if not rest > -1e-5 or any(length <= 0 for length in steps[1:]):
        affine[:3] = np.nan
        return affine
    if rest < 1e-7:  # as nifti1_io does: a half turn, normalised
        a, norm = 0.0, math.sqrt(b * b + c * c + d * d)
        b, c, d = b / norm, c / norm, d / norm
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    hand = -1.0 if steps[0] < 0 else 1.0
    affine[:3, :3] = rotation * np.array([steps[1], steps[2], steps[3] * hand])
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _agree(sform: Affine, qform: Affine, block: Block) -> bool:
    """Whether both put the corners of the volume in one place."""
    depth, height, width = block.shape[block.axes.index("z") :][:3]
    corners = np.array([[x, y, z, 1] for x in (0, width - 1) for y in (0, height - 1) for z in (0, depth - 1)])
    apart = np.linalg.norm(((sform - qform) @ corners.T)[:3], axis=0)
    limit = SAME_PLACE * float(np.linalg.norm(sform[:3, :3], axis=0).min())
    return bool(np.all(np.isfinite(qform)) and np.all(apart <= limit))
