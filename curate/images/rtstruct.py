"""The contours of a structure set: closed polygons in the patient, in millimetres (PS3.3 C.8.8.6)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from curate.images.base import DEFAULT_LIMITS, Limits, quiet
from curate.images.dicom import read_dataset
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Contours", "StructureSet", "read_structure_set"]

Points = npt.NDArray[np.float64]

CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Types that enclose an area. In both what lies within an even number of contours of one plane is outside."""

MIN_CORNERS: Final = 3


@dataclass(frozen=True, slots=True)
class Contours:
    """The closed contours of one region, each n x 3 in LPS, and the raw UID of the space that they lie in."""

    points_mm: tuple[Points, ...] = field(repr=False)
    frame_of_reference: str | None


@dataclass(frozen=True, slots=True)
class StructureSet:
    """A structure set that parsed: its regions are read when they are asked for."""

    dataset: "Dataset" = field(repr=False)

    def contours(self, roi: int) -> Contours | Refusal:
        """The contours of the region with that number; one that is no closed polygon refuses the region as a whole."""
        with quiet():
            try:
                return _contours(self.dataset, roi)
            except Exception as problem:  # (conversion of a damaged value raises whatever it meets)
                return Refusal(Reason.INVALID_CONTOUR, f"the contours are not understood ({type(problem).__name__})")


def read_structure_set(data: bytes, limits: Limits = DEFAULT_LIMITS) -> StructureSet | Refusal:
    """The structure set in a DICOM file."""
    if len(data) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")
    with quiet():
        read = read_dataset(data, limits, pixels=False)
    return read if isinstance(read, Refusal) else StructureSet(read[0])


def _contours(dataset: "Dataset", roi: int) -> Contours | Refusal:
    regions = [item for item in dataset.StructureSetROISequence if int(item.ROINumber) == roi]
    if len(regions) != 1:
        return Refusal(Reason.INVALID_HEADER, f"{len(regions)} regions have the number that is asked for")
    space = regions[0].get("ReferencedFrameOfReferenceUID")
    drawn = [item for item in dataset.get("ROIContourSequence") or () if int(item.ReferencedROINumber) == roi]
    points: list[Points] = []
    for contour in (contour for item in drawn for contour in item.get("ContourSequence") or ()):
        ring = _ring(contour)
        if isinstance(ring, Refusal):
            return ring
        points.append(ring)
    return Contours(tuple(points), str(space) if space else None)


def _ring(contour: "Dataset") -> Points | Refusal:
    kind = contour.get("ContourGeometricType")
    if kind not in CLOSED:
        return Refusal(Reason.INVALID_CONTOUR, "a contour is not of the type CLOSED_PLANAR: it encloses nothing")
    numbers: Any = contour.get("ContourData")
    try:
        flat = np.array(numbers if numbers is not None else (), dtype=np.float64)
    except (TypeError, ValueError):
        return Refusal(Reason.INVALID_CONTOUR, "a contour holds something other than numbers")
    if flat.ndim != 1 or flat.size % 3 or flat.size < 3 * MIN_CORNERS:
        return Refusal(Reason.INVALID_CONTOUR, f"a contour has {flat.size} numbers; it needs at least 3 corners of 3")
    if not np.isfinite(flat).all():
        return Refusal(Reason.INVALID_CONTOUR, "a corner of a contour is not finite")
    return flat.reshape(-1, 3)
