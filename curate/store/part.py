"""What a part is, and the sidecar that makes it exist."""

import contextlib
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec

from curate.card import Struct
from curate.errors import StoreError
from curate.schema import identity
from curate.store.place import Place, is_remote, names_in, read_many, size_of, walk
from curate.store.seal import sealed, unsealed

__all__ = [
    "SIDECAR_FOLDER",
    "TEMPORARY_PREFIX",
    "WHOLE",
    "Count",
    "OutputFile",
    "Part",
    "Sidecar",
    "Sidecars",
    "decode_sidecar",
    "differences",
    "encode_sidecar",
    "is_sidecar",
    "tree_of",
]

WHOLE: Final = "*"
"""The source of a part that speaks of the whole corpus."""

WHOLE_FOLDER: Final = "_whole"
"""The folder that stands for it: no source is called so."""

SIDECAR_FOLDER: Final = "parts"

SIDECAR_DEPTH: Final = 4
"""Steps in the name of a sidecar below the output."""

TREE_DEPTH: Final = 3
"""Steps in the name of a tree below the output."""

TEMPORARY_PREFIX: Final = ".tmp-"
"""How a file's name begins before it is committed: what a killed build leaves, and `gc` removes."""

KEPT_IN_MEMORY: Final = 8192
"""Parsed sidecars that are held, at some 3 kB each; further ones of a folder are read again, at 0.1 ms each."""

READ_AT_ONCE: Final = 256
"""Sidecars read together where each is looked at once."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A pure function's place: its stage, its source (or the whole corpus), its bucket (or the whole source)."""

    stage: str
    source: str = WHOLE
    bucket: int | None = None

    @property
    def part_id(self) -> str:
        """sha256 of stage, source and bucket."""
        return identity(self.stage, self.source, self.bucket)

    @property
    def folder(self) -> str:
        """The folder name that stands for the source."""
        return WHOLE_FOLDER if self.source == WHOLE else self.source

    @property
    def stem(self) -> str:
        """The file name that stands for the bucket."""
        return "all" if self.bucket is None else f"{self.bucket:05d}"

    @property
    def sidecar_path(self) -> str:
        """Below the output folder."""
        return f"{SIDECAR_FOLDER}/{self.stage}/{self.folder}/{self.stem}.json"

    def __str__(self) -> str:
        return f"{self.stage}/{self.source}" + ("" if self.bucket is None else f"/{self.bucket}")


class OutputFile(Struct, frozen=True):
    """One committed file, or one committed tree: then `sha256` is that of its listing and `rows` counts its files."""

    table: str
    bucket: int | None  # of the rows within; scan writes one inventory per bucket
    name: str  # below the output folder
    sha256: str
    bytes: int
    rows: int


class Count(Struct, frozen=True):
    """One line of the ledger."""

    unit: str
    n_in: int
    n_used: int
    n_rejected: int = 0
    n_filtered: int = 0

    @property
    def balances(self) -> bool:
        """The conservation law."""
        return self.n_in == self.n_used + self.n_rejected + self.n_filtered


class Sidecar(Struct, frozen=True, dict=True):
    """What one part was made from, what it holds, and what became of its input. No clock, no host.

    On disk it is sealed: see `sealed`.
    """

    stage: str
    source: str
    bucket: int | None
    fingerprint: dict[str, str]
    inputs: dict[str, str]
    files: tuple[OutputFile, ...] = ()
    counts: tuple[Count, ...] = ()
    refusals: dict[str, dict[str, dict[str, int]]] = {}  # unit -> verdict -> reason -> rows in rejects
    emitted: dict[str, int] = {}
    statistics: dict[str, Any] = {}

    @property
    def part(self) -> Part:
        """Whose sidecar this is."""
        return Part(self.stage, self.source, self.bucket)

    def of(self, table: str) -> list[OutputFile]:
        """The committed files of one table."""
        return [file for file in self.files if file.table == table]

    def digest(self, table: str, bucket: int | None = None) -> str:
        """The digest of one table's files, or of its one bucket; the digest of nothing where there is none."""
        chosen = self.of(table) if bucket is None else self._slices.get((table, bucket), ())
        return identity(*(f"{file.bucket}:{file.sha256}" for file in chosen))

    @cached_property
    def _slices(self) -> dict[tuple[str, int | None], list[OutputFile]]:
        """The files by table and bucket: of a scan with thousands of slices, each part asks for its own."""
        found: dict[tuple[str, int | None], list[OutputFile]] = {}
        for file in self.files:
            found.setdefault((file.table, file.bucket), []).append(file)
        return found


