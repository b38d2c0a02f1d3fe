"""Volumes: an item becomes a zarr tree, and planes cut from it become pictures.

A picture shows the patient as a radiologist expects it: an axial plane has anterior above and the patient's right on
the left, a coronal one superior above and the patient's right on the left, a sagittal one superior above and anterior
on the left. So the rows of an axial plane are y and its columns x; those of a coronal plane z from above and x; those
of a sagittal plane z from above and y. Nothing is resampled: pixels keep the steps of the volume's grid.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
import numpy as np

from curate.errors import RecipeError
from curate.geometry_3d import Affine, Grid, flat
from curate.images.formats import Format, format_of
from curate.images.resize import resized
from curate.images.store_png import from_samples
from curate.images.volume_data import Array, VolumeData
from curate.images.windows import HU, named_window, percentile_window, render
from curate.rows import Window
from curate.schema import Form, Reason, Refusal, Verdict
from curate.stages.media.base import Made, Place, RefusedRegion, Request, SourceFile
from curate.stages.placing import Cut, Space
from curate.stages.volume_planes import (
    AXES,
    Plane,
    Stack,
    evenly_spread,
    oblique_degrees,
    picture_of_plane,
    slice_affine,
)
from curate.stages.voxel_values import hounsfield_of
from curate.store.shards import MAX_PLANE_BYTES
from curate.store.trees import StoredTree
from curate.store.volumes import open_volume, write_volume

__all__ = ["make_volume"]


HEAD_BYTES: Final = 4096

OBLIQUE_DEGREES: Final = 5.0
"""How far a plane may lie from the patient's own before its pictures say so: within it lies how a head is held."""


def make_volume(request: Request) -> Iterator[Made | RefusedRegion | Refusal] | Refusal:
    """The volume itself, then its planes through the windows that the recipe asks for."""
    unread = {file.key: file for file in request.files}
    files = tuple(_noted(file, unread) for file in request.files)
    try:
        volume = _read(request, files)
        if isinstance(volume, Refusal):
            return volume
        with request.tree() as tree:
            try:
                digest = _write(tree.path, volume, request)
            except _RefusedError as problem:
                return problem.refusal
            stored = tree.commit()
            folder = tree.path.parent / PurePosixPath(stored.name).name
    finally:
        for file in unread.values():  # also what is refused is known by its bytes
            with contextlib.suppress(OSError), file.local():
                pass
    return _assets(request, volume, stored, digest, folder)


def _noted(file: SourceFile, unread: dict[str, SourceFile]) -> SourceFile:
    """A file that leaves `unread` once its digest was taken."""

    def read() -> bytes:
        data = file.read()
        unread.pop(file.key, None)
        return data

    def local() -> contextlib.AbstractContextManager[Path]:
        unread.pop(file.key, None)
        return file.local()

    return replace(file, read=read, local=local)


def _read(request: Request, files: tuple[SourceFile, ...]) -> VolumeData | Refusal:
    if any(file.size == 0 for file in files):
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    if format_of(files[0].head(HEAD_BYTES)) is Format.DICOM:
        from curate.images.series import SeriesFile, read_series

        return read_series([SeriesFile(file.head, file.read, file.size) for file in files], beat=request.beat)
    from curate.images.volumes import VolumeFile, read_volume

    return read_volume(
        [VolumeFile(file.name, file.size, file.head, file.read, file.local) for file in files],
        beat=request.beat,
        rescale_unit=request.images.rescale_unit,
    )


