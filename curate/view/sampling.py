"""Which items a preview takes of what scan found: some of each source, the rare ones among them.

An item's *traits* are what its labels say (label set, kind, concept, state) and what it is (modality, view, split of
the source). Its *stratum* is the rarest of its traits in its source. Within a stratum items are taken in the order of a
hash of their keys, so that the choice depends on nothing but what was scanned. Strata take turns: by one turn the one
with the largest share still to be shown (D'Hondt's rule), by the next the smallest that has none yet.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate.layouts.base import RawAnnotation
from curate.schema import FILES, INVENTORY, Unit, identity
from curate.stages.base import Run
from curate.store.commit import PartWriter
from curate.store.parquet import iter_tables
from curate.store.part import Part, Sidecar

__all__ = ["SourceSample", "Stratum", "dealt", "keep_only", "sample_source"]

Trait = tuple[str, ...]

SLICES: Final = 4
"""A sample is dealt into so many buckets at most, that several workers may read it."""

HISTORY: Final = 16
"""Items of one subject that are kept for tasks that compare."""

_COLUMNS: Final = ("item_key", "bytes", "subject", "modality", "view", "source_split", "annotations")
_LIST_OF_RAW: Final = msgspec.json.Decoder(list[RawAnnotation])
_PLAIN: Final[Trait] = ("no trait",)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Items of a source whose rarest trait is the same: how many there are, and the keys of those taken."""

    name: str
    items: int
    taken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceSample:
    """What is taken of a source: `items` and `bytes` are those of the whole source, as scan found it."""

    source: str
    items: int
    bytes: int
    strata: tuple[Stratum, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all items taken, by stratum."""
        return tuple(key for stratum in self.strata for key in stratum.taken)


def dealt(wanted: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """How many items each source gives: equal shares, at least one of each that has any, never more than it has."""
    given = {source: min(1, size) for source, size in sizes.items()}
    order = sorted(sizes, key=lambda source: identity("preview", source))
    left = wanted - sum(given.values())
    while left > 0:
        open_sources = [source for source in order if given[source] < sizes[source]]
        if not open_sources:
            break
        for source in sorted(open_sources, key=lambda source: given[source])[:left]:
            given[source] += 1
            left -= 1
    return given


def sample_source(run: Run, source: str, wanted: int) -> SourceSample:
    """`wanted` items of a scanned source. The inventory is read twice, row by row; of it only the counts are held."""
    traits: Counter[Trait] = Counter()
    items = total = 0
    for row in _rows(run, source):
        traits.update(_traits(row))
        items += 1
        total += row["bytes"]
    sizes: Counter[Trait] = Counter()
    first: dict[Trait, list[tuple[int, str]]] = {}  # stratum -> its items of the smallest hashes
    for row in _rows(run, source):
        stratum = min(_traits(row), key=lambda trait: (traits[trait], trait))
        sizes[stratum] += 1
        _keep_smallest(first.setdefault(stratum, []), row["item_key"], wanted)
    shares = _shares(sizes, wanted)
    strata = [
        Stratum(
            _told(trait),
            sizes[trait],
            tuple(key for _, key in sorted(first[trait], reverse=True)[: shares[trait]]),
        )
        for trait in sorted(sizes, key=lambda trait: (sizes[trait], trait))
    ]
    return SourceSample(source, items, total, tuple(strata))


def keep_only(run: Run, sample: SourceSample, part: Part, *, with_subjects: bool = False) -> None:
    """Commit the scan part anew with the sample alone in its inventory: every later stage takes it for the source.

    Vocabulary, fingerprint and inputs stay those of the whole source. `with_subjects` keeps what else there is of the
    subjects of the sample, `HISTORY` items of each: tasks that compare need them.
    """
    scan = run.sidecars.need(part)
    wanted = set(sample.keys)
    if with_subjects:
        wanted |= _of_their_subjects(run, scan, wanted)
    with PartWriter(run.out, part) as writer:
        slices: dict[int, list[pa.Table]] = {}
        for file in scan.of("inventory"):
            for table in iter_tables(run.out, [file], INVENTORY):
                chosen = [key in wanted for key in table.column("item_key").to_pylist()]
                if any(chosen):
                    slices.setdefault((file.bucket or 0) % SLICES, []).append(table.filter(chosen))
        for bucket, tables in sorted(slices.items()):
            for table in tables:
                writer.write("inventory", table, bucket)
                writer.saw(Unit.IMAGE, table.num_rows)
                writer.used(Unit.IMAGE, table.num_rows)
            writer.finish("inventory", bucket)
        for table in iter_tables(run.out, scan.of("files"), FILES):
            writer.write("files", table)
        writer.statistics = scan.statistics | {"buckets": sorted(slices), "bytes": sample.bytes}
        writer.commit(scan.fingerprint, scan.inputs)
    run.sidecars.forget(part)


def _of_their_subjects(run: Run, scan: Sidecar, keys: Set[str]) -> set[str]:
    """The items of the subjects of some items."""
    columns = ("item_key", "subject")
    rows = [
        (row["subject"], row["item_key"])
        for table in iter_tables(run.out, scan.of("inventory"), INVENTORY, columns)
        for row in table.to_pylist()
        if row["subject"] is not None
    ]
    subjects = {subject for subject, key in rows if key in keys}
    kept: Counter[str] = Counter()
    found = set()
    for subject, key in rows:
        if subject in subjects and kept[subject] < HISTORY:
            kept[subject] += 1
            found.add(key)
    return found


def _rows(run: Run, source: str) -> Iterator[dict[str, Any]]:
    scan = run.sidecars.need(Part("scan", source))
    for table in iter_tables(run.out, scan.of("inventory"), INVENTORY, _COLUMNS):
        yield from table.to_pylist()


def _traits(row: Mapping[str, Any]) -> set[Trait]:
    """What an item is and what is said of it; never what a text says, which is the item's own each time."""
    found: set[Trait] = {_PLAIN}
    for raw in _LIST_OF_RAW.decode(row["annotations"]):
        found.add(
            ("label", raw.label_set, str(raw.kind), raw.concept or "", "" if raw.state is None else str(raw.state))
        )
    if len(found) == 1:
        found.add(("unlabelled",))
    for name in ("modality", "view", "source_split"):
        if row[name] is not None:
            found.add((name, row[name]))
    return found


def _told(trait: Trait) -> str:
    """A trait in words."""
    if trait[0] == "label":
        return " ".join(word for word in (trait[2], trait[3], trait[4]) if word) + f" ({trait[1]})"
    return " ".join(trait).replace("source_split", "split")


def _keep_smallest(heap: list[tuple[int, str]], key: str, wanted: int) -> None:
    """Hold the `wanted` keys of the smallest hashes: a heap of negative ones, whose first entry is the largest."""
    entry = (-int(identity("preview", key), 16), key)
    if len(heap) < wanted:
        heapq.heappush(heap, entry)
    elif entry > heap[0]:
        heapq.heapreplace(heap, entry)


def _shares(sizes: Mapping[Trait, int], wanted: int) -> dict[Trait, int]:
    """How many items each stratum gives."""
    given = dict.fromkeys(sizes, 0)
    for turn in range(min(wanted, sum(sizes.values()))):
        empty = [trait for trait in sizes if not given[trait]]
        if empty and turn % 2 == 1:
            chosen = min(empty, key=lambda trait: (sizes[trait], trait))
        else:
            chosen = _next_by_size(sizes, given)
        given[chosen] += 1
    return given


def _next_by_size(sizes: Mapping[Trait, int], given: Mapping[Trait, int]) -> Trait:
    open_strata: Iterable[Trait] = (trait for trait in sizes if given[trait] < sizes[trait])
    return min(open_strata, key=lambda trait: (-sizes[trait] / (given[trait] + 1), trait))
