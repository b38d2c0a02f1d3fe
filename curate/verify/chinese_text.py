"""Chinese text as tokens: the fewest words of the lexicons that cover it, and whatever no lexicon knows as it stands.

Chinese is written without blanks, so words are found in the lexicons: among all ways to cut a text, the one with the
fewest unknown characters, then the fewest words, then the longest first word. No statistics take part: a character that
no reviewed word explains stays visible.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from curate.verify.chinese_lexicon import Word, gloss_of, index_words, patterns, splits, words_of
from curate.verify.lexicon import Index
from curate.verify.text import COMMA, NUMBER, OTHER, STOP, WORD, Token, stem

__all__ = ["HAN", "Piece", "ascii_forms", "is_traditional", "pieces", "value_of", "word_piece"]

HAN: Final = re.compile(r"[㐀-䶿一-鿿豈-﫿〇𠀀-\U0003ffff]")
_NUMERALS: Final = "零〇一二两三四五六七八九十百千万"
_OPEN: Final = frozenset(_NUMERALS + "负")
"""Han characters that a number may begin with."""
_DIGITS: Final = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_POWERS: Final = {"十": 10, "百": 100, "千": 1000, "万": 10000}
_TOKEN: Final = re.compile(
    r"(?P<number>(?<![A-Za-z\d.])(?:[-−负](?=\d))?\d+(?:\.\d+)?(?!\.?\d))"
    r"|(?P<percent>百分之(?:\d+(?:\.\d+)?|[零〇一二两三四五六七八九十百]+))"
    r"|(?P<numeral>[零〇一二两三四五六七八九十百千万]+)"
    r"|(?P<word>[^\W\d_㐀-䶿一-鿿豈-﫿〇][^\W_㐀-䶿一-鿿豈-﫿〇]*(?:['’]s)?)"
    r"|(?P<stop>[。．！？；：…!?;:\n\r]+|\.(?!\d))"
    r"|(?P<comma>[，,、])"
    r"|(?P<other>[^\s\w]|[_\d])"
)
_ROMAN: Final = {
    numeral: number
    for number, numerals in enumerate(
        ("I Ⅰ", "II Ⅱ", "III Ⅲ", "IV Ⅳ", "V Ⅴ", "VI Ⅵ", "VII Ⅶ", "VIII Ⅷ", "IX Ⅸ", "X Ⅹ"), start=1
    )
    for numeral in numerals.split()
}
_GRADED: Final = frozenset("级型期度类区组")
"""What a Roman numeral stands before that is a number."""
_DROPPED: Final = frozenset("-/_–—()（）[]［］【】「」『』《》〈〉<>\"'“”‘’`~～·・|")
_ALPHANUMERIC: Final = (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
_SIGNS: Final = {"％": "%", "．": ".", "＋": "+", "－": "-", "\u3000": " "}
_WIDE: Final = {code: code - 0xFEE0 for code in _ALPHANUMERIC} | {ord(wide): ord(sign) for wide, sign in _SIGNS.items()}
_UNKNOWN_COST, _WORD_COST = 10000, 10
"""Of two cuts into as many words the one with fewer single characters is better: `图像|是否`, not `图像是|否`."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token, the word of the lexicons that it is, and the stems of the English that it may stand for."""

    token: Token
    word: Word | None
    glosses: tuple[tuple[str, ...], ...]
    known: bool
    is_numeral: bool = False  # a number in Chinese characters

    def has(self, role: str) -> bool:
        """True where the word may have this role."""
        return self.word is not None and role in self.word.roles


def ascii_forms(text: str) -> str:
    """The text with full-width digits, letters and per cent signs as ASCII; every character keeps its place."""
    return text.translate(_WIDE)


def is_traditional(character: str) -> bool:
    """True for a character of the traditional script that the simplified one does not use.

    GB 2312-80 holds the simplified forms of its 6763 characters alone, Big5 the traditional ones.
    """
    return not _encodes(character, "gb2312") and _encodes(character, "big5")