class _RefusedError(Exception):
    """A slab that could not be had, on its way out of the writer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def _write(folder: Path, volume: VolumeData, request: Request) -> str:
    """Write the tree and return the digest of its voxels."""
    plane = volume.shape[-3:] if volume.axes.endswith("c") else volume.shape[-2:]
    if int(np.prod(plane, dtype=np.int64)) * volume.dtype.itemsize > MAX_PLANE_BYTES:
        raise _RefusedError(Refusal(Reason.TOO_LARGE, f"a plane of {' x '.join(map(str, plane))} voxels"))

    def arrays() -> Iterator[Array]:
        for slab in volume.slabs():
            if isinstance(slab, Refusal):
                raise _RefusedError(slab)
            yield slab

    grid, time_s = volume.grid, volume.timepoint_s
    scale = {"t": 1.0 if time_s is None else time_s, "c": 1.0}
    scale |= dict(zip("zyx", (1.0, 1.0, 1.0) if grid is None else grid.spacing_mm, strict=True))
    units = {} if grid is None else dict.fromkeys("zyx", "millimeter")
    origin = dict.fromkeys("tczyx", 0.0)
    if grid is not None:
        origin |= dict(zip("xyz", (float(number) for number in grid.matrix[:3, 3]), strict=True))
    return write_volume(
        folder,
        arrays(),
        shape=volume.shape,
        dtype=volume.dtype,
        axes=volume.axes,
        scale=[scale[axis] for axis in volume.axes],
        translation=None if grid is None or not _axis_aligned(grid) else [origin[axis] for axis in volume.axes],
        units=units | ({} if time_s is None else {"t": "second"}),
        attributes={
            "affine_lps": None if grid is None else list(grid.affine_lps),
            "spacing_mm": None if grid is None else list(grid.spacing_mm),
            "orientation": volume.orientation,
            "frame_of_reference": _frame_token(request, volume),
            "photometric": volume.photometric,
            "rescale_slope": volume.rescale_slope,
            "rescale_intercept": volume.rescale_intercept,
            "rescale_unit": volume.rescale_unit,
            "timepoint_s": time_s,
        },
        rescale=(1.0 if volume.rescale_slope is None else volume.rescale_slope, volume.rescale_intercept or 0.0),
    )


def _axis_aligned(grid: Grid) -> bool:
    matrix = grid.matrix[:3, :3]
    return not np.any(matrix - np.diag(np.diag(matrix)))


def _frame_token(request: Request, volume: VolumeData) -> str | None:
    uid = volume.frame_of_reference
    return None if uid is None else request.token("frame_of_reference", uid)


def _assets(
    request: Request, volume: VolumeData, stored: StoredTree, digest: str, folder: Path
) -> Iterator[Made | RefusedRegion | Refusal]:
    grid = volume.grid
    sizes = dict(zip(volume.axes, volume.shape, strict=True))
    values = hounsfield_of(volume, lambda: open_volume(folder))
    space = Space(grid=grid, frame_of_reference=_frame_token(request, volume), values=values)
    yield Made(
        form=Form.VOLUME,
        place=(None,),
        tree=stored,
        target=space,
        columns={
            "media_type": "application/zarr",
            "width": sizes["x"],
            "height": sizes["y"],
            "depth": sizes["z"],
            "timepoints": sizes.get("t"),
            "channels": sizes.get("c", 1),
            "bit_depth": 1 if volume.dtype.kind == "b" else 8 * volume.dtype.itemsize,
            "dtype": str(volume.dtype),
            "spacing_mm": None if grid is None else list(grid.spacing_mm),
            "affine_lps": None if grid is None else list(grid.affine_lps),
            "orientation": volume.orientation,
            "frame_of_reference": space.frame_of_reference,
            "photometric": volume.photometric,
            "rescale_slope": volume.rescale_slope,
            "rescale_intercept": volume.rescale_intercept,
            "rescale_unit": volume.rescale_unit,
            "changes": [*volume.changes, *volume.found_while_read()],
            "voxels_sha256": digest,
            "phash": None,
        },
    )
    wanted = request.recipe.volumes
    if wanted is None or wanted.slices is None:
        return
    if grid is None:
        yield RefusedRegion(
            "slices",
            Refusal(Reason.NO_GEOMETRY, "planes are named by the patient's axes, and the volume states no orientation"),
        )
        return
    stack = Stack(open_volume(folder), volume)
    windows: dict[str, Window | None] = {}
    for name in ("auto",) if "c" in volume.axes else wanted.windows:
        window = _window(name, volume, stack)
        if isinstance(window, Refusal):
            yield RefusedRegion(f"slices through window {name}", window)
        else:
            windows[name] = window
    if not windows:
        return
    for plane in wanted.planes:
        axis = AXES[plane]
        for index, samples in stack.planes(axis, evenly_spread(wanted.slices, grid.shape[axis]), request.beat):
            yield from _pictures(request, volume, space, plane, index, samples, windows)


def _window(name: str, volume: VolumeData, stack: Stack) -> Window | Refusal | None:
    """The window of that name; null for colours, which need none.

    Raises:
        RecipeError: there is none of that name.
    """
    if "c" in volume.axes:
        return None
    if name != "auto":
        try:
            named = named_window(name)
        except ValueError as problem:
            raise RecipeError(f"volumes: windows: {problem}") from None
        if volume.rescale_unit != HU:
            unit = volume.rescale_unit or "none"
            why = f"the window is in {HU}, the unit that is proved for the values: {unit}"
            return Refusal(Reason.NO_UNIT, why, Verdict.FILTERED)
        return named
    if volume.window is not None and volume.window.function != "lut":
        return volume.window
    return percentile_window(stack.sample(), slope=volume.rescale_slope, intercept=volume.rescale_intercept)


def _pictures(  # noqa: PLR0917
    request: Request,
    volume: VolumeData,
    space: Space,
    plane: Plane,
    index: int,
    samples: Array,
    windows: Mapping[str, Window | None],
) -> Iterator[Made]:
    """One plane through each window: the first holds what is drawn there, the others are renderings of it."""
    grid, axis = volume.grid, AXES[plane]
    assert grid is not None
    shown = picture_of_plane(samples, axis)
    rows, columns = (other for other in range(3) if other != axis)
    spacing = (grid.spacing_mm[rows], grid.spacing_mm[columns])
    changes = [f"timepoint:0 of {volume.shape[0]}"] if "t" in volume.axes else []
    degrees = oblique_degrees(grid, axis)
    if degrees > OBLIQUE_DEGREES:
        changes.append(f"oblique:degrees={degrees:.1f}")
    first: Place | None = None
    for name, window in windows.items():
        request.beat()
        grey = shown if window is None else _rendered(shown, volume, window)
        one = from_samples(
            np.ascontiguousarray(grey),
            changes=tuple(changes),
            spacing_mm=spacing,
            photometric="MONOCHROME2" if grey.ndim == 2 else volume.photometric,
        )
        came = (one.width, one.height)
        if request.recipe.images is not None:
            one = resized(one, request.recipe.images)
        size = (one.width, one.height)
        place: Place = (plane, index, name)
        yield Made(
            form=Form.SLICE,
            place=place,
            data=one.data,
            derived_from=(None,),
            rendering_of=first,
            target=None
            if first is not None
            else Cut(space=space, axis=axis, index=index, delivered=size if size != came else None),
            columns={
                "media_type": one.media_type,
                "width": one.width,
                "height": one.height,
                "channels": one.channels,
                "bit_depth": one.bit_depth,
                "plane": plane,
                "position": index,
                "window": None if window is None else msgspec.to_builtins(window),
                "spacing_mm": list(one.spacing_mm or spacing),
                "affine_lps": list(flat(slice_affine(grid, axis, index) @ _shrinking(came, size))),
                "frame_of_reference": space.frame_of_reference,
                "photometric": one.photometric,
                "changes": list(one.changes),
                "phash": one.phash,
            },
        )
        first = first or place


def _rendered(samples: Array, volume: VolumeData, window: Window) -> Array:
    return render(
        samples,
        slope=volume.rescale_slope,
        intercept=volume.rescale_intercept,
        window=window,
        invert=volume.photometric == "MONOCHROME1",
    )


def _shrinking(came: tuple[int, int], size: tuple[int, int]) -> Affine:
    """Maps pixel centres of a shrunk picture to those of the picture as it came."""
    matrix = np.eye(4)
    for axis in (0, 1):
        factor = came[axis] / size[axis]
        matrix[axis, axis], matrix[axis, 3] = factor, (factor - 1) / 2
    return matrix
