"""build: the loop over the stages of a recipe, and over the parts of each that are not current."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from curate import pacs
from curate._version import __version__
from curate.claim import claim
from curate.corpus import Corpus, project_key
from curate.errors import CurateError, GateError, StoreError, UsageError
from curate.execute import Executing
from curate.execute.base import Beat, Job, Work
from curate.execute.child import Limits
from curate.gates import check_gates
from curate.language.base import CompleterError, Trouble, UnansweredError
from curate.ledger import Ledger, Rewriting, Shortfall, judge, ledger_of, rewriting_of
from curate.pacs import Ingested
from curate.plan import answer_folder, load, notes_of, run_of, state_of
from curate.stages import STAGE_NAMES, Run, Stage, stage_named
from curate.standing import note_stop
from curate.store.commit import retire
from curate.store.part import Part, Sidecar
from curate.store.place import Place
from curate.unanswered import damage_note, what_to_do

__all__ = ["Built", "Progress", "build"]

_SERVED: Final = {
    "isolated": ("scan", "read"),
    "plain": ("group", "draft", "verify", "catalog"),
    "engine": ("rewrite",),
}
"""The stages that a worker will be asked for: one under limits that decodes foreign bytes and whose culprits become
rejects, one without, or the one with the engine of a language model."""

_SEEN_WITHIN_S: Final = 60.0
"""How long a network's file system may take to show what another machine wrote: NFS keeps a miss for up to a minute."""

_HERE: Final = Executing()


