"""The stat cache: how source files looked when a part was built. It spares re-hashing and lies outside the output.

A part's entry is trusted while every file that it names still lies below the same root, with the size and the times of
modification and of change that it had when its bytes were read; anything else sends the caller back to the bytes.
Losing the cache costs time, never correctness.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from curate.errors import StoreError
from curate.schema import identity
from curate.store.commit import replace_file
from curate.store.part import Part
from curate.store.place import Place, is_remote

__all__ = ["NEVER", "FileStat", "Freshness", "cache_folder", "seen", "stat_tree"]

FileStat = tuple[int, int, int]
"""Size in bytes, time of modification and time of change of the file's inode, both in nanoseconds.

The third cannot be set back: `cp -p`, `tar` and `touch -d` give a file an old modification time, never an old change.
"""

NEVER: Final[FileStat] = (-2, 0, 0)
"""Stands for a file that must be looked at again whatever it looks like."""

RACY_NS: Final = 2 * 10**9
"""A file changed this shortly before it was read may change again within the clock's resolution: not cached."""


class _Entry(msgspec.Struct, frozen=True):
    part_id: str
    root: str  # absolute: another folder's files of equal size and time are other files
    inputs: dict[str, str]
    files: dict[str, FileStat]


def cache_folder(out: Place) -> Path:
    """The folder beside an output folder that holds what belongs to this machine alone.

    That of an output in a store lies where the user's caches lie (XDG_CACHE_HOME, else `~/.cache`), by its address.
    """
    if is_remote(out):
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return caches / "curate" / f"{out.name or 'bucket'}-{identity(str(out))[:16]}"
    assert isinstance(out, Path)
    place = out.resolve()
    return place.parent / f".{place.name}.cache"


def seen(stat: os.stat_result) -> FileStat:
    """How a file looks."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def stat_tree(root: Path) -> dict[str, FileStat]:
    """Size and times of every file below a folder, by path below it. Unreadable folders are left out.

    Bytes of a name that are not UTF-8 are written as escapes: the cache is text, and such a file is never opened.
    """
    found: dict[str, FileStat] = {}
    pending = [(str(root), "")]
    while pending:
        folder, prefix = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + entry.name.encode("utf-8", "backslashreplace").decode()
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append((entry.path, name + "/"))
                        else:
                            found[name] = seen(entry.stat())
                    except OSError:
                        found[name] = (-1, 0, 0)
        except OSError:
            continue
    return found


class Freshness:
    """The cache of one output folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, part: Part, root: str, stats: Mapping[str, FileStat], inputs: dict[str, str]) -> None:
        """Remember that `part` was built with `inputs` while its files below `root` looked like `stats`."""
        now = time.time_ns()
        files = {path: stat if now - max(stat[1:]) >= RACY_NS else NEVER for path, stat in stats.items()}
        replace_file(self._path(part), msgspec.json.encode(_Entry(part.part_id, root, inputs, files)))

    def confirm(self, part: Part, root: str, stats: Mapping[str, FileStat], inputs: dict[str, str]) -> None:
        """`record` for bytes that were only looked at again; where the cache cannot be written, so be it."""
        with contextlib.suppress(StoreError):
            self.record(part, root, stats, inputs)

    def inputs(self, part: Part, root: str, stats: Mapping[str, FileStat], *, whole: bool) -> dict[str, str] | None:
        """The inputs that `part` was built with, if all its files look unchanged; `whole`: and none came or went."""
        try:
            entry = msgspec.json.decode(self._path(part).read_bytes(), type=_Entry)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if (entry.part_id, entry.root) != (part.part_id, root):
            return None
        if any(stats.get(path) != stat for path, stat in entry.files.items()):
            return None
        if whole and len(entry.files) != len(stats):
            return None
        return entry.inputs

    def _path(self, part: Part) -> Path:
        return self._folder / part.sidecar_path
