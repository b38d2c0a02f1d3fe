"""Small releases made by hand: some files in a folder, and the manifest that names them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from curate.publish.base import File
from curate.publish.manifest import Manifest, content_of, encode_manifest
from curate.publish.targets.base import Parcel

FIRST = {
    "images/a/1.png": b"one" * 50,
    "images/a/2.png": b"two" * 50,
    "plain/train.jsonl": b"{}\n",
    "README.md": b"# a\n",
}
SECOND = {
    "images/a/1.png": b"one" * 50,
    "images/b/3.png": b"three" * 50,
    "plain/train.jsonl": b'{"a": 1}\n',
    "README.md": b"# b\n",
}


def parcel_of(folder: Path, files: Mapping[str, bytes], number: int = 1, name: str = "small") -> Parcel:
    """A release of these files, staged in a folder."""
    listed = []
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        listed.append(File(path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)))
    manifest = Manifest(
        name=name,
        corpus="0" * 32,
        number=number,
        content=content_of(listed),
        licence="CC0-1.0",
        rows={"train": 1},
        withheld={},
        formats=(),
        index="index/rows.parquet",
        files=tuple(listed),
    )
    return Parcel(manifest, manifest.files, lambda path: folder / path)


def whole(parcel: Parcel) -> dict[str, bytes]:
    """What a reader finds of a parcel that arrived."""
    found = {file.path: parcel.local(file.path).read_bytes() for file in parcel.files}
    return found | {"MANIFEST.json": encode_manifest(parcel.manifest)}


def assert_never_half(found: Mapping[str, bytes], *parcels: Parcel) -> None:
    """Where there is a manifest, every file that it names is there as it says."""
    if "MANIFEST.json" not in found:
        return
    parcel = next(one for one in parcels if encode_manifest(one.manifest) == found["MANIFEST.json"])
    for file in parcel.files:
        assert hashlib.sha256(found[file.path]).hexdigest() == file.sha256, file.path
