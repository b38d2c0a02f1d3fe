"""The part of an explanation that a language model has in it: what it was asked, what it said, what became of that."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate.schema import REQUESTS
from curate.store.parquet import Range, iter_tables
from curate.store.part import Sidecars
from curate.store.place import Place
from curate.why_rows import Blocks, plain, rows_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["answers_story", "rewriting_story"]

SHOWN: Final = 20
"""How many pairs of one request are listed; the rest is counted."""


def rewriting_story(out: Place, connection: "duckdb.DuckDBPyConnection", request_id: str) -> Blocks:
    """All about one request: what was asked, the answers, and the pairs that asked it."""
    return [*_answers_to(out, connection, request_id), *_served(connection, request_id)]


def answers_story(out: Place, connection: "duckdb.DuckDBPyConnection", request_id: str, pair_id: str) -> Blocks:
    """What one pair asked, and why an answer that was accepted elsewhere does not hold for it."""
    return [*_answers_to(out, connection, request_id), *_refused_here(connection, pair_id)]


def _answers_to(out: Place, connection: "duckdb.DuckDBPyConnection", request_id: str) -> Blocks:
    """What a model was asked, what it answered, and what became of each answer."""
    blocks: Blocks = []
    body = _body_of(out, request_id)
    if body is not None:
        asked = {key: value for key, value in body.items() if key not in ("messages", "response_format")}
        last = body["messages"][-1]["content"]
        if isinstance(last, list):
            last = "\n".join(part.get("text") or part["image_url"]["url"] for part in last)
        system = body["messages"][0]["content"]
        blocks.append(("request", {"request_id": request_id, **asked, "instructions": system, "asked": last}))
    answers = rows_of(connection, "SELECT * FROM responses WHERE request_id = ? ORDER BY attempt", [request_id])
    for row in answers:
        blocks.append((f"answer {row['attempt']}: {row['verdict']}", plain(row)))
    return blocks


def _body_of(out: Place, request_id: str) -> dict[str, Any] | None:
    """The body of a request, out of the draft parts."""
    within = Range("request_id", request_id, request_id + "\0")
    for sidecar in Sidecars(out).listed("draft"):
        if request_id[0] not in sidecar.statistics.get("requests", {}):
            continue
        for table in iter_tables(out, sidecar.of("requests"), REQUESTS, ("request_id", "body"), within):
            for row in table.to_pylist():
                body: dict[str, Any] = msgspec.json.decode(row["body"])
                return body
    return None


def _refused_here(connection: "duckdb.DuckDBPyConnection", pair_id: str) -> Blocks:
    """Why an answer that was accepted elsewhere does not hold for this pair."""
    rows = rows_of(
        connection,
        "SELECT reason, detail FROM rejects WHERE stage = 'verify' AND unit = 'answer' AND ends_with(locator, ?)",
        [pair_id],
    )
    return [("answer refused for this pair", row) for row in rows]


def _served(connection: "duckdb.DuckDBPyConnection", request_id: str) -> Blocks:
    """The pairs that asked this."""
    rows = rows_of(
        connection, "SELECT pair_id, source, origin FROM pairs WHERE request_id = ? ORDER BY pair_id", [request_id]
    )
    told = {row["pair_id"]: f"{row['source']}, {row['origin']}" for row in rows[:SHOWN]}
    return [("pairs that asked it", told | {"in all": len(rows)})]
