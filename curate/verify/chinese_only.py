"""Words that leave no other finding: `仅见肺不张` and `只有肺水肿` speak of all that there is."""

from collections.abc import Iterator, Sequence
from typing import Final

from curate.verify.chinese_text import Piece
from curate.verify.lexicon import CONCEPT, Mention

__all__ = ["only_in"]

_ONLY: Final = ("仅", "只", "唯")
_REACH: Final = 2
"""A side or a place may stand between the word and the finding: `仅见左侧气胸`."""


def only_in(read: Sequence[Piece], found: Sequence[Mention]) -> Iterator[tuple[int, int]]:
    """Where a verb that begins with `only` has a finding as its object."""
    begins = {mention.start for mention in found if mention.key(CONCEPT) is not None}
    for place, piece in enumerate(read):
        if not (piece.has("verbs") and piece.token.raw.startswith(_ONLY)):
            continue
        following = place + 1
        while following < len(read) and following - place <= _REACH and read[following].has("sides"):
            following += 1
        if following in begins:
            yield place, place + 1
