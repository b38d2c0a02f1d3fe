"""gc: remove files that no sidecar names."""

import contextlib
from pathlib import Path

from curate.errors import StoreError
from curate.store.part import SIDECAR_FOLDER, TEMPORARY_PREFIX, Sidecars

__all__ = ["leftovers", "remove", "remove_empty_folders"]

TREE_DEPTH = 3


def leftovers(out: Path, keep: frozenset[str]) -> list[Path]:
    """Files below an output folder that no sidecar names: of killed builds, and of parts that were replaced.

    `keep` holds the names, below the folder, of files that are not parts and belong there.
    """
    named = {file.name for sidecar in Sidecars(out).listed() for file in sidecar.files} | keep
    found = []
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        is_sidecar = (
            name.startswith(f"{SIDECAR_FOLDER}/")
            and path.suffix == ".json"
            and not path.name.startswith(TEMPORARY_PREFIX)
        )
        # `volumes/<source>/<digest>.zarr` is named as a whole.
        is_named = name in named or "/".join(name.split("/", TREE_DEPTH)[:TREE_DEPTH]) in named
        if (path.is_file() or path.is_symlink()) and not is_named and not is_sidecar:
            found.append(path)
    return found


def remove_empty_folders(out: Path) -> None:
    """Remove the folders below an output folder in which nothing lies any more, such as those of a retired source."""
    for path in sorted(out.rglob("*"), reverse=True):  # a folder comes after what lies in it
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty: it stays
                path.rmdir()


def remove(paths: list[Path]) -> int:
    """Unlink files; the bytes that this freed."""
    freed = 0
    for path in paths:
        try:
            size = path.lstat().st_size
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise StoreError(
                f"cannot remove {path}: {problem.strerror}; fix the rights, then run `curate gc` again"
            ) from None
        freed += size
    return freed