class Sidecars:
    """The sidecars of one output. So many are held once they are read; those of scans, which every part asks, always.

    What was read is taken for what is there until it is forgotten: while one stage is built, those before it stay.
    """

    def __init__(self, out: Place) -> None:
        self.out = out
        self._folder = str(out)
        self._read: dict[Part, Sidecar] = {}
        self._fingerprints: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}  # that of all buckets is one
        self._derived: dict[Hashable, Any] = {}
        self._sizes: dict[str, int] = {}  # of what lay in a store when it was listed
        self._trees: dict[str, list[int]] = {}  # the same by tree

    def load(self) -> None:
        """Have all sidecars of an object store, and the sizes of what lies there, by a few requests.

        Without it each is asked for by itself, as is what the listing does not show. Folders of this machine are read
        as they are needed.
        """
        if not is_remote(self.out):
            return
        with _listing(self.out):
            listed = walk(self.out)
        self._sizes = {one.name: one.bytes for one in listed}
        for one in listed:
            if (tree := tree_of(one.name)) is not None:
                self._trees.setdefault(tree, []).append(one.bytes)
        names = [one.name for one in listed if is_sidecar(one.name)]
        for sidecar in _load_all([self.out / name for name in names]):
            self._keep(sidecar.part, sidecar)

    def get(self, part: Part) -> Sidecar | None:
        """The sidecar of a part, or null where the part does not exist.

        Raises:
            StoreError: the file is there but is no sidecar.
        """
        if part in self._read:
            return self._read[part]
        path = self.out / part.sidecar_path
        (data,) = read_many([path])
        sidecar = _load(path, data)
        return None if sidecar is None else self._keep(part, sidecar)

    def need(self, part: Part) -> Sidecar:
        """The sidecar of a part that must exist."""
        sidecar = self.get(part)
        if sidecar is None:
            raise StoreError(f"part {part} is not built; run the build again from its first stage")
        return sidecar

    def forget(self, part: Part) -> None:
        """Read the part's sidecar again when it is next asked for."""
        self._read.pop(part, None)
        self._derived.clear()

    def derived(self, what: Hashable, make: Callable[[], T]) -> T:
        """What follows from sidecars and is asked for each part: made once, and again when a sidecar was exchanged."""
        if what not in self._derived:
            self._derived[what] = make()
        return cast(T, self._derived[what])

    def parts(self, stage: str | None = None) -> list[Part]:
        """The parts of one stage or of all that have a sidecar, by the names of the files."""
        return sorted(self.times(stage), key=_place)

    def times(self, stage: str | None = None) -> dict[Part, float]:
        """The parts that have a sidecar, with when that file was written, in seconds since the epoch."""
        base = self.out / SIDECAR_FOLDER / stage if stage else self.out / SIDECAR_FOLDER
        with _listing(base):
            listed = walk(base)
        prefix = f"{SIDECAR_FOLDER}/{stage}/" if stage else f"{SIDECAR_FOLDER}/"
        found = ((_part_of(prefix + one.name), one.seconds) for one in listed)
        return {part: seconds or 0.0 for part, seconds in found if part is not None}

    def each(self, stage: str | None = None) -> Iterator[Sidecar]:
        """Every sidecar on disk, of one stage or of all, in the order of their parts; few are held at a time."""
        if stage is None:
            with _listing(self.out / SIDECAR_FOLDER):
                stages = sorted(_names_or_none(self.out / SIDECAR_FOLDER))
            for name in stages:
                yield from self.each(name)
            return
        parts = iter(self.parts(stage))
        while several := list(islice(parts, READ_AT_ONCE)):
            unread = [part for part in several if part not in self._read]
            fresh = dict(zip(unread, _read_all([self.out / part.sidecar_path for part in unread]), strict=True))
            for part in several:
                sidecar = fresh.get(part) or self._read.get(part)
                if sidecar is not None:
                    yield sidecar

    def listed(self, stage: str | None = None) -> list[Sidecar]:
        """All that `each` yields."""
        return list(self.each(stage))

    def _keep(self, part: Part, sidecar: Sidecar) -> Sidecar:
        """Hold a sidecar where there is room. One in a store was dear to fetch: all of those are held."""
        if len(self._read) < KEPT_IN_MEMORY or part.stage == "scan" or is_remote(self.out):
            one = self._fingerprints.setdefault(tuple(sidecar.fingerprint.items()), sidecar.fingerprint)
            self._read[part] = sidecar = msgspec.structs.replace(sidecar, fingerprint=one)
        return sidecar

    def size(self, name: str) -> int:
        """The bytes of a file by its name below the output; what a listing told is not asked again.

        Raises:
            OSError: it is not there, or cannot be looked at.
        """
        if name in self._sizes:
            return self._sizes[name]
        if isinstance(self.out, Path):
            return os.stat(f"{self._folder}/{name}").st_size  # noqa: PTH116 - a Path costs more than the question
        return size_of(self.out / name)

    def files_in(self, tree: str) -> list[int]:
        """The bytes of each file of a tree by its name below the output.

        Raises:
            OSError: it cannot be looked at.
        """
        return self._trees.get(tree) or [one.bytes for one in walk(self.out / tree)]


