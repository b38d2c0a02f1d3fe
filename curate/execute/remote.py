"""The workers' side of every cluster: killable children, as on one machine, in the process that a scheduler started."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from curate.execute.base import Work, WorkerError
from curate.execute.serving import Server

__all__ = ["Announce", "Servers", "ends_of"]

Announce = Callable[[str], None]
"""Has the cluster take down the key of the item that comes next, and returns when it has."""

ATTEMPT: Final = "\0attempt"
"""Announced when a watched job is begun, so that what was announced before belongs to an attempt that ended."""


class Servers:
    """The servers of one worker process: as many of each `Work` as it runs jobs of it at the same time.

    `settle` is called before each job, and returns when the process is one that is replaced if the job ends it.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self._settle = settle
        self._idle: dict[Work, list[Server]] = {}
        self._all: list[Server] = []
        self._lock = threading.Lock()
        self._closed = False

    def serve(self, work: Work, job: bytes, announce: Announce | None = None) -> bytes:
        """Run a job to its receipt, or to the error that it comes to: both are JSON, and neither is tried again.

        With `announce` no item is begun before it is announced.
        """
        try:
            server = self._take(work)
            try:
                self._settle()
                if announce is not None:
                    announce(ATTEMPT)
                done, receipt = server.serve(msgspec.json.decode(job), announce or _unheard, halts=announce is not None)
            finally:
                self._give_back(work, server)
        except WorkerError as problem:
            told = {"problem": str(problem), "exit_code": problem.exit_code, "retryable": problem.retryable}
            return msgspec.json.encode(told)
        return msgspec.json.encode({"job": done, "receipt": receipt})

    def close(self) -> None:
        """End all children from another thread, whatever they are doing; nothing is served any more."""
        with self._lock:
            self._closed = True
            servers, self._all = self._all, []
            self._idle.clear()
        for server in servers:
            server.stop()

    def _take(self, work: Work) -> Server:
        with self._lock:
            if self._closed:
                raise WorkerError("the build was stopped; run the same command again to go on")
            idle = self._idle.setdefault(work, [])
            if not idle:
                idle.append(Server(work))
                self._all.append(idle[-1])
            return idle.pop()

    def _give_back(self, work: Work, server: Server) -> None:
        with self._lock:
            if not self._closed:
                self._idle[work].append(server)


def ends_of(announced: Sequence[str]) -> list[str]:
    """Where each attempt ended, of the announcements of a watched job that was lost; an empty key: at no item."""
    ends = [last for last, next_ in pairwise([*announced, ATTEMPT]) if next_ == ATTEMPT]
    return ["" if end == ATTEMPT else end for end in ends]


def _unheard(_: str) -> None:
    """Beats stay in the worker: a cluster's scheduler has better things to carry."""
