"""What a comparison says of time: on which image a change is told, since which one, and what was there all along.

English alone; a Chinese claim about one of two images is read in `chinese`.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from curate.schema import State
from curate.verify.lexicon import CONCEPT
from curate.verify.part import Part
from curate.verify.statements import IMAGES, NOT
from curate.verify.text import COMMA, STOP, stem

__all__ = ["aged_findings", "claimed_now", "told_of_images", "with_split_cues"]

_SINCE: Final = frozenset(
    {"since", "from", "than", "unlike", "compared", "comparison", "versus", "against", "relative", "after"}
)
"""Before an image these say that it is the one from which a change is told."""
_ON: Final = frozenset({"on", "in", "at", "by", "within"})
_OF: Final = frozenset({"of"})
_SHORT: Final = 5
"""So many words before the name of an image at most stands what says how it is meant."""
_ARISEN: Final = frozenset({"appeared", "arisen", "emerged", "arose"})
"""`Has an effusion appeared`: `has appeared` with a subject between; by itself an image may appear normal."""
_HAVE: Final = frozenset({"has", "have", "had", "did", "since", "newly", "which", "that"})
_TIMED: Final = ("new", "gone", "same", "more", "less", "compared", "earlier", "later")
"""The cues of change, and those that name an image."""
_PAST: Final = frozenset({"was", "were", "had", "previously", "before", "initially"})
_AGED: Final = frozenset({"old", "older", "recent"})
_FRAMES: Final = frozenset(
    map(stem, ("image", "picture", "photograph", "frame", "radiograph", "film", "scan", "study", "view"))
)


def with_split_cues(part: Part) -> Part:
    """A part of a comparison, with the words for a change that only a comparison makes sure.

    `Has X appeared` is new, where an image may appear normal, and `is still` says that nothing changed.
    """
    new, same = list(part.cued("new")), list(part.cued("same"))
    taken = {place for kind in _TIMED for start, end in part.cued(kind) for place in range(start, end)}
    for place, token in enumerate(part.tokens):
        if place in taken or place in part.covered:
            continue
        if token.low == "arose" or (token.low in _ARISEN and any(low in _HAVE for low in _sentence(part, place))):
            new.append((place, place + 1))
        elif token.low == "still" and _lasts(part, place):
            same.append((place, place + 1))
    if len(new) == len(part.cued("new")) and len(same) == len(part.cued("same")):
        return part
    return msgspec.structs.replace(part, cues={**part.cues, "new": sorted(new), "same": sorted(same)})


def _stops(part: Part, place: int) -> int:
    """The number of the sentence in which a token stands."""
    return sum(token.kind == STOP for token in part.tokens[:place])


def _sentence(part: Part, place: int) -> list[str]:
    """The words of a sentence up to a token."""
    return [t.low for at, t in enumerate(part.tokens[:place]) if _stops(part, at) == _stops(part, place)]


def _lasts(part: Part, place: int) -> bool:
    """True unless `still` opens a sentence, as `yet` does, or is what an image is: a still frame."""
    after = part.tokens[place + 1] if place + 1 < len(part.tokens) else None
    before = part.tokens[place - 1] if place else None
    opens = before is None or before.kind in (STOP, COMMA) or before.low in ("and", "but", "or")
    return after is not None and not opens and after.kind not in (STOP, COMMA) and after.stem not in _FRAMES


def told_of_images(part: Part) -> Iterator[tuple[str, int]]:
    """The changes that are told on, of or since an image that they cannot be of, with that image.

    What is new is new on the later image, since the earlier one; what is gone was of the earlier one, and is gone on
    the later one.
    """
    for kind in ("new", "gone"):
        clauses = {part.clause_of(start) for start, _ in part.cued(kind)}
        for name, image in IMAGES:
            for start, _ in part.cued(name):
                how = _how(part, start) if part.clause_of(start) in clauses else None
                if how is None:
                    continue
                right = {"since": 0, "on": 1, "of": 1 if kind == "new" else 0}[how]
                if image != right:
                    yield kind, image


def _how(part: Part, start: int) -> str | None:
    """How the image that is named here is meant; None where a denial or nothing says it."""
    for at in range(start - 1, max(-1, start - 1 - _SHORT), -1):
        low = part.tokens[at].low
        if part.tokens[at].kind in (STOP, COMMA) or low in NOT or low == "between":
            return None
        for words, how in ((_SINCE, "since"), (_ON, "on"), (_OF, "of")):
            if low in words:
                return None if how != "since" and _is_denied(part, at) else how
    return None


def _is_denied(part: Part, place: int) -> bool:
    """True where a denial stands between the word for a change and the image: `new, not seen on the first`."""
    changes = [start for kind in ("new", "gone") for start, _ in part.cued(kind) if start < place]
    if not changes:
        return False
    between = part.tokens[changes[-1] + 1 : place]
    return any(token.low in NOT or token.low in ("no", "absent", "without") for token in between)


def claimed_now(part: Part, key: str) -> Iterator[State]:
    """What is said of a finding in a sentence that names no image and no change: that is how it is now."""
    told = {_stops(part, start) for kind in _TIMED for start, _ in part.cued(kind)}
    of_images = {named for _, named, _ in part.statements}
    for claim in part.claims:
        start = claim.mention.start
        if claim.mention.key(CONCEPT) != key or claim.image is not None or key in of_images:
            continue
        if _stops(part, start) not in told and not _was(part, start):
            yield claim.state


def _was(part: Part, place: int) -> bool:
    """True in a sentence about the past."""
    return any(t.low in _PAST for at, t in enumerate(part.tokens) if _stops(part, at) == _stops(part, place))


def aged_findings(part: Part) -> bool:
    """True where a finding itself is called old or recent, which two images do not tell of it."""
    starts = {mention.start for mention, _ in part.keyed}
    return any(token.low in _AGED and place + 1 in starts for place, token in enumerate(part.tokens))
