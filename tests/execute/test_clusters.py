"""Dask and Ray themselves: whatever becomes of a worker, jobs end, and the item that ends workers is left out."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from distributed.utils import LoopRunner

from curate.errors import CurateError, UsageError
from curate.execute import Executing
from curate.execute.base import Executor, Job, Work, WorkerError
from curate.execute.child import Limits
from curate.execute.dask import DaskExecutor
from curate.execute.ray import RayExecutor
from tests.execute.clusters import dask_cluster

CALL = "tests.execute.jobs:factory"

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module", params=["dask", "ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """A cluster of two workers on this machine, which lives through all tests of a kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        with Executing(request.param, workers=2).open() as executor:
            yield executor


def run(executor: Executor, folder: Path, jobs: Iterable[Job]) -> list[tuple[Job, Any]]:
    """Every job with its receipt, in the order of their first items."""
    work = Work(CALL, msgspec.json.encode({"folder": str(folder)}), Limits(item_s=60.0))
    return sorted(executor.run(work, jobs, lambda _: None), key=lambda pair: str(pair[0]["items"]))


def test_an_item_that_ends_whole_workers_is_left_out_and_the_others_go_on(executor: Executor, tmp_path: Path) -> None:
    """As where the kernel empties the container in which a worker and its child run."""
    others = [{"items": [f"fine-{number}", f"fine-{number}b"]} for number in range(4, 9)]
    found = run(executor, tmp_path, [{"items": ["fine-1", "host-2", "fine-3"]}, *others])
    assert found[0] == (
        {"items": ["fine-1", "host-2", "fine-3"], "poisoned": {"host-2": "memory"}},
        ["fine-1", "fine-3"],
    )
    assert [receipt for _, receipt in found[1:]] == [job["items"] for job in others]
    assert all(job["poisoned"] == {} for job, _ in found[1:])


def test_several_such_items_of_one_job_are_found_one_by_one(executor: Executor, tmp_path: Path) -> None:
    ((job, receipt),) = run(executor, tmp_path, [{"items": ["host-1", "fine-2", "abort-3", "host-4"]}])
    assert receipt == ["fine-2"]
    assert job["poisoned"] == {"host-1": "memory", "abort-3": "crash", "host-4": "memory"}


def test_a_worker_that_ends_once_costs_nothing(executor: Executor, tmp_path: Path) -> None:
    jobs = [{"items": [f"hostonce-{number}", f"fine-{number}"]} for number in range(3)]
    found = run(executor, tmp_path, jobs)
    assert [receipt for _, receipt in found] == [job["items"] for job in jobs]
    assert all(job["poisoned"] == {} for job, _ in found)


def test_a_job_that_ends_every_worker_before_any_item_ends_the_build_and_is_named(
    executor: Executor, tmp_path: Path
) -> None:
    with pytest.raises(WorkerError, match=r"job read.*lost its worker 5 times"):
        run(executor, tmp_path, [{"stage": "read", "items": [], "doomed": True}])
    assert len(run(executor, tmp_path, [{"items": ["fine-1"]}])) == 1, "the executor is of use all the same"


def test_an_item_that_hangs_is_ended_by_its_deadline_there_too(executor: Executor, tmp_path: Path) -> None:
    work = Work(CALL, msgspec.json.encode({"folder": str(tmp_path)}), Limits(item_s=1.0))
    ((job, receipt),) = executor.run(work, [{"items": ["fine-1", "hang-2"]}], lambda _: None)
    assert receipt == ["fine-1"]
    assert job["poisoned"] == {"hang-2": "time"}


def test_what_jobs_share_may_be_large(executor: Executor, tmp_path: Path) -> None:
    shared = msgspec.json.encode({"folder": str(tmp_path), "more": "x" * 2_000_000})
    jobs = [{"items": [f"fine-{number}"]} for number in range(20)]
    found = list(executor.run(Work(CALL, shared, Limits()), jobs, lambda _: None))
    assert len(found) == 20


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    work = Work(CALL, msgspec.json.encode({"folder": str(tmp_path)}), Limits(item_s=600))
    before = set(psutil.Process().children(recursive=True))

    def interrupted() -> Iterable[Job]:
        yield {"items": ["hang-1"]}
        yield {"items": ["hang-2"]}
        time.sleep(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), DaskExecutor(2) as executor:
        list(executor.run(work, interrupted(), lambda _: None))
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in left if "resource_tracker" not in " ".join(process.cmdline())]


