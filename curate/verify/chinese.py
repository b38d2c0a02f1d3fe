"""Chinese text as a `Part`: Simplified Chinese over concepts that are named in English.

Words come from the lexicons `zh_*.yaml` and nowhere else (see `chinese_text`); terms are looked up in the English
indexes (see `chinese_lexicon`), so that mentions have the same keys in both languages. English terms within Chinese
text are read too. Traditional characters are not converted: they are another script than was asked for, and unknown.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from curate.verify.chinese_claims import NEGATORS, Scope, scope
from curate.verify.chinese_lexicon import (
    MEASURE,
    PATTERN,
    PLAIN,
    SIDES,
    SKIPPED,
    UNIT,
    known_stems,
    openings,
)
from curate.verify.chinese_numbers import counted_in, numbers_in, quantities_in, sizes_in
from curate.verify.chinese_terms import divided, terms_in
from curate.verify.chinese_text import HAN, Piece, ascii_forms, is_traditional, pieces
from curate.verify.cue_words import find_cues
from curate.verify.lexicon import CONCEPT, Index, Mention
from curate.verify.part import SIDES as SIDE_WORDS
from curate.verify.part import Claim, Part
from curate.verify.text import NUMBER, STOP, WORD, Token
from curate.verify.units import unit_of

__all__ = ["closed_answer", "traditional", "words"]

_SILENT: Final = frozenset({"quantities"})
"""Kinds of cue whose words are not thereby known: what is vague is nowhere welcome."""
_ASKED: Final = "asked_quantities"
_OPEN_ENDS: Final = ("before", "verbs", "links", "except")
"""Roles of words with which no text ends, where no stop follows."""
_LOOK: Final = 24
_ROLES_ASIDE: Final = frozenset({PLAIN, MEASURE, UNIT, SKIPPED, PATTERN, SIDES})
_IMAGES: Final = (("earlier", 0), ("later", 1))
_LATIN_KNOWN: Final = frozenset({"json", "x", "y", "z", "px"})
_STOPPED: Final = re.compile(r"\s*(?:[，,。．.；;！!：:、\n]+|$)\s*")


def closed_answer(text: str) -> tuple[bool | None, int]:
    """What a closed answer begins with, yes or no, and where the rest begins; None where it begins with neither.

    `是的，...` begins with a word of its own, which is cut off; `未见积液` says no with its own verb, which stays.
    """
    plain = ascii_forms(text)
    begin = len(plain) - len(plain.lstrip())
    known = openings()
    for word, said in _first_words():
        if plain.startswith(word, begin) and (stop := _STOPPED.match(plain, begin + len(word))) is not None:
            return said, stop.end()
    first, second = (*[piece for piece in pieces(plain[: begin + _LOOK], ()) if piece.token.kind == WORD], None, None)[
        :2
    ]
    if first is None or first.word is None or (second is not None and any(second.has(role) for role in NEGATORS)):
        return None, 0
    if first.word.text in known.no_verb:
        return False, 0
    return (True, 0) if first.word.text in known.yes_verb else (None, 0)


@functools.cache
def _first_words() -> tuple[tuple[str, bool], ...]:
    """The words that a closed answer may begin with, the longest first."""
    known = openings()
    entries = [(word, True) for word in known.yes] + [(word, False) for word in known.no]
    return tuple(sorted(entries, key=lambda entry: -len(entry[0])))


def traditional(text: str) -> bool:
    """True where a text holds a character of the traditional script."""
    return any(is_traditional(character) for character in text if HAN.match(character))


@functools.lru_cache(maxsize=16384)
def words(text: str, indexes: tuple[Index, ...]) -> Part:
    """A Chinese text without lists of numbers as a part; the same fields as English text, see `part.Part`."""
    read = _settled(divided(pieces(text, indexes), indexes))
    found, covered = terms_in(read, indexes)
    said = scope(read, found)
    numbers = tuple(numbers_in(read, covered))
    quantities = tuple(quantities_in(read, numbers, found, said.segments))
    measured = frozenset(quantity.place for quantity in quantities)
    return Part(
        text=text,
        tokens=tuple(piece.token for piece in read),
        mentions=found,
        claims=tuple(_claims(read, found, said)),
        covered=covered,
        cues=_cues(read, covered, said.questions) | _misplaced(read, found, said),
        lists=(),
        concepts=frozenset(key for mention in found if (key := mention.key(CONCEPT)) is not None),
        numbers=numbers,
        sizes=tuple(sizes_in(ascii_forms(text))),
        sides=tuple(_sides(read, covered)),
        strange=tuple(_strange(read, covered, said.questions, known_stems(indexes))),
        normal=" ".join(piece.token.raw.lower() for piece in read if piece.token.kind in (WORD, NUMBER)),
        quantities=quantities,
        counted=tuple(counted_in(read, found, said, [entry for entry in numbers if entry[0] not in measured])),
        bare=said.bare,
        stray=said.stray,
        turned=said.turned,
    )


def _settled(read: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """`12 毫米左右` says about, no side."""
    result = list(read)
    for place, piece in enumerate(read):
        if piece.token.raw == "左右" and place and _is_measured(read[place - 1]):
            start, end = piece.token.start, piece.token.end
            result[place] = Piece(Token(WORD, "左右", "about", "about", start, end), None, (), known=True)
    return tuple(result)


def _is_measured(piece: Piece) -> bool:
    token = piece.token
    return token.kind == NUMBER or piece.has(UNIT) or piece.has(MEASURE) or unit_of(token.low) is not None


def _claims(read: Sequence[Piece], found: Sequence[Mention], said: Scope) -> Iterator[Claim]:
    images = {
        (said.segments[place], number)
        for kind, number in _IMAGES
        for place, piece in enumerate(read)
        if piece.has(kind)
    }
    for mention, state in zip(found, said.states, strict=True):
        named = [number for segment, number in images if segment == said.segments[mention.start]]
        yield Claim(mention, state, named[0] if len(named) == 1 else None)


def _cues(
    read: Sequence[Piece], covered: frozenset[int], questions: frozenset[int]
) -> dict[str, list[tuple[int, int]]]:
    """Where cues stand, by kind."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for place, piece in enumerate(read):
        if piece.word is None or place in covered:
            continue
        for role in sorted(piece.word.roles - _ROLES_ASIDE):
            if role == _ASKED:
                if place in questions:
                    continue
                role = "quantities"  # noqa: PLW2901
            start = _after_number(read, place) if role == "bounds" else place
            spans.setdefault(role, []).append((start, place + 1))
    return spans


