"""The embedded executor: a few killable children on this machine."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Final

import msgspec

from curate.errors import CurateError
from curate.execute.child import Child, ChildDied, Failed, Limits

__all__ = ["Job", "LocalExecutor", "WorkerError"]

Job = dict[str, Any]
"""Plain JSON values. `poisoned` maps item keys to why they must not be touched; the executor adds to it."""

DEATHS_BEFORE_POISON: Final = 2
"""The first death on an item may be somebody's `kill`, or another process's appetite; the second is the item's."""


class WorkerError(CurateError):
    """A job raised, or a worker died where no item can be blamed."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class LocalExecutor:
    """Runs jobs in `workers` children, each of which serves one job at a time."""

    def __init__(self, workers: int, call: str, shared: bytes, limits: Limits) -> None:
        self._workers = workers
        self._child: Callable[[], Child] = lambda: Child(call, shared, limits)
        self._living: set[Child] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._idle: queue.SimpleQueue[Child | None] = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put(self._start())

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(self._workers):
            child = self._idle.get()
            if child is not None:
                self._end(child)

    def run(self, jobs: Iterable[Job], beat: Callable[[str], None]) -> Iterator[tuple[Job, Any]]:
        """Each job with its receipt, as they finish; never more in flight than twice the workers.

        Raises:
            WorkerError: a job failed; those in flight are finished first.
        """
        pending: set[Future[tuple[Job, Any]]] = set()
        threads = ThreadPoolExecutor(self._workers)
        try:
            for job in jobs:
                if len(pending) >= 2 * self._workers:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                pending.add(threads.submit(self._serve, job, beat))
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except CurateError:
            raise
        except BaseException:  # an interrupt: what is in flight would be minutes, and a killed part costs nothing
            self._stop()
            raise
        finally:
            threads.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> Child:
        with self._lock:
            if self._stopping:
                raise WorkerError("the build was stopped; run the same command again to go on")
            child = self._child()
            self._living.add(child)
            return child

    def _end(self, child: Child) -> None:
        with self._lock:
            self._living.discard(child)
        child.close()

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            for child in self._living:
                child.kill()

    def _serve(self, job: Job, beat: Callable[[str], None]) -> tuple[Job, Any]:
        """Run one job to its receipt, through as many children as its poisonous items cost."""
        deaths: Counter[str | None] = Counter()
        job = {**job, "poisoned": dict(job.get("poisoned", {}))}
        child = self._idle.get()
        try:
            while True:
                child = child or self._start()
                try:
                    answer = child.serve(msgspec.json.encode(job), beat)
                except ChildDied as death:
                    self._end(child)
                    child = None
                    self._judge(job, death, deaths)
                    continue
                if isinstance(answer, Failed):
                    raise _error(job, answer)
                return job, msgspec.json.decode(answer)
        finally:
            self._idle.put(child)

    @staticmethod
    def _judge(job: Job, death: ChildDied, deaths: Counter[str | None]) -> None:
        deaths[death.at] += 1
        if deaths[death.at] < DEATHS_BEFORE_POISON:
            return
        if death.at is None or death.at in job["poisoned"]:
            raise WorkerError(
                f"a worker died {deaths[death.at]} times on {_named(job)}"
                f"{f' at {death.at}' if death.at else ''} ({death.why}, signal {death.signal_number}); look at the "
                "machine's memory and at the worker's messages above, then run the same command again"
            )
        job["poisoned"][death.at] = death.why


def _error(job: Job, failed: Failed) -> WorkerError:
    """What is told of a job that raised: the message of an error of ours; of any other only its type and place."""
    if failed.known:
        return WorkerError(failed.message, failed.exit_code)
    where = f", working on {failed.at}" if failed.at else ""
    return WorkerError(
        f"{_named(job)} failed{where}: {failed.type} at {failed.place}. This is a bug in curate or in a plug-in: "
        "report it with this line; what was committed stays"
    )


def _named(job: Job) -> str:
    """A job by its plain values, without what it must not touch."""
    return "job " + "/".join(str(value) for key, value in job.items() if key != "poisoned" and value is not None)
