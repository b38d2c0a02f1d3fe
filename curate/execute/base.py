"""What every executor is: it runs jobs in workers and hands back receipts. Bytes of images never pass through it."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from curate import errors
from curate.errors import CurateError
from curate.execute.child import Failed, Limits

__all__ = ["Beat", "Executor", "Job", "Work", "WorkerError", "error_of", "named", "processors"]

Job = dict[str, Any]
"""Plain JSON values. `poisoned` maps item keys to why they must not be touched; the executor adds to it."""

Beat = Callable[[str], None]
"""Called with the key of each item that a worker begins, where the executor can tell."""

JOBS_PER_CHILD: Final = 256
"""A child is replaced after so many jobs: what libraries leak is given back, and its start is not felt."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the jobs of one kind have in common.

    `call` names a factory `module:name` and `shared` is the JSON that it is called with, once per worker. `at_once`
    bounds how many jobs of this kind run at the same time; null: as many as there are workers. `gpus` is what one job
    holds of the accelerators of its machine, where the executor knows of such.
    """

    call: str
    shared: bytes
    limits: Limits
    at_once: int | None = None
    gpus: float = 0.0
    jobs_per_child: int | None = JOBS_PER_CHILD  # null: a child is never replaced, for its start is dear


class WorkerError(CurateError):
    """A job raised, or a worker died where no item can be blamed."""

    def __init__(self, message: str, exit_code: int = 1, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.retryable = retryable and exit_code == 1


class Executor(Protocol):
    """A way to run jobs, entered once and used for one list after another.

    It is made from `workers` (null: one per processor, or all that a cluster has) and `address` (of a cluster; null: a
    local one, which ends with the executor).
    """

    def __init__(self, workers: int | None, address: str | None) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def workers(self) -> int:
        """How many jobs may run at the same time now."""
        ...

    def run(self, work: Work, jobs: Iterable[Job], beat: Beat) -> Iterator[tuple[Job, Any]]:
        """Each job with its receipt, as they finish.

        Jobs are taken only as they are needed, so that the driver holds no more of them than a few per worker. A worker
        that is killed, or whose machine is gone, costs the jobs in its hands another attempt, nothing else; a job that
        raises is not tried again.

        Raises:
            WorkerError: a job failed; those in flight are finished or given up, and what they committed stays.
        """
        ...


def error_of(job: Job, failed: Failed) -> WorkerError:
    """What is told of a job that raised: the message of an error of ours; of any other only its type and place."""
    if failed.known:
        kind = getattr(errors, failed.type, CurateError)
        return WorkerError(failed.message, failed.exit_code, retryable=kind.retryable)
    where = f", working on {failed.at}" if failed.at else ""
    return WorkerError(
        f"{named(job)} failed{where}: {failed.type} at {failed.place}. This is a bug in curate or in a plug-in: "
        "report it with this line; what was committed stays",
        retryable=False,
    )


def named(job: Job) -> str:
    """A job by its plain values, without what it must not touch."""
    return "job " + "/".join(str(value) for key, value in job.items() if key != "poisoned" and value is not None)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