def _encodes(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def value_of(numeral: str) -> int | None:
    """The value of a Chinese numeral up to 99,999,999; None where the characters make none: `两三` is no number."""
    if all(c in _DIGITS for c in numeral):
        return _DIGITS[numeral] if len(numeral) == 1 else None
    total = section = 0
    digit: int | None = None
    last = 10**5
    for character in numeral:
        if character in _DIGITS:
            if digit not in (None, 0):
                return None
            digit = _DIGITS[character]
            continue
        power = _POWERS[character]
        if power >= last or (power != 10 and digit in (None, 0) and not section):
            return None
        section += (1 if digit in (None, 0) else digit or 0) * power
        if character == "万":
            total, section, power = total + section, 0, 10**4
        digit, last = None, power
    return total + section + (digit or 0)


def pieces(text: str, indexes: tuple[Index, ...]) -> tuple[Piece, ...]:
    """The tokens of a text with their words."""
    plain = ascii_forms(text)
    known, extra = words_of(), index_words(indexes)
    result: list[Piece] = []
    for start, end, word in _cut(plain, known, extra):
        if word is not None and word.text in splits():
            place = start
            for part, meant in splits()[word.text]:
                result.append(word_piece(part, place, place + len(part), known[meant]))
                place += len(part)
        elif word is not None:
            result.append(word_piece(plain[start:end], start, end, word))
        else:
            result.extend(_other_piece(plain, start, end))
    return tuple(result)


def word_piece(raw: str, start: int, end: int, word: Word) -> Piece:
    """The piece of a word of the lexicons."""
    return Piece(Token(WORD, raw, word.low, word.low, start, end), word, word.glosses, known=True)


def _other_piece(text: str, start: int, end: int) -> Iterator[Piece]:
    raw = text[start:end]
    found = _TOKEN.match(text, start)
    kind = found.lastgroup if found is not None and found.end() == end else None
    if kind == "number":
        number = raw.replace("−", "-").replace("负", "-")
        bare = number.rstrip("0").rstrip(".") if "." in number else number
        yield Piece(Token(NUMBER, number, number, bare, start, end), None, ((bare,),), known=True)
    elif kind == "percent":
        digits = raw.removeprefix("百分之")
        number = digits if digits[0].isdigit() else str(value_of(digits))
        if number == "None":
            yield Piece(Token(WORD, raw, raw, raw, start, end), None, (), known=False)
            return
        yield Piece(Token(NUMBER, number, number, number, start, end), None, (), known=True)
        yield Piece(Token(OTHER, "%", "%", "%", end, end), None, (), known=True)
    elif kind == "numeral":
        value = value_of(raw)
        if value is None:
            yield Piece(Token(WORD, raw, "several", "several", start, end), words_of().get("若干"), (), known=True)
        else:
            number = str(value)
            token = Token(NUMBER, number, number, number, start, end)
            yield Piece(token, None, ((number,),), known=True, is_numeral=True)
    elif kind == "word":
        yield _latin_piece(text, start, end)
    elif kind == "stop":
        yield Piece(Token(STOP, raw, raw, raw, start, end), None, (), known=True)
    elif kind == "comma":
        yield Piece(Token(COMMA, raw, "and", raw, start, end), None, (), known=True)  # it joins like a word
    elif kind == "other":
        if raw not in _DROPPED:
            yield Piece(Token(OTHER, raw, raw, raw, start, end), None, (), known=True)
    else:
        yield Piece(Token(WORD, raw, raw, raw, start, end), None, (), known=False)


def _latin_piece(text: str, start: int, end: int) -> Piece:
    """A Latin word; a Roman numeral that gives a grade (`V型`, `II级`) is a number."""
    raw = text[start:end]
    if raw in _ROMAN and text[end : end + 1] in _GRADED:
        number = str(_ROMAN[raw])
        return Piece(Token(NUMBER, number, number, number, start, end), None, ((number,),), known=True)
    low = raw.lower().replace("’", "'")
    return Piece(Token(WORD, raw, low, stem(raw), start, end), None, (gloss_of((stem(raw),)),), known=False)


def _cut(text: str, known: Mapping[str, Word], extra: Mapping[str, Word]) -> list[tuple[int, int, Word | None]]:
    """The best cut of a text, from the end to the beginning: cost of the rest, where the first piece ends, its word."""
    size = len(text)
    best: list[tuple[int, int, Word | None]] = [(0, size, None)] * (size + 1)
    lengths = _lengths_with(tuple(extra)) if extra else _lengths()
    marked = _marked(text, known)
    for start in range(size - 1, -1, -1):
        first = text[start]
        if first.isspace() and first not in "\n\r":
            best[start] = (best[start + 1][0], start + 1, None)
            continue
        choice: tuple[int, int, Word | None] = (best[start + 1][0] + _UNKNOWN_COST, start + 1, None)
        if start in marked:
            end, word = marked[start]
            choice = (best[end][0], end, word)
        for length in lengths.get(first, ()):
            end = start + length
            if end > size:
                continue
            total = best[end][0] + _WORD_COST + (length == 1)
            if total < choice[0]:
                piece = text[start:end]
                found = extra.get(piece) or known.get(piece)
                if found is not None and _stands_alone(text, start, end):
                    choice = (total, end, found)
        other = _other(text, start)
        if other and best[other][0] + _WORD_COST < choice[0]:
            choice = (best[other][0] + _WORD_COST, other, None)
        best[start] = choice
    cut: list[tuple[int, int, Word | None]] = []
    place = 0
    while place < size:
        _, end, chosen = best[place]
        if not (text[place].isspace() and text[place] not in "\n\r"):
            cut.append((place, end, chosen))
        place = end
    return _joined(text, cut)


def _other(text: str, start: int) -> int:
    """Where a number, Latin word or mark that begins at a place ends; 0 where none does."""
    if text[start] >= "㐀" and text[start] not in _OPEN and HAN.match(text[start]):
        return 0
    found = _TOKEN.match(text, start)
    if found is None or (found.lastgroup == "numeral" and start and text[start - 1] in _NUMERALS):
        return 0
    return found.end()


def _stands_alone(text: str, start: int, end: int) -> bool:
    """False where a cut would fall within a Latin word or a number."""
    return not (
        (start and _is_latin(text[start]) and _is_latin(text[start - 1]))
        or (end < len(text) and _is_latin(text[end - 1]) and _is_latin(text[end]))
    )


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _joined(text: str, cut: list[tuple[int, int, Word | None]]) -> list[tuple[int, int, Word | None]]:
    """Unknown characters side by side as one."""
    result: list[tuple[int, int, Word | None]] = []
    for start, end, word in cut:
        last = result[-1] if result else None
        if (
            word is None
            and last is not None
            and last[2] is None
            and last[1] == start
            and _is_unknown(text, start, end)
            and _is_unknown(text, last[0], last[1])
        ):
            result[-1] = (last[0], end, None)
        else:
            result.append((start, end, word))
    return result


def _is_unknown(text: str, start: int, end: int) -> bool:
    found = _TOKEN.match(text, start)
    return found is None or found.end() != end


def _marked(text: str, known: Mapping[str, Word]) -> dict[int, tuple[int, Word]]:
    """Where a pattern of the lexicon stands: its start, its end and its word; what is a word of its own is none."""
    return {
        found.start(): (found.end(), word)
        for pattern, word in patterns()
        for found in pattern.finditer(text)
        if found[0] not in known
    }


@functools.cache
def _lengths() -> dict[str, tuple[int, ...]]:
    return _by_first(words_of())


@functools.lru_cache(maxsize=256)
def _lengths_with(extra: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    return _by_first((*words_of(), *extra))


def _by_first(words: Mapping[str, Word] | tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """First character: the lengths of the words that begin with it, the longest first."""
    lengths: dict[str, set[int]] = {}
    for word in words:
        lengths.setdefault(word[0], set()).add(len(word))
    return {first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()}
