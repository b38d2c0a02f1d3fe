"""A recipe with all that it names, checked, and plan: which parts it wants of an output, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from curate import layouts, pacs, tasks
from curate.card import Card, load_card, read_yaml
from curate.corpus import Corpus, ProjectKey, project_key, resolve
from curate.errors import CardError, RecipeError, StoreError
from curate.gates import check_gates, check_rewrite, gate_note, with_completer
from curate.ledger import unit_expected
from curate.recipe import Recipe, load_recipe, recipe_of_card
from curate.schema import Kind
from curate.stages import Run, Stage, stages
from curate.store.answers import answers_folder
from curate.store.freshness import Freshness, cache_folder
from curate.store.part import WHOLE, OutputFile, Part, Sidecars, differences
from curate.store.place import Place, is_remote
from curate.store.trees import TREES
from curate.terms import check_terms

__all__ = [
    "Plan",
    "Planned",
    "answer_folder",
    "check_card",
    "load",
    "notes_of",
    "plan",
    "run_for",
    "run_of",
    "state_of",
]

_WHOLE_STAGES: Final = ("group", "catalog")
"""The stages of one part for the whole corpus."""

_UNSPOKEN_KINDS: Final = frozenset({Kind.CAPTION, Kind.REPORT, Kind.SENTENCE, Kind.CODE})
"""What no task reads: free text is evidence of nothing that a rule could check."""


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
    run = run_of(corpus, out, key, answers or answer_folder(corpus, out, None))
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
    return Plan(tuple(found), (*notes_of(corpus, key), *_outlook(run, found)))


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


def answer_folder(corpus: Corpus, out: Place, named: Path | None) -> Path | None:
    """Where answers are kept; null where nobody is asked and there is no place beside the output."""
    if named is None and corpus.recipe.rewrite is None and is_remote(out):
        return None
    return (named or answers_folder(out)).absolute()


def notes_of(corpus: Corpus, key: ProjectKey) -> tuple[str, ...]:
    """What whoever builds should know before: the key, images of no stated subject, the gate of a rewriter."""
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
    notes += [
        f"no task speaks of {', '.join(columns)} in {source.id}: texts and codes are kept as annotations, without pairs"
        for source in corpus.sources
        if (columns := _unspoken(source.card))
    ]
    if corpus.recipe.rewrite is not None:
        notes.append(gate_note(corpus.recipe.rewrite))
    return tuple(notes)


def _unspoken(card: Card) -> list[str]:
    """The columns of a card's label sets that hold captions, reports, sentences or codes."""
    return [
        column
        for label_set in card.labels
        if isinstance(columns := label_set.options.get("columns"), dict)  # a layout's own option may be a list
        for column, spec in columns.items()
        if isinstance(spec, dict) and spec.get("kind") in _UNSPOKEN_KINDS
    ]
