"""Where a part that goes to an object store is put together first: a folder of this machine's temporary space.

It is removed when the part is done. What a killed process left is removed by the next one: whoever spools holds a lock
that the system takes back when the process ends.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["spool"]

PREFIX: Final = "curate-spool-"
LOCK: Final = "lock"


@contextlib.contextmanager
def spool() -> Iterator[Path]:
    """A folder to fill, below TMPDIR; it is gone afterwards.

    Raises:
        OSError: there is no temporary space.
    """
    base = Path(tempfile.gettempdir())
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        with (folder / LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "files").mkdir()
            yield folder / "files"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(base: Path) -> None:
    """Remove the folders of our own that nobody holds any more."""
    for folder in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
