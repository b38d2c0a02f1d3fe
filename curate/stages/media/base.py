"""What every medium gets, and what it makes of an item: assets, in order, the item itself first."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from curate.card import Images
from curate.recipe import Recipe
from curate.schema import Form, Refusal
from curate.stages.placing import Target
from curate.store.commit import TreeWriter
from curate.store.trees import StoredTree

__all__ = ["Made", "Medium", "Place", "RefusedRegion", "Request", "SourceFile"]

Place = tuple[str | int | float | None, ...]
"""What of its item an asset is: enters its identity. `(None,)` is the item as a whole."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of an item. Its digest is taken by `read` and `local`; the first to be called costs the pass.

    Both raise `OSError` where the bytes cannot be had.
    """

    key: str  # as outputs may show it
    name: str  # the virtual path, never to be stored or logged: formats that live by their suffix need it
    size: int  # in bytes
    read: Callable[[], bytes] = field(repr=False)
    local: Callable[[], AbstractContextManager[Path]] = field(repr=False)  # where it lies, for libraries that seek
    head: Callable[[int], bytes] = field(repr=False)  # its first bytes, without a digest


@dataclass(frozen=True, slots=True)
class Request:
    """One item, and how it is wanted.

    `beat` says that the work still goes on: call it before each step that decodes (a slice, a tile, a frame), which
    then has the time limit for itself. `tree` opens a folder below the output, for a volume.
    """

    files: tuple[SourceFile, ...]
    images: Images
    recipe: Recipe
    modality: str | None
    token: Callable[[str, str], str] = field(repr=False)  # (what, identifier) -> its token: ("frame_of_reference", uid)
    beat: Callable[[], None] = field(repr=False)
    tree: Callable[[], AbstractContextManager[TreeWriter]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One asset on its way to the tables.

    `columns` are those of `assets` that the medium knows. `data` goes to the table of its media type (`video/...` to
    `videos`, the rest to `images`); a volume has a `tree` instead. `target` is what annotations are placed on; null:
    none is, and its label sets have not looked at it.
    """

    form: Form
    place: Place
    columns: Mapping[str, Any]
    data: bytes | None = None
    tree: StoredTree | None = None
    target: Target | None = None
    derived_from: Place | None = None
    rendering_of: Place | None = None


@dataclass(frozen=True, slots=True)
class RefusedRegion:
    """A part of an item that yields no asset, while the rest goes on: a damaged tile, a frame that does not decode."""

    locator: str
    refusal: Refusal


class Medium(Protocol):
    """Makes the assets of one item.

    Where the item as a whole is refused, the answer is the refusal, or the first thing that the iterator yields; after
    the first asset only `RefusedRegion` may refuse. Every file's bytes have been digested before the first asset comes.
    """

    def __call__(self, request: Request) -> Iterator[Made | RefusedRegion | Refusal] | Refusal:
        """The item's assets, in an order that is always the same."""
        ...
