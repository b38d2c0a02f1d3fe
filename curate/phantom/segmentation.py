"""The organs of a torso as a DICOM segmentation of its series (PS3.3, A.51), coded in SNOMED CT."""

from typing import Any, Final

import numpy as np

from curate.phantom.ct_series import described, uid_of
from curate.phantom.torso import ORGANS, Torso

__all__ = ["CODES", "segmentation"]

ANATOMY: Final = ("123037004", "Anatomical structure")
ALTERED: Final = ("49755003", "Morphologically abnormal structure")

LUNG: Final = ("39607008", "Lung")
KIDNEY: Final = ("64033007", "Kidney")
RIGHT: Final = ("24028007", "Right")
LEFT: Final = ("7771000", "Left")

CODES: Final = {
    "right lung": (ANATOMY, LUNG, RIGHT),
    "left lung": (ANATOMY, LUNG, LEFT),
    "liver": (ANATOMY, ("10200004", "Liver"), None),
    "right kidney": (ANATOMY, KIDNEY, RIGHT),
    "left kidney": (ANATOMY, KIDNEY, LEFT),
    "spine": (ANATOMY, ("421060004", "Vertebral column"), None),
    "liver lesion": (ALTERED, ("52988006", "Lesion"), None),
}
"""Organ -> category, type and side of its segment: codes in SCT with their meanings (PS3.16, CIDs 7150, 7151, 244)."""

UNKNOWN_DATE: Final = {"ContentDate": "20000101", "ContentTime": "000000"}
"""What must be stated of when it was written."""


def segmentation(slices: list[Any], drawn: Torso) -> Any:
    """A binary segmentation with a segment for each organ that is there, only of slices that hold some of it."""
    from highdicom.seg import Segmentation, SegmentationTypeValues

    there = [(value, organ) for value, organ in enumerate(ORGANS, 1) if (drawn.labels == value).any()]
    segments = [_described(number, organ.name) for number, (_, organ) in enumerate(there, 1)]
    patient = str(slices[0].PatientID)
    made = Segmentation(
        source_images=slices,
        pixel_array=np.stack([drawn.labels == value for value, _ in there], axis=-1).astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=uid_of(patient, "segmentation series"),
        series_number=2,
        sop_instance_uid=uid_of(patient, "segmentation"),
        instance_number=1,
        manufacturer="curate phantom",
        manufacturer_model_name="torso",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=True,
    )
    for keyword, value in UNKNOWN_DATE.items():
        setattr(made, keyword, value)
    _settled(made, patient)
    described(made.file_meta, made)
    return made


def _described(number: int, name: str) -> Any:
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from highdicom.sr import CodedConcept

    category, kind, side = (None if code is None else CodedConcept(code[0], "SCT", code[1]) for code in CODES[name])
    assert category is not None
    assert kind is not None
    made = SegmentDescription(number, name, category, kind, SegmentAlgorithmTypeValues.MANUAL)
    if side is not None:
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return made


def _settled(made: Any, patient: str) -> None:
    """What chance, the clock and the library's version left in it: UIDs follow from the patient, the rest goes."""
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid_of(patient, "dimensions")
    for item in made.DimensionIndexSequence:
        if "DimensionOrganizationUID" in item:
            item.DimensionOrganizationUID = uid_of(patient, "dimensions")
    for keyword in ("ContributingEquipmentSequence", "InstanceCreationDate", "InstanceCreationTime"):
        if keyword in made:
            delattr(made, keyword)
