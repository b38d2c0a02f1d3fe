"""Committed files of a store as a read-only fsspec file system: what they are never changes, so it is asked once.

Engines that read through a file system, such as DuckDB, ask for a file's size and time several times for each query.
A committed file is named by its digest; its size is what the first answer said, and it has no time.
"""

import errno
import os
import threading
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from fsspec import AbstractFileSystem
from upath import UPath

from curate.store.place import open_sized, size_of

__all__ = ["CommittedFiles"]

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CommittedFiles(AbstractFileSystem):  # type: ignore[misc]
    """The files of one output. Each question is answered by an `OSError` of ours where the store does not answer it."""

    protocol = "s3"
    cachable = False

    def __init__(self, out: UPath) -> None:
        super().__init__()
        self._out = out
        self._sizes: dict[str, int] = {}
        self._asking = threading.Lock()

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and kind of a file.

        Raises:
            OSError: it is not there, is no file, or the store does not say.
        """
        name = self._within(path)
        with self._asking:
            if name not in self._sizes:
                self._sizes[name] = size_of(self._out / name)
        return {"name": self._strip_protocol(path), "size": self._sizes[name], "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """True for a file that is there; a store that does not answer is an error."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def glob(self, path: str, **_: Any) -> list[str]:
        """The file of this name: committed files have no pattern in theirs."""
        return [str(self._strip_protocol(path))] if self.exists(path) else []

    def modified(self, path: str) -> datetime:
        """Never."""
        return _NEVER

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        """The file, to read and seek in.

        Raises:
            OSError: as `info`; or it is to be written.
        """
        if mode != "rb":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return open_sized(self._out / self._within(path), self.info(path)["size"])

    def _within(self, path: str) -> str:
        """The name below the output.

        Raises:
            FileNotFoundError: it lies elsewhere.
        """
        start = self._out.path.rstrip("/") + "/"
        plain = str(self._strip_protocol(path))
        if not plain.startswith(start):
            raise FileNotFoundError(errno.ENOENT, "it is no file of this output", path)
        return plain.removeprefix(start)
