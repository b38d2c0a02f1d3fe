"""Chinese text as a `Part`: Simplified Chinese over concepts that are named in English.

Words come from the lexicons `zh_*.yaml` and nowhere else (see `chinese_text`); terms are looked up in the English
indexes (see `chinese_lexicon`), so that mentions have the same keys in both languages. English terms within Chinese
text are read too. Traditional characters are not converted: they are another script than was asked for, and unknown.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from curate.schema import State
from curate.verify.chinese_claims import NEGATORS, Scope, scope
from curate.verify.chinese_lexicon import (
    MEASURE,
    PATTERN,
    PLAIN,
    SIDES,
    SKIPPED,
    UNIT,
    known_keys,
    known_stems,
    openings,
)
from curate.verify.chinese_numbers import counted_in, numbers_in, quantities_in, sizes_in
from curate.verify.chinese_only import only_in
from curate.verify.chinese_rest import rest_in
from curate.verify.chinese_segments import is_denied_side
from curate.verify.chinese_sound import sound_in
from curate.verify.chinese_terms import divided, terms_in
from curate.verify.chinese_text import HAN, Piece, ascii_forms, is_traditional, pieces
from curate.verify.cue_words import find_cues
from curate.verify.lexicon import CONCEPT, Index, Mention
from curate.verify.part import SIDES as SIDE_WORDS
from curate.verify.part import Claim, Part
from curate.verify.text import NUMBER, STOP, WORD, Token
from curate.verify.units import unit_of

__all__ = ["agreement", "closed_answer", "traditional", "words"]

_POINTING: Final = frozenset(
    {"这", "此", "这张图", "该图", "此图", "本图", "图像", "该图像", "该片", "这张图像", "图中"}
)
_SILENT: Final = frozenset({"quantities"})
"""Kinds of cue whose words are not thereby known: what is vague is nowhere welcome."""
_ASKED: Final = "asked_quantities"
_OPEN_ENDS: Final = ("before", "verbs", "links", "except")
"""Roles of words with which no text ends, where no stop follows."""
_LOOK: Final = 24
_EITHER: Final = frozenset({"还是", "或", "或者", "抑或"})
_OTHER_SIDE: Final = {"left": "right", "right": "left", "bilateral": "unilateral", "unilateral": "bilateral"}
_ROLES_ASIDE: Final = frozenset({PLAIN, MEASURE, UNIT, SKIPPED, PATTERN, SIDES})
_IMAGES: Final = (("earlier", 0), ("later", 1))
_TWO_IMAGES: Final = ("两次", "前后两", "两张", "两幅")
_REST: Final = frozenset({"其余", "剩余", "余下", "余"})
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
    heard = [piece for piece in pieces(plain[: begin + _LOOK], ()) if piece.token.kind == WORD]
    while heard and heard[0].token.raw in _POINTING:
        heard = heard[1:]
        known = msgspec.structs.replace(known, yes_verb=())  # `这是右眼` tells what it is, be it what was asked or not
    first, second = (*heard, None, None)[:2]
    if first is None or first.word is None or (second is not None and any(second.has(role) for role in NEGATORS)):
        return None, 0
    if first.word.text in known.no_verb:
        return False, 0
    return (True, 0) if first.word.text in known.yes_verb else (None, 0)


def agreement(text: str) -> bool | None:
    """Whether an answer begins by saying that its question is right or wrong, be that a denial or not: `对`, `不是`.

    `有` and `没有` do not, they say that something is there.
    """
    plain = ascii_forms(text).lstrip()
    known = openings()
    for said, words_ in ((True, known.agree), (False, known.disagree)):
        if any(plain.startswith(word) and _STOPPED.match(plain, len(word)) for word in words_):
            return said
    return None


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
    named, parts = terms_in(read, indexes)
    sound = sound_in(read, named, indexes)
    found, covered = sound.mentions, parts | sound.covered
    rest = rest_in(text, read, found, known_keys(indexes))
    found, covered = tuple(m for m in found if m.start not in rest), covered | rest
    said = scope(read, found, sound.alone, rest)
    numbers = tuple(numbers_in(read, covered))
    quantities = tuple(quantities_in(read, numbers, found, said.segments))
    measured = frozenset(quantity.place for quantity in quantities)
    return Part(
        text=text,
        tokens=tuple(piece.token for piece in read),
        mentions=found,
        claims=(*_claims(read, found, said), *(Claim(mention, state) for mention, state in said.followed)),
        covered=covered,
        cues=_with_only(_cues(read, covered, said.questions), read, found) | _misplaced(read, found, said),
        lists=(),
        concepts=frozenset(key for mention in found if (key := mention.key(CONCEPT)) is not None),
        numbers=numbers,
        sizes=tuple(sizes_in(ascii_forms(text))),
        sides=tuple(_sides(read, covered, said.questions)),
        strange=tuple(_strange(read, covered, said.questions, known_stems(indexes))),
        normal=" ".join(piece.token.raw.lower() for piece in read if piece.token.kind in (WORD, NUMBER)),
        quantities=quantities,
        counted=tuple(counted_in(read, found, said, [entry for entry in numbers if entry[0] not in measured])),
        bare=said.bare,
        stray=said.stray,
        statements=tuple(_of_both(read, found, said)),
        clauses=said.segments,
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


def _of_both(read: Sequence[Piece], found: Sequence[Mention], said: Scope) -> Iterator[tuple[int, str | None, State]]:
    """What is said of two images together: `前后两次均未见纤维化`."""
    both = {said.segments[place] for place, piece in enumerate(read) if piece.token.raw.startswith(_TWO_IMAGES)}
    for mention, state in zip(found, said.states, strict=True):
        key = mention.key(CONCEPT)
        if key is not None and said.segments[mention.start] in both and mention.start not in said.questions:
            yield from ((image, key, state) for _, image in _IMAGES)


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


def _with_only(
    cues: dict[str, list[tuple[int, int]]], read: Sequence[Piece], found: Sequence[Mention]
) -> dict[str, list[tuple[int, int]]]:
    only = list(only_in(read, found))
    return cues | {"complete": [*cues.get("complete", []), *only]} if only else cues


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


def _sides(read: Sequence[Piece], covered: frozenset[int], questions: frozenset[int]) -> Iterator[tuple[int, str]]:
    """The sides that are said; `不是左眼` outside of a question says the other one."""
    offered = _offered(read, questions)
    for place, piece in enumerate(read):
        side = SIDE_WORDS.get(piece.token.low) if piece.word is None or piece.has(SIDES) else None
        if side is None or place in covered or place in offered:
            continue
        denied = place not in questions and is_denied_side(read, place)
        yield place, _OTHER_SIDE.get(side, side) if denied else side


def _offered(read: Sequence[Piece], questions: frozenset[int]) -> frozenset[int]:
    """The sides between which a question lets choose: `单侧还是双侧`."""
    choices = [place for place in questions if read[place].token.raw in _EITHER]
    sides = [place for place in questions if read[place].has(SIDES)]
    if len(choices) != 1 or not sides or not min(sides) < choices[0] < max(sides):
        return frozenset()
    return frozenset(sides)


def _strange(
    read: Sequence[Piece], covered: frozenset[int], questions: frozenset[int], own: frozenset[str]
) -> Iterator[str]:
    for place, piece in enumerate(read):
        token = piece.token
        if token.kind != WORD or place in covered:
            continue
        if token.raw in _REST:
            yield token.raw  # but for a denial of all the rest, see `chinese_rest`
        elif piece.word is None:
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
