"""Jobs on a Ray cluster: one that runs already, or one on this machine that ends with the executor.

Each worker is an actor, which holds its children for as long as it lives and is replaced here when it is killed: Ray
would start it again by itself, but not say so.
"""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import ray
from ray._private import worker as ray_worker
from ray.exceptions import ActorDiedError, ActorUnavailableError, ObjectLostError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from curate.errors import UsageError
from curate.execute.base import Beat, Job, Work, WorkerError, processors
from curate.execute.cluster import ClusterExecutor, drive, started_here, variables_kept
from curate.execute.remote import Servers, ends_of

__all__ = ["RayExecutor"]

ANSWERS_WITHIN_S: Final = 20.0
"""How long whoever listens at an address may take to say so."""

PATIENCE_S: Final = 300.0
"""How long a cluster may take to have the first worker ready: it may have to bring up a machine for it."""

LOST: Final = (ActorDiedError, ActorUnavailableError, ObjectLostError)

LOOK_S: Final = 2.0
"""How often the driver looks whether a cluster of its own still stands. Where one does not, Ray itself waits for up to
a minute, and then ends the driver's process without a word."""

HEART: Final = ("gcs_server", "raylet")
"""The processes without which a cluster is gone, as Ray names them."""

STARTS_AT_MOST: Final = 5
"""So many workers may end before they are ready, in one list of jobs."""

STORE_BYTES: Final = 80 * 2**20
"""Little more than the least that Ray takes: nothing is kept there but what the jobs of a kind have in common."""

LOCAL: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker that asked for no accelerator still sees those there are
    "RAY_memory_monitor_refresh_ms": "0",  # memory is bounded for each child; Ray would end whom it likes
}
"""The environment of a cluster of our own."""


class RayExecutor(ClusterExecutor):
    """Runs jobs in actors on the cluster at `address`, or on this machine; `workers` of them, or one per processor."""

    _crew: "_Crew | None" = None

    @property
    def workers(self) -> int:
        """How many jobs may run at the same time now."""
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        return min(cores, self._limit or cores)

    def run(self, work: Work, jobs: Iterable[Job], beat: Beat) -> Iterator[tuple[Job, Any]]:
        """See `Executor.run`; the driver hears no beats."""
        if self._crew is not None and self._crew.gpus != work.gpus:
            self._dismiss()  # what it holds would be missed by the others
        if self._crew is None:
            self._crew = _Crew(work.gpus, self._minutes)
        size = min(self.workers, work.at_once or self.workers)
        return drive(_Pool(self._crew, work, size), jobs)

    def _begin(self) -> None:
        self._exit.enter_context(_connection(self._address, self._limit))
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._minutes: Any = ray.remote(_Minutes).options(num_cpus=0, scheduling_strategy=here).remote()
        self._exit.callback(self._dismiss)

    def _dismiss(self) -> None:
        if self._crew is not None and not _is_gone():
            self._crew.dismiss()
        self._crew = None


class _Worker:
    """An actor: the children of one worker process."""

    def __init__(self, minutes: Any) -> None:
        self._servers = Servers()
        self._minutes = minutes

    def ready(self) -> None:
        """Returns once there is such a process."""

    def serve(self, work: Work, job: bytes, number: int | None) -> bytes:
        """Run a job; a number has it watched, and stands for it in the minutes."""

        def announce(key: str) -> None:
            ray.get(self._minutes.note.remote(number, key))

        return self._servers.serve(work, job, None if number is None else announce)


class _Minutes:
    """An actor: what was announced of each watched job, last. It lives on the machine of the driver."""

    def __init__(self) -> None:
        self._last: dict[int, str] = {}

    def note(self, number: int, key: str) -> None:
        """Take down what comes next."""
        self._last[number] = key

    def last(self, number: int) -> str | None:
        """What came last, and forget it."""
        return self._last.pop(number, None)


class _Crew:
    """Actors that hold the same resources, idle or at work."""

    def __init__(self, gpus: float, minutes: Any) -> None:
        self.gpus = gpus
        self.minutes = minutes
        self.idle: list[Any] = []
        self.busy: set[Any] = set()

    def hire(self) -> Any:
        """Another actor; it may be long until it is ready."""
        return ray.remote(_Worker).options(num_cpus=1, num_gpus=self.gpus).remote(self.minutes)

    def dismiss(self) -> None:
        """End all actors, whatever they are doing; their children end with them."""
        for worker in [*self.idle, *self.busy]:
            ray.kill(worker)
        self.idle, self.busy = [], set()


