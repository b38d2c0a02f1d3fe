"""Where a release is put together: a folder of this machine in which a file stands whole or not at all."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from curate.publish.base import File
from curate.store.parquet import HashingFile
from curate.store.part import TEMPORARY_PREFIX

__all__ = ["Staging", "plain_path"]

_STEP: Final = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")


def plain_path(path: str) -> str:
    """A path of a release as it came.

    Raises:
        ValueError: it is absolute, leaves the release, or holds an empty step or a control character.
    """
    if any(step in (".", "..") or not _STEP.fullmatch(step) for step in path.split("/")):
        raise ValueError(f"{path!r} is no plain path within a release")
    return path


class Staging:
    """The `Writer` of a release: knows every file that was written through it, with its digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, File] = {}

    @property
    def files(self) -> tuple[File, ...]:
        """What was written, by path."""
        return tuple(self._files[path] for path in sorted(self._files))

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """See `Writer.create`. Where the block fails, nothing of the file is left."""
        if plain_path(path) in self._files:
            raise ValueError(f"{path} was written before")
        home = self.local(path)
        home.parent.mkdir(parents=True, exist_ok=True)
        temporary = home.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{home.name}"[:255])
        try:
            with temporary.open("wb") as file:
                hashing = HashingFile(file)
                yield hashing  # type: ignore[misc]
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(home)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._files[path] = File(path=path, sha256=hashing.hexdigest(), bytes=hashing.bytes)

    def count(self, path: str, rows: int) -> None:
        """See `Writer.count`."""
        known = self._files[path]
        self._files[path] = File(path=path, sha256=known.sha256, bytes=known.bytes, rows=rows)

    def keep(self, file: File) -> None:
        """A file that stands in the folder already and was proved to be whole."""
        self._files[plain_path(file.path)] = file

    def local(self, path: str) -> Path:
        """See `Writer.local`."""
        return self.folder.joinpath(*plain_path(path).split("/"))
