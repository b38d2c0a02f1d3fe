"""What a file of records comes to: rows, broken rows, and why one cannot be read."""

from dataclasses import dataclass, field
from typing import NamedTuple

from curate.schema import Reason, Refusal

__all__ = ["BadRow", "Broken", "Reading", "Row"]


class Broken(Exception):  # noqa: N818
    """A row that says nothing usable; never leaves `layouts`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: cells that are plain, cells that are a list of plain values, and the names of all others."""

    number: int
    cells: dict[str, str]
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    nested: frozenset[str] = frozenset()
    place: str = "row"

    @property
    def locator(self) -> str:
        """How the row is found again in its file."""
        return f"{self.place} {self.number}" if self.number else self.place

    def locator_in(self, column: str) -> str:
        """How one cell of the row is found again."""
        return f"{self.locator}, {column}"

    def text(self, column: str) -> str:
        """A plain cell without surrounding white space; empty where the row does not have it. Raises `Broken`."""
        if column in self.nested or len(self.lists.get(column, ())) > 1:
            raise Broken(Reason.INVALID_ROW, f"column {column!r} holds a nested value, a plain one is expected")
        if column in self.lists:
            return "".join(self.lists[column]).strip()
        return self.cells.get(column, "").strip()


class BadRow(NamedTuple):
    """A record that is broken by itself.

    `partial` holds the cells that could still be told apart, to find the image that it spoke of; they stand under their
    own columns where `aligned`, and may be shifted where the row has too many or too few of them.
    """

    number: int
    refusal: Refusal
    partial: Row | None = None
    aligned: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The rows of a file, broken ones in their places."""

    columns: frozenset[str]
    rows: tuple[Row | BadRow, ...]
    repeated: frozenset[str] = frozenset()  # columns that stand twice: which one is meant cannot be known
