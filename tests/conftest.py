"""Where the real data lie, and what a missing tool or folder means."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def _required() -> set[str]:
    return {word.strip() for word in os.environ.get("CURATE_REQUIRE", "").split(",") if word.strip()}


def skip_or_fail(need: str, message: str) -> None:
    """Skip, unless CURATE_REQUIRE names what is missing: then it is a failure."""
    if need in _required():
        pytest.fail(f"CURATE_REQUIRE names {need!r}, but {message}")
    pytest.skip(message)


def tool(module: str) -> ModuleType:
    """An optional library that a test compares with; CURATE_REQUIRE=tools makes its absence a failure."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        skip_or_fail("tools", f"the library {module} is not installed")
        raise


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real datasets."""
    named = os.environ.get("CURATE_TEST_DATA")
    root = Path(named) if named else ROOT / ".." / "shared" / "data"
    if not root.is_dir():
        skip_or_fail("data", f"there is no folder of real datasets at {root}; set CURATE_TEST_DATA")
    return root.resolve()


@pytest.fixture(scope="session")
def test_data(data_root: Path) -> Callable[[str], Path]:
    """One real dataset by its folder name; skips where it is absent."""

    def find(name: str) -> Path:
        folder = data_root / name
        if not folder.is_dir():
            skip_or_fail("data", f"the dataset {name} is not in {data_root}")
        return folder

    return find
