"""A torso as a CT series: one CT Image Storage instance a slice (PS3.3, A.3)."""

from typing import Any, Final

import numpy as np

from curate.phantom.torso import Torso
from curate.schema import identity

__all__ = ["INTERCEPT_HU", "UID_ROOT", "frame_uid", "series", "series_uid", "uid_of"]

UID_ROOT: Final = "2.25."
"""UIDs below it are made from a UUID, and need no registration (PS3.5, B.2)."""

INTERCEPT_HU: Final = -1024
"""Stored values are unsigned: air would else be below zero."""

CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"

EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"


def uid_of(*fields: object) -> str:
    """The UID that belongs to these fields alone: 128 bits of their digest."""
    return UID_ROOT + str(int(identity("uid", *fields)[:32], 16))


def series_uid(patient: str) -> str:
    """The series of a patient."""
    return uid_of(patient, "series")


def frame_uid(patient: str) -> str:
    """The frame of reference of a patient's study."""
    return uid_of(patient, "frame of reference")


def series(drawn: Torso, patient: str) -> list[Any]:
    """One pydicom dataset a slice, from inferior to superior; nobody's names, and no dates."""
    return [_slice(drawn, patient, index) for index in range(drawn.grid.shape[0])]


def _slice(drawn: Torso, patient: str, index: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset

    z, y, x = drawn.grid.spacing_mm
    place = drawn.grid.matrix @ (0, 0, index, 1)
    pixels = (drawn.hu[index] - INTERCEPT_HU).astype("<u2")
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.SOPClassUID = CT_IMAGE_STORAGE
    made.SOPInstanceUID = uid_of(patient, "slice", index)
    described(made.file_meta, made)
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Modality = "CT"
    made.Manufacturer = "curate phantom"
    made.BodyPartExamined = "ABDOMEN"
    made.PatientName, made.PatientID = "Phantom^Torso", patient
    made.PatientIdentityRemoved, made.DeidentificationMethod = "YES", "Drawn by a program"
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
        setattr(made, keyword, "")
    made.ReferringPhysicianName = ""
    made.StudyInstanceUID, made.SeriesInstanceUID = uid_of(patient, "study"), series_uid(patient)
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = frame_uid(patient), ""
    made.SeriesNumber, made.InstanceNumber = 1, index + 1
    made.PatientPosition = "HFS"
    made.ImagePositionPatient = [float(number) for number in place[:3]]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [y, x], z
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, INTERCEPT_HU, "HU"
    made.WindowCenter, made.WindowWidth = 40, 400
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    return made


def described(meta: Any, dataset: Any) -> None:
    """The file meta information of a dataset; no version of a library stands in it."""
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = EXPLICIT_LITTLE
    meta.ImplementationClassUID = uid_of("implementation")
    meta.ImplementationVersionName = "CURATE_PHANTOM"
