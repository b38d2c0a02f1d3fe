"""What decodes windows of a slide that are not put together from its compressed tiles."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from PIL import Image

from curate.schema import Reason, Refusal

__all__ = ["CACHE_BYTES", "Decoder", "OpenSlideDecoder", "Picture"]

CACHE_BYTES: Final = 32 * 2**20
"""Of decoded tiles, which neighbouring windows share; OpenSlide keeps half as much for itself."""


class Decoder(Protocol):
    """Decodes a window of a level onto a background."""

    def close(self) -> None:
        """Give back what it holds."""
        ...

    def region(
        self, level: int, at: tuple[int, int], size: tuple[int, int], background: tuple[int, int, int]
    ) -> tuple[Image.Image, bool] | Refusal:
        """RGB, and whether the background shows. `at` is the first column and row, in pixels of the level."""
        ...


@dataclass(slots=True)
class OpenSlideDecoder:
    """OpenSlide's handle of a file, opened anew after an error: it answers nothing any more then."""

    path: Path
    opened: Any = field(init=False)

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        import openslide

        self.opened = None
        self.opened = openslide.OpenSlide(self.path)
        self.opened.set_cache(openslide.OpenSlideCache(CACHE_BYTES // 2))

    def close(self) -> None:
        """Give back the handle."""
        if self.opened is not None:
            self.opened.close()

    def region(
        self, level: int, at: tuple[int, int], size: tuple[int, int], background: tuple[int, int, int]
    ) -> tuple[Image.Image, bool] | Refusal:
        """A window of a level on the slide's background, and whether that shows.

        OpenSlide takes positions in whole pixels of level 0: in lower levels its window may lie beside the one that is
        meant by less than half such a pixel.
        """
        import openslide

        try:
            downsample = self.opened.level_downsamples[level]
            region = self.opened.read_region((round(at[0] * downsample), round(at[1] * downsample)), level, size)
        except openslide.OpenSlideError as problem:
            self.opened.close()
            self._open()
            return Refusal(Reason.CORRUPT_IMAGE, f"a region does not decode ({type(problem).__name__})")
        if region.getextrema()[3] == (255, 255):
            return region.convert("RGB"), False
        ground = Image.new("RGBA", size, (*background, 255))
        return Image.alpha_composite(ground, region).convert("RGB"), True


@dataclass(frozen=True, slots=True)
class Picture:
    """A plain picture in the place of OpenSlide: one level, held in memory."""

    image: Image.Image

    def close(self) -> None:
        """Give back the memory."""
        self.image.close()

    def region(
        self, level: int, at: tuple[int, int], size: tuple[int, int], background: tuple[int, int, int]
    ) -> tuple[Image.Image, bool]:
        """A window of the picture, which has no background."""
        return self.image.crop((at[0], at[1], at[0] + size[0], at[1] + size[1])), False
