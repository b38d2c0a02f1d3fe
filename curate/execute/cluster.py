"""The driver's side of every cluster: few jobs out at a time, lost ones sent again, the item to blame found.

A worker's child names the item that ends it (see `serving`). Where all of the worker ends, child included, as when the
kernel empties a container that outgrew its memory, nobody is left to say. Such a job is sent again and *watched*: its
child begins no item before the cluster has taken down which. An item at which two watched workers ended is poison, is
told to the job, and becomes a reject of the kind that stands for this environment and not for the item.
"""

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import msgspec

from curate.execute.base import Job, WorkerError, named
from curate.execute.serving import DEATHS_BEFORE_POISON

__all__ = ["ClusterExecutor", "Pool", "drive", "interrupts_held", "started_here", "variables_kept"]

Started = TypeVar("Started")

STARTS_AT_MOST: Final = 3
"""So often is a cluster of this machine started: a process of it may be killed, or a busy machine be too slow."""

LOSSES_WITHOUT_A_CULPRIT: Final = 5
"""So often may a job lose its worker while no item can be blamed, before the build asks a person to look."""


class Pool(Protocol):
    """What a scheduler does for one list of jobs of one `Work`."""

    def room(self) -> int:
        """How many jobs may be out now; at least one."""
        ...

    def submit(self, job: bytes, *, watched: bool) -> Hashable:
        """Hand a job to some worker; the ticket stands for it."""
        ...

    def finished(self) -> Iterable[tuple[Hashable, bytes | None]]:
        """Wait for at least one ticket: what `remote.Servers.serve` said, or None where its worker was lost."""
        ...

    def ends(self, ticket: Hashable) -> list[str]:
        """The items at which the workers of a watched job were lost, one for each; an empty key: at none."""
        ...


class ClusterExecutor(ABC):
    """An executor whose resources are on `_exit`: no interrupt comes between while they are taken or given back."""

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self._limit = workers
        self._address = address
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        try:
            with interrupts_held():
                self._begin()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts_held():
            self._exit.close()

    @abstractmethod
    def _begin(self) -> None:
        """Reach the cluster, or start one, and leave on `_exit` what ends it."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    job: Job
    watched: bool = False
    deaths: Counter[str] = field(default_factory=Counter)  # by item, of the watched attempts
    losses: int = 0  # since an item was last to blame


def drive(pool: Pool, jobs: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
    """Each job with its receipt, as they finish; see `Executor.run`.

    Raises:
        WorkerError: a job failed, or lost one worker after another.
    """
    coming = iter(jobs)
    out: dict[Hashable, _Attempt] = {}
    while True:
        for job in islice(coming, max(0, pool.room() - len(out))):
            _send(pool, _Attempt(job), out)
        if not out:
            return
        for ticket, said in pool.finished():
            attempt = out.pop(ticket)
            if said is None:
                _send(pool, _after_loss(attempt, pool.ends(ticket) if attempt.watched else []), out)
            else:
                yield _opened(said)


def _send(pool: Pool, attempt: _Attempt, out: dict[Hashable, _Attempt]) -> None:
    out[pool.submit(msgspec.json.encode(attempt.job), watched=attempt.watched)] = attempt


def _after_loss(attempt: _Attempt, ends: list[str]) -> _Attempt:
    """What is tried next."""
    deaths = attempt.deaths + Counter(end for end in ends if end)
    guilty = {item: "memory" for item, times in deaths.items() if times >= DEATHS_BEFORE_POISON}
    if guilty:
        poisoned = {**attempt.job.get("poisoned", {}), **guilty}
        return _Attempt({**attempt.job, "poisoned": poisoned}, watched=True)
    losses = attempt.losses + 1
    if losses >= LOSSES_WITHOUT_A_CULPRIT:
        raise WorkerError(
            f"{named(attempt.job)} lost its worker {losses} times, and no single item is to blame; look at the memory "
            "that the cluster grants a worker and at the workers' own logs, then run the same command again"
        )
    return replace(attempt, watched=True, deaths=deaths, losses=losses)


def _opened(said: bytes) -> tuple[Job, Any]:
    answer = msgspec.json.decode(said)
    if "problem" in answer:
        raise WorkerError(answer["problem"], answer["exit_code"], retryable=answer["retryable"])
    return answer["job"], answer["receipt"]


def started_here(start: Callable[[], Started], name: str) -> Started:
    """What `start` gives, if need be at a later attempt.

    Raises:
        WorkerError: none succeeded.
    """
    for attempt in range(1, STARTS_AT_MOST + 1):
        try:
            return start()
        except Exception as problem:  # what fails there is a process, and both libraries raise what they like
            if attempt == STARTS_AT_MOST:
                raise WorkerError(
                    f"no {name} cluster could be started on this machine in {attempt} attempts "
                    f"({type(problem).__name__}); see that it is not overloaded, give the --address of one that runs, "
                    "or use --executor local"
                ) from None
    raise AssertionError("unreachable")


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A Ctrl-C is put off to the end, and is for the driver alone.

    Threads and processes that start meanwhile never see one, nor do those that they start: they end when they are told.
    """
    put_off: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda number, _: put_off.append(number)) if here else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if here:
            signal.signal(signal.SIGINT, before)
    if put_off:
        raise KeyboardInterrupt


@contextmanager
def variables_kept() -> Iterator[None]:
    """What libraries set in the environment, so that their workers inherit it, ends with those workers."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
