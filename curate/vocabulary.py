"""What a label set can name, and what its silence means where it says nothing at all about an asset."""

from collections.abc import Mapping

import msgspec

from curate.schema import World

__all__ = ["LabelNames", "Vocabulary"]


class LabelNames(msgspec.Struct, frozen=True):
    """The concepts of one label set, sorted and each once, with the card's word on its silence.

    `regions`: its geometry is the pixels of each concept (a label map, segments of an organ), so that nothing of it can
    be counted.
    """

    concepts: tuple[str, ...]
    world: World = World.OPEN
    exhaustive: bool = False
    regions: bool = False


Vocabulary = Mapping[str, LabelNames]
"""Label set -> every concept that it can name: what its silence is about."""
