"""DICOM frames as PNG: the stored values themselves, with the map to modality units beside them.

No window, no inversion, no masking: a MONOCHROME1 frame stays one, and `photometric` says so. One decoder per transfer
syntax is named here, so that the same file gives the same samples wherever other decoders happen to be installed.
"""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curate.images import jpeg
from curate.images.base import Array, Delivered, Limits, quiet, ratio_refusal, size_refusal
from curate.images.dicom import element_value, is_encapsulated, keyword_text, read_dataset
from curate.images.store_png import from_samples
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["deliver_dicom", "rescale_of", "spacing_of"]

JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
RLE: Final = "1.2.840.10008.1.2.5"
JPEG_LS: Final = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})

PIXEL_ELEMENTS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
ELEMENT_HEADER_BYTES: Final = 12

RLE_MAX_RATIO: Final = 64
"""Two bytes stand for at most 128 (PS3.5, G.3.1)."""

PHOTOMETRIC: Final = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
)


def deliver_dicom(data: bytes, frame: int | None, limits: Limits) -> Delivered | Refusal:
    """One frame, 0-based, as 8-bit or 16-bit PNG; the first where none is named."""
    with quiet():
        read = read_dataset(data, limits, pixels=True)
        if isinstance(read, Refusal):
            return read
        dataset = read[0]
        if not any(name in dataset for name in PIXEL_ELEMENTS):
            return _without_pixels(data, limits)
        try:
            return _deliver(dataset, frame, limits)
        except MemoryError:
            return Refusal(Reason.MEMORY_LIMIT, "decoding asks for more memory than there is")
        except Exception as problem:  # (decoders raise whatever they meet)
            return Refusal(Reason.CORRUPT_IMAGE, f"the pixel data do not decode ({type(problem).__name__})")


def _deliver(dataset: "Dataset", frame: int | None, limits: Limits) -> Delivered | Refusal:
    frames = _check(dataset, frame or 0, limits)
    if isinstance(frames, Refusal):
        return frames
    samples = _decode(dataset, frame or 0, limits)
    if isinstance(samples, Refusal):
        return samples
    changes = ["reencoded_png:from=dicom"]
    if frame is None and frames > 1:
        changes.append(f"first_frame:of={frames}")
    return _delivered(dataset, frame or 0, samples, changes)


def _without_pixels(data: bytes, limits: Limits) -> Refusal:
    """An object that has no pixels, or whose pixels the parser gave up because they end early."""
    read = read_dataset(data, limits, pixels=False)
    if not isinstance(read, Refusal) and read[1] > ELEMENT_HEADER_BYTES:
        return Refusal(Reason.TRUNCATED_IMAGE, "the pixel data end early")
    return Refusal(Reason.NO_PIXELS, "the object has no pixel data")


