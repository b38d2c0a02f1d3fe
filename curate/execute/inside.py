"""What runs inside a child: jobs come in by the pipe, and what becomes of them goes out. See `child` for the wire."""

import importlib
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from curate.errors import CurateError
from curate.execute.child import Factory, Function, write_message

__all__: list[str] = []


def _read(file: BinaryIO) -> bytes | None:
    head = file.read(4)
    return file.read(int.from_bytes(head)) if len(head) == 4 else None


def main() -> None:
    """Serve jobs until the parent closes the pipe. What libraries print goes to standard error, never into the wire."""
    jobs = sys.stdin.buffer
    wire = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a killed child would lose what it printed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; a child in mid-commit is killed, which is safe
    hello = _read(jobs)
    if hello is None:
        return
    said = msgspec.json.decode(hello)
    if said["memory_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (said["memory_bytes"], said["memory_bytes"]))
    function = _made(said["call"], said["shared"])
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive_jobs, args=(jobs, waiting), daemon=True).start()

    def say(message: dict[str, Any]) -> None:
        try:
            write_message(wire, msgspec.json.encode(message))
        except BrokenPipeError:
            os._exit(1)

    def say_and_halt(key: str) -> None:
        say({"at": key})
        waiting.get()

    while True:
        asked = msgspec.json.decode(waiting.get())
        beat = say_and_halt if asked["halts"] else lambda key: say({"at": key})
        try:
            if isinstance(function, Exception):
                raise function
            answer = {"done": function(asked["job"], beat)}
        except MemoryError:
            os.kill(os.getpid(), signal.SIGKILL)  # as the operating system would end it: the parent counts it as memory
        except Exception as problem:
            answer = {"failed": _told(problem)}
        say(answer)


def _made(call: str, shared: Any) -> Function | Exception:
    """The function, or why there is none: that is told to whoever asks for a job."""
    module, _, name = call.partition(":")
    try:
        factory: Factory = getattr(importlib.import_module(module), name)
        return factory(shared)
    except Exception as problem:
        return problem


def _receive_jobs(jobs: BinaryIO, waiting: "queue.SimpleQueue[bytes]") -> None:
    """Hand on what the parent sends; the end of the pipe means that the build was killed, and nobody waits any more."""
    while (job := _read(jobs)) is not None:
        waiting.put(job)
    os._exit(1)


def _told(problem: Exception) -> dict[str, Any]:
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    return {
        "type": type(problem).__name__,
        "message": str(problem),
        "place": f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}",
        "known": isinstance(problem, CurateError),
        "exit_code": getattr(problem, "exit_code", 1),
    }


if __name__ == "__main__":
    main()
