"""What a rule about rows is, and what many of them need."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from curate.published.record import Record
from curate.published.report import Finding, RuleDoc, Severity, Tally

__all__ = ["Kinds", "RowRule", "Scope", "key_name", "share"]


_PLAIN_KEY: Final = re.compile(r"[\w.:/-]{1,60}")


@dataclass(frozen=True, slots=True)
class Scope:
    """The file that a rule looks at: its path as it is told, its folder, and where its images lie if that is known."""

    file: str
    path: Path
    images: Path | None = None


class RowRule(Protocol):
    """Sees every row of one file, then says what it found."""

    def see(self, record: Record) -> None:
        """Look at a row."""

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule, once all rows were seen."""


@dataclass(slots=True)
class Kinds:
    """Tallies of one rule by kind of defect."""

    doc: RuleDoc
    scope: Scope
    of: int = 0
    by_kind: dict[str, Tally] = field(default_factory=dict)

    def hit(self, kind: str, locator: str) -> None:
        """Count a row under a kind."""
        self.by_kind.setdefault(kind, Tally()).hit(locator)

    def findings(
        self, messages: dict[str, str], *, of: int | None = None, severity: Severity | None = None
    ) -> Iterator[Finding]:
        """One finding per kind that has a message, in the order of the messages."""
        for kind, message in messages.items():
            if kind in self.by_kind:
                tally = self.by_kind[kind]
                tally.of = self.of if of is None else of
                yield from tally.finding(self.doc, self.scope.file, message, severity=severity)


def key_name(key: str) -> str:
    """A key as a message may show it: what is no plain name may be a text."""
    return key if _PLAIN_KEY.fullmatch(key) else f"a key of {len(key)} characters"


def share(part: int, whole: int) -> str:
    """A share in per cent, for messages."""
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
