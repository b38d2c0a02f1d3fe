"""What a header says of each of its frames: where it lies, what its values mean, what tells it from its neighbours.

A functional group of the frame comes before a shared one, and both before the data set itself (PS3.3 C.7.6.16). What is
absent or does not convert is null.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curate.images.dicom import element_value
from curate.images.dicom_facts import rescale_of, spacing_of
from curate.images.series_geometry import Plane
from curate.rows import Window
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["OBJECT", "Slice", "marks_of", "numbers_in", "slices_of", "text_in"]

OBJECT: Final = "SOPInstanceUID"

MARKS: Final = (
    (OBJECT, None),
    ("TemporalPositionIdentifier", None),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("EchoNumbers", None),
    ("EchoTime", None),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("DiffusionBValue", None),
    ("DiffusionBValue", "MRDiffusionSequence"),
    ("DiffusionGradientOrientation", None),
    ("TriggerTime", None),
    ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    ("InversionTime", None),
    ("FlipAngle", None),
    ("AcquisitionNumber", None),
    ("AcquisitionTime", None),
    ("FrameReferenceTime", None),
    ("ImageType", None),
    ("FrameType", "CTImageFrameTypeSequence"),
    ("FrameType", "MRImageFrameTypeSequence"),
    ("ConvolutionKernel", None),
)
"""What tells apart several slices at one position, with the functional group that holds it; the first is the object."""

RESCALE_UNITS: Final = frozenset({"OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"})
"""Of Rescale Type (PS3.3 C.11.1.1.2). HU is `rescale_of`'s to prove; US says that nothing is known."""

PET_UNITS: Final = frozenset(
    {
        "CNTS",
        "CM2",
        "CM2ML",
        "PCNT",
        "CPS",
        "BQML",
        "MGMINML",
        "UMOLMINML",
        "MLMING",
        "MLG",
        "1CM",
        "UMOLML",
        "PROPCNTS",
    }
    | {"PROPCPS", "MLMINML", "MLML", "GML", "STDDEV"}
)
"""Of Units (PS3.3 C.8.9.1), in which PET values are once rescaled; NONE is left out, as it says nothing."""

VOI_FUNCTIONS: Final = {None: "linear", "LINEAR": "linear", "LINEAR_EXACT": "linear_exact", "SIGMOID": "sigmoid"}

SCOUTS: Final = frozenset({"LOCALIZER", "SCOUT"})


@dataclass(frozen=True, slots=True)
class Slice:
    """One frame. `plane` is null where position, orientation or spacing are not stated."""

    plane: Plane | None
    rescale: tuple[float | None, float | None, str | None]
    window: Window | None
    is_scout: bool
    stack: str | None
    time: int | None


def slices_of(dataset: "Dataset", count: int) -> tuple[Slice, ...] | Refusal:
    """The frames of one object, of which the header states `count`."""
    parts = element_value(dataset, "InConcatenationTotalNumber")
    if element_value(dataset, "ConcatenationUID") and parts != 1:
        return Refusal(Reason.NOT_A_VOLUME, "one part of a concatenation; its parts are not put together")
    own = element_value(dataset, "PerFrameFunctionalGroupsSequence") or ()
    if own and len(own) != count:
        return Refusal(Reason.INVALID_HEADER, f"{len(own)} functional groups for {count} frames")
    offsets = _dose_offsets(dataset, count)
    if isinstance(offsets, Refusal):
        return offsets
    if count > 1 and not own and offsets is None:  # (a position in the data set is that of the first frame)
        return Refusal(Reason.NO_GEOMETRY, f"{count} frames without positions of their own")
    slices = []
    for index in range(count):
        groups = _Groups(dataset, _items(dataset, index))
        plane = _plane(groups, spacing_of(dataset, index))
        if offsets is not None and plane is not None:
            plane = _moved(plane, offsets[index])
        slices.append(_slice(dataset, index, groups, plane))
    return tuple(slices)


def _items(dataset: "Dataset", index: int) -> tuple[Any, ...]:
    """A frame's functional groups, its own before the shared ones."""
    own = element_value(dataset, "PerFrameFunctionalGroupsSequence") or ()
    shared = element_value(dataset, "SharedFunctionalGroupsSequence") or ()
    return (*own[index : index + 1], *shared[:1])


@dataclass(frozen=True, slots=True)
class _Groups:
    """One frame's functional groups, its own before the shared ones, and the data set behind them."""

    dataset: "Dataset"
    items: tuple[Any, ...]

    def holder(self, name: str) -> Any:
        """The item of a functional group; the data set where there is none."""
        for item in self.items:
            found = element_value(item, name)
            if found:
                return found[0]
        return self.dataset

    def value(self, keyword: str, group: str | None) -> Any:
        return element_value(self.dataset if group is None else self.holder(group), keyword)