@contextlib.contextmanager
def _listing(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"cannot look into {place}: {problem.strerror or type(problem).__name__}; fix the rights, then run the "
            "command again"
        ) from None


def is_sidecar(name: str) -> bool:
    """True for a name below an output that a committed sidecar has."""
    head, _, last = name.rpartition("/")
    return (
        f"{head}/".startswith(f"{SIDECAR_FOLDER}/") and last.endswith(".json") and not last.startswith(TEMPORARY_PREFIX)
    )


def tree_of(name: str) -> str | None:
    """The tree that a file below an output is part of: `volumes/<source>/<digest>.zarr` is named as a whole."""
    steps = name.split("/", TREE_DEPTH)
    return "/".join(steps[:TREE_DEPTH]) if len(steps) > TREE_DEPTH else None


def _names_or_none(place: Place) -> set[str]:
    try:
        return names_in(place)
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _place(part: Part) -> tuple[str, str, int]:
    return (part.stage, part.source, -1 if part.bucket is None else part.bucket)


def _part_of(name: str) -> Part | None:
    """The part whose sidecar has this name below an output, or null for the name of anything else."""
    steps = name.split("/")
    if len(steps) != SIDECAR_DEPTH or not is_sidecar(name):
        return None
    _, stage, folder, last = steps
    stem = last.removesuffix(".json")
    if stem != "all" and not (stem.isdigit() and stem.isascii()):
        return None
    return Part(stage, WHOLE if folder == WHOLE_FOLDER else folder, None if stem == "all" else int(stem))


def _read_all(paths: Sequence[Place]) -> list[Sidecar | None]:
    """The sidecars at some places; null for what vanished since it was listed."""
    return [_load(path, data) for path, data in zip(paths, read_many(paths), strict=True)]


def _load_all(paths: Sequence[Place]) -> list[Sidecar]:
    return [sidecar for sidecar in _read_all(paths) if sidecar is not None]


def _load(path: Place, data: bytes | OSError) -> Sidecar | None:
    if isinstance(data, (FileNotFoundError, NotADirectoryError)):
        return None
    if isinstance(data, OSError):
        raise StoreError(f"cannot read {path}: {data.strerror}; fix the rights, then run the command again")
    try:
        return decode_sidecar(data)
    except ValueError as problem:
        raise StoreError(f"{path} is damaged ({problem}); remove it and build again") from None


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """The bytes of a sidecar, sealed."""
    return sealed(msgspec.to_builtins(sidecar))


def decode_sidecar(data: bytes) -> Sidecar:
    """The sidecar in some bytes.

    Raises:
        ValueError: they are no sidecar, or not the bytes that were written.
    """
    return msgspec.convert(unsealed(data), Sidecar)


def differences(sidecar: Sidecar, fingerprint: dict[str, str], inputs: dict[str, str]) -> list[str]:
    """Why a part is stale, field by field; empty where it is current."""
    reasons = []
    for what, then, now in (("", sidecar.fingerprint, fingerprint), ("input ", sidecar.inputs, inputs)):
        if then == now:
            continue
        for key in sorted(then.keys() | now.keys()):
            if then.get(key) == now.get(key):
                continue
            if key not in then:
                reasons.append(f"{what}{key} is new")
            elif key not in now:
                reasons.append(f"{what}{key} is gone")
            else:
                reasons.append(f"{what}{key} changed: {_short(then[key])} -> {_short(now[key])}")
    return reasons


def _short(value: str) -> str:
    return value if len(value) <= 40 else value[:12] + "…"
