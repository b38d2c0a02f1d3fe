"""Children find the jobs of these tests by PYTHONPATH: they take no code from the working folder."""

import pytest

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _jobs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
