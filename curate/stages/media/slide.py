"""Slides."""

from collections.abc import Iterator

from curate.schema import Reason, Refusal
from curate.stages.media.base import Made, RefusedRegion, Request

__all__ = ["make_slide"]


def make_slide(request: Request) -> Iterator[Made | RefusedRegion | Refusal] | Refusal:
    """Not built yet."""
    return Refusal(Reason.UNSUPPORTED_FORMAT, "a slide")
