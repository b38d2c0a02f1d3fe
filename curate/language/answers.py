"""The object in what a model wrote, wherever it stands and however it is spelt; or why there is none.

Models wrap JSON in prose, fences and thoughts, write several objects, leave quotes and line breaks unescaped, write
Python or typographic quotes, and are cut off. What is read here is data: nothing is evaluated, nothing raises, nothing
is guessed. A text that can be read in two ways is unreadable, and so is one whose last value was cut.

JSON (RFC 8259) is read by the standard library, wherever in the text it stands. What is not JSON goes through a scanner
that spends a bounded number of steps per character, however the text is nested or torn.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from curate.language.loose_json import DECODER, Fault, NoText, Scan, having, key_of

__all__ = ["Fault", "Unreadable", "read_object"]

MAX_CHARACTERS: Final = 2**18

CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

THOUGHT: Final = "(?:think|thinking|thoughts?|reasoning|reflection|scratchpad)"
THOUGHT_BEGINS: Final = re.compile(rf"<{THOUGHT}>|\[THINK\]|\u25c1think\u25b7", re.IGNORECASE)
THOUGHT_ENDS: Final = re.compile(rf"</{THOUGHT}>|\[/THINK\]|\u25c1/think\u25b7", re.IGNORECASE)


class Unreadable(msgspec.Struct, frozen=True):
    """An answer without a usable object. `kind` is all that may be told of it."""

    kind: Fault


def read_object(text: str, keys: Sequence[str]) -> dict[str, str] | Unreadable:
    """The values of these keys, as clean text without white space around them; other keys are left out.

    Of several objects that have the keys, the last whole one counts, and of nested ones the outer. Keys are compared
    without regard to case. Numbers are given as they are written. Control characters other than line breaks and tabs
    vanish; a lone surrogate becomes U+FFFD.
    """
    if len(text) > MAX_CHARACTERS:
        return Unreadable(Fault.TOO_LARGE)
    whole = text.replace("\x00", "").replace("\ufeff", "").strip()
    value = _json(whole)
    if isinstance(value, str):  # JSON within a string of JSON
        whole, value = value.strip(), _json(value)
    if isinstance(value, dict | list):
        found = having(value, keys)
        return Unreadable(Fault.MISSING_KEY) if found is None else _values(found, keys)
    spoken = _spoken(whole)
    if spoken is None:
        return Unreadable(Fault.TRUNCATED)
    return _scanned(spoken, keys) if spoken.strip() else Unreadable(Fault.EMPTY)


def _scanned(text: str, keys: Sequence[str]) -> dict[str, str] | Unreadable:
    """What the last object with the keys says, unless something spoils it that comes after it."""
    best: dict[str, str] | Unreadable | None = None
    fault = Fault.NO_OBJECT
    for found in Scan(text, keys).found():
        item = None if isinstance(found, Fault) else having(found, keys)
        if item is not None:
            best = _values(item, keys)
        elif not isinstance(found, Fault):
            fault = Fault.MISSING_KEY
        elif found is not Fault.NO_OBJECT:
            fault = found
            best = None if found is Fault.UNCLEAR else best
    return best if best is not None else Unreadable(fault)


def _json(text: str) -> Any:
    """The value of a text that is JSON as a whole, else null."""
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _spoken(text: str) -> str | None:
    """What is left when thoughts are taken away; null where they never end."""
    end = max((found.end() for found in THOUGHT_ENDS.finditer(text)), default=0)
    begin = THOUGHT_BEGINS.search(text, end)
    if begin is None:
        return text[end:]
    before = text[end : begin.start()]
    return before if before.strip() else None


def _values(item: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str] | Unreadable:
    found: dict[str, str] = {}
    for wanted in keys:
        key = key_of(item, wanted)
        value = None if key is None else item[key]
        if isinstance(value, NoText) and value.is_twofold:
            return Unreadable(Fault.UNCLEAR)
        if not isinstance(value, str):
            return Unreadable(Fault.NOT_TEXT)
        found[wanted] = _clean(value)
        if not found[wanted]:
            return Unreadable(Fault.EMPTY)
    return found


def _clean(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return CONTROL.sub("", whole.replace("\r\n", "\n").replace("\r", "\n")).strip()
