"""Rows of a corpus as an explanation shows them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

__all__ = ["Blocks", "one_of", "plain", "rows_of"]

Blocks = list[tuple[str, dict[str, Any]]]
"""Titled blocks of plain values."""


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Without nulls and empty lists; long geometry is told by its size."""
    shown = {name: value for name, value in row.items() if value not in (None, [], {}, "")}
    if "mask" in shown:
        mask = shown["mask"]
        sides = [mask["width"], mask["height"], *([mask["depth"]] if mask.get("depth") else [])]
        shown["mask"] = f"{' x '.join(map(str, sides))}, {len(mask['counts'])} runs"
    if "polygons" in shown:
        shown["polygons"] = f"{len(shown['polygons'])} rings"
    return shown


def rows_of(connection: "duckdb.DuckDBPyConnection", sql: str, values: list[Any]) -> list[dict[str, Any]]:
    answer = connection.execute(sql, values)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def one_of(connection: "duckdb.DuckDBPyConnection", sql: str, values: list[Any]) -> dict[str, Any]:
    return rows_of(connection, sql, values)[0]
