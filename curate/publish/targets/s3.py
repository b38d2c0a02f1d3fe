"""A release in an S3-compatible store: whole objects, in parts where they are large, `MANIFEST.json` by a condition.

Each object carries the sha256 of its bytes as metadata, so that an interrupted publishing knows what it sent.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from upath import UPath

from curate.publish.base import File
from curate.publish.targets.base import Shelf
from curate.store.objects import abort_uploads, dangling_uploads, put_file, remove_objects, switch
from curate.store.place import is_remote, read_bytes, store_errors, walk

__all__ = ["StoreTarget"]

DIGEST: Final = "sha256"
"""The key of an object's metadata under which its digest stands."""


class StoreTarget(Shelf):
    """A prefix of a bucket."""

    at_once = 8

    def __init__(self, place: UPath) -> None:
        self.place = place

    def __str__(self) -> str:
        return str(self.place)

    def read(self, path: str) -> bytes | None:
        """See `Target.read`."""
        try:
            return read_bytes(self.place / path)
        except FileNotFoundError:
            return None

    def listed(self) -> Mapping[str, int]:
        """See `Shelf.listed`."""
        return {one.name: one.bytes for one in walk(self.place)}

    def holds(self, file: File, local: Path) -> bool:
        """See `Shelf.holds`: by the digest that was put with the object."""
        place = self._object(file.path)
        with store_errors(place):
            found: str | None = place.fs.metadata(place.path, refresh=True).get(DIGEST)
        return found == file.sha256

    def check_space(self, files: Sequence[File], local: Callable[[str], Path]) -> None:
        """See `Shelf.check_space`: a store does not tell."""

    def put(self, file: File, local: Path) -> None:
        """See `Shelf.put`."""
        put_file(local, self._object(file.path), {DIGEST: file.sha256})

    def put_control(self, path: str, data: bytes) -> None:
        """See `Shelf.put_control`."""
        switch(self._object(path), data)

    def remove(self, paths: Sequence[str]) -> None:
        """See `Shelf.remove`."""
        remove_objects(self._object(path) for path in paths)

    def settle(self) -> None:
        """See `Shelf.settle`: an object is durable when it was stored."""

    def tidy(self) -> None:
        """See `Shelf.tidy`. Where the rights to list uploads are not given, the bucket's own rules clean up."""
        with contextlib.suppress(PermissionError):
            abort_uploads(self.place, dangling_uploads(self.place))

    def _object(self, path: str) -> UPath:
        found = self.place / path
        assert is_remote(found)
        return found
