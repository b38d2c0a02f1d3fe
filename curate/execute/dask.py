"""Jobs on a Dask cluster: one that runs already, or one on this machine that ends with the executor."""

import logging
import queue
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, Final, Self

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, get_worker
from distributed.core import Status
from distributed.utils import LoopRunner, sync
from tornado.ioloop import IOLoop

from curate.errors import UsageError
from curate.execute.base import Beat, Job, Work, WorkerError, processors
from curate.execute.cluster import ClusterExecutor, drive, started_here, variables_kept
from curate.execute.remote import Servers, ends_of

__all__ = ["DaskExecutor"]

PATIENCE_S: Final = 60
"""How long a scheduler may take to answer, and a cluster to have its first worker."""

STARTS: Final = 6
"""How often an event loop is started that does not come."""

GONE_S: Final = 1800.0
"""How long a cluster that was there before may be without any worker: its machines may be waited for in a queue."""

LOOK_S: Final = 5.0
"""How often the driver looks which workers there are."""

SETTLED_S: Final = 1.0
"""How old a worker must be before it may end: a nanny replaces none that ends before it has seen it start, which it
looks for every 50 ms only."""

GPU: Final = "GPU"
"""What workers call their accelerators: `dask worker --resources GPU=1`."""

UNBOUND: Final = 2**31

LOCAL: Final = {
    "distributed.deploy.lost-worker-timeout": "365 days",  # one that restarts for long is not given up
    "distributed.scheduler.allowed-failures": 0,  # a lost job comes back at once, and is sent again watched
    "distributed.scheduler.worker-ttl": "60s",
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ": {"DASK_LOGGING__DISTRIBUTED": "critical"},
}
"""How a cluster of our own is set. Its workers do next to nothing themselves: the work is done in their children."""

DISCONNECTED: Final = (
    "the connection to the Dask scheduler was lost; see to the scheduler, then run the same command again: what was "
    "committed stays"
)

LOGGERS: Final = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")


class DaskExecutor(ClusterExecutor):
    """Runs jobs on the workers of the scheduler at `address`, or in `workers` processes of this machine."""

    _client: Client

    def __enter__(self) -> Self:
        resource_tracker.ensure_running()  # it would let interrupts in again in the thread that starts it
        return super().__enter__()

    @property
    def workers(self) -> int:
        """How many jobs may run at the same time now."""
        threads: int = sum(self._client.nthreads().values())
        return min(threads, self._limit or threads)

    def run(self, work: Work, jobs: Iterable[Job], beat: Beat) -> Iterator[tuple[Job, Any]]:
        """See `Executor.run`; the driver hears no beats."""
        limit = min(each for each in (work.at_once, self._limit, UNBOUND) if each is not None)
        try:
            yield from drive(_Pool(self._client, work, limit, local=self._address is None), jobs)
        except OSError:  # of a message to the scheduler: nothing else here reads or writes
            raise WorkerError(DISCONNECTED) from None

    def _begin(self) -> None:
        self._exit.enter_context(_quiet())
        loop = self._exit.enter_context(_loop())
        where = self._address or self._exit.enter_context(_local_cluster(self._limit or processors(), loop))
        try:
            client = Client(where, loop=loop, timeout=PATIENCE_S, set_as_default=False)
            self._client = self._exit.enter_context(client)
            self._client.wait_for_workers(1, timeout=PATIENCE_S)
        except (OSError, ValueError) as problem:  # a timeout is an OSError
            raise UsageError(
                f"no Dask scheduler with a worker answers at {self._address or 'this machine'} "
                f"({type(problem).__name__}); start both, or correct --address"
            ) from None
        try:
            self._client.register_plugin(_Children(), self._client.id)
        except ModuleNotFoundError as problem:
            raise WorkerError(
                f"the workers at {self._address} lack {problem.name}: install the same version of curate there"
            ) from None
        self._exit.callback(self._end_children)

    def _end_children(self) -> None:
        with suppress(Exception):  # the scheduler may be gone, and its workers with it
            self._client.unregister_worker_plugin(self._client.id)


