"""Jobs that behave well and badly, for `ExecutorContract`: each class is a factory, called once per worker."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.errors import UsageError

__all__ = ["Errs", "Squares"]

Beat = Callable[[str], None]


class Squares:
    """Squares a number. A job may ask for its worker's death: at an item each time, or once in all."""

    def __init__(self, shared: Any) -> None:
        self._folder = Path(shared["folder"])

    def __call__(self, job: Any, beat: Beat) -> Any:
        """The square, which items were left alone, and the process that says so."""
        poisoned = job.get("poisoned", {})
        for item in job.get("deadly", []):
            beat(item)
            if item not in poisoned:
                os.kill(os.getpid(), signal.SIGKILL)
        if job.get("dies_once"):
            beat("unlucky")
            mark = self._folder / f"died-{job['number']}"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        beat("")
        return {
            "square": job["number"] ** 2,
            "left": sorted(poisoned),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
        }


class Errs:
    """Raises at one number: an error that a person can act on, or a bug."""

    def __init__(self, shared: Any) -> None:
        self._known = shared["known"]

    def __call__(self, job: Any, beat: Beat) -> Any:
        """Raises for number 3."""
        if job["number"] != 3:
            return job["number"]
        if self._known:
            raise UsageError("the third is wrong; leave it out")
        raise ValueError("Zebulon Quarterfoil")
