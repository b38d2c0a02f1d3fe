"""MINC 1 (netCDF) and MINC 2 (HDF5). World coordinates are RAS in millimetres (MINC programmer's guide).

Integers have a range of real values per slice (`image-min`, `image-max`): they are scaled, and `changes` says so. What
`start` and `step` do not state is not made up: such a volume has no geometry.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.geometry_3d import Affine, lps_from_ras
from curate.images.base import quiet
from curate.images.volume_data import VolumeLimits
from curate.images.volume_raw import Block, Parsed, VolumeFile
from curate.schema import Reason, Refusal

__all__ = ["parse_minc"]

Array = npt.NDArray[Any]
Beat = Callable[[], None]

_COSINES: Final = {"xspace": (1.0, 0.0, 0.0), "yspace": (0.0, 1.0, 0.0), "zspace": (0.0, 0.0, 1.0)}
"""Directions where `direction_cosines` is absent, as the guide defines them."""

_LETTERS: Final = {"xspace": "x", "yspace": "y", "zspace": "z", "time": "t"}
IMAGE: Final = "minc-2.0/image/0/image"
DIMENSIONS: Final = "minc-2.0/dimensions"


@dataclass(frozen=True, slots=True)
class _Minc:
    """An open file: the dimensions of its image, slowest first, with their attributes."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: Mapping[str, Mapping[str, Any]]
    dtype: np.dtype[Any]
    scaled: Callable[[int], Array]  # one index of the slowest dimension, in real values


def parse_minc(file: VolumeFile, hdf5: bool, limits: VolumeLimits) -> Parsed | Refusal:
    """A MINC file; it is held in memory, with the array that it becomes."""
    if file.size > limits.max_decoded_bytes:
        return Refusal(Reason.TOO_LARGE, f"{file.size} bytes, the limit is {limits.max_decoded_bytes}")
    data = file.read()
    try:
        minc = _open_2(data, limits) if hdf5 else _open_1(data)
        return minc if isinstance(minc, Refusal) else _parsed(minc, file, limits)
    except Exception as problem:
        return _not_parsed(problem)


def _parsed(minc: _Minc, file: VolumeFile, limits: VolumeLimits) -> Parsed | Refusal:
    letters = "".join(_LETTERS.get(name, "?") for name in minc.names)
    if len(letters) != len(minc.shape) or sorted(letters.replace("t", "", 1)) != ["x", "y", "z"]:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT, f"{len(minc.shape)} dimensions that are not those of a volume, or of one in time"
        )
    if any(length < 1 for length in minc.shape):
        return Refusal(Reason.CORRUPT_IMAGE, f"an array of {list(minc.shape)}")
    if minc.dtype.kind not in "iuf":
        return Refusal(Reason.UNSUPPORTED_FORMAT, "voxels that are not plain numbers")
    changes = []
    dtype = minc.dtype.newbyteorder("<")
    if dtype.kind != "f":
        dtype = np.dtype("<f4" if dtype.itemsize <= 2 else "<f8")
        changes.append("rescaled:per=slice")
    size = math.prod(minc.shape) * dtype.itemsize + file.size
    if size > limits.max_decoded_bytes:
        return Refusal(
            Reason.TOO_LARGE, f"{size} bytes with the file in memory, the limit is {limits.max_decoded_bytes}"
        )
    words = {name: minc.attributes[name].get("spacing", b"regular__") for name in minc.names}
    if any(_text(word) == "irregular" for word in words.values()):
        return Refusal(Reason.UNEVEN_SPACING, "a dimension states irregular spacing")
    if any(_text(word) not in ("regular__", "") for word in words.values()):
        changes.append("spacing_attribute:assumed=regular__")
    affine = _affine(minc)
    if affine is None:
        changes.append("geometry:not_stated")
    axes = "tzyx" if "t" in letters else "zyx"
    order = [letters.index(axis) for axis in axes]

    def load(beat: Beat) -> Array | Refusal:
        found = np.empty(minc.shape, dtype)
        try:
            for index in range(minc.shape[0]):
                beat()
                with quiet():
                    found[index] = minc.scaled(index)
        except Exception as problem:
            return _not_parsed(problem)
        return found.transpose(order)

    shape = tuple(minc.shape[axis] for axis in order)
    block = Block(file, "none", 0, shape, axes, dtype)
    return Parsed(
        block=block,
        affine_lps=affine,
        loaded=load,
        timepoint_s=_step_s(minc.attributes["time"]) if "t" in letters else None,
        changes=tuple(changes),
    )


