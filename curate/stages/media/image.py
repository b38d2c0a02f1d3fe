"""Rasters: each frame of a file is an asset, and a rendering beside it where the eye cannot see it as it is stored."""

from collections.abc import Iterator
from typing import Final

from curate import images
from curate.images.resize import resized
from curate.schema import Form, Reason, Refusal
from curate.stages.media.base import Made, RefusedRegion, Request
from curate.stages.placing import Raster

__all__ = ["make_images"]


def make_images(request: Request) -> Iterator[Made | RefusedRegion | Refusal] | Refusal:
    """Every frame of the item's one file; one bad frame refuses the item."""
    (file,) = request.files
    data = file.read()
    if not data:
        return Refusal(Reason.EMPTY_FILE, "0 bytes")
    count = images.frames_of(data)
    if isinstance(count, Refusal):
        return count
    if count < 1:
        return Refusal(Reason.NO_PIXELS, "the file holds no frame")
    resize = request.recipe.images
    made: list[Made] = []
    for frame in [None] if count == 1 else range(count):
        request.beat()
        one = images.deliver(data, frame=frame, keep_metadata=request.images.keep_metadata)
        if isinstance(one, Refusal):
            return one
        came = (one.width, one.height)
        shown = one if resize is None else resized(one, resize)
        made.append(_made(request, frame, came, shown))
    return iter(made)


def _made(request: Request, frame: int | None, came: tuple[int, int], one: images.Delivered) -> Made:
    orientation = one.exif_orientation if request.images.exif_rotated else None
    shrunk = (one.width, one.height)
    return Made(
        form=Form.IMAGE,
        place=(frame,),
        columns={"frame": frame, "changes": list(one.changes)} | {name: getattr(one, name) for name in _COLUMNS},
        data=one.data,
        target=Raster(
            width=came[0],
            height=came[1],
            labelled_orientation=orientation,
            delivered=shrunk if shrunk != came else None,
        ),
    )


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
