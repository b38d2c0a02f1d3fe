"""plan and run: which parts a recipe wants, why, and the loop that builds them."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from curate import layouts, pacs, tasks
from curate._version import __version__
from curate.card import Card, load_card, read_yaml
from curate.claim import claim
from curate.corpus import Corpus, ProjectKey, project_key, resolve
from curate.errors import CardError, CurateError, GateError, RecipeError, StoreError, UsageError
from curate.execute import Executing
from curate.execute.base import Beat, Job, Work
from curate.execute.child import Limits
from curate.gates import check_gates, check_rewrite, gate_note, with_completer
from curate.language.base import CompleterError, Trouble, UnansweredError
from curate.ledger import Ledger, Rewriting, Shortfall, judge, ledger_of, rewriting_of, unit_expected
from curate.pacs import Ingested
from curate.recipe import Recipe, load_recipe, recipe_of_card
from curate.stages import STAGE_NAMES, Run, Stage, stage_named, stages
from curate.standing import note_stop
from curate.store.answers import answers_folder
from curate.store.commit import retire
from curate.store.freshness import Freshness, cache_folder
from curate.store.part import WHOLE, OutputFile, Part, Sidecar, Sidecars, differences
from curate.store.place import Place, is_remote
from curate.store.trees import TREES
from curate.terms import check_terms
from curate.unanswered import damage_note, what_to_do

__all__ = ["Built", "Plan", "Planned", "Progress", "build", "load", "plan", "run_for", "run_of", "state_of"]

_WHOLE_STAGES: Final = ("group", "catalog")
"""The stages of one part for the whole corpus."""

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
class Planned:
    """One wanted part and what is to be done about it."""

    part: Part
    state: Literal["done", "missing", "stale", "waiting"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All wanted parts. Those behind a part that is not done are `waiting`: what they need is not known yet."""

    parts: tuple[Planned, ...]
    notes: tuple[str, ...] = ()

    def in_state(self, state: str) -> list[Planned]:
        """The parts in one state."""
        return [planned for planned in self.parts if planned.state == state]


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


def load(
    path: Path,
    data_root: Path | None,
    limit: int | None = None,
    out: Place | None = None,
    completer: str | None = None,
) -> Corpus:
    """A recipe, or a card as a recipe of its own, with all that it names; `out` is where its output lies or will.

    `completer` answers the requests of the recipe's rewriter instead of the one that the recipe names.

    Raises:
        CurateError: see `errors`; nothing was read but cards and recipes.
    """
    recipe = _recipe_at(path)
    if limit is not None:
        entries = tuple(msgspec.structs.replace(entry, limit=limit) for entry in recipe.sources)
        recipe = msgspec.structs.replace(recipe, sources=entries)
    if completer is not None:
        recipe = with_completer(recipe, completer)
    corpus = resolve(recipe, data_root, out)
    for source in corpus.sources:
        check_card(source.card)
        pacs.check_source(source)
    for entry in recipe.tasks:
        tasks.make_task(entry.name, entry.options, {}, variants=entry.variants)
    if recipe.rewrite is not None:
        check_rewrite(recipe.rewrite, recipe)
    return corpus


def check_card(card: Card) -> None:
    """Everything about a card that can be judged without its data.

    Raises:
        CardError: a layout, an option, a licence or an expected unit that does not exist.
    """
    layouts.check_card(card)
    check_terms(card)
    for key in card.expects:
        try:
            unit_expected(key)
        except ValueError as problem:
            raise CardError(f"card {card.id}: {problem}") from None


def _recipe_at(path: Path) -> Recipe:
    raw = read_yaml(path, RecipeError)
    if isinstance(raw, dict) and "sources" not in raw and "id" in raw and "images" in raw:
        card = load_card(path)
        return recipe_of_card(card, path, tasks.task_names())
    return load_recipe(path)


def plan(corpus: Corpus, out: Place, answers: Path | None = None) -> Plan:
    """What a build would do, and why; `answers` is the folder of the answer store, by default beside the output.

    Raises:
        GateError: the terms of a source forbid what the recipe asks.
    """
    check_gates(corpus)
    key = project_key()
    run = run_of(corpus, out, key, answers or _answer_folder(corpus, out, None))
    found: list[Planned] = []
    for stage in stages():
        open_upstream = [
            planned.part for planned in found if planned.state != "done" and planned.part.stage in stage.after
        ]
        for part in _wanted(stage, run, found):
            held_by = next((upstream for upstream in open_upstream if _stands_on(part, upstream)), None)
            if held_by is not None:
                found.append(Planned(part, "waiting", (f"{held_by} comes first",)))
            else:
                found.append(state_of(stage, run, part))
    return Plan(tuple(found), (*_notes(corpus, key), *_outlook(run, found)))


