"""A process that commits one part again and again, each time in a fork that kills itself one step later.

A step is anything of a commit that the disk or the store could notice: of a store, that it has answered a request.
Arguments: a place, and the version of the part that stands there already, if any. The fork that dies at step k works in
the place named k; prints how many steps there are.
"""

import importlib
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.schema import FILES, Reason, Refusal, Unit
from curate.store import objects
from curate.store.commit import PartWriter
from curate.store.parquet import HashingFile
from curate.store.part import Part
from curate.store.place import Place, is_remote, place_of

PART = Part("read", "cells", 3)
ROWS = 40

PART_BYTES = 2**16
"""Of an upload in parts; far less than S3 takes, so that there are many of them in a moment."""

LARGE = PART_BYTES
"""Times that a version's name fills a file of a tree that goes to a store: as many parts as the name has letters."""


def rows(version: str) -> pa.Table:
    """Some rows of `files`."""
    return pa.Table.from_pylist(
        [
            {"path": f"{version}-{number}", "member": None, "bytes": number, "sha256": "0" * 64, "role": "image"}
            for number in range(ROWS)
        ],
        schema=FILES,
    )


def commit(out: Place, version: str) -> None:
    """One part with two tables, a tree of two files, and its sidecar."""
    with PartWriter(out, PART) as writer:
        writer.write("files", rows(version))
        with writer.tree("volumes", ".zarr") as tree:
            (tree.path / "0").mkdir(parents=True)
            (tree.path / "zarr.json").write_bytes(b"{}")
            (tree.path / "0" / "c").write_bytes(version.encode() * (LARGE if is_remote(out) else 1))
            tree.commit()
        writer.saw(Unit.ITEM, ROWS + 1)
        writer.used(Unit.ITEM, ROWS)
        writer.refuse(Unit.ITEM, "gone.png", Refusal(Reason.EMPTY_FILE, "0 bytes"))
        writer.commit({"version": version}, {"listing": version})


def commit_and_die(out: Place, version: str, at: int) -> int:
    """Commit, and kill this process at a step (0: none); the steps that there were."""
    steps = 0

    def dying(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*args, **kwargs)

        return run

    if is_remote(out):
        from fsspec.asyn import sync_wrapper
        from s3fs import S3FileSystem

        asked = S3FileSystem._call_s3

        async def ask(*args: Any, **kwargs: Any) -> Any:
            answer = await asked(*args, **kwargs)
            dying(int)()
            return answer

        S3FileSystem._call_s3 = ask
        S3FileSystem.call_s3 = sync_wrapper(ask)
        objects.PART_BYTES = PART_BYTES
    else:
        os.fsync = dying(os.fsync)
        Path.rename = dying(Path.rename)  # type: ignore[method-assign]
        Path.mkdir = dying(Path.mkdir)  # type: ignore[method-assign]
        Path.open = dying(Path.open)  # type: ignore[method-assign]
        HashingFile.write = dying(HashingFile.write)  # type: ignore[method-assign]
    commit(out, version)
    return steps


def main() -> None:
    """Die at step 1, at step 2 and so on, until a fork survives."""
    place, before = place_of(sys.argv[1]), sys.argv[2:]
    if is_remote(place):  # a loop of events does not outlive a fork: each has its own
        importlib.import_module("aiobotocore.session")
    else:
        commit(place / "first", "one")  # imports what a first commit imports, once for all forks
    for step in itertools.count(1):
        out = place / str(step)
        child = os.fork()
        if not child:
            for version in before:
                commit(out, version)
            os._exit(0 if commit_and_die(out, "one", step) < step else 1)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            print(step - 1)
            return


if __name__ == "__main__":
    main()
