"""Objects in text that is JSON no more: torn, badly quoted, written as Python or with typographic quotation marks.

What is JSON (RFC 8259) is read by the standard library, wherever it stands. The rest goes through a scanner that takes
nothing for granted and spends a bounded number of steps per character, however a text is nested or torn. Nothing is
evaluated.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

__all__ = ["DECODER", "Fault", "NoText", "Scan", "having", "key_of"]

MAX_DEPTH: Final = 16
STEPS_PER_CHARACTER: Final = 6
"""How often a character may be looked at before a text counts as unclear. Ordinary answers need one or two."""

FREE_STEPS: Final = 10_000
CHARACTERS_PER_STEP: Final = 64
"""How many characters the interpreter counts in the time of one step."""

STEPS_PER_BRACE: Final = 64
MAX_KEY: Final = 64

OPENING: Final[Mapping[str, str]] = {
    '"': '"',
    "'": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '\N{RIGHT DOUBLE QUOTATION MARK}"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '\N{RIGHT DOUBLE QUOTATION MARK}"',
    "\N{LEFT SINGLE QUOTATION MARK}": "\N{RIGHT SINGLE QUOTATION MARK}'",
    "\N{FULLWIDTH QUOTATION MARK}": "\N{FULLWIDTH QUOTATION MARK}",
}
"""What opens a string: what may close it."""

MARKS: Final = "".join(OPENING) + "\N{RIGHT SINGLE QUOTATION MARK}"
STOPS: Final = {opening: re.compile(rf"[\\{closing}]") for opening, closing in OPENING.items()}
COLONS: Final = ":\N{FULLWIDTH COLON}"
COMMAS: Final = ",\N{FULLWIDTH COMMA}"
BARE_KEY: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_-]{{0,{MAX_KEY - 1}}}+")
KEY_AHEAD: Final = re.compile(
    rf"\s*+(?:[{MARKS}][^{MARKS}\n]{{1,{MAX_KEY}}}[{MARKS}]|{BARE_KEY.pattern})\s*+[{COLONS}]"
)
STRICT_BEGIN: Final = re.compile(rf'\{{\s*+(?:\}}|"[^"]{{0,{4 * MAX_KEY}}}"\s*+:)')
SPACE: Final = re.compile(r"\s*+")
SCALAR: Final = re.compile(rf"[A-Za-z0-9_.+-]{{1,{MAX_KEY}}}+")
NUMBER: Final = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
CONSTANTS: Final = frozenset({"true", "false", "null", "True", "False", "None", "NaN", "undefined"})
NUMBERED: Final = re.compile(r"(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|U((?:0010|000[0-9A-Fa-f])[0-9A-Fa-f]{4}))")
"""Escapes by number: of JSON the first, of Python all."""

ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\"} | {c: c for c in MARKS}


class Fault(StrEnum):
    """Why an answer cannot be read."""

    EMPTY = "empty"  # nothing, or a value without a character
    TOO_LARGE = "too_large"
    NO_OBJECT = "no_object"
    MISSING_KEY = "missing_key"  # there are objects, and none has every key
    NOT_TEXT = "not_text"  # a value is neither text nor a number
    TRUNCATED = "truncated"
    UNCLEAR = "unclear"  # it can be read in more than one way


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class NoText(msgspec.Struct, frozen=True):
    """A value that is neither text nor a number, or a key that stands there twice with unlike values."""

    is_twofold: bool = False


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[key] = NoText(is_twofold=True) if key in found and found[key] != value else value
    return found


CUT: Final = NoText()
"""A value that has begun."""

DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object_of,
    parse_int=Number,
    parse_float=Number,
    parse_constant=lambda _: NoText(),
    strict=False,  # raw control characters in strings: constrained decoding writes them too
)


def having(value: Any, keys: Sequence[str]) -> dict[str, Any] | None:
    """The last of the outermost objects that have the keys, in a value."""
    layer = [value]
    for _ in range(MAX_DEPTH):
        found = [
            item for item in layer if isinstance(item, dict) and all(key_of(item, key) is not None for key in keys)
        ]
        if found:
            return found[-1]
        groups = [item.values() if isinstance(item, dict) else item for item in layer if isinstance(item, dict | list)]
        layer = [item for group in groups for item in group]
    return None


def key_of(item: Mapping[str, Any], wanted: str) -> str | None:
    """The key of an object that is meant: the very one, or the only one that differs in case alone."""
    if wanted in item:
        return wanted
    near = [key for key in item if key.strip().casefold() == wanted.casefold()]
    return near[0] if len(near) == 1 else None


class _TornError(Exception):
    """The text ends within an object."""


class _UnclearError(Exception):
    """An object that can be read in more than one way."""


class _ForeignError(Exception):
    """Here stands no object, however tolerantly it is read."""


class _SpentError(Exception):
    """The steps are used up."""


class Scan:
    """One pass over a text that is not JSON as a whole."""

    def __init__(self, text: str, keys: Sequence[str]) -> None:
        self._text = text
        self._keys = keys
        self._folded = {key.casefold() for key in keys}
        self._steps = FREE_STEPS + STEPS_PER_CHARACTER * len(text)
        self._open: list[dict[str, Any]] = []  # objects that are being read, the outermost first
        self._is_mended = False  # a quotation mark was taken as text

    def found(self) -> Iterator[dict[str, Any] | Fault]:
        """Objects and what spoils one, in their order; a text that takes too long ends as unclear."""
        at = self._text.find("{")
        try:
            while at >= 0:
                self._spend(STEPS_PER_BRACE)
                value, end = self._object_at(at)
                yield value
                at = self._text.find("{", end)
        except _SpentError:
            yield Fault.UNCLEAR

    def _object_at(self, at: int) -> tuple[dict[str, Any] | Fault, int]:
        """What begins at a brace, and where to look for the next one."""
        if STRICT_BEGIN.match(self._text, at):
            self._spend(at // CHARACTERS_PER_STEP)  # the library counts lines up to a fault
            try:
                value, end = DECODER.raw_decode(self._text, at)
            except json.JSONDecodeError as problem:
                is_open = problem.msg.startswith("Unterminated")
                self._spend((len(self._text) if is_open else problem.pos) - at)
            except (ValueError, RecursionError):
                self._spend(FREE_STEPS)
            else:
                self._spend(end - at)
                return value, end
        self._open, self._is_mended = [], False
        try:
            value, end = self._object(at, MAX_DEPTH)
            if self._is_mended and not {key.strip().casefold() for key in value} <= self._folded:
                raise _UnclearError
        except _TornError:
            return self._torn(at)
        except _UnclearError:
            return Fault.UNCLEAR, self._after(at)
        except _ForeignError:
            return Fault.NO_OBJECT, at + 1
        return value, end

    def _torn(self, at: int) -> tuple[dict[str, Any] | Fault, int]:
        """An object that is cut counts where every value that is wanted was whole."""
        for item in self._open:
            if having(item, self._keys) is item:
                is_whole = not self._is_mended and not any(item[str(key_of(item, key))] is CUT for key in self._keys)
                return (item if is_whole else Fault.TRUNCATED), len(self._text)
        return Fault.TRUNCATED, self._after(at)

    def _after(self, at: int) -> int:
        """Where to go on after an object that cannot be read: not within it, where it was to be the answer."""
        is_answer = any(key.strip().casefold() in self._folded for item in self._open for key in item)
        return len(self._text) if is_answer else at + 1

    def _spend(self, steps: int) -> None:
        self._steps -= steps + 1
        if self._steps < 0:
            raise _SpentError

    def _space(self, at: int) -> int:
        """The first character from here on that is no white space."""
        found = SPACE.match(self._text, at)
        end = at if found is None else found.end()
        self._spend(end - at)
        return end

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        if depth == 0:
            raise _ForeignError
        pairs: dict[str, Any] = {}
        self._open.append(pairs)
        at = self._space(at + 1)
        while True:
            mark = self._text[at : at + 1]
            if not mark:
                raise _TornError
            if mark == "}":
                self._open.pop()
                return pairs, at + 1
            key, at = self._key(at)
            at = self._space(at)
            if not self._text[at : at + 1]:
                raise _TornError
            if self._text[at] not in COLONS:
                raise _ForeignError
            before, pairs[key] = pairs.get(key), CUT
            value, at = self._value(self._space(at + 1), depth - 1, in_list=False)
            pairs[key] = value if before in (None, value) else NoText(is_twofold=True)
            at = self._space(at)
            if self._text[at : at + 1] in COMMAS and at < len(self._text):
                at = self._space(at + 1)

    def _key(self, at: int) -> tuple[str, int]:
        mark = self._text[at]
        if mark not in OPENING:
            found = BARE_KEY.match(self._text, at)
            if found is None:
                raise _ForeignError
            self._spend(found.end() - at)
            return found.group(), found.end()
        for end in range(at + 1, min(at + MAX_KEY + 2, len(self._text))):
            if self._text[end] in OPENING[mark]:
                self._spend(end - at)
                return self._text[at + 1 : end], end + 1
        if at + MAX_KEY + 2 > len(self._text):
            raise _TornError
        raise _ForeignError

    def _value(self, at: int, depth: int, *, in_list: bool) -> tuple[Any, int]:
        mark = self._text[at : at + 1]
        if not mark:
            raise _TornError
        if mark in OPENING:
            return self._string(at, in_list=in_list)
        if mark == "{":
            return self._object(at, depth)
        if mark == "[":
            return self._list(at, depth)
        found = SCALAR.match(self._text, at)
        if found is None:
            raise _ForeignError
        self._spend(found.end() - at)
        if found.end() == len(self._text):
            raise _TornError  # a number may go on
        if NUMBER.fullmatch(found.group()):
            return Number(found.group()), found.end()
        if found.group() in CONSTANTS:
            return NoText(), found.end()
        raise _ForeignError

    def _list(self, at: int, depth: int) -> tuple[list[Any], int]:
        if depth == 0:
            raise _ForeignError
        items: list[Any] = []
        at = self._space(at + 1)
        while True:
            mark = self._text[at : at + 1]
            if mark == "]":
                return items, at + 1
            item, at = self._value(at, depth - 1, in_list=True)
            items.append(item)
            at = self._space(at)
            if self._text[at : at + 1] in COMMAS and at < len(self._text):
                at = self._space(at + 1)

    def _string(self, at: int, *, in_list: bool) -> tuple[str, int]:
        stops = STOPS[self._text[at]]
        pieces: list[str] = []
        start = at + 1
        while True:
            found = stops.search(self._text, start)
            if found is None:
                self._spend(len(self._text) - start)
                raise _TornError
            stop = found.start()
            self._spend(stop - start)
            pieces.append(self._text[start:stop])
            if self._text[stop] == "\\":
                piece, start = self._escape(stop)
                pieces.append(piece)
            elif self._closes(stop + 1, in_list=in_list):
                return "".join(pieces), stop + 1
            else:
                if self._is_key(stop):  # the string ended before, or another begins
                    raise _UnclearError
                self._is_mended = True
                pieces.append(self._text[stop])
                start = stop + 1

    def _escape(self, at: int) -> tuple[str, int]:
        """The character that an escape stands for; what is no escape stands for itself."""
        mark = self._text[at + 1 : at + 2]
        if not mark:
            raise _TornError
        found = NUMBERED.match(self._text, at + 1)
        if found is not None:
            return chr(int(found.group()[1:], 16)), found.end()
        return ESCAPES.get(mark, "\\" + mark), at + 2

    def _closes(self, after: int, *, in_list: bool) -> bool:
        """True where a quotation mark before this place ends a string, by what follows it."""
        at = self._space(after)
        mark = self._text[at : at + 1]
        if not mark:
            return True
        if in_list:
            return mark in COMMAS or mark == "]"
        if mark == "}":
            return True
        if mark in COMMAS:
            at = self._space(at + 1)
            return self._text[at : at + 1] in ("", "}") or self._is_key(at)
        return "\n" in self._text[after:at] and self._is_key(at)  # a comma left out at the end of a line

    def _is_key(self, at: int) -> bool:
        found = KEY_AHEAD.match(self._text, at)
        self._spend(MAX_KEY if found is None else found.end() - at)
        return found is not None