class _Pool:
    """One list of jobs in the hands of a crew, as `cluster.drive` sees it. A job waits here until a worker is idle."""

    def __init__(self, crew: _Crew, work: Work, size: int) -> None:
        self._crew = crew
        self._work = ray.put(work)
        self._size = size
        self._ahead = 1 if work.at_once else 2
        self._waiting: deque[tuple[int, bytes, bool]] = deque()
        self._served: dict[Any, tuple[int, Any]] = {}  # what is to come -> whose it is, and which worker's
        self._hired: dict[Any, Any] = {}  # what tells that a worker is ready -> the worker
        self._failures = 0
        self._count = 0

    def room(self) -> int:
        return self._ahead * self._size

    def submit(self, job: bytes, *, watched: bool) -> Hashable:
        self._count += 1
        self._waiting.append((self._count, job, watched))
        self._hand_out()
        return self._count

    def finished(self) -> Iterator[tuple[Hashable, bytes | None]]:
        done: list[tuple[Hashable, bytes | None]] = []
        while not done:
            for ref in self._next():
                if ref in self._hired:
                    self._welcome(ref)
                else:
                    done.append(self._receive(ref))
            self._hand_out()
        yield from done

    def ends(self, ticket: Hashable) -> list[str]:
        last = ray.get(self._crew.minutes.last.remote(ticket))
        return [] if last is None else ends_of([last])

    def _next(self) -> list[Any]:
        """What has come, at least one."""
        refs = [*self._hired, *self._served]
        since = time.monotonic()
        found: list[Any] = []
        while not found and (self._served or time.monotonic() - since < PATIENCE_S):
            _must_stand()
            found, _ = ray.wait(refs, timeout=LOOK_S)
        if not found:
            has = ", ".join(
                f"{name} {amount:g}"
                for name, amount in sorted(ray.available_resources().items())
                if name in ("CPU", "GPU")
            )
            raise WorkerError(
                f"no worker was ready within {PATIENCE_S:g} seconds: each takes CPU 1 and GPU {self._crew.gpus:g}, and "
                f"the cluster has free {has or 'neither'}; wait for others to finish, or ask for less with --gpus"
            )
        found, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        return list(found)

    def _hand_out(self) -> None:
        """Give jobs to idle workers, and hire more where jobs wait."""
        crew = self._crew
        while self._waiting and len(crew.busy) < self._size:
            if not crew.idle:
                break
            worker = crew.idle.pop()
            number, job, watched = self._waiting.popleft()
            crew.busy.add(worker)
            self._served[worker.serve.remote(self._work, job, number if watched else None)] = (number, worker)
        while len(self._hired) + len(crew.busy) < self._size and len(self._hired) < len(self._waiting):
            worker = crew.hire()
            self._hired[worker.ready.remote()] = worker

    def _welcome(self, ref: Any) -> None:
        worker = self._hired.pop(ref)
        try:
            ray.get(ref)
        except RayError as problem:
            self._failures += 1
            if self._failures >= STARTS_AT_MOST:
                raise WorkerError(
                    f"{self._failures} workers ended before they could begin ({type(problem).__name__}); install the "
                    "same versions of curate and ray on all machines, and look at Ray's logs"
                ) from None
        else:
            self._crew.idle.append(worker)

    def _receive(self, ref: Any) -> tuple[Hashable, bytes | None]:
        number, worker = self._served.pop(ref)
        self._crew.busy.discard(worker)
        try:
            said: bytes = ray.get(ref)
        except LOST:
            ray.kill(worker)  # it may live on a machine that is only slow to answer
            return number, None
        except RayTaskError as problem:
            raise WorkerError(f"a Ray worker could not run a job: {type(problem.cause).__name__}") from None
        self._crew.idle.append(worker)
        return number, said


def _is_gone() -> bool:
    """True where the cluster was started by this process and has lost what holds it together."""
    node = ray_worker._global_node
    return node is not None and any(name in HEART for name, _ in node.dead_processes())


def _must_stand() -> None:
    """Raises `WorkerError` where a cluster of our own is gone."""
    if _is_gone():
        raise WorkerError(
            "the Ray cluster of this machine is gone: one of its processes was killed; see to the machine's memory, "
            "then run the same command again: what was committed stays"
        )


@contextmanager
def _connection(address: str | None, workers: int | None) -> Iterator[None]:
    """A connection to a cluster, or a cluster on this machine with as many processors as there are to be workers.

    A process has one connection: where its program has made one, that is used, and stays.
    """
    if ray.is_initialized():
        yield
        return
    with variables_kept():
        os.environ.update(LOCAL)
        if address is None:
            started_here(partial(_start, workers or processors()), "Ray")
        else:
            _connect(address)
    # Ray prints the deaths of workers to standard output, whatever log_to_driver says: in the middle of what `--json`
    # prints, and no news to a driver that sends their jobs again.
    ray_worker._worker_logs_enabled = False
    try:
        yield
    finally:
        ray.shutdown()
        ray_worker._worker_logs_enabled = True


def _start(processors_: int) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=processors_,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
    except Exception:
        ray.shutdown()
        raise


def _connect(address: str) -> None:
    """Join a cluster. Ray itself would knock for minutes, and over and over, where nobody listens."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    try:
        if colon and port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, RayError) as problem:
        raise UsageError(
            f"no Ray cluster answers at {address} ({type(problem).__name__}); start it, or correct --address; where it "
            "asks for a token, set RAY_AUTH_MODE=token"
        ) from None
