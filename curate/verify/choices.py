"""Questions with options: which are offered, and which one the answer takes."""

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = ["Choice", "choice_of"]

_MARK: Final = r"[.):,、．：）:]"
_OPENS: Final = re.compile(
    r"^\W*(?:(?:the\s+)?(?:correct\s+|best\s+|right\s+)?(?:answer|option|choice)(?:\s+is|\s*[:=])?\s*|(?:正确)?(?:答案|选项)(?:是|为|：|:)?\s*|选(?:择)?\s*)?"
    rf"(?:(?:option|choice)\s+)?[(（]?(?P<letter>[A-Z])[)）]?(?:\s*{_MARK}+|\s*[—–-]\s|\s*$|(?=\s*[(（]|\s+is\s|[，。]))",
    re.IGNORECASE,
)
_LATER: Final = re.compile(
    r"(?:\b(?:answer|option|choice|letter)(?:\s+is|\s*:)?\s*[(（]?|(?:答案|选项)(?:是|为|：|:)?\s*[(（]?|选(?:择)?\s*)(?P<letter>[A-Z])(?![A-Za-z])[)）]?",
)
_BEHIND: Final = re.compile(r"[(（](?P<letter>[A-Z])[)）]\s*[.。]?\s*$")
_LISTED: Final = re.compile(rf"(?:^|[\s(（：:，。；？])(?P<letter>[A-Z])\s*{_MARK}\s*(?=\S)")


_AGAINST: Final = re.compile(
    r"(?:\bnot|\bno|\bnor|\bneither|\bwithout|rather than|instead of|不是|而非|并非|无|未见)\W*(?:an?|the)?\W*$",
    re.IGNORECASE,
)
"""Before these, an option is named to be left."""

_SAYS_YES: Final = frozenset("有是能可会对")
"""Characters of options that mean the contrary behind a denial: `有` in `没有`."""
_HAN: Final = re.compile(r"[一-鿿]")
_LISTED_ON: Final = re.compile(r"\s*(?:,\s*)?(?:(?:or|nor|and|、|和|或)\s*)?(?:an?\s+|the\s+)?", re.IGNORECASE)
"""What stands between two members of a list."""


class Choice(msgspec.Struct, frozen=True):
    """The options as they are offered, and the option that the answer takes.

    `question` and `answer` are the texts without them, so that an option is not read as a claim. `problem` says what is
    wrong with their form.
    """

    of: str
    options: tuple[str, ...]
    picked: int | None
    question: str
    answer: str
    problem: str = ""
    offered: tuple[str, ...] = ()  # the options as a question in another language words them


def choice_of(asked: Mapping[str, Any], question: str, answer: str, *, translated: bool = False) -> Choice:
    """The choice that a question offers and its answer makes."""
    raw = asked.get("options", ())
    of = str(asked.get("of", ""))
    if isinstance(raw, Mapping):
        options, letters = tuple(map(str, raw.values())), tuple(map(str, raw))
    else:
        options = tuple(map(str, raw)) if isinstance(raw, Sequence) and not isinstance(raw, str) else ()
        letters = _letters(asked.get("letters"), len(options))
    if len(options) < 2:
        return Choice(of, options, None, question, answer, "a choice needs two options or more")
    rest, problem = _without_options(question, options, letters)
    if problem and translated and letters:
        return _translated(of, options, letters, question, answer)
    picked, told, more = _picked(answer, options, letters)
    return Choice(of, options, picked, rest, told, problem or more)


def _translated(of: str, options: tuple[str, ...], letters: Sequence[str], question: str, answer: str) -> Choice:
    """The choice of a question that words the options in another language: told apart by their letters alone."""
    found = list(_LISTED.finditer(question))
    if [each["letter"] for each in found] != list(letters):
        return Choice(of, options, None, question, answer, "the letters of the options are not those of the question")
    ends = [each.start() for each in found[1:]] + [len(question)]
    offered = tuple(question[each.end() : end].strip(" \n,，;；.。?？") for each, end in zip(found, ends, strict=True))
    picked, told, problem = _picked(answer, offered, letters)
    return Choice(of, options, picked, question[: found[0].start()], told, problem, offered)


