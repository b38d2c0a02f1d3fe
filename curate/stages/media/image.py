"""Rasters: each frame of a file is an asset, and a rendering beside it where the eye cannot see it as it is stored."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate import images
from curate.images.base import DEFAULT_LIMITS
from curate.images.formats import Format, format_of
from curate.images.resize import resized
from curate.images.store_png import from_samples
from curate.schema import Form, Reason, Refusal
from curate.stages.media.base import Made, RefusedRegion, Request
from curate.stages.placing import Raster

if TYPE_CHECKING:
    from curate.images.dicom_pixels import DicomImage, Frame, Rendering

__all__ = ["make_images"]

RENDERING: Final = "rendering"

Yielded = Iterator[Made | RefusedRegion | Refusal]


def make_images(request: Request) -> Yielded | Refusal:
    """Every frame of the item's one file. One bad frame refuses the item, unless it is DICOM: then that frame alone."""
    (file,) = request.files
    data = file.read()
    if not data:
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    if format_of(data) is Format.DICOM:
        return _of_dicom(request, data)
    count = images.frames_of(data)
    if isinstance(count, Refusal):
        return count
    if count < 1:
        return Refusal(Reason.NO_PIXELS, "the file holds no frame")
    made: list[Made] = []
    for frame in [None] if count == 1 else range(count):
        request.beat()
        one = images.deliver(data, frame=frame, keep_metadata=request.images.keep_metadata)
        if isinstance(one, Refusal):
            return one
        made.append(_raster(request, frame, one))
    return iter(made)


def _raster(request: Request, frame: int | None, came: images.Delivered) -> Made:
    resize = request.recipe.images
    one = came if resize is None else resized(came, resize)
    shrunk = (one.width, one.height) if one is not came else None
    orientation = one.exif_orientation if request.images.exif_rotated else None
    return Made(
        form=Form.IMAGE,
        place=(frame,),
        columns=_columns(request, one, came) | {"frame": frame},
        data=one.data,
        target=Raster(
            width=came.width,
            height=came.height,
            labelled_orientation=orientation,
            delivered=shrunk,
            spacing_mm=came.spacing_mm,
        ),
    )


def _of_dicom(request: Request, data: bytes) -> Yielded | Refusal:
    from curate.images.dicom_pixels import open_image

    image = open_image(data, DEFAULT_LIMITS)
    return image if isinstance(image, Refusal) else _dicom_frames(request, image)


def _dicom_frames(request: Request, image: "DicomImage") -> Yielded:
    """Frame by frame, so that a long loop of them is never held; one that does not decode is refused by itself."""
    from curate.images.dicom_pixels import read_frame

    several = image.frames > 1
    early: list[RefusedRegion] = []
    begun = False
    for number in range(image.frames):
        request.beat()
        read = read_frame(image, number)
        if isinstance(read, Refusal):
            region = RefusedRegion(f"frame={number}", read)
            if begun:
                yield region
            else:
                early.append(region)
            continue
        yield from _dicom_frame(request, number if several else None, read)
        if not begun:
            yield from early
        begun = True
    if not begun:
        yield early[0].refusal


def _dicom_frame(request: Request, frame: int | None, read: "Frame") -> Iterator[Made]:
    from curate.images.dicom_pixels import delivered_frame, rendering_of

    said: dict[str, Any] = {"frame": frame}
    if request.modality is None:
        said |= {"modality": read.modality}
    asset = _array(request, frame, read) if read.is_deep else _raster(request, frame, delivered_frame(read))
    yield Made(
        form=asset.form,
        place=asset.place,
        columns={**asset.columns, **said},
        data=asset.data,
        tree=asset.tree,
        target=asset.target,
    )
    shown = rendering_of(read) if request.recipe.renderings else None
    if shown is not None:
        yield _rendering(request, read, shown, asset, said)


