"""Folders that are one value: a volume is a zarr tree, named by the digest of its files, committed by one rename."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.errors import StoreError
from curate.schema import identity
from curate.store.place import Place, digest_of, walk

__all__ = ["TREES", "StoredTree", "digest_of_tree", "files_of", "remove_tree"]

TREES: Final = frozenset({"volumes"})
"""The tables whose files are trees."""


@dataclass(frozen=True, slots=True)
class StoredTree:
    """A committed tree: its name below the output folder, its digest, the bytes and the number of its files."""

    name: str
    sha256: str
    bytes: int
    files: int


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder with its path within, sorted.

    Raises:
        StoreError: something that is neither a file nor a folder.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StoreError(f"{path} is neither a file nor a folder; remove it and build again")
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def digest_of_tree(folder: Place) -> tuple[str, int, int]:
    """The digest of a folder's sorted (path, sha256) list, the bytes in it, and the number of its files."""
    listed: list[str] = []
    total = 0
    files = files_of(folder) if isinstance(folder, Path) else ((one.name, folder / one.name) for one in walk(folder))
    for name, path in files:
        digest, size = digest_of(path)
        listed += [name, digest]
        total += size
    return identity(*listed), total, len(listed) // 2


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that lies in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
