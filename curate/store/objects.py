"""Commit on an object store: whole objects under digest names, and the one conditional put that is the switch.

An object appears whole or not at all: a put that breaks off leaves nothing, a multipart upload that breaks off leaves
parts that no reader sees, which are aborted here, or by `gc` where the process was killed.
"""

import contextlib
import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from upath import UPath

from curate.errors import StoreError
from curate.store.place import filesystem, read_bytes, status_of, store_errors, walk

__all__ = ["abort_uploads", "dangling_uploads", "put_file", "put_tree", "remove_objects", "switch"]

PART_BYTES: Final = 8 * 2**20
"""Of one part of a multipart upload; a file is sent in parts from twice that size on."""

PARTS_AT_ONCE: Final = 4
MAX_PARTS: Final = 10_000

ATTEMPTS: Final = 3
"""Times that a switch is tried where the object changes hands between look and put, before it is a conflict."""

REMOVED_AT_ONCE: Final = 1000
"""Keys that one request may remove."""


def put_file(source: Path, target: UPath, metadata: Mapping[str, str] | None = None) -> None:
    """Store a file of this machine as one object, in parts where it is large; `metadata` is kept with it.

    Raises:
        OSError: it was not stored; nothing is there but what was there before.
    """
    size = source.stat().st_size
    part = max(PART_BYTES, -(-size // MAX_PARTS))
    fs = filesystem(target)
    with store_errors(target):
        more = {} if metadata is None else {"Metadata": dict(metadata)}
        fs.put_file(str(source), target.path, chunksize=part, max_concurrency=PARTS_AT_ONCE, **more)


def put_tree(files: Iterable[tuple[str, Path]], target: UPath) -> None:
    """Store the files of a tree below a prefix, and remove what else lies there: it belongs to no tree of this digest.

    Raises:
        OSError: not all of it was stored.
    """
    names = set()
    for name, source in files:
        put_file(source, target / name)
        names.add(name)
    remove_objects(target / one.name for one in walk(target) if one.name not in names)


def switch(target: UPath, data: bytes) -> None:
    """Put `data` under a key that readers go by, unless they are there: new with If-None-Match, else with If-Match.

    Where somebody else was faster, what they put is read: equal bytes are as good as ours.

    Raises:
        StoreError: somebody else put other bytes meanwhile, or the store knows no conditions.
        OSError: it was not stored.
    """
    for _ in range(ATTEMPTS):
        condition = _condition(target, data)
        if condition is None or _put_if(target, data, condition):
            return
    if _condition(target, data) is None:
        return
    raise StoreError(
        f"{target} was replaced by another build while this one committed it, with other bytes: two builds of unlike "
        "sources or versions write to one output; let one end, then run the same command again"
    )


def _condition(target: UPath, data: bytes) -> dict[str, str] | None:
    """What must still hold when the object is put; null where it holds `data` already.

    The tag is asked for before the bytes are read, so that whatever is read is the tag's object or a later one.
    """
    fs = filesystem(target)
    try:
        with store_errors(target):
            tag = fs.info(target.path).get("ETag", "")
        if read_bytes(target) == data:
            return None
    except FileNotFoundError:
        return {"IfNoneMatch": "*"}
    return {"IfMatch": tag}


def _put_if(target: UPath, data: bytes, condition: dict[str, str]) -> bool:
    """One conditional put; false where the condition does not hold any more."""
    fs = filesystem(target)
    bucket, key, _ = fs.split_path(target.path)
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, ContentType="application/json", **condition)
    except Exception as problem:
        status, code = status_of(problem)
        if status in (409, 412) or (status == 404 and code == "NoSuchKey"):
            return False
        if status == 501:
            raise StoreError(
                f"{target}: this store answers 501 to a conditional put (If-None-Match, If-Match), without which two "
                "builds could overwrite each other; use a store that has them"
            ) from None
        with store_errors(target):
            raise
    return True


def remove_objects(targets: Iterable[UPath]) -> None:
    """Remove objects, a thousand at a request; one that is not there is no fault.

    Raises:
        OSError: the store did not remove all of them.
    """
    pending = list(targets)
    for start in range(0, len(pending), REMOVED_AT_ONCE):
        some = pending[start : start + REMOVED_AT_ONCE]
        fs = filesystem(some[0])
        bucket, _, _ = fs.split_path(some[0].path)
        keys = [{"Key": fs.split_path(target.path)[1]} for target in some]
        with store_errors(some[0]):
            answer = fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if answer.get("Errors"):
            raise PermissionError(errno.EACCES, f"the store did not remove {len(answer['Errors'])} objects")


def dangling_uploads(out: UPath) -> list[tuple[str, str]]:
    """Key and id of every multipart upload below an output that nobody has completed.

    Raises:
        OSError: the store does not list them.
    """
    fs = filesystem(out)
    bucket, prefix, _ = fs.split_path(out.path)
    found: list[tuple[str, str]] = []
    marker: dict[str, Any] = {}
    while True:
        with store_errors(out):
            said = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "", **marker)
        found += [(upload["Key"], upload["UploadId"]) for upload in said.get("Uploads", [])]
        if not said.get("IsTruncated"):
            return sorted(found)
        marker = {"KeyMarker": said["NextKeyMarker"], "UploadIdMarker": said["NextUploadIdMarker"]}


def abort_uploads(out: UPath, uploads: Iterable[tuple[str, str]]) -> None:
    """Give up multipart uploads, so that their parts cost nothing any more."""
    fs = filesystem(out)
    bucket, _, _ = fs.split_path(out.path)
    for key, upload in uploads:
        with store_errors(out), contextlib.suppress(FileNotFoundError):
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)