def _slice(dataset: "Dataset", index: int, groups: _Groups, plane: Plane | None) -> Slice:
    types = [groups.value(keyword, group) for keyword, group in MARKS if keyword in {"ImageType", "FrameType"}]
    words = {str(word).strip().upper() for value in types if value for word in _several(value)}
    content = groups.holder("FrameContentSequence") if groups.items else None
    time = element_value(content, "TemporalPositionIndex") if content is not None else None
    return Slice(
        plane,
        _rescale(dataset, index),
        _window(groups.holder("FrameVOILUTSequence")),
        bool(words & SCOUTS),
        text_in(content, "StackID") if content is not None else None,
        time if isinstance(time, int) else None,
    )


def _plane(groups: _Groups, spacing: tuple[float, float] | None) -> Plane | None:
    position = numbers_in(groups.value("ImagePositionPatient", "PlanePositionSequence"), 3)
    cosines = numbers_in(groups.value("ImageOrientationPatient", "PlaneOrientationSequence"), 6)
    if position is None or cosines is None or spacing is None:
        return None
    return Plane((position[0], position[1], position[2]), cosines, spacing)


def _dose_offsets(dataset: "Dataset", count: int) -> tuple[tuple[float, bool], ...] | Refusal | None:
    """How far each frame of a dose grid lies from the first, and whether that is a place on z (PS3.3 C.8.8.3.2)."""
    stated = element_value(dataset, "GridFrameOffsetVector")
    if stated is None or count == 1:
        return None
    offsets = numbers_in(stated, count)
    position = numbers_in(element_value(dataset, "ImagePositionPatient"), 3)
    cosines = numbers_in(element_value(dataset, "ImageOrientationPatient"), 6)
    if offsets is None or position is None or cosines is None:
        return Refusal(Reason.NO_GEOMETRY, "the offsets of the dose grid's frames are not one number for each")
    if offsets[0] == 0:
        return tuple((offset, False) for offset in offsets)
    transverse = tuple(abs(number) for number in cosines) == (1, 0, 0, 0, 1, 0)
    if not transverse or offsets[0] != position[2]:
        return Refusal(
            Reason.NO_GEOMETRY, "the offsets of the dose grid's frames begin neither at 0 nor at its position"
        )
    return tuple((offset, True) for offset in offsets)


def _moved(plane: Plane, offset: tuple[float, bool]) -> Plane:
    x, y, z = plane.position
    distance, is_place = offset
    if is_place:
        return Plane((x, y, distance), plane.cosines, plane.spacing_mm)
    a, b = plane.cosines[:3], plane.cosines[3:]
    normal = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    x, y, z = (at + distance * part for at, part in zip((x, y, z), normal, strict=True))
    return Plane((x, y, z), plane.cosines, plane.spacing_mm)


def _rescale(dataset: "Dataset", index: int) -> tuple[float | None, float | None, str | None]:
    """Slope, intercept and unit; a dose grid's scale is its slope (PS3.3 C.8.8.3)."""
    scaling = numbers_in(element_value(dataset, "DoseGridScaling"), 1)
    if scaling is not None and scaling[0] != 0 and math.isfinite(scaling[0]):
        return scaling[0], 0.0, "GY" if text_in(dataset, "DoseUnits") == "GY" else None
    slope, intercept, unit = rescale_of(dataset, index)
    if slope is None or unit is not None:
        return slope, intercept, unit
    units = text_in(dataset, "Units") if text_in(dataset, "Modality") == "PT" else None
    stated = text_in(dataset, "RescaleType")
    return slope, intercept, units if units in PET_UNITS else stated if stated in RESCALE_UNITS else None


def _window(holder: Any) -> Window | None:
    """The first view by centre and width (PS3.3 C.11.2.1.2)."""
    function = VOI_FUNCTIONS.get(text_in(holder, "VOILUTFunction"))
    found = [element_value(holder, name) for name in ("WindowCenter", "WindowWidth")]
    first = [numbers_in(_several(value)[:1], 1) if value is not None else None for value in found]
    if function is None or first[0] is None or first[1] is None:
        return None
    center, width = first[0][0], first[1][0]
    narrow = width < 1 if function == "linear" else width <= 0
    if narrow or not math.isfinite(center) or not math.isfinite(width):
        return None
    return Window(center, width, function, "header")


def _several(value: Any) -> list[Any]:
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else [value]


def numbers_in(value: Any, count: int) -> tuple[float, ...] | None:
    """So many numbers, finite or not; null where they are not that many or no numbers."""
    if value is None or value == "":
        return None
    try:
        numbers = tuple(float(number) for number in _several(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count else None


def text_in(holder: Any, keyword: str) -> str | None:
    """The text of an element; null where there is none."""
    value = element_value(holder, keyword)
    return None if value is None else str(value).strip() or None


def marks_of(dataset: "Dataset", index: int) -> dict[str, tuple[str | None, ...]]:
    """What may tell a frame from another at its position, by keyword. Never to be shown: values may be a patient's."""
    groups = _Groups(dataset, _items(dataset, index))
    found: dict[str, tuple[str | None, ...]] = {}
    for keyword, group in MARKS:
        found[keyword] = (*found.get(keyword, ()), _mark(groups.value(keyword, group)))
    return found


def _mark(value: Any) -> str | None:
    return None if value is None else "\\".join(str(item) for item in _several(value))