def _letters(said: object, number: int) -> tuple[str, ...]:
    if isinstance(said, (list, tuple)):
        return tuple(map(str, said))
    return tuple(string.ascii_uppercase[:number]) if said else ()


def _phrase(text: str) -> str:
    return r"\s+".join(map(re.escape, text.split()))


def _bounded(text: str) -> str:
    words = _phrase(text)
    before = r"(?<!\w)" if text[:1].isascii() and text[:1].isalnum() else ""
    before = r"(?<![没未无不非])" if text[:1] in _SAYS_YES else before
    after = r"(?!\w)" if text[-1:].isascii() and text[-1:].isalnum() else ""
    return f"{before}{words}{after}"


def _without_options(question: str, options: Sequence[str], letters: Sequence[str]) -> tuple[str, str]:
    """The question without its options, and what is wrong with how they are listed."""
    if letters:
        if len(letters) != len(options):
            return question, "there are not as many letters as options"
        listed = [found["letter"] for found in _LISTED.finditer(question)]
        if listed and listed != list(letters):
            return question, "the letters of the options are not those of the question"
    rest = question
    for place in sorted(range(len(options)), key=lambda n: -len(options[n])):
        words = _bounded(options[place])
        pattern = rf"[(（]?{re.escape(letters[place])}\s*{_MARK}\s*{words}\s*[.;；。]?" if letters else words
        each = list(re.finditer(pattern, rest, re.IGNORECASE))
        found = None if not each else each[-1] if _HAN.search(words) and not letters else each[0]  # `是否…？是或否`
        if found is None:
            return question, "the question does not offer an option that it should"
        rest = f"{rest[: found.start()]} , {rest[found.end() :]}"
    return rest, ""


def _picked(answer: str, options: Sequence[str], letters: Sequence[str]) -> tuple[int | None, str, str]:
    """The option that an answer takes, the answer without it, and what is wrong with how it is told."""
    rest, by_letter = answer, None
    if letters:
        found = _OPENS.match(answer) or _LATER.search(answer) or _BEHIND.search(answer)
        if found is not None:
            letter = found["letter"].upper()
            if letter not in letters:
                return None, answer, "the answer takes a letter that is not offered"
            by_letter = list(letters).index(letter)
            rest = f"{answer[: found.start()]} {answer[found.end() :]}"
            if any(other["letter"].upper() != letter for other in _LATER.finditer(rest)):
                return None, answer, "the answer takes two letters"
    named = _named(rest, options)
    if by_letter is None and not named:
        return None, answer, "the answer takes none of the options"
    picked = by_letter if by_letter is not None else named[0][1]
    if any(option != picked and not _left(rest, span[0], named) for span, option in named):
        return None, answer, "the answer takes two options"
    spans = [span for span, option in named if option == picked]
    if by_letter is not None and named and not spans:
        return None, answer, "letter and text of the answer are of different options"
    if spans:
        start, end = spans[0]
        rest = f"{rest[:start]} {rest[end:]}"
    return picked, rest, ""


def _left(text: str, place: int, named: Sequence[tuple[tuple[int, int], int]]) -> bool:
    """True for an option that is named to be left, also within a list: `rather than A, B or C`."""
    before = text[:place]
    for (start, end), _ in reversed(named):
        if start < place and end <= place and _LISTED_ON.fullmatch(before[end:]):
            return _left(text, start, named)
    return _AGAINST.search(before) is not None


def _named(text: str, options: Sequence[str]) -> list[tuple[tuple[int, int], int]]:
    """Where options stand in a text, from left to right, without overlap; the longest win."""
    taken: list[tuple[tuple[int, int], int]] = []
    for option in sorted(range(len(options)), key=lambda n: -len(options[n])):
        for found in re.finditer(_bounded(options[option]), text, re.IGNORECASE):
            start, end = found.span()
            if start < end and all(end <= other[0] or start >= other[1] for other, _ in taken):
                taken.append(((start, end), option))
    return sorted(taken)
