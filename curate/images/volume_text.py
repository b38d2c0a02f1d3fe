"""NRRD (teem.sourceforge.net/nrrd/format.html) and MetaImage (ITK MetaIO): headers of text, voxels behind or beside.

A header that names its data file means the one beside it, or nothing: no path in it is ever followed. Key-value pairs
and comments of a NRRD are never looked at.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from curate.geometry_3d import Affine
from curate.images.volume_raw import Block, Compression, Parsed, VolumeFile
from curate.schema import Reason, Refusal

__all__ = ["parse_metaimage", "parse_nrrd"]

_NRRD_TYPES: Final = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(
        ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"), "i8"
    ),
    **dict.fromkeys(
        ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
        "u8",
    ),
    "float": "f4",
    "double": "f8",
}
_NRRD_ENCODINGS: Final[dict[str, Compression]] = {
    "raw": "none",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
}
_NRRD_SPACES: Final = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (1.0, 1.0, 1.0)),
}
"""How the axes of a space run against those of LPS."""

_COLOUR_KINDS: Final = {"rgb-color": 3, "rgba-color": 4, "3-color": 3, "4-color": 4}
_SPACE_KINDS: Final = ("domain", "space", "???", "none", "")
_FRAME_KINDS: Final = ("time", "list", "vector", "point", "covariant-vector", "normal")

_MET_TYPES: Final = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""MET_LONG and MET_ULONG have 4 or 8 bytes by the machine that wrote them: they are refused."""

_UNIT_MM: Final = {"mm": 1.0, "um": 0.001, "cm": 10.0, "m": 1000.0, "nm": 1e-6}

MAX_DIMENSIONS: Final = 16
_VECTOR: Final = re.compile(r"none|\(([^()]*)\)")


