"""What a check of published records says: one finding per rule, file and kind of defect.

A message names counts, fields, words of the rule and classes of words; it never quotes a text of the records, since
these may speak of patients.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["MAX_LOCATORS", "FileReport", "Finding", "Report", "RuleDoc", "Severity", "Tally"]

Severity = Literal["error", "warning", "note"]
"""An error breaks a loader or teaches what is false; a warning very likely does; a note is worth knowing."""

MAX_LOCATORS: Final = 5
"""How many rows a finding names."""


@dataclass(frozen=True, slots=True)
class RuleDoc:
    """What a rule is: its name, how grave a finding is, a sentence, and why or from where."""

    name: str
    severity: Severity
    says: str
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`count` of `of` rows (or of what the message names) break a rule; `rows` are the first few of them.

    `file` is the file's path as it was reached, a folder's where several files break the rule together.
    """

    rule: str
    severity: Severity
    file: str
    count: int
    of: int
    rows: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class FileReport:
    """A file that was read: the shape of its rows, how many there are, and what else can be counted."""

    path: str
    format: str
    rows: int
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All files in the order of their paths, and what was found in them."""

    files: tuple[FileReport, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)


@dataclass(slots=True)
class Tally:
    """Rows that break a rule, while a file is read."""

    count: int = 0
    of: int = 0
    rows: list[str] = field(default_factory=list)

    def hit(self, locator: str) -> None:
        """Count a row."""
        self.count += 1
        if len(self.rows) < MAX_LOCATORS:
            self.rows.append(locator)

    def finding(self, doc: RuleDoc, file: str, message: str, *, severity: Severity | None = None) -> Iterator[Finding]:
        """The finding, if there is one."""
        if self.count:
            rows = tuple(self.rows)
            yield Finding(doc.name, severity or doc.severity, file, self.count, self.of, rows, message)
