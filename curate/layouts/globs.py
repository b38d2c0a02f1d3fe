"""Patterns of source cards, as regular expressions over virtual paths.

`*` and `?` stay inside one folder, `**` crosses folders (and none at all), `[a-z]` and `[!a-z]` are sets. Case counts
on every system. A template is such a pattern with `{name}` in it, which takes part of one folder or file name.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["compile_patterns", "compile_template", "reaches_into"]

_TOKEN = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<crossing>\*\*+)|(?P<star>\*)|(?P<one>\?)"
    r"|(?P<set>\[!?\]?[^\]/]*\])|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<literal>.)",
    re.DOTALL,
)


def _set(text: str) -> str:
    body = text[1:-1]
    negated = body.startswith("!")
    body = body[1:] if negated else body
    escaped = re.sub(r"([\\\[\]^&~|]|-(?=-))", r"\\\1", body)
    return f"(?!/)[{'^' if negated else ''}{escaped}]"


def _expression(pattern: str, template: bool) -> str:
    parts: list[str] = []
    seen: set[str] = set()
    for token in _TOKEN.finditer(pattern):
        match token.lastgroup:
            case "folders":
                parts.append("(?:.*/)?")
            case "crossing":
                parts.append(".*")
            case "star":
                parts.append("[^/]*")
            case "one":
                parts.append("[^/]")
            case "set":
                parts.append(_set(token[0]))
            case "name" if template:
                name = token["name"]
                parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)")
                seen.add(name)
            case _:
                parts.append(re.escape(token[0]))
    return "".join(parts)


def _compile(expression: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(expression, re.DOTALL)
    except re.error:  # a reversed range such as [z-a]: then the brackets are meant as they stand
        return re.compile(re.escape(pattern))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return _compile(_expression(pattern, template=False), pattern)


def compile_patterns(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """The patterns, to be used with `fullmatch` on virtual paths."""
    return tuple(_compiled(pattern) for pattern in patterns)


@lru_cache(maxsize=64)
def compile_template(template: str) -> re.Pattern[str]:
    """A pattern whose `{name}` are groups; a name that stands twice must mean the same text twice."""
    return _compile(_expression(template, template=True), template)


def reaches_into(pattern: str, path: str) -> bool:
    """True where the pattern names the file at `path` and goes on below it, as `images.zip/*.png` does.

    A bare `*` or `**` names folders, not archives: `**/*.png` leaves an archive closed, `*.zip/**/*.png` opens it.
    """
    segments = pattern.split("/")
    return any(
        segments[end - 1].strip("*") and _compiled("/".join(segments[:end])).fullmatch(path)
        for end in range(1, len(segments))
    )
