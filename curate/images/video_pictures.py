"""Decoded pictures: their samples without padding, and what the first one says that all others must say too."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from curate.images.video_open import refuse
from curate.schema import Reason

__all__ = ["FirstPicture", "colours_of", "digest_of", "has_user_data", "planes_of"]


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """What the first picture says, that all others must say too."""

    width: int
    height: int
    pixel_format: str
    channels: int
    bit_depth: int
    rotation: int
    colours: tuple[int, int, int, int]
    digest: bytes

    @classmethod
    def of(cls, frame: Any) -> "FirstPicture":
        parts = frame.format.components
        return cls(
            width=frame.width,
            height=frame.height,
            pixel_format=frame.format.name,
            channels=3 if frame.format.has_palette else len(parts),
            bit_depth=8 if frame.format.has_palette else max(part.bits for part in parts),
            rotation=frame.rotation,
            colours=colours_of(frame),
            digest=digest_of(frame),
        )

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def compare(self, frame: Any) -> None:
        """Refuse a video whose pictures change their size or kind on the way."""
        if (frame.width, frame.height, frame.format.name) != (self.width, self.height, self.pixel_format):
            refuse(
                Reason.UNSUPPORTED_FORMAT,
                f"pictures of several sizes or kinds: {self.width} x {self.height} {self.pixel_format}, "
                f"then {frame.width} x {frame.height} {frame.format.name}",
            )


def planes_of(frame: Any) -> list[bytes]:
    """The samples of a picture, plane by plane and row by row from the top, without padding."""
    if any(plane.line_size < 0 for plane in frame.planes):  # stored bottom-up
        frame = frame.reformat(format=frame.format.name, width=frame.width, height=frame.height)
        if any(plane.line_size < 0 for plane in frame.planes):
            frame = frame.reformat(format="rgb24")
    found = []
    for number, plane in enumerate(frame.planes):
        step, width = plane.line_size, _row_bytes(frame, number, plane)
        rows = np.frombuffer(plane, np.uint8)
        if not step:  # a palette has no rows
            found.append(rows[:width].tobytes())
        else:
            found.append(rows[: plane.height * step].reshape(plane.height, step)[:, :width].tobytes())
    return found


def has_user_data(frame: Any) -> bool:
    """True where words came with a picture: unregistered SEI, as encoders and devices write them, or captions."""
    return any(data.type.name in ("SEI_UNREGISTERED", "A53_CC") for data in frame.side_data)


def colours_of(frame: Any) -> tuple[int, int, int, int]:
    return int(frame.color_range), int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)


def digest_of(frame: Any) -> bytes:
    digest = sha256()
    for plane in planes_of(frame):
        digest.update(plane)
    return digest.digest()


def _row_bytes(frame: Any, number: int, plane: Any) -> int:
    """Bytes of a row of a plane without its padding."""
    form = frame.format
    if form.has_palette:
        return int(plane.width if number == 0 else plane.buffer_size)
    parts = [part for part in form.components if part.plane == number]
    if len(parts) == len(form.components):  # packed
        return int((plane.width * form.padded_bits_per_pixel + 7) // 8)
    return int(plane.width * len(parts) * -(-max(part.bits for part in parts) // 8))
