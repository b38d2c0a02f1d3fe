"""What a header says about the raster, checked before anything is decoded (PS3.3 C.7.6.3, PS3.5 8)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from curate.images.base import Array, Limits, ratio_refusal, size_refusal
from curate.images.dicom import element_value, encapsulates, frames_in
from curate.images.dicom_file import DicomFile
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["DEFLATED_FRAMES", "RLE", "Layout", "layout_of", "within_bits"]

RLE: Final = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"

RLE_MAX_RATIO: Final = 64
"""Two bytes stand for at most 128 (PS3.5, G.3.1)."""

FLOAT_BITS: Final = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
ALLOCATED: Final = frozenset({1, 8, 16, 32, 64})
COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})


@dataclass(frozen=True, slots=True)
class Layout:
    """One frame's raster. `is_float` pixels have as many bits as their element says, and no sign bit to speak of."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int
    is_float: bool

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """What a decoded sample is held in."""
        if self.is_float:
            return np.dtype(f"f{self.allocated // 8}")
        return np.dtype(f"{'i' if self.signed else 'u'}{max(1, self.allocated // 8)}")

    @property
    def decoded_bytes(self) -> int:
        """One frame as samples."""
        return self.rows * self.columns * self.samples * self.dtype.itemsize

    @property
    def frame_bits(self) -> int:
        """One frame as it lies in an uncompressed file; chroma at half the columns counts two samples to a pixel."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.allocated


def layout_of(file: DicomFile, limits: Limits) -> tuple[Layout, int] | Refusal:
    """The layout of a file's frames, and how many there are."""
    pixels = file.pixels
    if pixels is None or pixels.length == 0 or pixels.start >= len(file.data):
        return Refusal(Reason.NO_PIXELS, "the object has no pixel data")
    layout = _stated(file.dataset, pixels.keyword)
    if isinstance(layout, Refusal):
        return layout
    frames = frames_in(file)
    if isinstance(frames, Refusal):
        return frames
    held = len(file.data) - pixels.start if pixels.length is None else pixels.length
    return (
        size_refusal(layout.columns, layout.rows, limits)
        or ratio_refusal(layout.decoded_bytes, held, limits)
        or _length_refusal(file, layout, frames, held)
        or (layout, max(1, frames))
    )


def _stated(dataset: "Dataset", keyword: str) -> Layout | Refusal:
    names = ["Rows", "Columns", "SamplesPerPixel"]
    is_float = keyword in FLOAT_BITS
    if not is_float:
        names += ["BitsAllocated", "BitsStored", "PixelRepresentation"]
    found = {name: element_value(dataset, name) for name in names}
    absent = [name for name, value in found.items() if not isinstance(value, int)]
    if absent:
        return Refusal(Reason.INVALID_HEADER, f"no usable {', '.join(absent)}")
    photometric = element_value(dataset, "PhotometricInterpretation")
    if photometric not in GREY | COLOUR:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a photometric interpretation that is not known")
    allocated = FLOAT_BITS.get(keyword) or found["BitsAllocated"]
    stored = found.get("BitsStored", allocated)
    high = element_value(dataset, "HighBit")
    high_bit = high if isinstance(high, int) and not is_float else stored - 1
    samples, photometric = found["SamplesPerPixel"], str(photometric)
    if allocated not in ALLOCATED:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"{allocated} bits allocated for a sample")
    if not (0 < stored <= allocated and stored - 1 <= high_bit < allocated):
        return Refusal(
            Reason.INVALID_HEADER, f"{stored} bits stored below bit {high_bit} of {allocated} that are allocated"
        )
    if samples != (3 if photometric in COLOUR else 1):
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"{samples} samples per pixel of {photometric.lower()}")
    if photometric.startswith("YBR") and (allocated != 8 or is_float):
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"luma and chroma of {allocated} bits")
    planar = element_value(dataset, "PlanarConfiguration") if samples > 1 else 0
    return Layout(
        found["Rows"],
        found["Columns"],
        samples,
        allocated,
        stored,
        high_bit,
        found.get("PixelRepresentation") == 1,
        photometric,
        1 if planar == 1 else 0,
        is_float,
    )


def _length_refusal(file: DicomFile, layout: Layout, frames: int, held: int) -> Refusal | None:
    if file.syntax == RLE and layout.decoded_bytes > RLE_MAX_RATIO * held:
        return Refusal(Reason.CORRUPT_IMAGE, f"{held} bytes of RLE cannot hold a frame of {layout.decoded_bytes}")
    there = len(file.data) - (file.pixels.start if file.pixels else 0)
    if held > there:
        return Refusal(Reason.TRUNCATED_IMAGE, f"the pixel data are {held} bytes long, {there} are there")
    if encapsulates(file.syntax):
        return None
    if file.pixels is not None and file.pixels.length is None:
        return Refusal(Reason.INVALID_HEADER, "uncompressed pixel data without a length")
    needed = (max(1, frames) * layout.frame_bits + 7) // 8
    if held < needed:
        return Refusal(Reason.TRUNCATED_IMAGE, f"{held} bytes of pixels, {needed} are needed")
    return None


def within_bits(samples: Array, layout: Layout) -> tuple[Array, str | None]:
    """Samples without the bits that are not theirs: overlay planes and noise above, a shift below (PS3.5, 8.1.1).

    Returns the word for what was done, null where nothing was.
    """
    low = layout.high_bit + 1 - layout.stored
    if layout.is_float or layout.allocated in {layout.stored, 1}:
        return samples, None
    if not low:
        least, most = (
            (-(1 << layout.stored - 1), (1 << layout.stored - 1) - 1)
            if layout.signed
            else (
                0,
                (1 << layout.stored) - 1,
            )
        )
        if samples.min() >= least and samples.max() <= most:
            return samples, None
    up = layout.allocated - 1 - layout.high_bit
    clean: Array = np.right_shift(np.left_shift(samples, up), layout.allocated - layout.stored)
    return clean, f"shifted:{low}" if low else "sign_extended" if layout.signed else "unused_bits_cleared"
