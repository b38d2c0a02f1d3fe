"""The headers of a series' files, from as few of their bytes as hold them.

Only what stands before the pixels is read, and never trusted to be right. What it says of each frame is for
`series_frames`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curate.images.base import DEFAULT_LIMITS, quiet
from curate.images.dicom import element_value, encapsulates, keyword_text, read_dataset
from curate.images.dicom_codecs import SYNTAXES
from curate.images.dicom_facts import frame_of_reference_of
from curate.images.dicom_file import DicomFile, PixelElement, open_file
from curate.images.series_frames import Slice, marks_of, numbers_in, slices_of, text_in
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["FileHeader", "Raster", "SeriesFile", "header_digest", "read_head", "what_differs"]

FIRST_BYTES: Final = 64 * 2**10
GROWTH: Final = 4
"""A header of a slice is a few kB; what is larger (private data, thousands of frames) is asked for in steps."""

FLOAT_BITS: Final = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}

WIDER: Final = frozenset({"PT", "RTDOSE"})
"""Modalities whose values mean something by elements that `dicom_file` does not take."""

OF_ONE_SLICE: Final = frozenset({0x00080018, 0x00200012, 0x00200013, 0x00200032})
"""SOP Instance UID, Acquisition Number, Instance Number, Image Position: what slices of one volume differ in."""


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """One file of a series. `head` gives its first bytes, `read` all of them; both may raise `OSError`."""

    head: Callable[[int], bytes] = field(repr=False)
    read: Callable[[], bytes] = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Raster:
    """One frame's samples, as the header states them; the same in every slice of a volume."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    is_float: bool
    photometric: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a decoded sample is held in."""
        return np.dtype(f"{'f' if self.is_float else 'i' if self.signed else 'u'}{self.allocated // 8}")


@dataclass(frozen=True, slots=True)
class FileHeader:
    """One file before its pixels. `digest` is that of all bytes before them: what is decoded is what was read.

    `shared` are the elements, as they stand, that slices of one volume have in common: a header with the same ones says
    the same but for its position. Empty where that cannot be said.

    `pixels` tells where grey samples lie that are neither compressed nor in another byte order, with no other bits
    below them; null where a decoder is needed.
    """

    raster: Raster
    pixels: PixelElement | None
    is_compressed: bool
    digest: bytes
    kind: tuple[str | None, ...]  # what all slices of a series share: SOP class, modality
    frame_of_reference: str | None
    overlays: int
    slices: tuple[Slice, ...]
    shared: tuple[object, ...] = field(default=(), repr=False)


def read_head(file: SeriesFile, like: FileHeader | None = None) -> FileHeader | Refusal:
    """The header of one file, from as few of its bytes as hold it; `like` is another of the series, to save time."""
    with quiet():
        opened = _opened(file)
        if isinstance(opened, Refusal):
            return opened
        head, header = opened
        shared = _shared(header, head)
        if like is not None and shared and shared == like.shared:
            repeated = _repeated(header, like)
            if repeated is not None:
                return repeated
        try:
            made = _header(header, head, file.size)
            single = isinstance(made, FileHeader) and len(made.slices) == 1 and made.kind[1] not in WIDER
            return replace(made, shared=shared) if isinstance(made, FileHeader) and single else made
        except Exception as problem:  # (conversion of a damaged value raises whatever it meets)
            return Refusal(Reason.INVALID_HEADER, f"the header holds what no slice has ({type(problem).__name__})")


def _shared(file: DicomFile, head: bytes) -> tuple[object, ...]:
    if file.data is not head:
        return ()
    found = [(int(element.tag), element.value) for element in file.dataset.values()]
    keyword = file.pixels.keyword if file.pixels else None
    return (file.syntax, keyword, file.overlays, *(pair for pair in found if pair[0] not in OF_ONE_SLICE))


def _repeated(file: DicomFile, like: FileHeader) -> FileHeader | None:
    """The header of another slice that differs in its position alone."""
    (part,), position = like.slices, numbers_in(element_value(file.dataset, "ImagePositionPatient"), 3)
    if part.plane is None or position is None or file.pixels is None:
        return None
    plane = replace(part.plane, position=(position[0], position[1], position[2]))
    return replace(
        like,
        pixels=None if like.pixels is None else file.pixels,
        digest=header_digest(file.data, file.pixels),
        slices=(replace(part, plane=plane),),
    )


def header_digest(data: bytes, pixels: PixelElement | None) -> bytes:
    """sha256 of everything before the value of the pixel element, once inflated."""
    return hashlib.sha256(memoryview(data)[: pixels.start if pixels else None]).digest()


def what_differs(files: Sequence[tuple[SeriesFile, int]]) -> list[str] | Refusal:
    """Keywords whose values differ between frames; `OBJECT` among them where they are several objects.

    Only the keywords are named: their values may be a patient's.
    """
    datasets: dict[int, Dataset] = {}
    found = []
    with quiet():
        for file, index in files:
            if id(file) not in datasets:
                opened = _opened(file)
                read = opened if isinstance(opened, Refusal) else read_dataset(opened[0], DEFAULT_LIMITS, pixels=False)
                if isinstance(read, Refusal):
                    return read
                datasets[id(file)] = read[0]
            try:
                found.append(marks_of(datasets[id(file)], index))
            except Exception as problem:  # (as above)
                return Refusal(Reason.INVALID_HEADER, f"the header does not convert ({type(problem).__name__})")
    return [keyword for keyword, value in found[0].items() if any(one[keyword] != value for one in found)]


def _opened(file: SeriesFile) -> tuple[bytes, DicomFile] | Refusal:
    if not 0 < file.size <= DEFAULT_LIMITS.max_bytes:
        reason = Reason.TOO_LARGE if file.size else Reason.EMPTY_FILE
        return Refusal(reason, f"{file.size} bytes, the limit is {DEFAULT_LIMITS.max_bytes}")
    wanted = FIRST_BYTES
    while True:
        head = file.head(min(wanted, file.size))
        opened = open_file(head, DEFAULT_LIMITS)
        if not isinstance(opened, Refusal) and opened.pixels is not None:
            return head, opened
        if wanted >= file.size or len(head) < wanted or not head.startswith(b"DICM", 128):
            break
        wanted *= GROWTH
    return opened if isinstance(opened, Refusal) else Refusal(Reason.NO_PIXELS, "the object has no pixel data")


def _header(file: DicomFile, head: bytes, size: int) -> FileHeader | Refusal:
    assert file.pixels is not None
    is_compressed = encapsulates(file.syntax)
    if is_compressed and file.syntax not in SYNTAXES:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "no decoder for the transfer syntax")
    raster = _raster(file.dataset, file.pixels.keyword)
    if isinstance(raster, Refusal):
        return raster
    stated = element_value(file.dataset, "NumberOfFrames")
    count = int(stated) if stated not in {None, ""} else 1
    samples = 2 if raster.photometric == "YBR_FULL_422" else raster.samples
    bits = 64 if is_compressed else raster.rows * raster.columns * raster.allocated * samples
    room = max(1, 8 * (len(file.data) - file.pixels.start + size - len(head)) // bits)
    if not 1 <= count <= room:
        return Refusal(Reason.INVALID_HEADER, f"NumberOfFrames is {count}, the pixel data have room for {room}")
    dataset = file.dataset
    if count > 1 or keyword_text(dataset, "Modality") in WIDER:
        read = read_dataset(head, DEFAULT_LIMITS, pixels=False)
        if isinstance(read, Refusal):
            return read
        dataset = read[0]
    slices = slices_of(dataset, count)
    if isinstance(slices, Refusal):
        return slices
    lowest = raster.is_float or element_value(dataset, "HighBit") == raster.stored - 1
    is_plain = not is_compressed and file.little_endian and file.data is head and raster.samples == 1 and lowest
    return FileHeader(
        raster,
        file.pixels if is_plain else None,
        is_compressed,
        header_digest(file.data, file.pixels),
        (text_in(dataset, "SOPClassUID"), text_in(dataset, "Modality")),
        frame_of_reference_of(dataset),
        file.overlays,
        slices,
    )


def _raster(dataset: "Dataset", element: str) -> Raster | Refusal:
    is_float = element in FLOAT_BITS
    names = ["Rows", "Columns", "SamplesPerPixel"]
    if not is_float:
        names += ["BitsAllocated", "BitsStored", "PixelRepresentation"]
    found = {name: element_value(dataset, name) for name in names}
    absent = [name for name, value in found.items() if not isinstance(value, int)]
    photometric = element_value(dataset, "PhotometricInterpretation")
    if absent or not isinstance(photometric, str):
        return Refusal(Reason.INVALID_HEADER, f"no usable {', '.join(absent or ['PhotometricInterpretation'])}")
    rows, columns, samples = (found[name] for name in names[:3])
    allocated = FLOAT_BITS.get(element) or found["BitsAllocated"]
    stored = found.get("BitsStored", allocated)
    if rows <= 0 or columns <= 0 or not 0 < stored <= allocated:
        return Refusal(Reason.INVALID_HEADER, f"{rows} x {columns} pixels of {stored} bits in {allocated}")
    if samples not in {1, 3} or allocated not in {8, 16, 32, 64}:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"a volume of {samples} samples of {allocated} bits per voxel")
    if photometric == "PALETTE COLOR":
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a volume of palette colours")
    signed = found.get("PixelRepresentation") == 1
    return Raster(rows, columns, samples, allocated, stored, signed, is_float, str(photometric))
