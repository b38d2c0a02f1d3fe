"""Files of volumes for tests, and what a volume says of a place in the patient."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from curate.images.volume_data import VolumeData, VolumeLimits
from curate.images.volumes import VolumeFile, read_volume
from curate.schema import Reason, Refusal


def volume_file(path: Path) -> VolumeFile:
    @contextmanager
    def local() -> Iterator[Path]:
        yield path

    def head(count: int) -> bytes:
        with path.open("rb") as file:
            return file.read(count)

    return VolumeFile(path.name, path.stat().st_size, head, path.read_bytes, local)


def read(*paths: Path, limits: VolumeLimits | None = None, unit: str | None = None) -> VolumeData | Refusal:
    return read_volume([volume_file(path) for path in paths], beat=lambda: None, limits=limits, rescale_unit=unit)


def array_of(volume: VolumeData) -> np.ndarray | Refusal:
    slabs = []
    for slab in volume.slabs():
        if isinstance(slab, Refusal):
            return slab
        assert slab.dtype == volume.dtype
        assert slab.shape[1:] == volume.shape[1:]
        slabs.append(slab.copy())
    array = np.concatenate(slabs)
    assert array.shape == volume.shape
    return array


def whole(*paths: Path, **more) -> tuple[VolumeData, np.ndarray]:
    volume = read(*paths, **more)
    assert isinstance(volume, VolumeData), volume
    array = array_of(volume)
    assert isinstance(array, np.ndarray), array
    return volume, array


def refusal(*paths: Path, **more) -> Refusal:
    """Why a volume is refused: from its header, or while its voxels are read."""
    volume = read(*paths, **more)
    if isinstance(volume, Refusal):
        return volume
    array = array_of(volume)
    assert isinstance(array, Refusal), "it was read"
    return array


def reason(*paths: Path, **more) -> Reason:
    return refusal(*paths, **more).reason


def real_values(volume: VolumeData, array: np.ndarray) -> np.ndarray:
    slope = 1.0 if volume.rescale_slope is None else volume.rescale_slope
    intercept = 0.0 if volume.rescale_intercept is None else volume.rescale_intercept
    return array * slope + intercept


def assert_same_in_the_patient(  # noqa: PLR0917
    volume: VolumeData,
    array: np.ndarray,
    affine_lps: np.ndarray,
    value_at: Callable[[np.ndarray], np.ndarray],
    shape_xyz: Sequence[int],
    tolerance: float = 1e-4,
) -> None:
    """Voxels of another reader lie at ours, with the same values: `value_at` takes rows of x, y, z indices."""
    assert volume.grid is not None
    generator = np.random.default_rng(0)
    indices = np.stack([generator.integers(0, length, 200) for length in shape_xyz], axis=1)
    indices[0], indices[1] = 0, np.array(shape_xyz) - 1
    places = np.c_[indices, np.ones(len(indices))] @ affine_lps.T
    ours = places @ np.linalg.inv(volume.grid.matrix).T
    nearest = np.rint(ours[:, :3]).astype(int)
    assert np.abs(ours[:, :3] - nearest).max() < tolerance
    x, y, z = nearest.T
    found = real_values(volume, array)[..., z, y, x] if not volume.axes.endswith("c") else array[z, y, x]
    wanted = value_at(indices)
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-9, equal_nan=True)


def assert_nearest_to_lps(volume: VolumeData) -> None:
    assert volume.grid is not None
    steps = volume.grid.matrix[:3, :3]
    assert np.array_equal(np.argmax(np.abs(steps), axis=0), [0, 1, 2]) or np.all(np.diag(steps) > 0)
    assert np.all(np.diag(steps) > 0)