def _outlook(run: Run, found: list[Planned]) -> Iterator[str]:
    """How much a language model will be asked, where all is drafted and it is not answered yet."""
    parts = [planned for planned in found if planned.part.stage == "rewrite"]
    if any(planned.state in ("missing", "stale") for planned in parts):
        from curate.stages.rewrite import outlook

        requests, stored = outlook(run)
        yield f"rewrite: {requests:,} distinct requests, {stored:,} of them answered in the store"


def _wanted(stage: Stage, run: Run, found: list[Planned]) -> list[Part]:
    """The stage's parts; of a source that is not scanned yet, one that stands for all.

    How many parts the requests make is known when all are drafted; until then one stands for them.
    """
    if stage.name == "rewrite" and any(each.part.stage == "draft" and each.state != "done" for each in found):
        return [Part("rewrite", bucket=0)] if run.corpus.recipe.rewrite is not None else []
    unscanned = {
        planned.part.source for planned in found if planned.part.stage == "scan" and planned.state == "missing"
    }
    if not unscanned or stage.name in _WHOLE_STAGES:
        return stage.parts(run)
    scanned = tuple(source for source in run.corpus.sources if source.id not in unscanned)
    known = Run(msgspec.structs.replace(run.corpus, sources=scanned), run.key, run.out, run.sidecars, run.freshness)
    return sorted([*stage.parts(known), *(Part(stage.name, source) for source in unscanned)])


def _stands_on(part: Part, upstream: Part) -> bool:
    """True where `part` reads what `upstream` writes."""
    if WHOLE in (part.source, upstream.source):
        return True
    return part.source == upstream.source and (upstream.bucket is None or part.bucket in (None, upstream.bucket))


def state_of(stage: Stage, run: Run, part: Part) -> Planned:
    """Whether one part is current, by what it was made from; what it stands on is taken for done."""
    sidecar = run.sidecars.get(part)
    if sidecar is None:
        return Planned(part, "missing", ("not built yet",))
    if stage.name == "scan" and _is_mirror_gone(run, part.source):
        return Planned(part, "stale", ("its mirror is gone: a build fetches it again",))
    reasons = differences(sidecar, run.fingerprint(stage, part), stage.inputs(run, part))
    reasons += [f"file {file.name} is not there in full" for file in sidecar.files if not _is_whole(run.sidecars, file)]
    return Planned(part, "stale" if reasons else "done", tuple(reasons))


def _is_mirror_gone(run: Run, source: str) -> bool:
    entry = run.corpus.source(source)
    return entry.dicomweb is not None and not Path(entry.root).is_dir()


def _is_whole(sidecars: Sidecars, file: OutputFile) -> bool:
    """True where a committed file, or all files of a tree, have their size; the digest is what `check` takes."""
    try:
        if file.table in TREES:
            sizes = sidecars.files_in(file.name)
            return (sum(sizes), len(sizes)) == (file.bytes, file.rows)
        return sidecars.size(file.name) == file.bytes
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise StoreError(
            f"cannot look at {sidecars.out / file.name}: {problem.strerror}; see to the rights, then run it again"
        ) from None


def run_of(corpus: Corpus, out: Place, key: ProjectKey, answers: Path | None = None) -> Run:
    """What the stages need to know of an output and its sources."""
    sidecars = Sidecars(out)
    sidecars.load()
    return Run(corpus, key, out, sidecars, Freshness(cache_folder(out)), answers=answers)


def run_for(recipe_path: Path, out: Place, data_root: Path | None) -> Run:
    """What a command needs that looks at an output and its sources together."""
    return run_of(load(recipe_path, data_root, out=out), out, project_key())


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
    store = _answer_folder(corpus, out, answers)
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
        _notes(corpus, key) + ((damage_note(store, damaged),) if damaged and store else ()),
        ingested,
        rewriting_of(ledger, rewrites),
    )


def _noting(sidecars: Iterable[Sidecar], stage: str, noted: list[Sidecar]) -> Iterator[Sidecar]:
    """The sidecars as they pass, those of one stage noted."""
    for sidecar in sidecars:
        if sidecar.stage == stage:
            noted.append(sidecar)
        yield sidecar


def _answer_folder(corpus: Corpus, out: Place, named: Path | None) -> Path | None:
    """Where answers are kept; null where nobody is asked and there is no place beside the output."""
    if named is None and corpus.recipe.rewrite is None and is_remote(out):
        return None
    return (named or answers_folder(out)).absolute()


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


def _notes(corpus: Corpus, key: ProjectKey) -> tuple[str, ...]:
    notes = []
    if key.is_public:
        notes.append(
            "subject tokens use the public demonstration key; set CURATE_KEY_FILE for data that are not public"
        )
    alone: dict[str, list[str]] = {}
    for source in corpus.sources:
        if source.card.subject.none is not None:
            alone.setdefault(source.card.subject.none, []).append(source.id)
    notes += [
        f"no subject key in {', '.join(names)} ({reason}): each image is a group of its own, unless it repeats another"
        for reason, names in alone.items()
    ]
    if corpus.recipe.rewrite is not None:
        notes.append(gate_note(corpus.recipe.rewrite))
    return tuple(notes)
