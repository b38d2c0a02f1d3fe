"""A release in a folder of this machine, or of a disk that it mounts.

Files on the disk of the staging folder are hard links to it: nothing is copied. Elsewhere the kernel copies them
(`copy_file_range`: a clone where the file system has them), and what was copied is proved to be whole by its size.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from curate.publish.base import File
from curate.publish.targets.base import Shelf, TargetError
from curate.publish.writing import plain_path
from curate.store.durable import sync_folder
from curate.store.part import TEMPORARY_PREFIX
from curate.store.place import digest_of, walk

__all__ = ["FolderTarget"]

COPIED_AT_ONCE: Final = 64 * 2**20
"""Bytes that one call to the kernel copies."""

NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES})
"""Why a hard link may not be had although a copy may."""

NO_RANGE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.ETXTBSY})
"""Why the kernel may not copy from one file to another although a program may."""


class FolderTarget(Shelf):
    """A folder. It is made where it is not there."""

    at_once = 4

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: set[Path] = set()

    def __str__(self) -> str:
        return str(self.folder)

    def read(self, path: str) -> bytes | None:
        """See `Target.read`."""
        try:
            return self._home(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def listed(self) -> Mapping[str, int]:
        """See `Shelf.listed`."""
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.folder))
        return {one.name: one.bytes for one in walk(self.folder) if not _is_temporary(one.name)}

    def holds(self, file: File, local: Path) -> bool:
        """See `Shelf.holds`."""
        home = self._home(file.path)
        return home.samefile(local) or digest_of(home)[0] == file.sha256

    def check_space(self, files: Sequence[File], local: Callable[[str], Path]) -> None:
        """See `Shelf.check_space`: only copies need room."""
        if not files:
            return
        place = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
        if local(files[0].path).stat().st_dev == place.stat().st_dev:
            return
        needed, free = sum(file.bytes for file in files), shutil.disk_usage(place).free
        if needed > free:
            raise TargetError(
                f"{self.folder}: {needed:,} bytes are to be written and {free:,} are free; free space there, then run "
                "the same command again"
            )

    def put(self, file: File, local: Path) -> None:
        """See `Shelf.put`."""
        with self._new(file.path) as temporary:
            try:
                os.link(local, temporary)
            except OSError as problem:
                if problem.errno not in NO_LINK:
                    raise
                _copy(local, temporary, file.bytes)

    def put_control(self, path: str, data: bytes) -> None:
        """See `Shelf.put_control`."""
        with self._new(path) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.folder)

    def remove(self, paths: Sequence[str]) -> None:
        """See `Shelf.remove`. Folders in which nothing lies any more go, too."""
        for path in paths:
            home = self._home(path)
            home.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty: it stays
                for parent in home.parents:
                    if parent == self.folder:
                        break
                    parent.rmdir()
        if paths:
            sync_folder(self.folder)

    def settle(self) -> None:
        """See `Shelf.settle`: files were made durable where they were staged or copied, now the names are."""
        for folder in sorted(self._made):
            with contextlib.suppress(FileNotFoundError):
                sync_folder(folder)
        self._made.clear()

    def tidy(self) -> None:
        """See `Shelf.tidy`: what a killed publishing was just putting."""
        for one in walk(self.folder):
            if _is_temporary(one.name):
                self._home(one.name).unlink(missing_ok=True)

    def _home(self, path: str) -> Path:
        """Where a file of the release lies, through real folders only: a link there could lead anywhere."""
        home = self.folder
        for step in plain_path(path).split("/")[:-1]:
            home = home / step
            if home.is_symlink():
                raise TargetError(f"{home} is a link; a release is written into folders: remove it", retryable=False)
        return self.folder.joinpath(*path.split("/"))

    @contextlib.contextmanager
    def _new(self, path: str) -> Iterator[Path]:
        """A temporary name beside a file's own, which takes its place when the block ends well."""
        home = self._home(path)
        home.parent.mkdir(parents=True, exist_ok=True)
        self._made.update(place for place in home.parents if place == self.folder or self.folder in place.parents)
        temporary = home.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{home.name}"[:255])
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            temporary.replace(home)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        temporary.unlink(missing_ok=True)  # a link that took the place of itself is left under both names


def _is_temporary(path: str) -> bool:
    return path.rpartition("/")[2].startswith(TEMPORARY_PREFIX)


def _copy(source: Path, target: Path, size: int) -> None:
    """Copy a file by the kernel, or else by hand, and make it durable.

    Raises:
        OSError: it could not be copied, or is not as long as it was staged.
    """
    with source.open("rb") as read, target.open("wb") as written:
        try:
            while os.copy_file_range(read.fileno(), written.fileno(), COPIED_AT_ONCE):
                pass
        except OSError as problem:
            if problem.errno not in NO_RANGE:
                raise
            read.seek(0)
            written.seek(0)
            shutil.copyfileobj(read, written, 2**20)
        written.flush()
        if os.fstat(written.fileno()).st_size != size:
            raise OSError(errno.EIO, "a staged file is not as long as it was", str(source))
        os.fsync(written.fileno())
