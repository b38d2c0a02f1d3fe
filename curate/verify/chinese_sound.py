"""Organs that a Chinese text calls sound: `心影大小正常`, `肋膈角锐利`, `骨质完整`.

The words are glossed in English, so that `sound.sounded` reads them. What it denies is for the rules to prove.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from curate.verify.chinese_lexicon import known_keys, sound_forms, sound_words
from curate.verify.chinese_text import Piece
from curate.verify.lexicon import CONCEPT, Index, Mention
from curate.verify.sound import sounded
from curate.verify.text import COMMA, STOP, Token, stem

__all__ = ["Sound", "sound_in"]

_DENIALS: Final = frozenset({"不", "并不", "不是", "很", "基本", "大致", "均", "都", "未见"})
_ASKS: Final = "asks"
_LISTS: Final = frozenset("、和及与")


class Sound(msgspec.Struct, frozen=True):
    """The mentions of a text with what sound organs deny, the places of the words that say so, and of those among them
    that name no organ: `正常，未见增大`, of what was asked about."""

    mentions: tuple[Mention, ...]
    covered: frozenset[int]
    alone: frozenset[int]


def sound_in(read: Sequence[Piece], named: tuple[Mention, ...], indexes: tuple[Index, ...]) -> Sound:
    """What a text says of sound organs."""
    words = sound_words()
    said = {place for place, piece in enumerate(read) if piece.word is not None and piece.word.text in words}
    known = known_keys(indexes)
    said -= {m.start for m in named if m.key(CONCEPT) in known}
    if not said:
        return Sound(named, frozenset(), frozenset())
    tokens = [_in_english(piece, at in said) for at, piece in enumerate(read)]
    apart = tuple(m for m in named if not (m.end - m.start == 1 and m.start in said))
    found, taken = sounded(tokens, apart, indexes)
    told = {m.start for m in found if m.denies}
    alone = frozenset(at for at in said - told if read[at].word is not None and _stands_alone(read, apart, at))
    left = tuple(m for m in named if m not in apart and m.start not in told | alone)
    return Sound(tuple(sorted((*found, *left), key=lambda mention: mention.start)), taken | alone, alone)


def _stands_alone(read: Sequence[Piece], named: Sequence[Mention], place: int) -> bool:
    """True for a word that is a whole statement, but for a denial before it: `正常，`, `不完整，`."""
    start = place
    while start and read[start - 1].token.kind not in (STOP, COMMA):
        start -= 1
    end = place + 1
    ends = end >= len(read) or read[end].token.kind in (STOP, COMMA)
    before = read[start:place]
    return ends and (not before or (len(before) == 1 and before[0].token.raw in _DENIALS))


def _in_english(piece: Piece, is_sound: bool) -> Token:
    """A token as English rules read it: commas within a list join, others end a statement."""
    token = piece.token
    text = piece.word.text if piece.word is not None else ""
    sound = sound_words().get(text) if is_sound else sound_forms().get(text)
    if sound is None and piece.has(_ASKS):
        sound = "is"
    if sound is not None:
        return Token(token.kind, token.raw, sound, stem(sound), token.start, token.end)
    if token.kind == COMMA and token.raw not in _LISTS:
        return Token(STOP, token.raw, token.raw, token.raw, token.start, token.end)
    return token