class _HeaderError(Exception):
    """What is wrong with a header, in words that hold nothing of it but numbers."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


def parse_nrrd(head: bytes, files: tuple[VolumeFile, ...]) -> Parsed | Refusal:
    """A NRRD header with its voxels behind an empty line, or in the one file beside it."""
    try:
        return _nrrd(head, files)
    except _HeaderError as problem:
        return problem.refusal


def parse_metaimage(head: bytes, files: tuple[VolumeFile, ...]) -> Parsed | Refusal:
    """A MetaImage header with its voxels behind its last line, or in the one file beside it."""
    try:
        return _metaimage(head, files)
    except _HeaderError as problem:
        return problem.refusal


def _nrrd(head: bytes, files: tuple[VolumeFile, ...]) -> Parsed:
    found = re.search(rb"\r?\n\r?\n", head)
    if found is None and len(head) < files[0].size:
        raise _HeaderError(Reason.CORRUPT_IMAGE, f"the header does not end within {len(head)} bytes")
    fields = _nrrd_fields(head if found is None else head[: found.start()])
    dimension = _whole(fields.get("dimension"), "dimension")
    sizes = [_whole(word, "sizes") for word in fields.get("sizes", "").split()]
    if not 1 <= dimension <= MAX_DIMENSIONS or len(sizes) != dimension:
        raise _HeaderError(Reason.CORRUPT_IMAGE, f"{dimension} dimensions, and {len(sizes)} sizes")
    dtype = _nrrd_dtype(fields)
    compression = _NRRD_ENCODINGS.get(fields.get("encoding", "").lower())
    if compression is None:
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, "the encoding is neither raw, gzip nor bzip2")
    if _whole(fields.get("line skip", fields.get("lineskip", "0")), "line skip"):
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, "lines before the voxels are to be skipped")
    skip = _whole(fields.get("byte skip", fields.get("byteskip", "0")), "byte skip")
    if skip and compression != "none":
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, "bytes before the compressed voxels are to be skipped")
    named = fields.get("data file", fields.get("datafile"))
    if named is None and found is None:
        raise _HeaderError(Reason.NO_PIXELS, "the header names no data file and nothing follows it")
    file = files[0] if named is None else _beside(named, files)
    start = found.end() if named is None and found is not None else 0
    directions = _vectors(fields.get("space directions"), dimension)
    axes = _nrrd_axes(sizes, fields.get("kinds", "").lower().split(), directions)
    block = _block(file, compression, None if skip < 0 else start + skip, sizes, axes, dtype)
    affine, changes = _nrrd_affine(fields, [vector for vector in directions if vector is not None], axes)
    return Parsed(block=_inner(block, start), affine_lps=affine, changes=(*_dropped(axes, block), *changes))


def _nrrd_fields(text: bytes) -> dict[str, str]:
    """Field by field, in lower case; comments and key-value pairs (`key:=value`) are left out."""
    fields: dict[str, str] = {}
    for line in text.decode("latin-1").split("\n")[1:]:
        key, colon, value = line.partition(": ")
        if line.startswith("#") or not colon or ":=" in key:
            continue
        name = key.strip().lower()
        if name in fields:
            raise _HeaderError(Reason.CORRUPT_IMAGE, "a field stands twice in the header")
        fields[name] = value.strip()
    return fields


def _nrrd_dtype(fields: dict[str, str]) -> np.dtype[Any]:
    kind = _NRRD_TYPES.get(" ".join(fields.get("type", "").lower().split()))
    if kind is None:
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, "the type of the voxels is not one of plain numbers")
    endian = fields.get("endian", "").lower()
    if endian not in ("little", "big") and kind[1] != "1":
        raise _HeaderError(Reason.CORRUPT_IMAGE, "no byte order is stated for voxels of several bytes")
    return np.dtype(kind).newbyteorder(">" if endian == "big" else "<")


def _inner(block: Block, start: int) -> Block:
    """A compressed stream begins inside its file, and the first number at the begin of the stream."""
    return block if block.compression == "none" else replace(block, offset=0, start=start)


def _nrrd_axes(sizes: list[int], kinds: list[str], directions: Sequence[object]) -> str:
    """A letter per axis, the fastest first: x, y, z where it runs through space, t over frames, c over colours."""
    stated = any(vector is not None for vector in directions)
    letters, space = "", iter("xyz")
    for axis, size in enumerate(sizes):
        kind = kinds[axis] if len(kinds) == len(sizes) else ""
        if kind in _COLOUR_KINDS:
            if size != _COLOUR_KINDS[kind] or axis:
                raise _HeaderError(Reason.UNSUPPORTED_FORMAT, f"colours of {size} values along axis {axis}")
            letters += "c"
        elif directions[axis] is not None or (not stated and kind in _SPACE_KINDS and letters.count("z") == 0):
            letters += next(space, "?")
        elif kind in (*_FRAME_KINDS, *_SPACE_KINDS):
            letters += "t"
        else:
            raise _HeaderError(Reason.UNSUPPORTED_FORMAT, f"axis {axis} holds something else than places and frames")
    if letters.count("t") > 1 or "?" in letters or "y" not in letters:
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, f"{len(sizes)} axes that are no volume, or a row of volumes")
    return letters


def _nrrd_affine(
    fields: dict[str, str], directions: Sequence[tuple[float, ...]], axes: str
) -> tuple[Affine | None, tuple[str, ...]]:
    signs = _NRRD_SPACES.get(fields.get("space", "").lower().removesuffix("-time").removesuffix("t"))
    if signs is None:
        return None, ("geometry:not_stated",)
    origin = _vectors(fields.get("space origin"), 1)[0]
    if "z" not in axes or origin is None or len(directions) != 3 or any(len(one) < 3 for one in (*directions, origin)):
        return None, ("geometry:incomplete",)
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))[:3]
    factor, changes = _unit(units[0] if units else None)
    if len(set(units)) > 1:
        raise _HeaderError(Reason.INVALID_AFFINE, "the axes of space have different units")
    affine = np.eye(4)
    affine[:3] = np.array([*(one[:3] for one in directions), origin[:3]], dtype=np.float64).T * factor
    affine[:3] *= np.array(signs)[:, None]
    return affine, changes


def _vectors(text: str | None, count: int) -> list[tuple[float, ...] | None]:
    """Vectors as `(1,0,0) none (0,0,2)`; one whose numbers are all unknown is none."""
    if text is None:
        return [None] * count
    vectors: list[tuple[float, ...] | None] = []
    for match in _VECTOR.finditer(text):
        numbers = None if match[1] is None else tuple(_number(word) for word in match[1].split(","))
        vectors.append(None if numbers is None or all(map(math.isnan, numbers)) else numbers)
    if len(vectors) != count:
        raise _HeaderError(Reason.CORRUPT_IMAGE, f"{len(vectors)} vectors where {count} are wanted")
    return vectors


def _metaimage(head: bytes, files: tuple[VolumeFile, ...]) -> Parsed:
    found = re.search(rb"(?:^|\n)[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*)\r?\n?", head)
    if found is None:
        raise _HeaderError(Reason.CORRUPT_IMAGE, f"no ElementDataFile within {len(head)} bytes")
    fields: dict[str, str] = {}
    for line in head[: found.start()].decode("latin-1").splitlines():
        key, _, value = line.partition("=")
        fields[key.strip().lower()] = value.strip()
    count = _whole(fields.get("ndims"), "NDims")
    sizes = [_whole(word, "DimSize") for word in fields.get("dimsize", "").split()]
    if not 1 <= count <= MAX_DIMENSIONS or len(sizes) != count:
        raise _HeaderError(Reason.CORRUPT_IMAGE, f"{count} dimensions, and {len(sizes)} sizes")
    kind = _MET_TYPES.get(fields.get("elementtype", ""))
    if kind is None:
        raise _HeaderError(
            Reason.UNSUPPORTED_FORMAT, "the type of the voxels is not one of plain numbers of a known size"
        )
    if not _true(fields.get("binarydata", "True")):
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, "the voxels are written as text")
    channels = _whole(fields.get("elementnumberofchannels", "1"), "ElementNumberOfChannels")
    if channels not in (1, 3, 4):
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, f"{channels} values a voxel: one value, or colour, is known")
    named = found[1].decode("latin-1").strip()
    local = named.upper() == "LOCAL"
    file = files[0] if local else _beside(named, files)
    skip = _whole(fields.get("headersize", "0"), "HeaderSize")
    compressed = _true(fields.get("compresseddata", "False"))
    start = (found.end() if local else 0) + max(0, skip)
    axes = "c" * (channels > 1) + "xyzt"[:count]
    sizes = [channels] * (channels > 1) + sizes
    if any(length > 1 for length in sizes[len(axes) :]) or len(axes.strip("c")) < 2:
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, f"{count} dimensions: 2, 3 and 4 are known")
    big = _true(fields.get("elementbyteordermsb", fields.get("binarydatabyteordermsb", "False")))
    dtype = np.dtype(kind).newbyteorder(">" if big else "<")
    offset = None if skip < 0 and not compressed else start
    block = _block(file, "zlib" if compressed else "none", offset, sizes[: len(axes)], axes, dtype)
    affine, changes = _metaimage_affine(fields, count)
    return Parsed(block=_inner(block, start), affine_lps=affine, changes=(*_dropped(axes, block), *changes))


def _metaimage_affine(fields: dict[str, str], count: int) -> tuple[Affine | None, tuple[str, ...]]:
    """ITK's convention: the rows of TransformMatrix are the directions of the axes, in LPS.

    AnatomicalOrientation only repeats them; where it contradicts them it is ignored, and that is said.
    """
    given = [
        next((fields[name] for name in names if name in fields), None)
        for names in (
            ("transformmatrix", "rotation", "orientation"),
            ("offset", "position", "origin"),
            ("elementspacing", "elementsize"),
        )
    ]
    if any(one is None for one in given) or count < 3:
        return None, ("geometry:not_stated",)
    matrix, offset, spacing = ([_number(word) for word in (one or "").split()] for one in given)
    if len(matrix) != count * count or len(offset) != count or len(spacing) != count:
        raise _HeaderError(Reason.INVALID_AFFINE, f"the affine has not the numbers that {count} dimensions need")
    whole = np.array(matrix, dtype=np.float64).reshape(count, count).T
    if np.any(whole[3:, :3]) or np.any(whole[:3, 3:]):
        raise _HeaderError(Reason.INVALID_AFFINE, "time runs along an axis of space")
    factor, changes = _unit(fields.get("distanceunits"))
    affine = np.eye(4)
    affine[:3, :3] = whole[:3, :3] * np.array(spacing[:3]) * factor
    affine[:3, 3] = np.array(offset[:3]) * factor
    letters = fields.get("anatomicalorientation", "").upper()
    if re.fullmatch("[RLAPIS]{3}", letters) and np.all(np.isfinite(affine)) and letters != _from_letters(affine):
        changes = (*changes, "geometry:anatomical_orientation_ignored")
    return affine, changes


def _from_letters(affine: Affine) -> str:
    """From which side each axis comes, by its largest cosine."""
    letters = ""
    for axis in range(3):
        step = affine[:3, axis]
        patient = int(np.argmax(np.abs(step)))
        letters += ("RL", "AP", "IS")[patient][int(step[patient] < 0)]
    return letters


def _block(  # noqa: PLR0917
    file: VolumeFile,
    compression: Compression,
    offset: int | None,
    sizes: Sequence[int],
    axes: str,
    dtype: np.dtype[Any],
) -> Block:
    """A block whose axes were named from the fastest on, with a depth where there is none."""
    shape, letters = tuple(reversed(sizes)), axes[::-1]
    if "z" not in letters:
        at = letters.index("y")
        shape, letters = (*shape[:at], 1, *shape[at:]), letters[:at] + "z" + letters[at:]
    if "t" in letters and shape[letters.index("t")] == 1:
        at = letters.index("t")
        shape, letters = shape[:at] + shape[at + 1 :], letters.replace("t", "")
    return Block(file, compression, offset, shape, letters, dtype)


def _dropped(axes: str, block: Block) -> tuple[str, ...]:
    return ("axis_dropped:t",) if "t" in axes and "t" not in block.axes else ()


def _beside(named: str, files: tuple[VolumeFile, ...]) -> VolumeFile:
    """The data file that a header names, if it is the one that lies beside it."""
    if named.upper().startswith("LIST") or "%" in named or " " in named.strip():
        raise _HeaderError(Reason.UNSUPPORTED_FORMAT, "the header names several data files")
    if len(files) < 2:
        raise _HeaderError(Reason.MISSING_FILE, "the header names a data file, and there is none of its stem beside it")
    if PurePosixPath(named.replace("\\", "/")).name.lower() != PurePosixPath(files[1].name).name.lower():
        raise _HeaderError(Reason.MISSING_FILE, "the header names another data file than the one of its stem beside it")
    return files[1]


def _unit(unit: str | None) -> tuple[float, tuple[str, ...]]:
    """Millimetres of a unit; where none is stated, millimetres are meant by every reader, and that is said."""
    name = (unit or "").strip().lower()
    if name in ("", "?", "???"):
        return 1.0, ("units:assumed=mm",)
    if name not in _UNIT_MM:
        raise _HeaderError(Reason.INVALID_AFFINE, "lengths are in a unit that is not known")
    return _UNIT_MM[name], ()


def _whole(word: str | None, what: str) -> int:
    if word is None or re.fullmatch(r"[+-]?[0-9]{1,18}", word.strip()) is None:
        raise _HeaderError(Reason.CORRUPT_IMAGE, f"{what} is missing or no whole number")
    return int(word)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise _HeaderError(Reason.INVALID_AFFINE, "a coordinate is no number") from None


def _true(word: str) -> bool:
    return word.strip().lower() in ("true", "t", "1", "yes", "y")
