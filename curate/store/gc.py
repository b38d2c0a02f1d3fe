"""gc: remove files that no sidecar names."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from curate.errors import StoreError
from curate.store.objects import abort_uploads, dangling_uploads, remove_objects
from curate.store.part import Sidecars, is_sidecar, tree_of
from curate.store.place import Listed, Place, is_remote, walk

__all__ = ["abandoned", "leftovers", "remove", "remove_empty_folders"]


def leftovers(out: Place, keep: frozenset[str]) -> list[Listed]:
    """Files below an output that no sidecar names: of killed builds, and of parts that were replaced.

    `keep` holds the names, below the output, of files that are not parts and belong there.
    """
    named = {file.name for sidecar in Sidecars(out).listed() for file in sidecar.files} | keep
    try:
        found = walk(out)
    except OSError as problem:
        raise StoreError(f"cannot look into {out}: {problem.strerror}; fix the rights, then run it again") from None
    return [one for one in found if not (is_sidecar(one.name) or one.name in named or tree_of(one.name) in named)]


def remove_empty_folders(out: Place) -> None:
    """Remove the folders below an output folder in which nothing lies any more, such as those of a retired source."""
    if not isinstance(out, Path):
        return
    for path in sorted(out.rglob("*"), reverse=True):  # a folder comes after what lies in it
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty: it stays
                path.rmdir()


def abandoned(out: Place) -> list[tuple[str, str]]:
    """Multipart uploads to an output in a store that a killed build left: key and id."""
    if not is_remote(out):
        return []
    try:
        return dangling_uploads(out)
    except OSError as problem:
        raise StoreError(
            f"cannot list the unfinished uploads to {out}: {problem.strerror}; grant the right to list them "
            "(s3:ListBucketMultipartUploads)"
        ) from None


def remove(out: Place, files: Sequence[Listed], uploads: Sequence[tuple[str, str]] = ()) -> None:
    """Remove files of an output, and give up uploads to it.

    Raises:
        StoreError: something cannot be removed.
    """
    place = str(out)
    try:
        if is_remote(out):
            remove_objects(out / one.name for one in files)
            abort_uploads(out, uploads)
            return
        for one in files:
            place = str(out / one.name)
            with contextlib.suppress(FileNotFoundError):
                (out / one.name).unlink()
    except OSError as problem:
        raise StoreError(
            f"cannot remove {place}: {problem.strerror}; fix the rights, then run `curate gc` again"
        ) from None
