"""Requests shared by several parts: each reads its own ids out of every file, and all together are the same corpus."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.schema import REQUESTS
from curate.stages import rewrite
from curate.store.commit import PartWriter
from curate.store.parquet import REQUEST_GROUP_ROWS, Range, iter_tables
from curate.store.part import Part, Sidecar
from tests.stages.rewriting import asking, built_here

ANSWERS = "SELECT * FROM responses ORDER BY request_id, attempt"
TEXTS = "SELECT pair_id, response_id, messages FROM pairs ORDER BY pair_id"


@pytest.mark.parametrize("requests_per_part", [2, 0.25])
def test_a_corpus_is_the_same_however_many_parts_share_its_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests_per_part: float
) -> None:
    """With so few a part, most files of requests have none of the ids of most parts."""
    with built_here(), asking(tmp_path, images=8) as asked:
        one = asked.done("one")["rewriting"]
        monkeypatch.setattr(rewrite, "REQUESTS_PER_PART", requests_per_part)
        many = asked.done("many")["rewriting"]
        assert len(list((asked.world.out("many") / "parts/rewrite/_whole").iterdir())) >= 8
        assert many == one
        assert asked.rows(ANSWERS, "many") == asked.rows(ANSWERS, "one")
        assert asked.rows(TEXTS, "many") == asked.rows(TEXTS, "one")
        asked.check("many")


def rows_of_requests(count: int) -> list[dict[str, Any]]:
    bodies = [f'{{"seed":{n}}}' for n in range(count)]
    rows = [
        dict.fromkeys(REQUESTS.names)
        | {
            "request_id": hashlib.sha256(body.encode()).hexdigest(),
            "body": body,
            "draft_id": f"{n}",
            "drafts": 1,
            "witness": "{}",
        }
        for n, body in enumerate(bodies)
    ]
    return sorted(rows, key=lambda row: str(row["request_id"]))


def written(out: Path, rows: list[dict[str, Any]]) -> Sidecar:
    with PartWriter(out, Part("draft", "cells", 0)) as writer:
        writer.write("requests", pa.Table.from_pylist(rows, schema=REQUESTS))
        return writer.commit({}, {})


def test_a_range_of_ids_is_read_without_the_groups_that_hold_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_requests(3 * REQUEST_GROUP_ROWS)
    files = written(tmp_path, rows).of("requests")
    read: list[int] = []
    real = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, group: int, **how: Any) -> pa.Table:
        read.append(group)
        return real(self, group, **how)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    for low, below in (("00000000", "10000000"), ("f0000000", None), ("00000000", "00000001")):
        within = Range("request_id", low, below)
        found = [row for table in iter_tables(tmp_path, files, REQUESTS, within=within) for row in table.to_pylist()]
        assert found == [row for row in rows if row["request_id"] >= low and (not below or row["request_id"] < below)]
    assert read == [0, 2]


@pytest.mark.parametrize("parts", [1, 4, 64])
def test_every_request_is_in_one_part(parts: int) -> None:
    ids = [str(row["request_id"]) for row in rows_of_requests(500)] + ["0" * 64, "f" * 64]
    ranges = [rewrite._ids_of(Part("rewrite", "*", bucket), parts) for bucket in range(parts)]
    for key in ids:
        (home,) = [n for n, each in enumerate(ranges) if key >= each.low and (each.below is None or key < each.below)]
        assert home == int(key[:8], 16) * parts >> 32
