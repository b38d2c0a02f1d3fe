"""What every executor keeps: each receipt once, whatever the order, and a worker's death costs one item at most."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from curate.errors import CurateError
from curate.execute.base import Executor, Work
from curate.execute.child import Limits

__all__ = ["ExecutorContract", "Factory"]

SQUARES: Final = "curate.testing.jobs:Squares"
ERRS: Final = "curate.testing.jobs:Errs"

Factory = Callable[[int | None, str | None], Executor]
"""(workers, address) -> an executor to be entered."""


class ExecutorContract:
    """Fixture: `factory`. Workers must be able to import `curate.testing` and to write below the test's folder."""

    jobs_ahead_per_worker = 4
    """How many jobs may be taken for each worker before their receipts are given out."""

    tells_items = True
    """Whether the driver hears of each item that a worker begins, or of none."""

    @pytest.fixture
    def factory(self) -> Factory:
        """Makes the executor under test."""
        raise NotImplementedError

    @pytest.fixture
    def squares(self, tmp_path: Path) -> Work:
        """Jobs that give squares."""
        return Work(SQUARES, msgspec.json.encode({"folder": str(tmp_path)}), Limits())

    def test_every_job_has_one_receipt(self, factory: Factory, squares: Work) -> None:
        with factory(2, None) as executor:
            done = [(job["number"], receipt["square"]) for job, receipt in executor.run(squares, _numbers(25), _ignore)]
        assert sorted(done) == [(number, number**2) for number in range(25)]

    def test_receipts_do_not_depend_on_the_order_of_jobs_or_the_number_of_workers(
        self, factory: Factory, squares: Work
    ) -> None:
        found = []
        for workers, jobs in ((1, list(_numbers(9))), (2, list(_numbers(9))[::-1])):
            with factory(workers, None) as executor:
                done = executor.run(squares, jobs, _ignore)
                found.append({job["number"]: (receipt["square"], receipt["left"]) for job, receipt in done})
        assert found[0] == found[1]

    def test_one_executor_runs_one_list_after_another_of_one_work_or_several(
        self, factory: Factory, squares: Work
    ) -> None:
        with factory(2, None) as executor:
            assert list(executor.run(squares, [], _ignore)) == []
            for at_once in (None, 1, None):
                work = replace(squares, at_once=at_once)
                assert len(list(executor.run(work, _numbers(3), _ignore))) == 3

    def test_no_more_jobs_of_a_work_run_at_the_same_time_than_it_allows(self, factory: Factory, squares: Work) -> None:
        with factory(2, None) as executor:
            done = [receipt for _, receipt in executor.run(replace(squares, at_once=1), _numbers(8), _ignore)]
        assert len({receipt["worker"] for receipt in done}) == 1

    def test_jobs_are_taken_as_they_are_needed(self, factory: Factory, squares: Work) -> None:
        taken = 0

        def jobs() -> Iterator[dict[str, Any]]:
            nonlocal taken
            for job in _numbers(60):
                taken += 1
                yield job

        with factory(2, None) as executor:
            for given, _ in enumerate(executor.run(squares, jobs(), _ignore)):
                assert taken - given <= 2 * self.jobs_ahead_per_worker, "jobs pile up"

    def test_a_worker_that_is_killed_once_costs_nothing(self, factory: Factory, squares: Work) -> None:
        jobs = [{"number": number, "dies_once": number == 2} for number in range(5)]
        with factory(2, None) as executor:
            receipts = [receipt for _, receipt in executor.run(squares, jobs, _ignore)]
        assert sorted(receipt["square"] for receipt in receipts) == [0, 1, 4, 9, 16]
        assert all(receipt["left"] == [] for receipt in receipts), "nothing was to blame"

    def test_an_item_that_kills_every_worker_is_named_and_left_out(self, factory: Factory, squares: Work) -> None:
        jobs = [{"number": number, "deadly": ["scan 7", "scan 9"] if number == 1 else []} for number in range(4)]
        beats = Counter[str]()
        with factory(2, None) as executor:
            found = executor.run(squares, jobs, lambda at: beats.update([at]))
            done = {job["number"]: (job, receipt) for job, receipt in found}
        assert sorted(done) == [0, 1, 2, 3]
        job, receipt = done[1]
        assert receipt["left"] == ["scan 7", "scan 9"]
        assert set(job["poisoned"]) == {"scan 7", "scan 9"}, "the job that comes back tells what was left out"
        assert set(job["poisoned"].values()) <= {"crash", "memory", "time"}
        assert {"scan 7", "scan 9"} <= set(beats) if self.tells_items else not beats
        assert done[0][1]["left"] == [], "another job's poison is none of its business"

    def test_an_error_that_a_person_can_act_on_comes_back_as_it_is(self, factory: Factory) -> None:
        with (
            factory(2, None) as executor,
            pytest.raises(CurateError, match="the third is wrong; leave it out") as caught,
        ):
            list(executor.run(Work(ERRS, b'{"known": true}', Limits()), _numbers(6), _ignore))
        assert caught.value.exit_code == 2

    def test_a_bug_is_told_by_its_type_and_place_and_never_by_its_message(self, factory: Factory) -> None:
        """What a library puts into its message may be a patient's name."""
        with (
            factory(2, None) as executor,
            pytest.raises(CurateError, match=r"ValueError .*jobs\.py") as caught,
        ):
            list(executor.run(Work(ERRS, b'{"known": false}', Limits()), _numbers(6), _ignore))
        assert "Zebulon" not in str(caught.value)


def _numbers(count: int) -> Iterator[dict[str, Any]]:
    return ({"number": number} for number in range(count))


def _ignore(_: str) -> None:
    return None
