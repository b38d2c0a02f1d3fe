"""Every executor keeps the contract that plug-ins keep."""

import pytest

from curate.execute.dask import DaskExecutor
from curate.execute.local import LocalExecutor
from curate.testing.executors import ExecutorContract, Factory


class TestLocal(ExecutorContract):
    @pytest.fixture
    def factory(self) -> Factory:
        return LocalExecutor


class TestDask(ExecutorContract):
    tells_items = False

    @pytest.fixture
    def factory(self) -> Factory:
        return DaskExecutor