def _affine(minc: _Minc) -> Affine | None:
    affine = np.eye(4)
    starts, cosines = [], []
    for column, name in enumerate(_COSINES):
        attributes = minc.attributes[name]
        if "step" not in attributes or "start" not in attributes:
            return None
        unit = _text(attributes.get("units", b"mm")).strip().lower()
        if unit not in ("mm", ""):
            return None
        direction = np.asarray(attributes.get("direction_cosines", _COSINES[name]), np.float64).reshape(3)
        cosines.append(direction)
        starts.append(float(np.asarray(attributes["start"]).reshape(())))
        affine[:3, column] = direction * float(np.asarray(attributes["step"]).reshape(()))
    affine[:3, 3] = np.array(cosines).T @ np.array(starts)
    return lps_from_ras(affine)


def _step_s(attributes: Mapping[str, Any]) -> float | None:
    if _text(attributes.get("units", b"")).strip().lower() not in ("s", "sec", "second", "seconds"):
        return None
    step = float(np.asarray(attributes.get("step", math.nan)).reshape(()))
    return step if math.isfinite(step) and step > 0 else None


def _open_1(data: bytes) -> _Minc:
    from nibabel.externals.netcdf import netcdf_file
    from nibabel.minc1 import Minc1File

    file: Any = netcdf_file(io.BytesIO(data), mmap=False)  # type: ignore[no-untyped-call]
    reader: Any = Minc1File(file)  # type: ignore[no-untyped-call]
    names = tuple(file.variables["image"].dimensions)
    attributes = {name: dict(file.variables[name]._attributes) for name in names}
    return _Minc(
        names,
        tuple(int(length) for length in reader.get_data_shape()),
        attributes,
        reader.get_data_dtype(),
        lambda index: reader.get_scaled_data((index,)),
    )


def _open_2(data: bytes, limits: VolumeLimits) -> _Minc | Refusal:
    import h5py
    from nibabel.minc2 import Minc2File

    file = h5py.File(io.BytesIO(data), "r")
    if not _within(file, IMAGE) or not _within(file, DIMENSIONS):
        return Refusal(Reason.UNSUPPORTED_FORMAT, "an HDF5 file without an image of MINC, or with links in its way")
    image = file[IMAGE]
    group = file[IMAGE.rpartition("/")[0]]
    parts = [image, *(group[name] for name in ("image-min", "image-max") if _within(group, name))]
    if not all(isinstance(part, h5py.Dataset) and not part.external and not part.is_virtual for part in parts):
        return Refusal(Reason.UNSUPPORTED_FORMAT, "voxels that lie outside the HDF5 file")
    if math.prod(image.chunks or (1,)) * image.dtype.itemsize > limits.max_decoded_bytes:
        return Refusal(Reason.TOO_LARGE, f"a chunk has {math.prod(image.chunks)} voxels")
    names = tuple(_text(image.attrs.get("dimorder", b"")).split(",")[: len(image.shape)])
    dimensions = file[DIMENSIONS]
    if not all(_within(dimensions, name) for name in names):
        return Refusal(Reason.CORRUPT_IMAGE, "the image names dimensions that the file does not have")
    with quiet():
        reader: Any = Minc2File(file)  # type: ignore[no-untyped-call]
    return _Minc(
        names,
        tuple(int(length) for length in image.shape),
        {name: dict(dimensions[name].attrs) for name in names},
        image.dtype,
        lambda index: reader.get_scaled_data((index,)),
    )


def _within(group: Any, path: str) -> bool:
    """Whether each step of a path is a plain member: no soft link, and none into another file."""
    import h5py

    for name in path.split("/"):
        if not isinstance(group, h5py.Group) or name not in group:
            return False
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return False
        group = group[name]
    return True


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _not_parsed(problem: Exception) -> Refusal:
    """What a library refuses; its words may quote the file, so that only its type goes on."""
    if isinstance(problem, MemoryError) or (isinstance(problem, OSError) and problem.errno is not None):
        raise problem
    return Refusal(Reason.CORRUPT_IMAGE, f"the file does not parse as MINC ({type(problem).__name__})")
