"""JSON read one element at a time, so that a list of any length needs the memory of its longest element.

What is read is RFC 8259, strictly: a comma too many, NaN and a key that stands twice are told. The place of an error
is the line and the column, both from 1, as editors count them.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json.decoder import WHITESPACE  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, BinaryIO, Final

__all__ = ["Element", "JsonProblem", "Notes", "elements", "parse", "without_trailing_commas"]

_CHUNK: Final = 1 << 22
_LONGEST: Final = 1 << 26
"""No string of a record is longer in characters: what is open for so long was never closed."""
_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


class JsonProblem(Exception):  # noqa: N818
    """The text is not JSON; never leaves `published`. `at` counts characters from 0; `element` is the list's."""

    def __init__(self, line: int, column: int, at: int, why: str) -> None:
        super().__init__(why)
        self.line, self.column, self.at, self.why = line, column, at, why

    @property
    def place(self) -> str:
        """Where, in words."""
        return f"line {self.line} column {self.column} (char {self.at})"


@dataclass(slots=True)
class Notes:
    """What strict readers refuse or lose silently."""

    repeated_keys: int = 0
    constants: int = 0
    decoder: json.JSONDecoder = field(init=False)

    def __post_init__(self) -> None:
        self.decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.repeated_keys += 1
        return found

    def _constant(self, name: str) -> float:
        self.constants += 1
        return float(name.lower().replace("infinity", "inf"))


@dataclass(frozen=True, slots=True)
class Element:
    """A value of a top-level list, or the whole document where it is not a list."""

    value: Any
    whole: bool


def parse(text: str, notes: Notes) -> Any:
    """One JSON text. Raises `JsonProblem`."""
    start = _skip(text, 0)
    try:
        value, end = notes.decoder.raw_decode(text, start)
    except json.JSONDecodeError as problem:
        raise _problem(text, problem.pos, problem.msg) from None
    except RecursionError:
        raise JsonProblem(1, 1, 0, "nested too deeply") from None
    except ValueError:  # an integer of more digits than Python converts
        raise JsonProblem(1, 1, 0, "a number with too many digits") from None
    end = _skip(text, end)
    if end != len(text):
        raise _problem(text, end, "Extra data")
    return value


def elements(path: Path, encoding: str, notes: Notes) -> Iterator[Element]:
    """The elements of a file. Raises `JsonProblem` where it stops to be JSON, after all elements before."""
    with path.open("rb") as file:
        buffer = _Buffer(file, encoding)
        buffer.skip()
        if buffer.peek() != "[":
            yield Element(parse(buffer.rest(), notes), whole=True)
            return
        buffer.at += 1
        buffer.skip()
        if buffer.peek() == "]":
            buffer.at += 1
        else:
            yield from _list(buffer, notes)
        buffer.skip()
        if buffer.peek():
            raise buffer.problem(buffer.at, "Extra data")


def _list(buffer: "_Buffer", notes: Notes) -> Iterator[Element]:
    while True:
        buffer.skip()
        yield Element(buffer.value(notes), whole=False)
        buffer.skip()
        mark = buffer.peek()
        if mark not in (",", "]") or not mark:
            raise buffer.problem(buffer.at, "Expecting ',' delimiter")
        buffer.at += 1
        if mark == "]":
            return
        buffer.compact()


def without_trailing_commas(text: str) -> str:
    """The text with the commas before a closing bracket taken out: the commonest slip of a hand that edits JSON."""
    return _TRAILING_COMMA.sub(lambda found: found[1] or " ", text)


class _Buffer:
    """A window on a file that grows while an element does not end, and remembers where its first character stands."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ended = False
        self._line, self._line_start, self._base = 1, 0, 0
        self.text, self.at = "", 0

    def _more(self, size: int = _CHUNK) -> bool:
        if self._ended:
            return False
        data = self._file.read(size)
        self._ended = not data
        self.text += self._decoder.decode(data, self._ended)
        return True

    def peek(self) -> str:
        """The next character; empty at the end."""
        while self.at >= len(self.text):
            if not self._more():
                return ""
        return self.text[self.at]

    def skip(self) -> None:
        """Pass white space."""
        while True:
            self.at = _skip(self.text, self.at)
            if self.at < len(self.text) or not self._more():
                return

    def rest(self) -> str:
        """The whole text; the window must not have moved."""
        while self._more(max(_CHUNK, len(self.text))):
            pass
        return self.text

    def compact(self) -> None:
        """Forget what was read, now and then."""
        if self.at < _CHUNK // 4:
            return
        passed = self.text[: self.at]
        lines = passed.count("\n")
        if lines:
            self._line += lines
            self._line_start = self._base + passed.rfind("\n") + 1
        self._base += self.at
        self.text, self.at = self.text[self.at :], 0

    def value(self, notes: Notes) -> Any:
        """The next value; a window that ends within it grows."""
        while True:
            try:
                value, end = notes.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as problem:
                # An error far before the end of the window is one; near the end more text may mend it.
                far = len(self.text) - problem.pos > _LONGEST
                if far or not self._more(max(_CHUNK, len(self.text))):
                    raise self.problem(problem.pos, problem.msg) from None
                continue
            except RecursionError:
                raise self.problem(self.at, "nested too deeply") from None
            except ValueError:
                raise self.problem(self.at, "a number with too many digits") from None
            if end < len(self.text) or not self._more():  # a number may go on behind the window
                self.at = end
                return value

    def problem(self, at: int, why: str) -> JsonProblem:
        """The error at a character of the window."""
        lines = self.text.count("\n", 0, at)
        line_start = self._base + self.text.rfind("\n", 0, at) + 1 if lines else self._line_start
        return JsonProblem(self._line + lines, self._base + at - line_start + 1, self._base + at, why)


def _skip(text: str, at: int) -> int:
    return int(WHITESPACE.match(text, at).end())


def _problem(text: str, at: int, why: str) -> JsonProblem:
    start = text.rfind("\n", 0, at) + 1
    return JsonProblem(text.count("\n", 0, at) + 1, at - start + 1, at, why)
