"""Media: what becomes of an item, by what its card or its bytes say it is."""

from typing import Final

from curate.images.formats import form_of
from curate.schema import Form
from curate.stages.media.base import Made, Medium, Place, RefusedRegion, Request, SourceFile

__all__ = ["Made", "Medium", "Place", "RefusedRegion", "Request", "SourceFile", "medium_of"]

HEAD_BYTES: Final = 4096


def medium_of(request: Request) -> Medium:
    """The medium of an item: the card's, else that of its first bytes.

    Media are imported when they are first wanted: each brings libraries of its own.
    """
    form = request.images.form or form_of(request.files[0].head(HEAD_BYTES))
    match form:
        case Form.VOLUME:
            from curate.stages.media.volume import make_volume

            return make_volume
        case Form.SLIDE:
            from curate.stages.media.slide import make_slide

            return make_slide
        case Form.VIDEO:
            from curate.stages.media.video import make_video

            return make_video
        case _:
            from curate.stages.media.image import make_images

            return make_images
