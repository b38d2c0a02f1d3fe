"""Folders of this machine that several processes write in: made durable, held by one at a time, full or forbidden."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from curate.errors import CurateError, StoreError

__all__ = ["held_alone", "sync_folder", "write_errors"]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held_alone(path: Path, otherwise: CurateError) -> Iterator[None]:
    """A file or folder that one process has at a time; the lock goes with the process, whatever ends it.

    Raises:
        CurateError: `otherwise`, where another one has it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise otherwise from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_errors(cannot: str, stays: str) -> Iterator[None]:
    """What the disk says, in our words: `cannot` be done, and what `stays` for the next run.

    Raises:
        StoreError: the disk is full, or the rights are not there.
    """
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"{cannot}: {problem.strerror or type(problem).__name__}; free space or fix the rights, then run the same "
            f"command again: {stays}"
        ) from None
