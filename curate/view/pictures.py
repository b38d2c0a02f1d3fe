"""Stored bytes as pictures for a page: 8 bits, at most so many pixels a side, as data URIs."""

import base64
import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curate.errors import StoreError
from curate.images import windows
from curate.images.raster import decode
from curate.rows import Asset
from curate.store.place import Place
from curate.view.shown import Picture

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["picture_of", "poster_of", "volume_slice"]

JPEG_QUALITY: Final = 84


def picture_of(data: bytes, asset: Asset, longest: int) -> Picture:
    """A stored JPEG or PNG, shrunk to `longest` pixels a side; more than 8 bits through their percentiles.

    Raises:
        StoreError: the bytes are not those that a build stored.
    """
    try:
        samples = decode(data)
    except ValueError:
        raise StoreError(f"the picture of asset {asset.asset_id} does not decode; `curate check` says more") from None
    return _shown(samples, asset, longest)


def _shown(samples: Any, asset: Asset, longest: int) -> Picture:
    """Samples [row, column(, channel)] as a picture."""
    how = ""
    if samples.dtype != np.uint8:
        window = windows.percentile_window(
            samples, slope=asset.rescale_slope, intercept=asset.rescale_intercept, ignore=None
        )
        samples = windows.render(
            samples,
            slope=asset.rescale_slope,
            intercept=asset.rescale_intercept,
            window=window,
            invert=asset.photometric == "MONOCHROME1",
        )
        how = "shown through the percentiles of its values"
    return _encoded(_opaque(samples), longest, how)


def _opaque(samples: Any) -> "Image.Image":
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(samples.squeeze()))
    if picture.mode in ("LA", "RGBA"):
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _encoded(picture: "Image.Image", longest: int, how: str) -> Picture:
    from PIL import Image

    scale = longest / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    jpeg, png = io.BytesIO(), io.BytesIO()
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    if picture.width * picture.height <= 2**16:
        picture.save(png, "PNG", optimize=True)
    kind, data = ("png", png) if 0 < png.tell() <= jpeg.tell() else ("jpeg", jpeg)
    uri = f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
    return Picture(uri, picture.width, picture.height, how)


def volume_slice(out: Place, asset: Asset, index: int, longest: int) -> Picture | None:
    """One plane of a volume along its first axis in space; null where it is not in a folder of this machine."""
    from curate.store.volumes import open_volume

    if asset.volume is None or not isinstance(out, Path):
        return None
    array = open_volume(out / asset.volume)
    plane = np.asarray(array[(0, index) if asset.timepoints is not None else index])
    where = f"slice {index} of 0 to {(asset.depth or 1) - 1}"
    if plane.ndim > 2 and plane.shape[-1] not in (3, 4):
        plane = plane[..., 0]
    picture = _shown(plane if plane.dtype.kind in "iuf" else plane.astype(np.uint8), asset, longest)
    return replace(picture, slice=index, how=f"{where}, {picture.how}" if picture.how else where)


def poster_of(data: bytes, asset: Asset, longest: int) -> Picture | None:
    """The middle picture of a stored video; null where it does not decode."""
    from curate.images.video import VideoRefused, examine, pictures
    from curate.images.video_frames import evenly_spread, samples_of
    from curate.schema import Refusal

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        path.write_bytes(data)
        try:
            facts = examine(path, lambda: None)
            wanted = evenly_spread(facts, 1)[0]
            for picture in pictures(path, facts, lambda: None):
                if picture.position == wanted:
                    samples = samples_of(picture.frame)
                    return None if isinstance(samples, Refusal) else _shown(samples.array, asset, longest)
        except VideoRefused:
            return None
    return None
