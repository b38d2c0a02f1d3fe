"""`MANIFEST.json`: every file of a release with its sha256, and what the release is of. Without it nothing is whole."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from curate.card import Struct
from curate.errors import StoreError
from curate.publish.base import MANIFEST, File, LeftOut
from curate.publish.writing import plain_path
from curate.schema import identity

__all__ = ["FormatNote", "Manifest", "content_of", "decode_manifest", "encode_manifest"]

FORM: Final = 1
"""Of the manifest itself; raised when a reader of an older one would misread it."""


class FormatNote(Struct, frozen=True):
    """What a format made of the rows. `settings` is the digest of its version and options."""

    format: str
    settings: str
    rows: int
    left_out: tuple[LeftOut, ...] = ()


class Manifest(Struct, frozen=True, kw_only=True):
    """What a release says of itself.

    `corpus` tells two corpora apart that share a name: the digest of the recipe's name and of the fingerprint of the
    project key, without which no subject would be the same one in both. `content` is the digest of what a reader gets
    (files and their digests) without the changelog; `number` counts the releases of a place, from 1. `index` names the
    file with one line per row, by which two releases are compared.
    """

    name: str
    corpus: str
    number: int
    content: str
    licence: str
    rows: Mapping[str, int]  # split -> rows
    withheld: Mapping[str, Mapping[str, int]]  # source -> why -> rows
    formats: tuple[FormatNote, ...]
    index: str
    files: tuple[File, ...]
    manifest: int = FORM

    @property
    def bytes(self) -> int:
        """Of all files but the manifest."""
        return sum(file.bytes for file in self.files)

    @property
    def digest(self) -> str:
        """sha256 of the manifest as it lies in a release."""
        return hashlib.sha256(encode_manifest(self)).hexdigest()


def content_of(files: Iterable[File]) -> str:
    """The digest of files, whatever the order in which they are given."""
    return identity(*(f"{file.path}\n{file.sha256}" for file in sorted(files, key=lambda one: one.path)))


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of `MANIFEST.json`: the same for the same manifest, a line per value."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def decode_manifest(data: bytes, where: str) -> Manifest:
    """The manifest of a release; `where` names the release in errors.

    Raises:
        StoreError: it is no manifest, of a later form, or names a path that leaves the release.
    """
    try:
        form = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("manifest", msgspec.Raw(b"0"))
        if bytes(form) != str(FORM).encode():
            raise StoreError(
                f"{where}: {MANIFEST} is of another form than {FORM}, which this version of curate reads; publish with "
                "the version that wrote it, or with --replace"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
        for file in manifest.files:
            plain_path(file.path)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as problem:
        raise StoreError(
            f"{where}: {MANIFEST} is damaged or not ours ({type(problem).__name__}); name another place, or publish "
            "over it with --replace"
        ) from None
    return manifest
