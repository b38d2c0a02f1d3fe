"""Work 2: JPEG and PNG brought down to 512 pixels, encoded anew in their own format at quality 95, into Parquet.

All inputs are larger than that. img2dataset writes JPEG at quality 95 whatever came.
Run: python bench/work2_resize.py [--images N] [--rounds N]
"""

import hashlib
import io
from pathlib import Path

from common import PNG, Inputs, main, replicate
from peers import Made, by_hand, checked_png, curate_until, img2dataset_with

LONGEST_SIDE = 512
QUALITY = 95


def _resized(data: bytes) -> Made:
    """Strict decode at the smallest sufficient scale, one pass of the resampler, one of the encoder."""
    import numpy as np
    import simplejpeg
    from PIL import Image

    if data.startswith(PNG):
        checked_png(data)
        image = Image.open(io.BytesIO(data))
        if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
            image = image.convert("RGB")
        small = image.resize(_size(*image.size), Image.Resampling.HAMMING, reducing_gap=2.0)
        file = io.BytesIO()
        small.save(file, "PNG", compress_level=1)
        made = file.getvalue()
    else:
        height, width, colours, chroma = simplejpeg.decode_jpeg_header(data)
        size = _size(width, height)
        grey = colours == "Gray"
        wanted = "GRAY" if grey else "RGB"
        decoded = simplejpeg.decode_jpeg(data, wanted, min_width=size[0], min_height=size[1], strict=True)
        image = Image.fromarray(decoded[..., 0] if grey else decoded)
        small = image.resize(size, Image.Resampling.HAMMING)
        samples = np.asarray(small)
        made = simplejpeg.encode_jpeg(samples[..., None] if grey else samples, QUALITY, wanted, chroma)
    return Made(made, hashlib.sha256(data).hexdigest(), *small.size)


def _size(width: int, height: int) -> tuple[int, int]:
    scale = LONGEST_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _is_larger(data: bytes) -> bool:
    from PIL import Image

    return max(Image.open(io.BytesIO(data)).size) > LONGEST_SIDE


CONTESTANTS = {
    "hand": by_hand(_resized),
    "curate": curate_until("group"),
    "img2dataset": img2dataset_with(
        image_size=LONGEST_SIDE,
        resize_mode="keep_ratio_largest",
        resize_only_if_bigger=True,
        encode_quality=QUALITY,
        encode_format="jpg",
    ),
}


def prepare(folder: Path, count: int) -> Inputs:
    """Copies of every real image that is larger than asked."""
    images = f"images: {{longest_side: {LONGEST_SIDE}, jpeg_quality: {QUALITY}}}\n"
    return replicate(folder, count, _is_larger, images)


if __name__ == "__main__":
    main("Work 2: resize to 512 and encode anew", CONTESTANTS, prepare, 2000)