Served = Callable[[Iterable[Job], Beat], Iterator[tuple[Job, Any]]]
"""An executor with the work that it is to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a build tells whoever watches: so many parts of a stage are done, or an item begins."""

    stage: str
    parts_wanted: int
    parts_done: int | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did."""

    ledger: Ledger
    shortfalls: tuple[Shortfall, ...]
    built: dict[str, int]  # stage -> parts built now
    kept: dict[str, int]  # stage -> parts that were current
    seconds: float
    notes: tuple[str, ...] = field(default=())
    ingested: tuple[Ingested, ...] = ()  # from DICOMweb servers, by source
    rewriting: Rewriting | None = None  # what a language model did; null: nobody was asked


def build(
    recipe_path: Path,
    out: Place,
    data_root: Path | None = None,
    *,
    executing: Executing = _HERE,
    limit: int | None = None,
    only_stage: str | None = None,
    part_range: tuple[int, int] | None = None,
    offline: bool = False,
    completer: str | None = None,
    answers: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Built:
    """Build what is wanted and absent or stale; what was committed stays whatever happens.

    `only_stage` builds that stage alone; `part_range` the parts from A up to B of its full sorted list, and then the
    ledger is of these alone. `offline` asks no DICOMweb server: their sources are built from the mirrors that the last
    build left. `completer` answers requests instead of the recipe's own; `answers` is the folder of the answer store,
    by default beside the output.

    Raises:
        CurateError: see `errors`.
    """
    corpus = load(recipe_path, data_root, limit, out, completer)
    note_stop(out, None)
    try:
        return build_corpus(
            corpus,
            out,
            executing=executing,
            only_stage=only_stage,
            part_range=part_range,
            offline=offline,
            answers=answers,
            progress=progress,
        )
    except (UsageError, GateError):  # nothing was begun
        raise
    except CurateError as problem:
        note_stop(out, problem)
        raise


def build_corpus(
    corpus: Corpus,
    out: Place,
    *,
    executing: Executing = _HERE,
    only_stage: str | None = None,
    part_range: tuple[int, int] | None = None,
    offline: bool = False,
    answers: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Built:
    """`build` for a corpus that is loaded already."""
    began = time.monotonic()
    if only_stage is not None and only_stage not in STAGE_NAMES:
        raise UsageError(f"no stage {only_stage!r}; the stages are {', '.join(STAGE_NAMES)}")
    check_gates(corpus)
    store = answer_folder(corpus, out, answers)
    key = project_key()
    claim(corpus, out, key)
    run = run_of(corpus, out, key)
    ingested = _ingest(run, part_range, offline, progress) if only_stage in (None, "scan") else ()
    built: dict[str, int] = {}
    kept: dict[str, int] = {}
    damaged = 0
    wanted: list[Part] = []
    with executing.open() as executor:
        for name in STAGE_NAMES:
            if only_stage not in (None, name):
                continue
            stage = stage_named(name)
            wanted = stage.parts(run)
            if part_range is not None:
                wanted = wanted[slice(*part_range)]
            else:
                _retire_unwanted(run, stage, wanted)
            todo = [part for part in wanted if state_of(stage, run, part).state != "done"]
            built[stage.name], kept[stage.name] = len(todo), len(wanted) - len(todo)
            if todo:
                work = _work(run, store, stage.name, executing.gpus)
                unanswered, lost = _run_parts(partial(executor.run, work), run, stage, todo, progress)
                damaged = max(damaged, lost)
                if unanswered is not None and store is not None:
                    raise CompleterError(what_to_do(unanswered, store, damaged))
    sidecars = run.sidecars.each() if part_range is None else (run.sidecars.need(part) for part in wanted)
    rewrites: list[Sidecar] = []
    ledger = ledger_of(_noting(sidecars, "rewrite", rewrites))
    return Built(
        ledger,
        judge(ledger, corpus) if only_stage is None else (),
        built,
        kept,
        time.monotonic() - began,
        notes_of(corpus, key) + ((damage_note(store, damaged),) if damaged and store else ()),
        ingested,
        rewriting_of(ledger, rewrites),
    )


def _noting(sidecars: Iterable[Sidecar], stage: str, noted: list[Sidecar]) -> Iterator[Sidecar]:
    """The sidecars as they pass, those of one stage noted."""
    for sidecar in sidecars:
        if sidecar.stage == stage:
            noted.append(sidecar)
        yield sidecar


def _work(run: Run, store: Path | None, stage: str, gpus: float) -> Work:
    """What the workers of a stage need to know, and what they must agree about with this process."""
    kind = next(kind for kind, served in _SERVED.items() if stage in served)
    shared = {
        "corpus": run.corpus,
        "out": str(run.out.absolute()),  # a worker may run in another folder
        "stages": _SERVED[kind],
        "answers": None if store is None else str(store),
        "key": run.key.fingerprint,
        "version": __version__,
    }
    call, plain = "curate.stages.runner:PartRunner", msgspec.json.encode(shared)
    if kind == "isolated":
        return Work(call, plain, Limits())
    if kind == "engine":  # one engine fills its machine, and its start is dear
        return Work(call, plain, Limits(None, None), at_once=1, gpus=gpus, jobs_per_child=None)
    return Work(call, plain, Limits(None, None))


def _ingest(
    run: Run, part_range: tuple[int, int] | None, offline: bool, progress: Callable[[Progress], None]
) -> tuple[Ingested, ...]:
    """Bring the mirrors of DICOMweb sources up to date, or see that they are whole; in a range, only of its own."""

    def told(done: int, wanted: int) -> None:
        progress(Progress("fetch", wanted, done))

    parts = stage_named("scan").parts(run)
    scanned = {part.source for part in (parts if part_range is None else parts[slice(*part_range)])}
    sources = [source for source in run.corpus.sources if source.dicomweb is not None and source.id in scanned]
    if offline:
        return tuple(pacs.from_mirror(source, run.key) for source in sources)
    return tuple(pacs.ingest(source, run.key, environment=os.environ, progress=told) for source in sources)


def _run_parts(
    served: Served, run: Run, stage: Stage, todo: list[Part], progress: Callable[[Progress], None]
) -> tuple[UnansweredError | None, int]:
    """Build parts; the troubles of those that wait for an answer of a model, and the damaged lines of the store."""
    troubles: Counter[Trouble] = Counter()
    detail, damaged = "", 0
    progress(Progress(stage.name, len(todo), 0))
    jobs: Iterator[dict[str, Any]] = (
        {"stage": part.stage, "source": part.source, "bucket": part.bucket} for part in todo
    )
    finished = served(jobs, lambda key: progress(Progress(stage.name, len(todo), item=key)))
    for done, (job, receipt) in enumerate(finished, start=1):
        part = Part(job["stage"], job["source"], job["bucket"])
        run.sidecars.forget(part)
        if "unanswered" in receipt:
            troubles.update({Trouble(trouble): n for trouble, n in receipt["unanswered"].items()})
            detail = detail or receipt["detail"]
        else:
            _see(run, part)
        damaged = max(damaged, receipt.get("damaged", 0))
        progress(Progress(stage.name, len(todo), done))
    return UnansweredError(troubles, detail) if troubles else None, damaged


def _see(run: Run, part: Part) -> None:
    """See that a part that a worker committed is there for this process too.

    A file system of a network may hide a file for a while from whoever looked for it before it was there.

    Raises:
        StoreError: it is not: the worker wrote elsewhere.
    """
    until = time.monotonic() + _SEEN_WITHIN_S
    while run.sidecars.get(part) is None:
        if time.monotonic() > until:
            raise StoreError(
                f"a worker has built part {part}, but it is not below {run.out} here: give an output folder that all "
                "machines share under the same name"
            )
        time.sleep(1)
        run.sidecars.forget(part)


def _retire_unwanted(run: Run, stage: Stage, wanted: list[Part]) -> None:
    keep = set(wanted)
    gone = [part for part in run.sidecars.parts(stage.name) if part not in keep]
    retire(run.out, gone)
    for part in gone:
        run.sidecars.forget(part)
