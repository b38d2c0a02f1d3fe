"""Torsos as NIfTI with label maps in the layout of nnU-Net, and one as a DICOM series with a segmentation."""

import gzip
import io
import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import RAS_TO_LPS, Grid, Reorientation, reorient, turned
from curate.phantom.ct_series import series, series_uid
from curate.phantom.folder import Folder, counts_of
from curate.phantom.segmentation import segmentation
from curate.phantom.shapes import generator
from curate.phantom.torso import ORGANS, Torso, torso
from curate.phantom.truth import ImageTruth, ObjectTruth
from curate.schema import Kind, identity

__all__ = ["PATIENTS", "SERIES", "write_ct", "write_ct_series"]

PATIENTS: Final = 3
"""More would only take longer."""

SERIES: Final = 1

STORED: Final = (
    ("LAS", Reorientation((0, 1, 2), (False, True, False))),  # as scanners write CT
    ("RAS", Reorientation((0, 1, 2), (False, True, True))),  # as much research software does
    ("PIR", Reorientation((2, 0, 1), (True, True, False))),  # sagittal slices
)
"""How the arrays of the first three volumes lie in their files, and what turns one nearest to LPS into that."""


def write_ct(folder: Folder, images: int) -> list[ImageTruth]:
    """`imagesTr/torso_000_0000.nii.gz` in Hounsfield units, `labelsTr/torso_000.nii.gz` and `dataset.json`."""
    items = []
    for index in range(images):
        drawn = torso(generator(folder.seed, folder.id, index), index)
        orientation, how = STORED[index % len(STORED)]
        path = f"imagesTr/torso_{index:03d}_0000.nii.gz"
        folder.write(path, _nifti(drawn.hu, drawn.grid, how))
        folder.write(f"labelsTr/torso_{index:03d}.nii.gz", _nifti(drawn.labels.astype(np.uint8), drawn.grid, how))
        items.append(_truth(path, drawn, Kind.MASK, orientation))
    folder.write("dataset.json", _described(images))
    return items


def write_ct_series(folder: Folder, images: int) -> list[ImageTruth]:
    """The first torso again as DICOM: `ct/`, one file a slice in no order, and `seg/organs.dcm`.

    The name of the item is that of the series: its UID, which follows from what was drawn.
    """
    drawn = torso(generator(folder.seed, "phantom-ct", 0), 0)
    patient = identity(folder.seed, folder.id, 0)[:12]
    slices = series(drawn, patient)
    for number, dataset in enumerate(slices):
        folder.write(f"ct/{identity(folder.seed, folder.id, number)[:8]}.dcm", encoded(dataset))
    folder.write("seg/organs.dcm", encoded(segmentation(slices, drawn)))
    return [_truth(f"ct/{series_uid(patient)}", drawn, Kind.MASK, "LPS", subject=patient)]


def encoded(dataset: Any) -> bytes:
    """A DICOM dataset as a file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _truth(path: str, drawn: Torso, kind: Kind, orientation: str, subject: str | None = None) -> ImageTruth:
    depth, height, width = drawn.grid.shape
    objects = tuple(
        _object(drawn, value, organ.name, kind)
        for value, organ in enumerate(ORGANS, 1)
        if (drawn.labels == value).any()
    )
    return ImageTruth(
        path=path,
        width=width,
        height=height,
        depth=depth,
        bit_depth=16,
        spacing_mm=drawn.grid.spacing_mm,
        affine_lps=drawn.grid.affine_lps,
        orientation=orientation,
        subject=subject,
        objects=objects,
        counts=counts_of(objects, tuple(organ.name for organ in ORGANS)),
    )


def _object(drawn: Torso, value: int, name: str, kind: Kind) -> ObjectTruth:
    mask = drawn.labels == value
    ends = []
    for axis in (2, 1, 0):
        (met,) = np.nonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append((float(met[0]), float(met[-1] + 1)))
    (x0, x1), (y0, y1), (z0, z1) = ends
    voxels = int(np.count_nonzero(mask))
    return ObjectTruth(
        kind=kind,
        label=name,
        concept=name,
        box=(x0, y0, z0, x1, y1, z1),
        point=((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2),
        voxels=voxels,
        volume_mm3=voxels * drawn.grid.voxel_mm3,
        truncated=name == "spine",
    )


def _nifti(voxels: npt.NDArray[Any], grid: Grid, how: Reorientation) -> bytes:
    """A gzipped NIfTI-1 file of an array nearest to LPS, stored as `how` turns it; gzip states no time."""
    import nibabel

    stored = turned(voxels, how)
    affine_ras = RAS_TO_LPS @ reorient(grid, how).matrix
    make: Any = nibabel.Nifti1Image
    image = make(np.ascontiguousarray(stored.transpose(2, 1, 0)), affine_ras)
    image.set_sform(affine_ras, code=1)
    image.set_qform(affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def _described(images: int) -> str:
    labels = {"background": 0} | {organ.name: value for value, organ in enumerate(ORGANS, 1)}
    said = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": images, "file_ending": ".nii.gz"}
    return json.dumps(said, indent=2) + "\n"
