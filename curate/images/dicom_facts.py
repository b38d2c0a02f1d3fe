"""What a header says about a frame beside its raster: where it lies, what its values mean, how it is to be shown.

Every fact is null unless a tag proves it. A functional group of the frame comes before a shared one, and both before
the data set itself (PS3.3 C.7.6.16).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from curate.images.dicom import element_value, keyword_text
from curate.images.dicom_tables import table_in
from curate.images.windows import VoiTable
from curate.rows import Window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Display", "affine_of", "display_of", "frame_of_reference_of", "padding_of", "rescale_of", "spacing_of"]

MM_PER_CM: Final = 10.0
CENTIMETRES: Final = 3
"""Physical Units of an ultrasound region (PS3.3 C.8.5.5.1.15)."""
PICTURE_2D: Final = 1
"""Region Spatial Format of a plane: others have time or frequency on an axis (C.8.5.5.1.1)."""

COSINE_TOLERANCE: Final = 1e-3
"""How far direction cosines may miss unit length and a right angle: headers round to five or six digits."""

SAME_SPACING: Final = 1e-6
"""Relative difference up to which two spacings are one number written twice."""

FUNCTIONS: Final = {"LINEAR": "linear", "LINEAR_EXACT": "linear_exact", "SIGMOID": "sigmoid"}


@dataclass(frozen=True, slots=True)
class Display:
    """How stored values become grey: modality table, then window or table of interest, then polarity.

    `views` counts the windows and tables that the header offers; the first is taken, and a table before a window
    (PS3.3 C.11.2.1: each is a view of its own). `broken` names what the header offers and does not hold.
    """

    modality: VoiTable | None
    window: Window | None
    table: VoiTable | None
    views: int
    invert: bool
    broken: tuple[str, ...]


def display_of(dataset: "Dataset", frame: int, *, little_endian: bool) -> Display:
    """How a grey frame is to be shown; a window is null where the header has none that its function allows."""
    broken: list[str] = []
    most = _most_stored(dataset)
    modality = _first_table(dataset, "ModalityLUTSequence", little_endian, broken, most)
    slope, intercept, _ = rescale_of(dataset, frame)
    if modality is not None:
        most = float(modality.values.max())
    elif slope is not None and intercept is not None:
        most = max(most * slope, -(most + 1) * slope) + intercept
    table = _first_table(dataset, "VOILUTSequence", little_endian, broken, most)
    holder = group_of(dataset, frame, "FrameVOILUTSequence") or dataset
    centers, widths = (_numbers(element_value(holder, name)) for name in ("WindowCenter", "WindowWidth"))
    stated = keyword_text(holder, "VOILUTFunction") or "LINEAR"
    views = min(len(centers), len(widths)) + len(element_value(dataset, "VOILUTSequence") or ())
    window = None
    if table is not None:
        window = Window(None, None, "lut", "header")
    elif element_value(holder, "WindowCenter") not in (None, ""):
        function = FUNCTIONS.get(stated.upper())
        window = _window(centers[0], widths[0], function) if centers and widths else None
        if window is None:
            broken.append("window")
    inverse = keyword_text(dataset, "PresentationLUTShape") == "INVERSE"
    invert = inverse or keyword_text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    return Display(modality, window, table, views, invert, tuple(broken))


def _window(center: float, width: float, function: str | None) -> Window | None:
    """A window that its function allows (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    least = 1.0 if function == "linear" else 0.0
    if function is None or width < least or width <= 0:
        return None
    return Window(center, width, function, "header")


def _most_stored(dataset: "Dataset") -> float:
    """The greatest value that the stored bits can hold."""
    stored = element_value(dataset, "BitsStored")
    is_signed = element_value(dataset, "PixelRepresentation") == 1
    return float(2 ** ((stored if isinstance(stored, int) else 16) - is_signed) - 1)


def _first_table(dataset: "Dataset", name: str, little_endian: bool, broken: list[str], most: float) -> VoiTable | None:
    """The first table of a sequence, for values of at most `most`.

    The first value that it maps has the sign of these values (PS3.3 C.11.1.1, C.11.2.1.1). Where it is written as if
    it had none, it lies beyond all of them, and every pixel would be black: then it is meant to be negative.
    """
    items = element_value(dataset, name)
    if not items:
        return None
    table = table_in(items[0], little_endian=little_endian)
    if table is None:
        broken.append("modality_lut" if name.startswith("Modality") else "voi_lut")
    elif table.first >= 2**15 and table.first > most:
        table = replace(table, first=table.first - 2**16)
    return table


def padding_of(dataset: "Dataset", *, signed: bool) -> tuple[float, float] | None:
    """The stored values that are padding, lowest and highest (PS3.3 C.7.5.1.1.2): no measurements."""
    value = _integer(element_value(dataset, "PixelPaddingValue"), signed)
    if value is None:
        return None
    limit = _integer(element_value(dataset, "PixelPaddingRangeLimit"), signed)
    other = value if limit is None else limit
    return float(min(value, other)), float(max(value, other))


def _integer(value: Any, signed: bool) -> int | None:
    if isinstance(value, bytes) and len(value) == 2:
        return int.from_bytes(value, "little", signed=signed)
    if not isinstance(value, int):
        return None
    return value - 2**16 if signed and value >= 2**15 else value


def rescale_of(dataset: "Dataset", frame: int) -> tuple[float | None, float | None, str | None]:
    """Slope, intercept and unit for the values as the file stores them; null where no tag states a linear map.

    The unit is HU only where PS3.3 C.8.2.1 and C.11.1.1.2 make it so: a CT image that says HU, or that says nothing
    and is an original that is neither a localizer nor of several energies.
    """
    holder = group_of(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = _number(holder, "RescaleSlope"), _number(holder, "RescaleIntercept")
    if element_value(dataset, "ModalityLUTSequence") or slope is None or intercept is None or slope == 0:
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
    """Row and column spacing in the patient, in mm (PS3.3, 10.7.1.3).

    That of a detector or of a digitised film is none: where Pixel Spacing only repeats it and says of no calibration,
    the picture was not corrected for magnification (10.7.1.1). Ultrasound has one where its only calibrated region is
    a plane in centimetres; several regions have several.
    """
    found = stated_spacing(dataset, frame)
    if found is None:
        return _of_ultrasound(dataset)
    if element_value(dataset, "PixelSpacingCalibrationType"):
        return found
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        other = _pair(element_value(dataset, keyword))
        if other is not None and all(map(_is_same, found, other)):
            return None
    return found


def _is_same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME_SPACING)


def stated_spacing(dataset: "Dataset", frame: int) -> tuple[float, float] | None:
    """Pixel Spacing as it stands, if both numbers are positive."""
    return _pair(element_value(group_of(dataset, frame, "PixelMeasuresSequence") or dataset, "PixelSpacing"))


def _of_ultrasound(dataset: "Dataset") -> tuple[float, float] | None:
    regions: Any = element_value(dataset, "SequenceOfUltrasoundRegions") or ()
    if len(regions) != 1 or element_value(regions[0], "RegionSpatialFormat") != PICTURE_2D:
        return None
    units = [element_value(regions[0], f"PhysicalUnits{axis}Direction") for axis in "XY"]
    row, column = (_number(regions[0], f"PhysicalDelta{axis}") for axis in "YX")
    if units != [CENTIMETRES, CENTIMETRES] or not row or not column:
        return None
    return abs(row) * MM_PER_CM, abs(column) * MM_PER_CM


def affine_of(dataset: "Dataset", frame: int, frames: int) -> tuple[float, ...] | None:
    """The plane in the patient: 16 numbers that map (column, row, 0, 1) to millimetres in LPS (PS3.3 C.7.6.2.1.1).

    The third column is the unit normal; the plane has no thickness here. A position of the whole object is not that of
    each of several frames.
    """
    own = group_of(dataset, frame, "PlanePositionSequence")
    if own is None and frames > 1:
        return None
    position = _numbers(element_value(own or dataset, "ImagePositionPatient"))
    holder = group_of(dataset, frame, "PlaneOrientationSequence") or dataset
    cosines = _numbers(element_value(holder, "ImageOrientationPatient"))
    spacing = stated_spacing(dataset, frame)
    if len(position) != 3 or len(cosines) != 6 or spacing is None:
        return None
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = (math.hypot(*along_row), math.hypot(*along_column))
    across = sum(one * other for one, other in zip(along_row, along_column, strict=True))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(across)) > COSINE_TOLERANCE:
        return None
    normal = _cross(along_row, along_column)
    numbers: list[float] = []
    for axis in range(3):
        numbers += [along_row[axis] * spacing[1], along_column[axis] * spacing[0], normal[axis], position[axis]]
    return tuple(number + 0.0 for number in (*numbers, 0.0, 0.0, 0.0, 1.0))


