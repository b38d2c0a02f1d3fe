"""Rows written by hand, checked as somebody's file."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.published import Report, check_records

Check = Callable[..., Counter[str]]


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Report]:
    """The report on rows written as one JSON file."""

    def check(rows: Any, name: str = "rows.json") -> Report:
        path = tmp_path / name
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        return check_records([path])

    return check


@pytest.fixture
def counts(report: Callable[..., Report]) -> Check:
    """How many rows break each rule."""

    def check(rows: Any, name: str = "rows.json") -> Counter[str]:
        total = Counter[str]()
        for found in report(rows, name).findings:
            total[found.rule] += found.count
        return total

    return check
