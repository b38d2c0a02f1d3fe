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
from curate.card import Card, load_card, read_yaml
from curate.claim import claim
from curate.corpus import Corpus, ProjectKey, project_key, resolve
from curate.errors import CardError, RecipeError, StoreError, UsageError
from curate.execute import Executing
from curate.execute.base import Beat, Job, Work
from curate.execute.child import Limits
from curate.gates import check_gates, check_rewrite, gate_note, with_completer
from curate.language.base import CompleterError, Trouble, UnansweredError
from curate.ledger import Ledger, Rewriting, Shortfall, judge, ledger_of, rewriting_of, unit_expected
from curate.pacs import Ingested
from curate.recipe import Recipe, load_recipe, recipe_of_card
from curate.stages import STAGE_NAMES, Run, Stage, stage_named, stages
from curate.store.answers import answers_folder
from curate.store.commit import retire
from curate.store.freshness import Freshness, cache_folder
from curate.store.part import WHOLE, OutputFile, Part, Sidecars, differences
from curate.store.trees import TREES, files_of
from curate.terms import check_terms
from curate.unanswered import damage_note, what_to_do

__all__ = ["Built", "Plan", "Planned", "Progress", "build", "load", "plan", "run_for"]

_WHOLE_STAGES: Final = ("group", "catalog")
"""The stages of one part for the whole corpus."""

_SERVED: Final = {
    "isolated": ("scan", "read"),
    "plain": ("group", "draft", "verify", "catalog"),
    "engine": ("rewrite",),
}
"""The stages that a worker will be asked for: one under limits that decodes foreign bytes and whose culprits become
rejects, one without, or the one with the engine of a language model."""

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
    out: Path | None = None,
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


def plan(corpus: Corpus, out: Path) -> Plan:
    """What a build would do, and why.

    Raises:
        GateError: the terms of a source forbid what the recipe asks.
    """
    check_gates(corpus)
    key = project_key()
    run = _run(corpus, out, key)
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
                found.append(_state(stage, run, part))
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


def _state(stage: Stage, run: Run, part: Part) -> Planned:
    sidecar = run.sidecars.get(part)
    if sidecar is None:
        return Planned(part, "missing", ("not built yet",))
    if stage.name == "scan" and _is_mirror_gone(run, part.source):
        return Planned(part, "stale", ("its mirror is gone: a build fetches it again",))
    reasons = differences(sidecar, stage.fingerprint(run, part), stage.inputs(run, part))
    reasons += [f"file {file.name} is not there in full" for file in sidecar.files if not _is_whole(run.out, file)]
    return Planned(part, "stale" if reasons else "done", tuple(reasons))


def _is_mirror_gone(run: Run, source: str) -> bool:
    entry = run.corpus.source(source)
    return entry.dicomweb is not None and not Path(entry.root).is_dir()


def _is_whole(out: Path, file: OutputFile) -> bool:
    """True where a committed file, or all files of a tree, have their size; the digest is what `check` takes."""
    place = out / file.name
    try:
        if file.table in TREES:
            sizes = [path.stat().st_size for _, path in files_of(place)]
            return (sum(sizes), len(sizes)) == (file.bytes, file.rows)
        return place.stat().st_size == file.bytes
    except (OSError, StoreError):
        return False


def _run(corpus: Corpus, out: Path, key: ProjectKey) -> Run:
    return Run(corpus, key, out, Sidecars(out), Freshness(cache_folder(out)))


def run_for(recipe_path: Path, out: Path, data_root: Path | None) -> Run:
    """What a command needs that looks at an output and its sources together."""
    return _run(load(recipe_path, data_root, out=out), out, project_key())


def build(
    recipe_path: Path,
    out: Path,
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

    `only_stage` builds that stage alone; `part_range` the parts from A up to B of its full sorted list. `offline` asks
    no DICOMweb server: their sources are built from the mirrors that the last build left. `completer` answers requests
    instead of the recipe's own; `answers` is the folder of the answer store, by default beside the output.

    Raises:
        CurateError: see `errors`.
    """
    corpus = load(recipe_path, data_root, limit, out, completer)
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


def build_corpus(
    corpus: Corpus,
    out: Path,
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
    store = (answers or answers_folder(out)).absolute()
    key = project_key()
    claim(corpus, out, key)
    ingested = _ingest(corpus, key, offline, progress) if only_stage in (None, "scan") else ()
    run = _run(corpus, out, key)
    built: dict[str, int] = {}
    kept: dict[str, int] = {}
    damaged = 0
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
            todo = [part for part in wanted if _state(stage, run, part).state != "done"]
            built[stage.name], kept[stage.name] = len(todo), len(wanted) - len(todo)
            if todo:
                work = _work(corpus, out, store, stage.name, executing.gpus)
                unanswered, lost = _run_parts(partial(executor.run, work), run, stage, todo, progress)
                damaged = max(damaged, lost)
                if unanswered is not None:
                    raise CompleterError(what_to_do(unanswered, store, damaged))
    sidecars = run.sidecars.listed()
    ledger = ledger_of(sidecars)
    return Built(
        ledger,
        judge(ledger, corpus) if only_stage is None else (),
        built,
        kept,
        time.monotonic() - began,
        _notes(corpus, key) + ((damage_note(store, damaged),) if damaged else ()),
        ingested,
        rewriting_of(ledger, sidecars),
    )


def _work(corpus: Corpus, out: Path, store: Path, stage: str, gpus: float) -> Work:
    """What the workers of a stage need to know."""
    kind = next(kind for kind, served in _SERVED.items() if stage in served)
    shared = {"corpus": corpus, "out": str(out), "stages": _SERVED[kind], "answers": str(store)}
    call, plain = "curate.stages.runner:PartRunner", msgspec.json.encode(shared)
    if kind == "isolated":
        return Work(call, plain, Limits())
    if kind == "engine":  # one engine fills its machine, and its start is dear
        return Work(call, plain, Limits(None, None), at_once=1, gpus=gpus, jobs_per_child=None)
    return Work(call, plain, Limits(None, None))


def _ingest(
    corpus: Corpus, key: ProjectKey, offline: bool, progress: Callable[[Progress], None]
) -> tuple[Ingested, ...]:
    """Bring the mirrors of DICOMweb sources up to date, or see that they are whole."""

    def told(done: int, wanted: int) -> None:
        progress(Progress("fetch", wanted, done))

    sources = [source for source in corpus.sources if source.dicomweb is not None]
    if offline:
        return tuple(pacs.from_mirror(source, key) for source in sources)
    return tuple(pacs.ingest(source, key, environment=os.environ, progress=told) for source in sources)


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
        run.sidecars.forget(Part(job["stage"], job["source"], job["bucket"]))
        if "unanswered" in receipt:
            troubles.update({Trouble(trouble): n for trouble, n in receipt["unanswered"].items()})
            detail = detail or receipt["detail"]
        damaged = max(damaged, receipt.get("damaged", 0))
        progress(Progress(stage.name, len(todo), done))
    return UnansweredError(troubles, detail) if troubles else None, damaged


def _retire_unwanted(run: Run, stage: Stage, wanted: list[Part]) -> None:
    keep = set(wanted)
    gone = [sidecar.part for sidecar in run.sidecars.listed(stage.name) if sidecar.part not in keep]
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