def _misplaced(read: Sequence[Piece], found: Sequence[Mention], said: Scope) -> dict[str, list[tuple[int, int]]]:
    """What has no place in a text, as `meta`: findings that a question tells before it asks, and an end that is none.

    `提示：未见肿瘤。有肿瘤吗？` gives its answer away; `双侧均未见` breaks off.
    """
    asks = any("?" in piece.token.raw or "？" in piece.token.raw for piece in read if piece.token.kind == STOP)
    told = [m for m in found if m.key(CONCEPT) and m.start not in said.questions] if asks else []
    spans = [(mention.start, mention.end) for mention in told]
    if len(read) > 1 and (read[-1].token.low == "on" or any(read[-1].has(role) for role in _OPEN_ENDS)):
        spans.append((len(read) - 1, len(read)))
    spans += _cues(read, frozenset(), said.questions).get("meta", []) if spans else []
    return {"meta": spans} if spans else {}


def _after_number(read: Sequence[Piece], place: int) -> int:
    """Where `以上` begins to speak of its number: behind it, together with what is counted or the unit."""
    start = place
    while start and (read[start - 1].has(MEASURE) or read[start - 1].has(UNIT)):
        start -= 1
    return start if start and read[start - 1].token.kind == NUMBER else place


def _sides(read: Sequence[Piece], covered: frozenset[int]) -> Iterator[tuple[int, str]]:
    for place, piece in enumerate(read):
        side = SIDE_WORDS.get(piece.token.low) if piece.word is None or piece.has(SIDES) else None
        if side is not None and place not in covered:
            yield place, side


def _strange(
    read: Sequence[Piece], covered: frozenset[int], questions: frozenset[int], own: frozenset[str]
) -> Iterator[str]:
    for place, piece in enumerate(read):
        token = piece.token
        if token.kind != WORD or place in covered:
            continue
        if piece.word is None:
            named = token.stem in own and not any(find_cues((token,), frozenset()).values())
            if not (piece.known or named or token.low in _LATIN_KNOWN or _is_unit(read, place)):
                yield token.raw
        elif not piece.word.roles - _SILENT - ({_ASKED} if place not in questions else set()):
            yield token.raw


def _is_unit(read: Sequence[Piece], place: int) -> bool:
    """True for `mm` behind a number, and for the letters of a unit behind a stroke."""
    return unit_of(read[place].token.low) is not None and any(
        p.token.kind == NUMBER for p in read[max(0, place - 2) : place]
    )
