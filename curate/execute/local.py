"""The embedded executor: a few killable children on this machine."""

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any

from curate.errors import CurateError, UsageError
from curate.execute.base import Beat, Job, Work, WorkerError, processors
from curate.execute.serving import Server

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Runs jobs in as many children as there are `workers`; those of each `Work` live until the executor is left."""

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        if address is not None:
            raise UsageError(f"the local executor has no address, got {address!r}; leave --address out")
        self.workers = workers or processors()
        self._pools: dict[Work, list[Server]] = {}
        self._lock = threading.Lock()
        self._stopping = False

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for servers in self._pools.values():
            for server in servers:
                server.close()

    def run(self, work: Work, jobs: Iterable[Job], beat: Beat) -> Iterator[tuple[Job, Any]]:
        """See `Executor.run`; never more in flight than twice the workers."""
        pending: set[Future[tuple[Job, Any]]] = set()
        count = min(self.workers, work.at_once or self.workers)
        servers = self._pools.setdefault(work, [])
        idle: queue.SimpleQueue[Server] = queue.SimpleQueue()
        for server in servers:
            idle.put(server)
        threads = ThreadPoolExecutor(count)
        try:
            for job in jobs:
                if len(servers) < count:  # a list shorter than the workers starts no more of them than it has jobs
                    servers.append(self._start(work))
                    idle.put(servers[-1])
                if len(pending) >= 2 * count:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                pending.add(threads.submit(_serve, idle, job, beat))
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

    def _start(self, work: Work) -> Server:
        with self._lock:
            if self._stopping:
                raise WorkerError("the build was stopped; run the same command again to go on")
            return Server(work)

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            for servers in self._pools.values():
                for server in servers:
                    server.stop()


def _serve(idle: "queue.SimpleQueue[Server]", job: Job, beat: Beat) -> tuple[Job, Any]:
    server = idle.get()
    try:
        return server.serve(job, beat)
    finally:
        idle.put(server)
