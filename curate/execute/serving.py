"""One worker: a killable child that serves one job after another, and is replaced when it dies or has served long."""

import threading
from collections import Counter
from typing import Any, Final

import msgspec

from curate.execute.base import Beat, Job, Work, WorkerError, error_of, named
from curate.execute.child import Child, ChildDied, Failed

__all__ = ["Server"]

DEATHS_BEFORE_POISON: Final = 2
"""The first death on an item may be somebody's `kill`, or another process's appetite; the second is the item's."""


class Server:
    """Serves the jobs of one `Work`, one at a time. The child starts at once, so that its imports overlap."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._stopped = False
        self._served = 0
        self._child: Child | None = Child(work.call, work.shared, work.limits)

    def serve(self, job: Job, beat: Beat, *, halts: bool = False) -> tuple[Job, Any]:
        """Run one job to its receipt, through as many children as its poisonous items cost.

        `halts` is as in `Child.serve`.

        Raises:
            WorkerError: the job raised, or children died where no item can be blamed.
        """
        deaths: Counter[str | None] = Counter()
        job = {**job, "poisoned": dict(job.get("poisoned", {}))}
        while True:
            child = self._living()
            try:
                answer = child.serve(msgspec.json.encode(job), beat, halts=halts)
            except ChildDied as death:
                self._replace()
                _judge(job, death, deaths)
                continue
            self._served += 1
            if self._work.jobs_per_child is not None and self._served >= self._work.jobs_per_child:
                self._replace()
            if isinstance(answer, Failed):
                raise error_of(job, answer)
            return job, msgspec.json.decode(answer)

    def stop(self) -> None:
        """End the child from another thread, whatever it is doing; nothing is served any more."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()

    def close(self) -> None:
        """End the child."""
        self.stop()
        self._replace()

    def _living(self) -> Child:
        with self._lock:
            if self._stopped:
                raise WorkerError("the build was stopped; run the same command again to go on")
            if self._child is None:
                self._child = Child(self._work.call, self._work.shared, self._work.limits)
            return self._child

    def _replace(self) -> None:
        """End the child; the next job starts another."""
        with self._lock:
            child, self._child, self._served = self._child, None, 0
        if child is not None:
            child.close()


def _judge(job: Job, death: ChildDied, deaths: Counter[str | None]) -> None:
    """Blame the item, once it has ended enough children."""
    deaths[death.at] += 1
    if deaths[death.at] < DEATHS_BEFORE_POISON:
        return
    if death.at is None or death.at in job["poisoned"]:
        raise WorkerError(
            f"a worker died {deaths[death.at]} times on {named(job)}"
            f"{f' at {death.at}' if death.at else ''} ({death.why}, signal {death.signal_number}); look at the "
            "machine's memory and at the worker's messages above, then run the same command again"
        )
    job["poisoned"][death.at] = death.why
