"""A drawn patient in DICOM, and what is drawn in that patient: segmentations, structure sets, label maps."""

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian

from curate.geometry_3d import RAS_TO_LPS, Grid
from curate.phantom.ct_series import frame_uid, series, series_uid
from curate.phantom.torso import Torso, torso

PATIENT = "P1"
SERIES, SPACE = series_uid(PATIENT), frame_uid(PATIENT)
LIVER, KIDNEY = ("10200004", "Liver"), ("64033007", "Kidney")
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"


@functools.cache
def drawn() -> Torso:
    return torso(np.random.default_rng(7), 0)


def slices(made: Torso) -> list[Dataset]:
    return series(made, PATIENT)


def data_of(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def segmentation(
    sources: Sequence[Dataset],
    masks: npt.NDArray[Any],
    codes: Sequence[tuple[str, str]],
    kind: str = "BINARY",
    **more: Any,
) -> Dataset:
    """`masks` is slice, row, column, segment; `codes` has a code of SCT and what it means for each segment."""
    from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept

    tissue = CodedConcept("85756007", "SCT", "Tissue")
    algorithm = SegmentAlgorithmTypeValues.MANUAL
    described = [
        SegmentDescription(number, f"segment {number}", tissue, CodedConcept(code, "SCT", meaning), algorithm)
        for number, (code, meaning) in enumerate(codes, 1)
    ]
    made: Dataset = Segmentation(
        source_images=sources,
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid="2.25.71",
        series_number=9,
        sop_instance_uid="2.25.72",
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    return made


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def structure_set(
    rois: Mapping[str, Sequence[npt.NDArray[np.float64]]],
    series_uid: str | None = SERIES,
    space: str = SPACE,
    kind: str = "CLOSED_PLANAR",
) -> Dataset:
    """Regions by name, each of contours (n x 3, mm)."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = STRUCTURE_SET
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "2.25.81"
    made.SeriesInstanceUID, made.Modality = "2.25.82", "RTSTRUCT"
    made.PatientName, made.PatientID = "Nobody^Real", PATIENT
    named = [] if series_uid is None else [item(SeriesInstanceUID=series_uid)]
    study = item(RTReferencedSeriesSequence=named)
    made.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=space, RTReferencedStudySequence=[study])]
    made.StructureSetROISequence = [
        item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=space, ROIGenerationAlgorithm="MANUAL")
        for number, name in enumerate(rois, 1)
    ]
    made.ROIContourSequence = [
        item(
            ReferencedROINumber=number,
            ContourSequence=[
                item(
                    ContourGeometricType=kind,
                    NumberOfContourPoints=len(ring),
                    ContourData=[f"{value:.4f}" for value in ring.ravel()],
                )
                for ring in rings
            ],
        )
        for number, rings in enumerate(rois.values(), 1)
    ]
    made.RTROIObservationsSequence = [
        item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="ORGAN", ROIInterpreter="")
        for number in range(1, len(rois) + 1)
    ]
    return made


def rectangle(grid: Grid, z: int, rows: tuple[int, int], columns: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The contour around the voxels of rows and columns (first, last plus one) of a slice, along their edges."""
    (top, bottom), (left, right) = ((first - 0.5, last - 0.5) for first, last in (rows, columns))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    points: npt.NDArray[np.float64] = np.array([grid.matrix @ (x, y, z, 1) for x, y in corners])[:, :3]
    return points


def save_nifti(path: Path, labels: npt.NDArray[Any], grid: Grid) -> None:
    """A label map [slice, row, column] as most tools write them: in RAS, x first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = RAS_TO_LPS @ grid.matrix
    image = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(labels).T, affine))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
