"""The cache of how files look takes every name that a file system takes."""

import os
from pathlib import Path

import pytest

from curate.store.freshness import NEVER, Freshness, stat_tree
from curate.store.part import Part


def test_a_name_that_is_not_utf8_is_remembered_like_any_other(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    try:
        (root / os.fsdecode(b"bad\xff.nii")).write_bytes(b"1")
    except OSError:
        pytest.skip("this file system takes no such name")
    stats = stat_tree(root)
    assert list(stats) == ["bad\\udcff.nii"]
    part = Part("scan", "cells")
    cache = Freshness(tmp_path / "cache")
    cache.record(part, str(root), stats, {"a": "b"})
    assert cache.inputs(part, str(root), dict.fromkeys(stats, NEVER), whole=True) == {"a": "b"}
