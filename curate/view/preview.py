"""preview: the real stages on a stratified sample, in a folder that is gone afterwards."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from curate.build import Progress, build_corpus
from curate.corpus import Corpus, project_key
from curate.errors import UsageError
from curate.execute import Executing
from curate.language.base import CompleterError
from curate.ledger import Line, Rewriting, ledger_of, rewriting_of
from curate.plan import load, run_of
from curate.schema import DRAFTS, INVENTORY, REJECTS
from curate.store.answers import answers_folder
from curate.store.parquet import iter_tables
from curate.store.part import Part, Sidecar, Sidecars
from curate.store.place import Place
from curate.tasks import task_class
from curate.terms import terms_class
from curate.view.estimate import Estimate, ItemCounts, Prices, Tokens, estimate
from curate.view.gather import Rows, gather, rows_in
from curate.view.sampling import SourceSample, dealt, keep_only, sample_source
from curate.view.shown import ShownItem

__all__ = ["Preview", "Refused", "SourceFacts", "preview"]

ITEMS: Final = 20
EXAMPLES: Final = 3
"""Rows of `rejects` that are shown of each reason."""

_HERE: Final = Executing()

_Kind = tuple[str, str, str, str, str]
"""Source, stage, unit, verdict and reason."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a card says, for whoever looks at its images."""

    source: str
    title: str
    home: str
    licence: str
    terms: str
    quote: str
    sample: SourceSample


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused or filtered for one reason, with some of the rows."""

    source: str
    stage: str
    unit: str
    verdict: str
    reason: str
    rows: int
    examples: tuple[tuple[str, str, str], ...]  # item key, file and locator, detail


@dataclass(frozen=True, slots=True)
class Preview:
    """A recipe seen before it is built. Lines of scan are of the whole sources, later ones of the sample."""

    name: str
    tasks: tuple[str, ...]
    rewriter: str | None  # the model that the recipe asks
    sources: tuple[SourceFacts, ...]
    items: tuple[ShownItem, ...]
    scanned: tuple[Line, ...]
    sampled: tuple[Line, ...]
    refused: tuple[Refused, ...]
    beside: int  # items that were read for the sake of their subjects, and are not shown
    estimate: Estimate
    rewriting: Rewriting | None
    notes: tuple[str, ...]

    @property
    def pairs(self) -> tuple[int, int]:
        """Pairs that are kept, and drafts, in the sample."""
        drafts = [line for line in self.sampled if (line.stage, line.unit) == ("verify", "draft")]
        return sum(line.n_used for line in drafts), sum(line.n_in for line in drafts)


def preview(
    recipe: Path,
    items: int = ITEMS,
    *,
    data_root: Path | None = None,
    completer: str | None = None,
    answers: Path | None = None,
    mirrors: Place | None = None,
    prices: Prices | None = None,
    executing: Executing = _HERE,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Preview:
    """Scan all sources of a recipe, then run every other stage on about `items` items of them.

    `answers` is the folder of an answer store, such as the one beside the output of the build to come: what the sample
    asks is then paid for once. Without one, answers are forgotten with the rest. Where the completer does not answer,
    the texts of the templates are shown, and the notes say so. `mirrors` is an output whose last build left mirrors of
    DICOMweb servers: they are read, and no server is asked.

    Raises:
        CurateError: as `build`; no file but those of `answers` is left behind.
    """
    corpus = load(recipe, data_root, None, mirrors, completer)
    with tempfile.TemporaryDirectory(prefix="curate-preview-") as folder:
        out = Path(folder) / "out"
        build_corpus(corpus, out, executing=executing, only_stage="scan", offline=True, progress=progress)
        scans = Sidecars(out).listed("scan")
        refused = _rejects(out, scans)
        scanned = ledger_of(scans).lines
        samples, picked = _sample(corpus, out, items)
        asked: list[Mapping[str, Any]] = []
        notes: list[str] = []
        try:
            built = build_corpus(corpus, out, executing=executing, offline=True, answers=answers, progress=progress)
        except CompleterError as problem:
            told = str(problem).replace(str(answers_folder(out)), "of this preview")
            notes.append(f"no answers of a model: {told}. The texts below are those of the templates")
            asked = _asked(out)
            plain = msgspec.structs.replace(corpus.recipe, rewrite=None)
            without = msgspec.structs.replace(corpus, recipe=plain, pack=None)
            built = build_corpus(without, out, executing=executing, offline=True, progress=progress)
        asked = asked or _asked(out)
        rows = rows_in(out, frozenset(row["draft_id"] for row in asked))
        later = [sidecar for sidecar in Sidecars(out).listed() if sidecar.stage != "scan"]
        return Preview(
            name=corpus.recipe.name,
            tasks=tuple(sorted(entry.name for entry in corpus.recipe.tasks)),
            rewriter=None if corpus.recipe.rewrite is None else corpus.recipe.rewrite.model,
            sources=tuple(_facts(corpus, sample) for sample in samples),
            items=gather(out, rows, _order(samples), refused),
            scanned=scanned,
            sampled=tuple(line for line in ledger_of(later).lines if line.stage not in ("group", "catalog")),
            refused=_grouped([*refused, *rows.rejects]),
            beside=len(picked) - sum(len(sample.keys) for sample in samples),
            estimate=_estimate(corpus, samples, picked=picked, rows=rows, asked=asked, sidecars=later, prices=prices),
            rewriting=rewriting_of(ledger_of(later), later),
            notes=(*notes, *built.notes),
        )


def _sample(corpus: Corpus, out: Path, items: int) -> tuple[list[SourceSample], dict[tuple[str, str], int]]:
    """The sample of each source, which alone is left in the inventories; and the bytes of each item that is left.

    Where a task compares images of a subject, all that there is of the sampled subjects is left, too.

    Raises:
        UsageError: no source has an item.
    """
    run = run_of(corpus, out, project_key())
    names = sorted(source.id for source in corpus.sources)
    scans = {name: run.sidecars.need(Part("scan", name)) for name in names}
    sizes = {name: sum(file.rows for file in scans[name].of("inventory")) for name in names}
    if not any(sizes.values()):
        raise UsageError(f"recipe {corpus.recipe.name}: no source has an image; `curate build` says why")
    shares = dealt(items, sizes)
    compares = any(task_class(entry.name).scope == "subject" for entry in corpus.recipe.tasks)
    samples = [sample_source(run, name, shares[name]) for name in names]
    picked: dict[tuple[str, str], int] = {}
    for sample in samples:
        part = Part("scan", sample.source)
        keep_only(run, sample, part, with_subjects=compares)
        for table in iter_tables(out, run.sidecars.need(part).of("inventory"), INVENTORY, ["item_key", "bytes"]):
            picked |= {(sample.source, row["item_key"]): row["bytes"] for row in table.to_pylist()}
    return samples, picked


def _order(samples: Iterable[SourceSample]) -> list[tuple[str, str, str]]:
    return [
        (sample.source, key, f"{stratum.name}: {len(stratum.taken)} of {stratum.items:,}")
        for sample in samples
        for stratum in sample.strata
        for key in stratum.taken
    ]


def _facts(corpus: Corpus, sample: SourceSample) -> SourceFacts:
    card = corpus.source(sample.source).card
    return SourceFacts(
        card.id,
        card.title,
        card.source.home,
        card.terms.licence,
        str(terms_class(card)),
        card.terms.quote or "",
        sample,
    )


def _rejects(out: Path, sidecars: Iterable[Sidecar]) -> list[dict[str, Any]]:
    """Every reason of a scan with its first rows and how many there are; `rows` counts them on the first."""
    found: dict[_Kind, list[dict[str, Any]]] = {}
    counts: Counter[_Kind] = Counter()
    for sidecar in sidecars:
        for table in iter_tables(out, sidecar.of("rejects"), REJECTS):
            for row in table.to_pylist():
                key = _kind(row)
                counts[key] += 1
                if counts[key] <= EXAMPLES:
                    found.setdefault(key, []).append(row)
    return [
        {**row, "rows": counts[key] if not number else 0}
        for key, rows in found.items()
        for number, row in enumerate(rows)
    ]


def _kind(row: Mapping[str, Any]) -> _Kind:
    return row["source"], row["stage"], row["unit"], row["verdict"], row["reason"]


def _grouped(rows: Iterable[Mapping[str, Any]]) -> tuple[Refused, ...]:
    counts: Counter[_Kind] = Counter()
    examples: dict[_Kind, list[tuple[str, str, str]]] = {}
    for row in rows:
        key = _kind(row)
        counts[key] += row.get("rows", 1)
        place = " ".join(word for word in (row["file"], row["locator"]) if word)
        shown = examples.setdefault(key, [])
        if len(shown) < EXAMPLES:
            shown.append((row["item_key"], place, row["detail"]))
    order = sorted(counts, key=lambda key: (key[3] != "rejected", -counts[key], key))
    return tuple(
        Refused(source, stage, unit, verdict, reason, counts[key], tuple(examples[key]))
        for key in order
        for source, stage, unit, verdict, reason in (key,)
    )


def _asked(out: Path) -> list[Mapping[str, Any]]:
    """The drafts that ask a model: their ids, requests and first assets."""
    columns = ("draft_id", "request_id", "asset_ids")
    return [
        row
        for sidecar in Sidecars(out).listed("draft")
        for table in iter_tables(out, sidecar.of("drafts"), DRAFTS, columns)
        for row in table.to_pylist()
        if row["request_id"] is not None
    ]


def _estimate(
    corpus: Corpus,
    samples: list[SourceSample],
    *,
    picked: Mapping[tuple[str, str], int],
    rows: Rows,
    asked: Iterable[Mapping[str, Any]],
    sidecars: Iterable[Sidecar],
    prices: Prices | None,
) -> Estimate:
    place = {one.asset_id: (one.source, one.item_key) for one in rows.assets}
    pairs = Counter(place[row["asset_ids"][0]] for row in rows.pairs.values())
    requests = [row["request_id"] for row in asked]
    asking = Counter(place[row["asset_ids"][0]] for row in asked)
    counts = {key: ItemCounts(pairs[key], asking[key]) for key in picked}
    stored: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for (source, _), size in picked.items():
        read[source] += size
    for sidecar in sidecars:
        if sidecar.stage in ("read", "draft", "verify"):
            stored[sidecar.source] += sum(file.bytes for file in sidecar.files)
    answers = [row for several in rows.responses.values() for row in several if row["completion_tokens"] is not None]
    rewrite = corpus.recipe.rewrite
    return estimate(
        samples,
        counts,
        {source: (stored[source], read[source]) for source in read},
        requests=requests if rewrite is not None else None,
        tokens=Tokens(
            len({row["request_id"] for row in answers}),
            sum(row["prompt_tokens"] or 0 for row in answers),
            sum(row["completion_tokens"] for row in answers),
        ),
        max_tokens=None if rewrite is None else rewrite.max_tokens,
        prices=prices,
    )