def _cross(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    (a, b, c), (x, y, z) = one, other
    return b * z - c * y, c * x - a * z, a * y - b * x


def frame_of_reference_of(dataset: "Dataset") -> str | None:
    """The raw identifier of the patient space: only its token may be stored."""
    value = element_value(dataset, "FrameOfReferenceUID")
    return str(value).strip() or None if value is not None else None


def group_of(dataset: "Dataset", frame: int, name: str) -> Any:
    """The item of a functional group that holds for a frame, its own before the shared one (PS3.3, C.7.6.16)."""
    own = element_value(dataset, "PerFrameFunctionalGroupsSequence") or ()
    shared = element_value(dataset, "SharedFunctionalGroupsSequence") or ()
    for item in (*own[frame : frame + 1], *shared[:1]):
        found = element_value(item, name)
        if found:
            return found[0]
    return None


def _pair(value: Any) -> tuple[float, float] | None:
    numbers = _numbers(value)
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None


def _numbers(value: Any) -> Sequence[float]:
    """Finite numbers of an element; none where one of them is not."""
    several = value if isinstance(value, list | tuple) or hasattr(value, "__iter__") else (value,)
    try:
        numbers = [float(one) for one in several]
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _number(dataset: Any, keyword: str) -> float | None:
    numbers = _numbers(element_value(dataset, keyword))
    return numbers[0] if len(numbers) == 1 else None
