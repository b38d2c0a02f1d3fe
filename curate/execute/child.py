"""A killable child process: it runs one job after another and says which item it is about to touch.

Wire format, both ways: a 4-byte length (big-endian) and that many bytes of JSON. To the child: `{"call", "shared"}`
once, then `{"job", "halts"}` each. From the child: `{"at": key}` before each item (an empty key: between items, when
nothing can be blamed and no deadline runs), then `{"done": receipt}` or `{"failed": ...}`. Where a job halts, the child
waits after each `at` for an empty message before it goes on.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

import msgspec

__all__ = ["Child", "ChildDied", "Factory", "Failed", "Function", "Limits", "write_message"]

Function = Callable[[Any, Callable[[str], None]], Any]
"""(job, beat) -> receipt."""

Factory = Callable[[Any], Function]
"""shared -> function: called once per child, so that what jobs have in common is decoded once. Named `module:name`."""

MEMORY_BYTES: Final = 2 * 2**30
"""What reliability.md grants one item, the worker's own few hundred megabytes included."""


ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 2**20),
}
"""One thread for each child, and one allocator (glibc's) that gives memory back: a sixth less of it, and no slower."""

PAUSE_S: Final = 0.05
PAUSE_SHARE: Final = 0.05
"""How long the parent lets beats gather: a share of the job's time so far, so that short jobs are not kept waiting."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may take before the child is ended: a deadline in seconds, and bytes of private memory."""

    item_s: float | None = 30.0
    memory_bytes: int | None = MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class ChildDied(Exception):  # noqa: N818
    """The child ended on an item: by a signal, by running out of memory, or because its time was up."""

    at: str | None
    why: Literal["crash", "time", "memory"]
    signal_number: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The job raised: the error as the child saw it. Only the message of a `CurateError` is fit to be shown."""

    type: str
    message: str
    place: str  # file and line of this package or its caller that raised
    known: bool  # a CurateError, which says itself what to do
    exit_code: int
    at: str | None = None  # the item that was being worked on


class Child:
    """One child process. It starts at once, so that its imports overlap with whatever the parent does next."""

    def __init__(self, call: str, shared: bytes, limits: Limits) -> None:
        self._limits = limits
        # Ctrl-C reaches the whole process group: a child that still imports must not die of it with a traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "curate.execute.inside",
                ],  # -P: code that lies in the working folder is data
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | ENVIRONMENT,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._out: BinaryIO = self._process.stdout  # type: ignore[assignment]
        self._buffer = bytearray()
        hello = {"call": call, "shared": msgspec.Raw(shared), "memory_bytes": limits.memory_bytes}
        write_message(self._in, msgspec.json.encode(hello))

    def serve(self, job: bytes, beat: Callable[[str], None], *, halts: bool = False) -> msgspec.Raw | Failed:
        """Run one job; `beat` is called here with each item's key.

        With `halts` no item is begun before `beat` has returned, and an empty key tells that none is at work.

        Raises:
            ChildDied: the child ended, or was ended because an item took too long.
        """
        at: str | None = None
        began = since = time.monotonic()
        self._send(msgspec.json.encode({"job": msgspec.Raw(job), "halts": halts}), at)
        while True:
            message = self._receive(at, since)
            if message.at is not None:
                at = message.at or None
                if halts or at is not None:
                    beat(message.at)
                since = time.monotonic()
                if halts:
                    self._send(b"", at)
                elif not self._buffer:  # each waking costs more than many beats: the pipe gathers some meanwhile
                    time.sleep(min(PAUSE_S, (since - began) * PAUSE_SHARE))
            elif message.failed is not None:
                return Failed(**message.failed, at=at)
            else:
                return message.done

    def kill(self) -> None:
        """End the child from another thread; whoever serves it sees its death."""
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # a job that never left the buffer
            self._in.close()
        self._out.close()

    def _send(self, message: bytes, at: str | None) -> None:
        try:
            write_message(self._in, message)
        except BrokenPipeError:
            raise self._death(at) from None

    def _receive(self, at: str | None, since: float) -> "_Message":
        """The next message, while the child lives and the item's time is not up."""
        while True:
            message = self._buffered()
            if message is not None:
                return message
            left = None
            if self._limits.item_s is not None and at is not None:
                left = max(0.0, since + self._limits.item_s - time.monotonic())
            ready, _, _ = select.select([self._out], [], [], left)
            if not ready:
                self.close()
                raise ChildDied(at, "time")
            chunk = os.read(self._out.fileno(), 65536)
            if not chunk:
                raise self._death(at)
            self._buffer += chunk

    def _buffered(self) -> "_Message | None":
        if len(self._buffer) < 4:
            return None
        size = int.from_bytes(self._buffer[:4])
        if len(self._buffer) < 4 + size:
            return None
        message = msgspec.json.decode(bytes(self._buffer[4 : 4 + size]), type=_Message)
        del self._buffer[: 4 + size]
        return message

    def _death(self, at: str | None) -> ChildDied:
        code = self._process.wait()
        return ChildDied(at, "memory" if code == -signal.SIGKILL else "crash", -code if code < 0 else None)


class _Message(msgspec.Struct):
    at: str | None = None
    done: msgspec.Raw = msgspec.Raw(b"null")
    failed: dict[str, Any] | None = None


def write_message(file: BinaryIO, data: bytes) -> None:
    """Send one message, its length first."""
    file.write(len(data).to_bytes(4) + data)
    file.flush()