class _Pool:
    """One list of jobs at a scheduler, as `cluster.drive` sees it."""

    def __init__(self, client: Client, work: Work, limit: int, *, local: bool) -> None:
        self._client = client
        self._work = work
        self._limit = limit
        self._patience_s = PATIENCE_S if local else GONE_S
        self._resources = {GPU: work.gpus} if work.gpus and not local else {}
        self._group = f"{client.id}-{id(self)}"
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._count = 0
        self._threads: dict[str, int] = {}
        self._looked = float("-inf")
        self._shared = self._share()

    def room(self) -> int:
        threads = sum(self._workers().values())
        return max(1, self._limit if self._limit < threads else 2 * threads)

    def submit(self, job: bytes, *, watched: bool) -> Hashable:
        if self._shared.status not in ("pending", "finished"):  # its worker was killed while it held or made it
            self._shared = self._share()
        self._count += 1
        ticket = (self._group, self._count)
        future = self._client.submit(
            _serve,
            self._shared,
            job,
            self._client.id,
            _topic(ticket) if watched else None,
            key=ticket,
            resources=self._resources,
            **self._few(),
        )
        future.add_done_callback(self._done.put)
        return ticket

    def finished(self) -> Iterator[tuple[Hashable, bytes | None]]:
        futures = [self._next()]
        while not self._done.empty():
            futures.append(self._done.get())
        for future, said in zip(futures, self._said(futures), strict=True):
            yield future.key, said

    def _next(self) -> Future:
        """A job that is done, waited for as long as there are workers."""
        seen = time.monotonic()
        while True:
            with suppress(queue.Empty):
                return self._done.get(timeout=LOOK_S)
            if self._client.cluster is not None:
                self._client.cluster.sync(_replace_dead, self._client.cluster)
            if self._client.nthreads():
                seen = time.monotonic()
            elif time.monotonic() - seen > self._patience_s:
                raise WorkerError(
                    f"no worker was left at the Dask scheduler for {self._patience_s:g} seconds; start some, then run "
                    "the same command again"
                )

    def ends(self, ticket: Hashable) -> list[str]:
        return ends_of([message for _, message in self._client.get_events(_topic(ticket))])

    def _said(self, futures: list[Future]) -> list[bytes | None]:
        """What came of jobs that are done; None for those whose worker was lost, or the worker that held the answer."""
        ready = [future for future in futures if future.status == "finished"]
        answers: dict[Hashable, bytes] = {}
        with suppress(KilledWorker):
            answers = dict(zip((future.key for future in ready), self._client.gather(ready), strict=True))
        for future in futures:
            if future.status not in ("finished", "error"):
                raise WorkerError(DISCONNECTED)
            problem = future.exception() if future.status == "error" else None
            if problem is not None and not isinstance(problem, KilledWorker):
                raise WorkerError(
                    f"a Dask worker could not begin a job: {type(problem).__name__}; install the same versions of "
                    "curate, dask and distributed on all machines, then run the same command again"
                )
        return [answers.get(future.key) for future in futures]

    def _share(self) -> Future:
        """What all jobs share: a task that yields it, which is run again where its holder is lost."""
        self._count += 1
        return self._client.submit(_same, self._work, key=(self._group, self._count))

    def _workers(self) -> dict[str, int]:
        """The threads of each worker that may be asked."""
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            known = self._client.scheduler_info(n_workers=-1)["workers"]
            self._threads = {
                address: worker["nthreads"]
                for address, worker in sorted(known.items())
                if all(worker["resources"].get(name, 0) >= held for name, held in self._resources.items())
            }
            if known and not self._threads:
                raise UsageError(
                    f"no worker of the cluster offers {self._resources[GPU]:g} of {GPU!r}: start those with "
                    f"accelerators by `dask worker --resources {GPU}=N`, or leave --gpus out"
                )
        return self._threads

    def _few(self) -> dict[str, Any]:
        """The workers with as many threads as jobs may run at once, unless these are all; others if they are gone."""
        chosen: list[str] = []
        threads = 0
        for address, count in self._workers().items():
            if threads >= self._limit:
                return {"workers": chosen, "allow_other_workers": True}
            chosen.append(address)
            threads += count
        return {}


class _Children(WorkerPlugin):  # type: ignore[misc]  # see [[tool.mypy.overrides]]
    """Holds the children of a worker process, from their first job until the executor is left."""

    def __init__(self) -> None:
        self.servers: Servers | None = None

    def setup(self, worker: Worker) -> None:
        """Called in each worker, those that come later too."""
        settled = time.monotonic() + SETTLED_S
        self.servers = Servers(lambda: time.sleep(max(0.0, settled - time.monotonic())))

    def teardown(self, worker: Worker) -> None:
        """Called when the executor is left, or the worker ends."""
        if self.servers is not None:
            self.servers.close()


def _same(work: Work) -> Work:
    return work


def _serve(work: Work, job: bytes, plugin: str, topic: str | None) -> bytes:
    """What a worker runs. A watched job's items are announced to the scheduler, which outlives the worker."""
    worker = get_worker()
    children = worker.plugins.get(plugin)
    if not isinstance(children, _Children) or children.servers is None:
        raise RuntimeError("the executor was left")

    def announce(key: str) -> None:
        sync(worker.loop, worker.scheduler.log_event, topic=topic, msg=key)

    return children.servers.serve(work, job, announce if topic is not None else None)


def _topic(ticket: Hashable) -> str:
    return "-".join(map(str, ticket)) if isinstance(ticket, tuple) else str(ticket)


@contextmanager
def _loop() -> Iterator[IOLoop]:
    """An event loop in a thread of its own. Dask waits ten seconds for one to start, and a busy machine needs more."""
    for _ in range(STARTS):
        runner = LoopRunner()
        with suppress(AssertionError):  # how it says that the loop did not start in time
            runner.start()
            break
    else:
        raise WorkerError("the event loop of Dask does not start on this machine; run the same command again")
    try:
        yield runner.loop
    finally:
        runner.stop()


@contextmanager
def _local_cluster(workers: int, loop: IOLoop) -> Iterator[LocalCluster]:
    """A scheduler in this process, and processes of workers that are replaced when they are killed."""
    with variables_kept(), dask.config.set(LOCAL):
        start = partial(
            LocalCluster,
            loop=loop,
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        cluster = started_here(start, "Dask")
        try:
            yield cluster
        finally:
            cluster.close()


async def _replace_dead(cluster: LocalCluster) -> None:
    """Start the workers anew that were killed while they started: their nannies do not."""
    for nanny in cluster.workers.values():
        if nanny.process is not None and nanny.process.status in (Status.stopped, Status.failed):
            with suppress(Exception):  # killed again; the next look is soon
                await nanny.instantiate()


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask would log about workers that come and go: this room tells what a person must know."""
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
