"""Every executor keeps the contract that plug-ins keep."""

from collections.abc import Iterator

import pytest

from curate.execute.dask import DaskExecutor
from curate.execute.local import LocalExecutor
from curate.execute.ray import RayExecutor
from curate.testing.executors import ExecutorContract, Factory
from tests.execute.clusters import dask_cluster, ray_cluster


@pytest.fixture(scope="module")
def dask_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Dask scheduler of two workers is."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as address:
        yield address


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Ray cluster of two processors is."""
    with pytest.MonkeyPatch.context() as patch, ray_cluster(tmp_path_factory.mktemp("ray")) as address:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        yield address


class TestLocal(ExecutorContract):
    @pytest.fixture
    def factory(self) -> Factory:
        return LocalExecutor


class TestDask(ExecutorContract):
    """With a cluster that ends with the executor."""

    tells_items = False

    @pytest.fixture
    def factory(self) -> Factory:
        return DaskExecutor


class TestDaskAtAnAddress(ExecutorContract):
    """With one that was there before, and has more workers than some tests ask for."""

    tells_items = False

    @pytest.fixture
    def factory(self, dask_address: str) -> Factory:
        return lambda workers, _: DaskExecutor(workers, dask_address)


@pytest.mark.crash
class TestRayAtAnAddress(ExecutorContract):
    """That a cluster may also end with the executor is shown where builds are compared: its start takes long."""

    tells_items = False

    @pytest.fixture
    def factory(self, ray_address: str) -> Factory:
        return lambda workers, _: RayExecutor(workers, ray_address)