def test_a_cluster_that_was_there_before_keeps_no_child(tmp_path: Path) -> None:
    with dask_cluster(tmp_path) as address:
        with DaskExecutor(None, address) as executor:
            assert executor.workers == 2
            assert len(run(executor, tmp_path, [{"items": [f"fine-{number}"]} for number in range(4)])) == 4
            assert _children(tmp_path), "the children serve while the executor lives"
        until = time.monotonic() + 10
        while _children(tmp_path) and time.monotonic() < until:
            time.sleep(0.1)
        assert not _children(tmp_path)


def _children(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "curate.execute.inside" in process.cmdline() and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_scheduler_that_goes_away_ends_the_build_with_a_word(tmp_path: Path) -> None:
    scheduler = None
    with dask_cluster(tmp_path) as address, DaskExecutor(None, address) as executor:
        scheduler = next(
            process for process in psutil.Process().children() if "distributed.cli.dask_scheduler" in process.cmdline()
        )

        def jobs() -> Iterable[Job]:
            yield {"items": ["hang-1"]}
            scheduler.kill()

        with pytest.raises(WorkerError, match="the connection to the Dask scheduler was lost"):
            run(executor, tmp_path, jobs())


RAY_WITHOUT = """
import sys
from tests.execute.test_clusters import CALL, Limits, RayExecutor, Work, msgspec, psutil

def jobs():
    yield {"items": ["hang-1"]}
    for process in psutil.Process().children(recursive=True):
        if sys.argv[2] in process.exe():
            process.kill()

with RayExecutor(1) as executor:
    work = Work(CALL, msgspec.json.encode({"folder": sys.argv[1]}), Limits(item_s=600))
    list(executor.run(work, jobs(), lambda _: None))
"""


@pytest.mark.slow
@pytest.mark.parametrize("process", ["raylet", "gcs_server"])
def test_a_ray_cluster_of_our_own_that_loses_its_heart_ends_the_build_with_a_word(tmp_path: Path, process: str) -> None:
    """In a process of its own: Ray ends the driver of such a cluster after a while, without a word."""
    command = [sys.executable, "-c", RAY_WITHOUT, str(tmp_path), process]
    said = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120)
    assert said.returncode == 1
    assert "WorkerError: the Ray cluster of this machine is gone" in said.stderr


@pytest.mark.parametrize(
    ("name", "address"), [("dask", "tcp://127.0.0.1:9"), ("dask", "nonsense"), ("ray", "127.0.0.1:9")]
)
def test_an_address_at_which_nobody_answers_is_told(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.execute.dask.PATIENCE_S", 2)
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # another test of this process may hold a connection
    with (
        pytest.raises(UsageError, match=f"answers at {address}.*correct --address"),
        Executing(name, 1, address).open(),
    ):
        pass


def test_a_dask_loop_that_starts_late_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, late = LoopRunner.start, [True, True]

    def start(runner: LoopRunner) -> None:
        if late:
            assert late.pop() is None
        begin(runner)

    monkeypatch.setattr(LoopRunner, "start", start)
    with dask_cluster(tmp_path) as address, DaskExecutor(None, address) as executor:
        assert executor.workers > 0
    late.extend([True] * 100)
    with pytest.raises(WorkerError, match="does not start on this machine"), DaskExecutor(None, address):
        pass


def test_accelerators_that_a_cluster_does_not_have_are_told(tmp_path: Path) -> None:
    work = Work(CALL, msgspec.json.encode({"folder": str(tmp_path)}), Limits(), at_once=1, gpus=1.0)
    with (
        dask_cluster(tmp_path) as address,
        DaskExecutor(None, address) as executor,
        pytest.raises(UsageError, match="no worker of the cluster offers 1 of 'GPU'"),
    ):
        list(executor.run(work, [{"items": []}], lambda _: None))


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_an_executor_whose_library_is_absent_says_what_to_install(name: str) -> None:
    program = (
        f"import sys; sys.modules[{'distributed' if name == 'dask' else 'ray'!r}] = None\n"
        "from curate.execute import Executing\n"
        "from curate.errors import UsageError\n"
        "try:\n"
        f"    Executing({name!r}).open()\n"
        "except UsageError as told:\n"
        "    print(told)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"pip install 'medcurate[{name}]'" in said


def test_ray_tells_when_no_worker_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.execute.ray.PATIENCE_S", 3)
    work = Work(CALL, msgspec.json.encode({"folder": str(tmp_path)}), Limits(), at_once=1, gpus=1.0)
    with RayExecutor(1) as executor, pytest.raises(CurateError, match="no worker was ready within 3 seconds"):
        list(executor.run(work, [{"items": []}], lambda _: None))
