"""Jobs of every temper, for the executor to run: `{"items": [...]}`, each item named for what it does."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.errors import DataError

HOST = os.getppid()


def factory(shared: Any) -> Callable[[Any, Callable[[str], None]], Any]:
    """A function that touches items one after another and returns those that it got through."""
    folder = Path(shared["folder"])

    def run(job: Any, beat: Callable[[str], None]) -> list[str]:
        done = []
        if job.get("doomed"):
            end_host()
        for item in job["items"]:
            beat(item)
            if item not in job["poisoned"]:
                touch(item, folder)
                done.append(item)
        beat("")
        if job.get("slow_end"):
            time.sleep(2)
        return done

    return run


def touch(item: str, folder: Path) -> None:
    """Do what the item's name says."""
    print("a library that prints")
    kind = item.partition("-")[0]
    if kind == "abort":
        os.abort()
    elif kind == "segfault":
        ctypes.string_at(0)
    elif kind == "exit":
        os._exit(7)
    elif kind == "hang":
        time.sleep(600)
    elif kind == "once" and not (folder / item).exists():
        (folder / item).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "host" or (kind == "hostonce" and not (folder / item).exists()):
        (folder / item).touch()
        end_host()
    elif kind == "hog":
        held = [bytearray(64 * 2**20) for _ in range(200)]
        raise AssertionError(len(held))
    elif kind == "bug":
        raise ValueError("Jane Doe, born 1950")
    elif kind == "data":
        raise DataError("the table names no image; correct the card")


def end_host() -> None:
    """End the process that holds this one, as the kernel may; this one ends with it."""
    if os.getppid() == HOST:
        os.kill(HOST, signal.SIGKILL)
    time.sleep(600)


def broken_factory(shared: Any) -> Any:
    """A worker that cannot even start."""
    os._exit(3)
