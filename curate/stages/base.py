"""What every stage is: which parts it wants, what they are made from, and how one is built."""

import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from curate.card import Card
from curate.corpus import Corpus, ProjectKey
from curate.language.base import Completer
from curate.layouts.archives import refusal_of
from curate.schema import CATALOG_TABLES, TABLES, Identity, Reason, identity
from curate.store.answers import AnswerStore, answers_folder
from curate.store.commit import PartWriter
from curate.store.freshness import FileStat, Freshness, stat_tree
from curate.store.part import Part, Sidecars
from curate.store.place import Place

__all__ = [
    "MEDIA_LIBRARIES",
    "PIXEL_LIBRARIES",
    "UNREADABLE",
    "Beat",
    "RealPaths",
    "Run",
    "Stage",
    "bucket_parts",
    "buckets_of",
    "digest_of",
    "libraries",
    "refusal_of",
    "source_patterns",
    "stage_fingerprint",
]

PIXEL_LIBRARIES: Final = frozenset(
    [
        "isal",
        "numpy",
        "pillow",
        "pydicom",
        "pyjpegls",
        "pylibjpeg",
        "pylibjpeg-libjpeg",
        "pylibjpeg-openjpeg",
        "pylibjpeg-rle",
        "simplejpeg",
    ]
)
"""The distributions that decode and encode pixels: a new version may give other bytes."""

MEDIA_LIBRARIES: Final = frozenset(
    [
        "av",
        "google-crc32c",
        "h5py",
        "highdicom",
        "imagecodecs",
        "nibabel",
        "numcodecs",
        "openslide-bin",
        "openslide-python",
        "tifffile",
        "zarr",
    ]
)
"""Those that read volumes, slides and videos, and write arrays: which of them a file needs, only its bytes tell."""

RealPaths = dict[str, tuple[str, str | None]]
"""Token -> path and member, on a card that hides paths."""

Beat = Callable[[str], None]
"""Called with an item's key before work on it starts, so that whoever watches knows the culprit of a crash; with an
empty key after the last item, when no single one can be blamed any more."""

UNREADABLE: Final = "unreadable"
"""Stands for the digest of a source file whose bytes could not be had."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a stage may know about the build that it runs in."""

    corpus: Corpus
    key: ProjectKey
    out: Place
    sidecars: Sidecars
    freshness: Freshness
    poisoned: dict[str, Reason] = field(default_factory=dict)  # item key -> why it must not be touched again
    real_paths: dict[str, RealPaths] = field(default_factory=dict)  # by source: what `stages.read` looked up already
    answers: Path | None = None  # the folder of the answer store; null: beside the output
    engines: dict[str, Completer] = field(default_factory=dict)  # the one that this process has started
    stores: dict[Path, AnswerStore] = field(default_factory=dict)  # the one that this process has read
    _stats: dict[str, dict[str, FileStat]] = field(default_factory=dict)

    def stats(self, source: str) -> dict[str, FileStat]:
        """How the files of a source look, walked once per run."""
        if source not in self._stats:
            self._stats[source] = stat_tree(Path(self.corpus.source(source).root))
        return self._stats[source]

    def answer_store(self) -> AnswerStore:
        """The answer store as it is now: read whole once in a process, later only what was appended since."""
        folder = self.answers or answers_folder(self.out)
        if folder not in self.stores:
            self.stores[folder] = AnswerStore(folder)
        self.stores[folder].refresh()
        return self.stores[folder]

    def fingerprint(self, stage: "Stage", part: Part) -> dict[str, str]:
        """`Stage.fingerprint`, worked out once for all buckets of a source."""
        return self.sidecars.derived(("fingerprint", stage.name, part.source), lambda: stage.fingerprint(self, part))

    def visible(self, source: str, key: str) -> str:
        """A path below a data root as outputs may show it: itself, or its token on a card that hides paths."""
        if self.corpus.source(source).card.hides_paths:
            return self.key.token("path", source, key)
        return key


class Stage(Protocol):
    """One step of the flow. A part's bytes are a pure function of its fingerprint and its inputs."""

    name: str
    version: int
    tables: tuple[str, ...]  # what it writes: their columns are part of its fingerprint
    after: tuple[str, ...]  # the stages whose parts it reads

    def parts(self, run: Run) -> list[Part]:
        """The parts that are wanted, sorted. Upstream stages are complete when this is asked."""
        ...

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """Version, configuration and libraries: what the bytes depend on besides the inputs."""
        ...

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The digest of each input as it stands now, without building."""
        ...

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Write the part's rows; return the digest of each input as it was met."""
        ...


def buckets_of(run: Run, source: str) -> list[int]:
    """The buckets that scan filled, ascending."""
    buckets: list[int] = run.sidecars.need(Part("scan", source)).statistics["buckets"]
    return buckets


def bucket_parts(run: Run, stage: str) -> list[Part]:
    """One part of `stage` per bucket of each source, sorted."""
    return sorted(
        Part(stage, source.id, bucket) for source in run.corpus.sources for bucket in buckets_of(run, source.id)
    )


def source_patterns(card: Card) -> list[str]:
    """Every pattern with which a card names files of its source: they decide which archives are opened."""
    lists = card.split.lists if card.split is not None else None
    labels = [pattern for labels in card.labels for pattern in labels.files]
    return [*card.images.globs, *labels, *card.ignores, *([lists.replace("{split}", "*")] if lists is not None else [])]


def stage_fingerprint(stage: Stage, config: dict[str, Any], packages: Iterable[str]) -> dict[str, str]:
    """A flat fingerprint, so that a difference can be told field by field."""
    flat = {"version": str(stage.version)}
    flat |= {f"table.{name}": _schema_digest(name, catalog=stage.name == "catalog") for name in stage.tables}
    flat |= {key: _flat(value) for key, value in config.items()}
    return flat | libraries(packages)


def _flat(value: Any) -> str:
    text = msgspec.json.encode(value, order="sorted").decode()
    return text if len(text) <= 200 else f"sha256:{identity(text)}"


def libraries(packages: Iterable[str]) -> dict[str, str]:
    """The installed versions of the libraries that touch bytes."""
    return {f"library.{name}": _version(name) for name in sorted(packages)}


@lru_cache
def _version(distribution: str) -> str:
    """The installed version: looked up once, since every part of a build asks."""
    return importlib.metadata.version(distribution)


@lru_cache
def _schema_digest(table: str, *, catalog: bool) -> str:
    return identity((CATALOG_TABLES if catalog else TABLES)[table].to_string())[:16]


def digest_of(values: Iterable[object]) -> str:
    """One digest over many values, in the order given."""
    whole = Identity()
    whole.add(values)
    return whole.hexdigest()
