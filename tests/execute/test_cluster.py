"""What a driver does about workers that are lost, told by a scheduler that a test writes."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from curate.execute.base import WorkerError
from curate.execute.cluster import drive
from curate.execute.remote import ATTEMPT, ends_of


@dataclass
class Scripted:
    """Loses the worker of a job at each of its `deadly` items, and `lost` times at none; `size` jobs may be out."""

    size: int = 2
    sent: list[tuple[dict[str, Any], bool]] = field(default_factory=list)
    most: int = 0
    _out: dict[int, tuple[dict[str, Any], bool]] = field(default_factory=dict)
    _at: dict[Hashable, list[str]] = field(default_factory=dict)
    _lost: dict[int, int] = field(default_factory=dict)

    def room(self) -> int:
        return self.size

    def submit(self, job: bytes, *, watched: bool) -> Hashable:
        self.sent.append((msgspec.json.decode(job), watched))
        self._out[len(self.sent)] = self.sent[-1]
        self.most = max(self.most, len(self._out))
        return len(self.sent)

    def finished(self) -> Iterable[tuple[Hashable, bytes | None]]:
        ticket = min(self._out)
        job, watched = self._out.pop(ticket)
        number = job["number"]
        poisoned = job.get("poisoned", {})
        culprit = next((item for item in job.get("deadly", []) if item not in poisoned), None)
        if culprit is not None:
            self._at[ticket] = [culprit] if watched else []
            return [(ticket, None)]
        if self._lost.setdefault(number, 0) < job.get("lost", 0):
            self._lost[number] += 1
            self._at[ticket] = job.get("at", [])
            return [(ticket, None)]
        if "problem" in job:
            return [(ticket, msgspec.json.encode({"problem": job["problem"], "exit_code": 2, "retryable": False}))]
        return [(ticket, msgspec.json.encode({"job": job, "receipt": number}))]

    def ends(self, ticket: Hashable) -> list[str]:
        return self._at[ticket]


def done(pool: Scripted, *jobs: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {receipt: job for job, receipt in drive(pool, jobs)}


def test_a_job_that_lost_its_worker_is_sent_again_and_watched() -> None:
    pool = Scripted()
    assert done(pool, {"number": 1, "lost": 1}, {"number": 2}).keys() == {1, 2}
    assert [(job["number"], watched) for job, watched in pool.sent] == [(1, False), (2, False), (1, True)]


def test_an_item_at_which_two_watched_workers_ended_is_left_out() -> None:
    found = done(Scripted(), {"number": 1, "deadly": ["scan 7", "scan 9"]})
    assert found[1]["poisoned"] == {"scan 7": "memory", "scan 9": "memory"}


def test_what_was_poisoned_before_stays_so() -> None:
    found = done(Scripted(), {"number": 1, "deadly": ["scan 7"], "poisoned": {"scan 1": "crash"}})
    assert found[1]["poisoned"] == {"scan 1": "crash", "scan 7": "memory"}


def test_a_job_that_loses_every_worker_at_no_item_ends_the_build_by_name() -> None:
    pool = Scripted()
    with pytest.raises(WorkerError, match="job 1/9 lost its worker 5 times, and no single item is to blame"):
        done(pool, {"number": 1, "lost": 9})
    assert len(pool.sent) == 5


def test_machines_that_go_while_different_items_are_at_work_blame_none_of_them() -> None:
    pool = Scripted()
    pool.ends = lambda ticket: [f"scan {ticket}"]  # type: ignore[method-assign]
    assert "poisoned" not in done(pool, {"number": 1, "lost": 4})[1]


def test_an_error_is_told_as_it_came_and_not_tried_again() -> None:
    pool = Scripted()
    with pytest.raises(WorkerError, match="correct the card") as caught:
        done(pool, {"number": 1, "problem": "correct the card"}, {"number": 2})
    assert caught.value.exit_code == 2
    assert len(pool.sent) == 2


def test_no_more_jobs_are_taken_than_there_is_room_for() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[dict[str, Any]]:
        for number in range(100):
            taken.append(number)
            yield {"number": number, "lost": number % 3 == 0}

    pool = Scripted(size=3)
    for given, _ in enumerate(drive(pool, jobs())):
        assert len(taken) <= given + 1 + 3
    assert pool.most == 3
    assert len(taken) == 100


@pytest.mark.parametrize(
    ("announced", "ends"),
    [
        ([], []),
        ([ATTEMPT], [""]),
        ([ATTEMPT, "a", "b"], ["b"]),
        ([ATTEMPT, "a", ATTEMPT, "a", "b"], ["a", "b"]),
        ([ATTEMPT, "a", "", ATTEMPT, ATTEMPT, "c"], ["", "", "c"]),
    ],
)
def test_the_minutes_of_a_job_tell_where_each_attempt_ended(announced: list[str], ends: list[str]) -> None:
    assert ends_of(announced) == ends
