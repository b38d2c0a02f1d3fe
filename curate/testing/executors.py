"""What every executor keeps: each receipt once, whatever the order, and a worker's death costs one item at most."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import pytest

from curate.errors import CurateError
from curate.execute.child import Limits

__all__ = ["Executor", "ExecutorContract", "Factory"]

SQUARES: Final = "curate.testing.jobs:Squares"
ERRS: Final = "curate.testing.jobs:Errs"


class Executor(Protocol):
    """What the contract needs of an executor."""

    def run(self, jobs: Iterable[dict[str, Any]], beat: Callable[[str], None]) -> Iterator[tuple[dict[str, Any], Any]]:
        """Each job with its receipt, as they finish."""
        ...


Factory = Callable[[int, str, bytes, Limits], AbstractContextManager[Executor]]
"""(workers, function as `module:name`, what jobs share as JSON, limits of an item) -> an executor to be entered."""


class ExecutorContract:
    """Fixture: `factory`. Workers must be able to import `curate.testing` and to write below the test's folder."""

    jobs_ahead_per_worker = 4
    """How many jobs may be taken for each worker before their receipts are given out."""

    @pytest.fixture
    def factory(self) -> Factory:
        """Makes the executor under test."""
        raise NotImplementedError

    @pytest.fixture
    def squares(self, factory: Factory, tmp_path: Path) -> Callable[..., AbstractContextManager[Executor]]:
        """An executor whose jobs are squares."""
        shared = msgspec.json.encode({"folder": str(tmp_path)})
        return lambda workers=2: factory(workers, SQUARES, shared, Limits())

    def test_every_job_has_one_receipt(self, squares: Callable[..., AbstractContextManager[Executor]]) -> None:
        with squares() as executor:
            done = [(job["number"], receipt["square"]) for job, receipt in executor.run(_numbers(25), _ignore)]
        assert sorted(done) == [(number, number**2) for number in range(25)]

    def test_receipts_do_not_depend_on_the_order_of_jobs_or_the_number_of_workers(
        self, squares: Callable[..., AbstractContextManager[Executor]]
    ) -> None:
        found = []
        for workers, jobs in ((1, list(_numbers(9))), (2, list(_numbers(9))[::-1])):
            with squares(workers) as executor:
                found.append({job["number"]: receipt for job, receipt in executor.run(jobs, _ignore)})
        assert found[0] == found[1]

    def test_one_executor_runs_one_list_after_another(
        self, squares: Callable[..., AbstractContextManager[Executor]]
    ) -> None:
        with squares() as executor:
            assert list(executor.run([], _ignore)) == []
            for _ in range(2):
                assert len(list(executor.run(_numbers(3), _ignore))) == 3

    def test_jobs_are_taken_as_they_are_needed(self, squares: Callable[..., AbstractContextManager[Executor]]) -> None:
        taken = 0

        def jobs() -> Iterator[dict[str, Any]]:
            nonlocal taken
            for job in _numbers(60):
                taken += 1
                yield job

        with squares(2) as executor:
            for given, _ in enumerate(executor.run(jobs(), _ignore)):
                assert taken - given <= 2 * self.jobs_ahead_per_worker, "jobs pile up"

    def test_a_worker_that_is_killed_once_costs_nothing(
        self, squares: Callable[..., AbstractContextManager[Executor]]
    ) -> None:
        jobs = [{"number": number, "dies_once": number == 2} for number in range(5)]
        with squares() as executor:
            receipts = [receipt for _, receipt in executor.run(jobs, _ignore)]
        assert sorted(receipt["square"] for receipt in receipts) == [0, 1, 4, 9, 16]
        assert all(receipt["left"] == [] for receipt in receipts), "nothing was to blame"

    def test_an_item_that_kills_every_worker_is_named_and_left_out(
        self, squares: Callable[..., AbstractContextManager[Executor]]
    ) -> None:
        jobs = [{"number": number, "deadly": ["scan 7", "scan 9"] if number == 1 else []} for number in range(4)]
        beats = Counter[str]()
        with squares() as executor:
            done = {job["number"]: (job, receipt) for job, receipt in executor.run(jobs, lambda at: beats.update([at]))}
        assert sorted(done) == [0, 1, 2, 3]
        job, receipt = done[1]
        assert receipt["left"] == ["scan 7", "scan 9"]
        assert set(job["poisoned"]) == {"scan 7", "scan 9"}, "the job that comes back tells what was left out"
        assert set(job["poisoned"].values()) <= {"crash", "memory", "time"}
        assert beats["scan 7"] >= 1
        assert beats["scan 9"] >= 1
        assert done[0][1]["left"] == [], "another job's poison is none of its business"

    def test_an_error_that_a_person_can_act_on_comes_back_as_it_is(self, factory: Factory) -> None:
        with (
            factory(2, ERRS, b'{"known": true}', Limits()) as executor,
            pytest.raises(CurateError, match="the third is wrong; leave it out") as caught,
        ):
            list(executor.run(_numbers(6), _ignore))
        assert caught.value.exit_code == 2

    def test_a_bug_is_told_by_its_type_and_place_and_never_by_its_message(self, factory: Factory) -> None:
        """What a library puts into its message may be a patient's name."""
        with (
            factory(2, ERRS, b'{"known": false}', Limits()) as executor,
            pytest.raises(CurateError, match=r"ValueError .*jobs\.py") as caught,
        ):
            list(executor.run(_numbers(6), _ignore))
        assert "Zebulon" not in str(caught.value)


def _numbers(count: int) -> Iterator[dict[str, Any]]:
    return ({"number": number} for number in range(count))


def _ignore(_: str) -> None:
    return None