def _rendering(request: Request, read: "Frame", shown: "Rendering", asset: Made, said: dict[str, Any]) -> Made:
    came = from_samples(
        shown.samples,
        changes=shown.changes,
        spacing_mm=read.spacing_mm,
        photometric=shown.photometric,
        affine_lps=read.affine_lps,
        frame_of_reference=read.frame_of_reference,
    )
    resize = None if read.is_deep else request.recipe.images
    one = came if resize is None else resized(came, resize)
    return Made(
        form=Form.RENDERING,
        place=(*asset.place, RENDERING),
        columns=_columns(request, one, came) | said | {"window": msgspec.to_builtins(shown.window)},
        data=one.data,
        rendering_of=asset.place,
    )


def _array(request: Request, frame: int | None, read: "Frame") -> Made:
    """A frame that no PNG holds, as an array of rows and columns; it keeps its size whatever the recipe says."""
    from curate.store.volumes import write_volume

    samples = read.samples
    slope, intercept, unit = read.rescale
    rescale = {"rescale_slope": slope, "rescale_intercept": intercept, "rescale_unit": unit}
    affine = None if read.affine_lps is None else list(read.affine_lps)
    with request.tree() as tree:
        digest = write_volume(
            tree.path,
            [samples],
            shape=samples.shape,
            dtype=samples.dtype,
            axes="yx" if samples.ndim == 2 else "yxc",
            scale=None if read.spacing_mm is None else [*read.spacing_mm, *([1.0] if samples.ndim == 3 else [])],
            units=None if read.spacing_mm is None else {"y": "millimeter", "x": "millimeter"},
            attributes={"affine_lps": affine, "photometric": read.photometric} | rescale,
        )
        stored = tree.commit()
    height, width = samples.shape[:2]
    return Made(
        form=Form.IMAGE,
        place=(frame,),
        columns={
            "media_type": "application/zarr",
            "width": width,
            "height": height,
            "channels": 1 if samples.ndim == 2 else samples.shape[2],
            "bit_depth": 8 * samples.itemsize,
            "dtype": samples.dtype.name,
            "spacing_mm": read.spacing_mm,
            "affine_lps": affine,
            "frame_of_reference": _space(request, read.frame_of_reference if affine else None),
            "photometric": read.photometric,
            "voxels_sha256": digest,
            "changes": ["reencoded_zarr:from=dicom", *read.changes],
            **rescale,
        },
        tree=stored,
        target=Raster(width=width, height=height, spacing_mm=read.spacing_mm),
    )


def _columns(request: Request, one: images.Delivered, came: images.Delivered) -> dict[str, Any]:
    """The columns of a delivered raster; a plane that was shrunk lies where it lay."""
    affine = _shrunk_affine(came, one)
    return {
        **{name: getattr(one, name) for name in _COLUMNS},
        "changes": list(one.changes),
        "affine_lps": affine,
        "frame_of_reference": _space(request, one.frame_of_reference if affine else None),
    }


def _space(request: Request, uid: str | None) -> str | None:
    return None if uid is None else request.token("frame_of_reference", uid)


def _shrunk_affine(came: images.Delivered, one: images.Delivered) -> list[float] | None:
    """The affine of the raster as it is delivered: its first pixel's centre moves inwards as pixels grow."""
    if came.affine_lps is None:
        return None
    across, down = came.width / one.width, came.height / one.height
    rows = [came.affine_lps[start : start + 4] for start in range(0, 16, 4)]
    shift = ((across - 1) / 2, (down - 1) / 2)
    return [
        number for i, j, k, origin in rows for number in (i * across, j * down, k, origin + i * shift[0] + j * shift[1])
    ]


_COLUMNS: Final = (
    "media_type",
    "width",
    "height",
    "channels",
    "bit_depth",
    "exif_orientation",
    "spacing_mm",
    "photometric",
    "rescale_slope",
    "rescale_intercept",
    "rescale_unit",
    "phash",
)
