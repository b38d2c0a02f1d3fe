"""Statements of a Chinese text about all findings that it does not name: `其余所列异常均不存在`, `没有其他所列器械`.

Their truth is judged as that, see `collective`; their nouns and denials say nothing of a finding of that name.
"""

from collections.abc import Iterator, Sequence

from curate.verify.chinese_text import Piece
from curate.verify.collective import denies_the_rest
from curate.verify.lexicon import CONCEPT, PLACE, Mention
from curate.verify.text import COMMA, NUMBER, STOP

__all__ = ["rest_in"]

_VAGUE = frozenset({"quantities", "complete", "before", "around", "after"})


def rest_in(text: str, read: Sequence[Piece], found: Sequence[Mention], known: frozenset[str]) -> frozenset[int]:
    """The places of the words that speak of all that is not named."""
    if not denies_the_rest(text):
        return frozenset()
    places: set[int] = set()
    for start, end in _stretches(read):
        within = [m for m in found if start <= m.start < end]
        if any(m.key(CONCEPT) in known for m in within) or any(p.token.kind == NUMBER for p in read[start:end]):
            continue
        if not denies_the_rest(text[read[start].token.start : read[end - 1].token.end]):
            continue
        general = [m for m in within if m.key(CONCEPT) is not None and m.key(PLACE) is None]
        places.update(at for m in general for at in range(m.start, m.end))
        places.update(at for at in range(start, end) if any(read[at].has(role) for role in _VAGUE))
    return frozenset(places)


def _stretches(read: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """What stands between stops and commas."""
    start = 0
    for at, piece in enumerate(read):
        if piece.token.kind == STOP or (piece.token.kind == COMMA and piece.token.raw != "、"):
            if at > start:
                yield start, at
            start = at + 1
    if start < len(read):
        yield start, len(read)
