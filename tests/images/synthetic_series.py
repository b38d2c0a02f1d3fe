"""Series of a few small slices, made to be right or wrong in one way."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from curate.images.series import SeriesFile, read_series
from curate.images.volume_data import VolumeData
from curate.schema import Refusal

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def decimals(values: Iterable[float]) -> list[str]:
    """Numbers as a header can hold them: in at most sixteen characters."""
    return [format_number_as_ds(float(value)) for value in values]


def slice_dataset(
    number: int,
    position: Sequence[float],
    pixels: np.ndarray,
    cosines: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.5, 0.75),
    **values: Any,
) -> Dataset:
    """One slice. `values` are further elements by keyword; null leaves one out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = f"2.25.1{number:04d}"
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "2.25.2", "2.25.3"
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = decimals(position), decimals(cosines)
    dataset.PixelSpacing = decimals(spacing)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def written(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def axial(count: int = 5, *, size: tuple[int, int] = (4, 6), dtype: Any = np.int16) -> list[Dataset]:
    """A plain CT of slices 2 mm apart: the value of a voxel is its place in the array."""
    values = np.arange(count * size[0] * size[1]).astype(dtype).reshape(count, *size)
    return [slice_dataset(index, (-10, -20, 5 + 2 * index), values[index]) for index in range(count)]


def held(data: bytes) -> SeriesFile:
    return SeriesFile(lambda size: data[:size], lambda: data, len(data))


def read(series: Iterable[Dataset | bytes], **limits: Any) -> VolumeData | Refusal:
    files = [held(one if isinstance(one, bytes) else written(one)) for one in series]
    return read_series(files, beat=lambda: None, **limits)


def volume_of(series: Iterable[Dataset | bytes]) -> VolumeData:
    volume = read(series)
    assert isinstance(volume, VolumeData), volume
    return volume


def refused(series: Iterable[Dataset | bytes]) -> Refusal:
    volume = read(series)
    assert isinstance(volume, Refusal), volume
    return replace(volume)


def array_of(volume: VolumeData) -> np.ndarray:
    """All slabs as one array, which must be the one that was announced."""
    slabs = []
    for slab in volume.slabs():
        assert not isinstance(slab, Refusal), slab
        slabs.append(slab)
    array = np.concatenate(slabs)
    assert (array.shape, array.dtype) == (volume.shape, volume.dtype)
    return array


def ending_of(volume: VolumeData) -> Refusal:
    """What ended the volume while its slabs were taken."""
    last = list(volume.slabs())[-1]
    assert isinstance(last, Refusal)
    return last
