"""The embedded executor: one bad item costs itself and nothing else."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from curate.execute.base import Job, Work, WorkerError
from curate.execute.child import Limits
from curate.execute.local import LocalExecutor

CALL = "tests.execute.jobs:factory"
PATIENT = Limits(item_s=60.0)


def run(
    folder: Path, jobs: Iterable[Job], limits: Limits = PATIENT, workers: int = 2, call: str = CALL
) -> list[tuple[Job, Any]]:
    """Every job with its receipt, in the order of their first items."""
    work = Work(call, msgspec.json.encode({"folder": str(folder)}), limits)
    with LocalExecutor(workers) as executor:
        return sorted(executor.run(work, jobs, lambda _: None), key=lambda pair: str(pair[0]["items"]))


def test_every_job_is_run_once_whatever_the_number_of_workers(tmp_path: Path) -> None:
    jobs = [{"items": [f"fine-{number:02d}"]} for number in range(12)]
    for workers in (1, 3):
        assert [receipt for _, receipt in run(tmp_path, jobs, workers=workers)] == [job["items"] for job in jobs]


def test_a_worker_that_dies_once_on_an_item_is_given_another_chance(tmp_path: Path) -> None:
    ((job, receipt),) = run(tmp_path, [{"items": ["fine-1", "once-2", "fine-3"]}])
    assert receipt == ["fine-1", "once-2", "fine-3"]
    assert job["poisoned"] == {}


@pytest.mark.parametrize("item", ["abort-2", "segfault-2", "exit-2"])
def test_an_item_that_ends_its_worker_twice_is_left_out_and_the_others_go_on(tmp_path: Path, item: str) -> None:
    found = run(tmp_path, [{"items": ["fine-1", item, "fine-3"]}, {"items": ["fine-4"]}])
    assert [receipt for _, receipt in found] == [["fine-1", "fine-3"], ["fine-4"]]
    assert found[0][0]["poisoned"] == {item: "crash"}


def test_several_poisonous_items_of_one_job_are_found_one_by_one(tmp_path: Path) -> None:
    ((job, receipt),) = run(tmp_path, [{"items": ["abort-1", "fine-2", "exit-3"]}], workers=1)
    assert receipt == ["fine-2"]
    assert set(job["poisoned"]) == {"abort-1", "exit-3"}


def test_an_item_that_hangs_is_ended_by_its_deadline(tmp_path: Path) -> None:
    ((job, receipt),) = run(tmp_path, [{"items": ["fine-1", "hang-2"]}], Limits(item_s=1.0), workers=1)
    assert receipt == ["fine-1"]
    assert job["poisoned"] == {"hang-2": "time"}


def test_no_deadline_runs_between_items(tmp_path: Path) -> None:
    ((job, receipt),) = run(tmp_path, [{"items": ["fine-1"], "slow_end": True}], Limits(item_s=1.0), workers=1)
    assert receipt == ["fine-1"]
    assert job["poisoned"] == {}


def test_an_item_that_eats_memory_is_ended_and_the_driver_is_not(tmp_path: Path) -> None:
    limits = Limits(item_s=60.0, memory_bytes=512 * 2**20)
    ((job, receipt),) = run(tmp_path, [{"items": ["fine-1", "hog-2", "fine-3"]}], limits, workers=1)
    assert receipt == ["fine-1", "fine-3"]
    assert job["poisoned"] == {"hog-2": "memory"}


def test_an_unforeseen_error_names_job_item_and_place_but_never_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as told:
        run(tmp_path, [{"stage": "read", "items": ["bug-1"]}])
    said = str(told.value)
    assert "job read" in said
    assert "working on bug-1" in said
    assert "ValueError at tests/execute/jobs.py:" in said
    assert "Jane" not in said
    assert told.value.exit_code == 1


def test_an_error_of_ours_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="the table names no image; correct the card"):
        run(tmp_path, [{"items": ["data-1"]}])


def test_a_worker_that_cannot_start_is_an_error_and_not_a_loop(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="a worker died 2 times"):
        run(tmp_path, [{"items": ["fine-1"]}], call="tests.execute.jobs:broken_factory")


def test_what_libraries_print_never_reaches_the_wire(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [{"items": ["fine-1"]}])[0][1] == ["fine-1"]
    assert "a library that prints" in capfd.readouterr().err


def test_an_interrupt_ends_the_workers_at_once(tmp_path: Path) -> None:
    work = Work(CALL, msgspec.json.encode({"folder": str(tmp_path)}), PATIENT)
    asked = time.monotonic()
    executor = LocalExecutor(2)

    def interrupted() -> Iterable[Job]:
        yield {"items": ["hang-1"]}
        yield {"items": ["hang-2"]}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), executor:
        list(executor.run(work, interrupted(), lambda _: None))
    assert time.monotonic() - asked < 30
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "curate.execute.inside" in child.cmdline()]
