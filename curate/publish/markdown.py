"""Markdown of the texts that describe a release: words from cards are shown as they are, never read as markup."""

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

__all__ = ["count", "is_address", "plain", "quote", "share", "table"]

_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|#~$])")


def plain(text: object) -> str:
    """A text in one line whose every character stands for itself."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def is_address(text: str) -> bool:
    """True for an address that a browser opens."""
    try:
        found = urlsplit(text)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and bool(found.netloc) and not any(sign.isspace() for sign in text)


def quote(text: str) -> str:
    """A text of several lines as a block quotation."""
    return "\n".join(f"> {plain(line)}".rstrip() for line in text.strip().splitlines())


def count(number: int) -> str:
    """A number with commas between thousands."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """A part of a whole in per cent with one decimal; empty where there is no whole."""
    return f"{part / whole:.1%}" if whole else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns of numbers alone stand to the right. Texts must have been made `plain`."""
    cells = [[count(cell) if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numeric = [
        bool(cells) and all(re.fullmatch(r"[\d,.%]*", row[place]) for row in cells) for place in range(len(head))
    ]
    lines = [head, ["---:" if right else "---" for right in numeric], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