def _check(dataset: "Dataset", frame: int, limits: Limits) -> int | Refusal:
    """The number of frames, or why this one cannot be delivered; nothing is decoded."""
    if "PixelData" not in dataset:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "floating point pixels: no PNG holds them without loss")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_transfer_syntax:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a transfer syntax that is absent, private or too new")
    names = ("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation")
    found = {name: element_value(dataset, name) for name in names}
    absent = [name for name, value in found.items() if not isinstance(value, int)]
    if absent:
        return Refusal(Reason.INVALID_HEADER, f"no usable {', '.join(absent)}")
    rows, columns, allocated, _, samples, _ = found.values()
    if allocated not in {1, 8, 16}:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"{allocated} bits per sample: no PNG holds them without loss")
    if samples not in {1, 3}:
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"{samples} samples per pixel")
    if dataset.get("PhotometricInterpretation") not in PHOTOMETRIC:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a photometric interpretation that is not known")
    frames = max(1, int(element_value(dataset, "NumberOfFrames") or 1))
    if not 0 <= frame < frames:
        return Refusal(Reason.NO_PIXELS, f"there is no frame {frame}, the object states {frames}")
    if not len(dataset.PixelData):
        return Refusal(Reason.NO_PIXELS, "the pixel data are empty")
    decoded = rows * columns * samples * max(1, allocated // 8)
    return (
        size_refusal(columns, rows, limits)
        or ratio_refusal(decoded, len(dataset.PixelData), limits)
        or _length_refusal(dataset, decoded)
        or frames
    )


def _length_refusal(dataset: "Dataset", decoded: int) -> Refusal | None:
    from pydicom.pixels.utils import get_expected_length

    syntax = dataset.file_meta.TransferSyntaxUID
    held = len(dataset.PixelData)
    if syntax == RLE and decoded > RLE_MAX_RATIO * held:
        return Refusal(Reason.CORRUPT_IMAGE, f"{held} bytes of RLE cannot hold a frame of {decoded}")
    if not is_encapsulated(dataset) and held < get_expected_length(dataset):
        return Refusal(Reason.TRUNCATED_IMAGE, f"{held} bytes of pixels, {get_expected_length(dataset)} are needed")
    return None


def _decode(dataset: "Dataset", frame: int, limits: Limits) -> Array | Refusal:
    """The frame as pydicom gives it: rows, columns, and RGB where there is colour, from YBR and palettes too."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == JPEG_BASELINE:
        damaged = _jpeg_refusal(_encoded_frame(dataset, frame), limits)
        if damaged:
            return damaged
    plugin = "" if not is_encapsulated(dataset) else "pyjpegls" if syntax in JPEG_LS else "pylibjpeg"
    try:
        samples = pixel_array(dataset, index=frame, decoding_plugin=plugin)
    except (NotImplementedError, AttributeError):
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"no decoder for transfer syntax {syntax.name}")
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        samples = apply_color_lut(samples, dataset)
    return samples


def _encoded_frame(dataset: "Dataset", frame: int) -> bytes:
    from pydicom.encaps import get_frame

    frames = max(1, int(element_value(dataset, "NumberOfFrames") or 1))
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return get_frame(
        dataset.PixelData, frame, number_of_frames=frames, extended_offsets=offsets if all(offsets) else None
    )


def _jpeg_refusal(encoded: bytes, limits: Limits) -> Refusal | None:
    """Why a baseline frame is damaged: the decoder behind pydicom fills what is missing without a word."""
    read = jpeg.read_jpeg(encoded, keep_metadata=True, limits=limits)
    return read if isinstance(read, Refusal) else None


def _delivered(dataset: "Dataset", frame: int, samples: Array, changes: list[str]) -> Delivered:
    photometric = str(dataset.PhotometricInterpretation)
    if samples.ndim == 3:
        if photometric != "RGB":
            changes.append(f"rgb:from={photometric.lower().replace(' ', '_')}")
        photometric = "RGB"
    offset = 0
    if samples.dtype.kind == "i":
        # By the allocated bits, not by the values: the same number in every slice of a series.
        offset = 1 << (8 * samples.itemsize - 1)
        samples = (samples.astype(np.int32) + offset).astype(samples.dtype.str.replace("i", "u"))
        changes.append(f"offset:{offset}")
    if samples.dtype.itemsize == 2 and int(dataset.BitsStored) <= 8 and int(samples.max()) <= 255:
        samples = samples.astype(np.uint8)
    slope, intercept, unit = rescale_of(dataset, frame)
    if offset and not _modality_lut(dataset):
        slope, intercept = slope or 1.0, (intercept or 0.0) - (slope or 1.0) * offset
    return from_samples(
        samples,
        changes=tuple(changes),
        spacing_mm=spacing_of(dataset, frame),
        photometric=photometric,
        rescale_slope=slope,
        rescale_intercept=intercept,
        rescale_unit=unit,
    )


def rescale_of(dataset: "Dataset", frame: int) -> tuple[float | None, float | None, str | None]:
    """Slope, intercept and unit for the values as the file stores them; null where no tag states a linear map.

    The unit is HU only where PS3.3 C.8.2.1 and C.11.1.1.2 make it so: a CT image that says HU, or that says nothing
    and is an original that is neither a localizer nor of several energies.
    """
    holder = _group(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = _number(holder, "RescaleSlope"), _number(holder, "RescaleIntercept")
    if _modality_lut(dataset) or slope is None or intercept is None or slope == 0:
        return None, None, None
    stated = keyword_text(holder, "RescaleType")
    image_type = (keyword_text(dataset, "ImageType") or "").upper().split("\\")
    implied = (
        stated is None
        and image_type[0] == "ORIGINAL"
        and "LOCALIZER" not in image_type
        and element_value(dataset, "MultienergyCTAcquisition") != "YES"
    )
    is_ct = keyword_text(dataset, "Modality") == "CT"
    return slope, intercept, "HU" if is_ct and (stated == "HU" or implied) else None


def spacing_of(dataset: "Dataset", frame: int) -> tuple[float, float] | None:
    """Row and column spacing in the patient, in mm (PS3.3, 10.7.1.3); that of a detector is not one."""
    holder = _group(dataset, frame, "PixelMeasuresSequence") or dataset
    value = element_value(holder, "PixelSpacing")
    try:
        row, column = (float(number) for number in value)
    except (TypeError, ValueError):
        return None
    return (row, column) if all(math.isfinite(number) and number > 0 for number in (row, column)) else None


def _group(dataset: "Dataset", frame: int, name: str) -> Any:
    """The item of a functional group that holds for a frame, its own before the shared one (PS3.3, C.7.6.16)."""
    own = element_value(dataset, "PerFrameFunctionalGroupsSequence") or ()
    shared = element_value(dataset, "SharedFunctionalGroupsSequence") or ()
    for item in (*own[frame : frame + 1], *shared[:1]):
        found = element_value(item, name)
        if found:
            return found[0]
    return None


def _number(dataset: Any, keyword: str) -> float | None:
    try:
        number = float(element_value(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _modality_lut(dataset: "Dataset") -> bool:
    return bool(element_value(dataset, "ModalityLUTSequence"))
