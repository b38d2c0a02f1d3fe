"""The command `curate`: parses, calls, prints.

Exit codes: 0 ok, 1 check failed or rejects over the limit, 2 usage, 3 refused by a gate, 130 interrupted.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from curate import printing
from curate._version import __version__
from curate.errors import CurateError, UsageError
from curate.store.place import Place, place_of

if TYPE_CHECKING:
    from curate.card import Card

__all__ = ["cli", "main"]

RECIPE = click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))


def _place(text: str) -> Place:
    """What a command line names as an output."""
    try:
        place = place_of(text)
    except UsageError as problem:
        raise click.BadParameter(str(problem)) from None
    if isinstance(place, Path) and place.exists() and not place.is_dir():
        raise click.BadParameter(f"Directory '{place}' is a file.")
    return place


def _data_folder(text: str) -> Path:
    """Where sources lie: a folder of this machine."""
    place = _place(text)
    if not isinstance(place, Path):
        raise click.BadParameter(
            f"{text}: data are read from folders; mirror them into one or mount them, and name that"
        )
    return place


FOLDER = click.argument("folder", metavar="DIR", type=_place)
OUT = click.option(
    "--out", "target", metavar="DIR", required=True, type=_place, help="The output: a folder, or s3://BUCKET/PREFIX."
)
ANSWERS = click.option(
    "--answers",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the answer store; by default OUT.answers. An output in a store has none beside it.",
)
COMPLETER = click.option(
    "--completer", help="Who answers the rewriter's requests, instead of whom the recipe names: replay, ..."
)
DATA = click.option(
    "--data",
    "data_root",
    type=_data_folder,
    metavar="DIRECTORY",
    help="Folder that holds one folder per source id.",
)


def _is_interrupt(problem: BaseException) -> bool:
    """True where an exception came of an interrupt: in the middle of an import it may come out wrapped."""
    told: BaseException | None = problem
    while told is not None:
        if isinstance(told, KeyboardInterrupt):
            return True
        told = told.__cause__ or told.__context__
    return False


def command(function: Callable[..., Any]) -> click.Command:
    """A subcommand with `--json`, whose exit code is what the function returns."""

    @functools.wraps(function)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> None:
        out = printing.Printer(as_json)
        try:
            code = function(out, *args, **kwargs) or 0
        except CurateError as problem:
            out.error(problem)
            code = problem.exit_code
        except KeyboardInterrupt:
            out.interrupted()
            code = 130
        except BrokenPipeError:
            code = 0
        except OSError as problem:
            place = f"{problem.filename}: " if problem.filename is not None else ""
            failed = CurateError(f"{place}{problem.strerror or type(problem).__name__}; free space or correct the path")
            out.error(failed)
            code = failed.exit_code
        except Exception as problem:
            if not _is_interrupt(problem):
                raise
            out.interrupted()
            code = 130
        sys.exit(code)

    run = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")(run)
    name = function.__name__.removesuffix("_command").replace("_", "-")
    return cli.command(name=name, help=function.__doc__)(run)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="curate")
def cli() -> None:
    """One proved corpus of instruction image-text pairs from unlike public medical datasets."""


@command
def doctor(out: printing.Printer) -> int:
    """What is installed, what is missing, and one line of remedy each."""
    from curate.doctor import examine

    return out.doctor(examine(Path.cwd()))


def _card(text: str) -> "Card":
    """The card of a file, or of an id among the catalogs at hand."""
    from curate.card import load_card
    from curate.corpus import catalog_folders

    if text.endswith((".yaml", ".yml")):
        return load_card(Path(text))
    paths = [folder / f"{text}.yaml" for folder in catalog_folders()] if Path(text).name == text else []
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise UsageError(f"no card {text!r}; `curate sources` lists them, or name a card's file (*.yaml)")
    return load_card(found)


@command
@click.argument("words", metavar="[show ID]", nargs=-1)
def sources(out: printing.Printer, words: tuple[str, ...]) -> int:
    """The cards at hand; with an ID or a card's file, that card in full."""
    from curate.build import check_card
    from curate.card import load_card
    from curate.corpus import catalog_folders

    paths = {path.stem: path for folder in reversed(catalog_folders()) for path in sorted(folder.glob("*.yaml"))}
    source_id = words[-1] if words else None
    if source_id is None or words not in ((source_id,), ("show", source_id)) or words == ("show",):
        if words:
            raise UsageError("`curate sources` takes nothing, ID, or show ID")
        return out.sources({name: load_card(path) for name, path in sorted(paths.items())})
    path = Path(source_id) if source_id.endswith((".yaml", ".yml")) else paths.get(source_id)
    if path is None:
        raise UsageError(f"no card {source_id!r}; `curate sources` lists them")
    card = load_card(path)
    check_card(card)
    return out.source(card)


@command
@click.argument("source", metavar="ID|CARD")
@click.option(
    "--data",
    "data_root",
    type=_data_folder,
    required=True,
    metavar="ROOT",
    help="The folder that gets ROOT/ID.",
)
@click.option("--accept-terms", is_flag=True, help="Accept the terms of the source, which are shown either way.")
@click.option("--allow-private", is_flag=True, help="Follow addresses that lead into this machine or its network.")
def fetch(out: printing.Printer, source: str, data_root: Path, accept_terms: bool, allow_private: bool) -> int:
    """Fetch a source by the addresses on its card, once its terms are accepted; the same command goes on or repairs."""
    from curate.fetch.acceptance import check_fetchable, terms_of
    from curate.fetch.run import fetch as run_fetch
    from curate.fetch.run import is_accepted

    card = _card(source)
    check_fetchable(card)
    out.terms(terms_of(card))
    how: Literal["option", "prompt"] | None = "option" if accept_terms else None
    if how is None and not is_accepted(card, data_root) and out.asks("Do you accept these terms?"):
        how = "prompt"
    with out.bytes_progress(card.id) as progress:
        done = run_fetch(card, data_root, accepted=how, allow_private=allow_private, progress=progress)
    return out.fetched(source, data_root, done)


@command
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-o", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write the card here instead of printing it."
)
@click.option("--id", "card_id", help="The card's id; by default from the folder's name.")
def sniff(out: printing.Printer, folder: Path, target: Path | None, card_id: str | None) -> int:
    """Draft a card for a folder that nobody described, and say where it is unsure."""
    from curate.layouts.sniff import sniff as draft

    return out.sniffed(draft(folder, card_id=card_id), target)


@command
@FOLDER
@click.option("--images", default=24, show_default=True, type=click.IntRange(min=1), help="Images per dataset.")
@click.option("--seed", default="phantom", show_default=True, help="Another seed draws other pictures.")
@click.option("--only", multiple=True, metavar="ID", help="Only this dataset; may be given several times.")
def phantom(out: printing.Printer, folder: Path, images: int, seed: str, only: tuple[str, ...]) -> int:
    """Plausible images with exactly known geometry, in the public layouts."""
    from curate.phantom import write_phantoms

    return out.phantoms(folder, write_phantoms(folder, images=images, seed=seed, only=only))


@command
@RECIPE
@OUT
@DATA
@click.option("--limit", type=click.IntRange(min=1), help="At most so many images per source.")
@COMPLETER
@ANSWERS
@click.option("--stage", "only_stage", help="With --ranges: of this stage, when those before it are done.")
@click.option(
    "--ranges",
    "at_most",
    metavar="N",
    type=click.IntRange(min=1),
    help="Instead of parts: the ranges A:B for `build --parts`, with at most N parts to build in each.",
)
def plan(
    out: printing.Printer,
    recipe: Path,
    target: Place,
    data_root: Path | None,
    limit: int | None,
    completer: str | None,
    answers: Path | None,
    only_stage: str | None,
    at_most: int | None,
) -> int:
    """Which parts a build would make, and why."""
    from curate.build import load
    from curate.build import plan as make_plan

    if (only_stage is None) != (at_most is None):
        raise UsageError("--stage and --ranges go together: they ask what a scheduler should build of one stage")
    if only_stage is not None and at_most is not None:
        from curate.ranges import stage_ranges

        corpus = load(recipe, data_root, limit, target, completer)
        return out.ranges(stage_ranges(corpus, target, only_stage, at_most, answers))
    return out.plan(make_plan(load(recipe, data_root, limit, target, completer), target, answers))


@command
@RECIPE
@click.option(
    "--html",
    "target",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page to write: it needs no other file.",
)
@click.option("-n", "items", default=20, show_default=True, type=click.IntRange(min=1), help="Items of all sources.")
@DATA
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Workers; by default one per processor.")
@COMPLETER
@click.option(
    "--answers",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of an answer store, such as OUT.answers of the build to come; by default answers are forgotten.",
)
@click.option(
    "--mirror-of",
    "mirrors",
    metavar="OUT",
    type=_place,
    help="An output whose build mirrored DICOMweb servers: its mirrors are read, no server is asked.",
)
@click.option(
    "--price-per-million-tokens", "price", metavar="IN[:OUT]", help="Of prompts, and of completions where they differ."
)
@click.option(
    "--tokens-per-second",
    "speed",
    type=click.FloatRange(min=0, min_open=True),
    help="Completion tokens that one accelerator writes.",
)
@click.option("--price-per-gpu-hour", "gpu_hour", type=click.FloatRange(min=0), help="Of one accelerator.")
def preview(
    out: printing.Printer,
    recipe: Path,
    target: Path,
    items: int,
    data_root: Path | None,
    jobs: int | None,
    completer: str | None,
    answers: Path | None,
    mirrors: Place | None,
    price: str | None,
    speed: float | None,
    gpu_hour: float | None,
) -> int:
    """See a recipe before it is built: the real stages on a sample of its items, as one page."""
    from curate.execute import Executing
    from curate.view import write_preview
    from curate.view.estimate import prices_of

    with out.progress() as progress:
        seen = write_preview(
            recipe,
            target,
            items,
            data_root=data_root,
            completer=completer,
            answers=answers,
            mirrors=mirrors,
            prices=prices_of(price, speed, gpu_hour),
            executing=Executing("local", jobs),
            progress=progress,
        )
    return out.previewed(recipe, target, seen)


@command
@RECIPE
@OUT
@DATA
@click.option("--executor", default="local", show_default=True, help="How parts are run: local, dask, ray, ...")
@click.option("--address", help="Of the cluster's scheduler; by default a cluster on this machine is started.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Workers; by default one per processor.")
@click.option("--gpus", default=0.0, type=click.FloatRange(min=0), help="Accelerators that one language model holds.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many images per source.")
@click.option("--stage", "only_stage", help="Build this stage alone.")
@click.option("--parts", "part_range", metavar="A:B", help="Only parts A up to B of the stage's full sorted list.")
@click.option("--offline", is_flag=True, help="Ask no DICOMweb server: build from the mirrors of the last build.")
@COMPLETER
@ANSWERS
def build(
    out: printing.Printer,
    recipe: Path,
    target: Place,
    data_root: Path | None,
    executor: str,
    address: str | None,
    jobs: int | None,
    gpus: float,
    limit: int | None,
    only_stage: str | None,
    part_range: str | None,
    offline: bool,
    completer: str | None,
    answers: Path | None,
) -> int:
    """Build what is wanted and absent or stale. RECIPE may be a card."""
    from curate.build import build as run_build
    from curate.execute import Executing

    with out.progress() as progress:
        built = run_build(
            recipe,
            target,
            data_root,
            executing=Executing(executor, jobs, address, gpus),
            limit=limit,
            only_stage=only_stage,
            part_range=_range(part_range, only_stage),
            offline=offline,
            completer=completer,
            answers=answers,
            progress=progress,
        )
    return out.built(target, built)


def _range(text: str | None, only_stage: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise UsageError(f"--parts takes A:B with A < B, got {text!r}")
    if only_stage is None:
        raise UsageError("--parts needs --stage: it counts the parts of one stage")
    return int(first), int(last)


@command
@FOLDER
@click.option("--watch", is_flag=True, help="Look again every few seconds, until the build is complete.")
def status(out: printing.Printer, folder: Place, watch: bool) -> int:
    """How far a build is and how fast it goes, from its sidecars alone."""
    import time

    from curate.status import Watch

    watched = Watch(folder)
    while True:
        began = time.monotonic()
        seen = watched.look()
        code = out.status(folder, seen, again=watch)
        if not watch or seen.complete:
            return code
        time.sleep(max(2, 4 * (time.monotonic() - began)))


@command
@FOLDER
@click.option(
    "--to",
    "target",
    metavar="FILE|URL",
    required=True,
    help="A file that events are appended to, or the address of a server (its key: OPENLINEAGE_API_KEY).",
)
def lineage(out: printing.Printer, folder: Place, target: str) -> int:
    """Tell what was built from what as OpenLineage events; what the target has is not sent again."""
    import os

    from curate.lineage import send

    return out.sent(folder, target, send(folder, target, os.environ))


@command
@FOLDER
@click.option(
    "--by", type=click.Choice(["reason", "source", "stage"]), default="reason", show_default=True, help="Count by this."
)
@click.option("--list", "listed", is_flag=True, help="List the rows instead of counting them.")
@click.option("--retry", is_flag=True, help="Let the next build try again what only this machine refused.")
def rejects(out: printing.Printer, folder: Place, by: str, listed: bool, retry: bool) -> int:
    """What was refused or filtered, and why."""
    from curate.status import forget_environmental, reject_counts, reject_rows

    if retry:
        return out.forgotten(folder, forget_environmental(folder))
    return out.reject_rows(reject_rows(folder)) if listed else out.reject_counts(folder, by, reject_counts(folder, by))


@command
@click.argument("folder", metavar="[DIR]", required=False, type=_place)
@click.option("--sources", "with_sources", is_flag=True, help="Take the digests of the source files again, too.")
@DATA
@click.option("--recipe", type=click.Path(path_type=Path, dir_okay=False), help="The recipe, for --sources.")
@click.option(
    "--records",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True),
    help="Instead of DIR: records that somebody published, a file or a folder of them; may be given several times.",
)
@click.option("--images", type=click.Path(path_type=Path, file_okay=False), help="Where the images of --records lie.")
@click.option(
    "--digests",
    metavar="RELEASE",
    type=click.Path(path_type=Path, exists=True),
    help="Also prove that the rows are those of a release that holds digests of them (its folder, or a file of it).",
)
def check(
    out: printing.Printer,
    folder: Place | None,
    with_sources: bool,
    data_root: Path | None,
    recipe: Path | None,
    records: tuple[Path, ...],
    images: Path | None,
    digests: Path | None,
) -> int:
    """Digests, schemas, invariants and expectations of a built corpus; or the records that somebody published."""
    if (folder is None) == (not records):
        raise UsageError("say the folder of a corpus, or --records FILE of somebody's published records")
    if folder is None:
        if with_sources or digests is not None:
            raise UsageError("--sources and --digests are asked of a corpus; name its folder instead of --records")
        from curate.published import check_records

        return out.records_checked(check_records(records, images=images))
    from curate.build import run_for
    from curate.check import check as run_check

    if with_sources and recipe is None:
        raise UsageError("--sources needs --recipe (and --data): an output does not hold the paths of its sources")
    run = run_for(recipe, folder, data_root) if with_sources and recipe is not None else None
    compared = {}
    if digests is not None:
        from curate.publish.rebuild import rebuilt

        compared = rebuilt(folder, digests)
    return out.checked(folder, run_check(folder, run), compared)


@command
@FOLDER
@click.argument("sql")
def query(out: printing.Printer, folder: Place, sql: str) -> int:
    """Ask DuckDB; the views are assets, annotations, groups, pairs, responses, rejects, parts, images, videos."""
    from curate.catalog import query as ask

    return out.answer(ask(folder, sql))


@command
@FOLDER
@click.argument("key")
def why(out: printing.Printer, folder: Place, key: str) -> int:
    """From a pair back to source bytes, or from a file forward to what became of it."""
    from curate.why import why as explain

    return out.explanation(explain(folder, key))


@command
@click.argument("before", metavar="BEFORE", type=_place)
@click.argument("after", metavar="AFTER", type=_place)
def diff(out: printing.Printer, before: Place, after: Place) -> int:
    """Rows added, removed and changed between two corpora or releases, and the cause of each."""
    from curate.diff import diff as compare

    return out.difference(before, after, compare(before, after))


@command
@FOLDER
@click.argument("target", metavar="TARGET")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="A training format with its settings; may be given several times. By default hf-parquet.",
)
@click.option("--name", help="Of the release; by default the recipe's.")
@click.option("--source", "sources", multiple=True, metavar="ID", help="Only this source; may be given several times.")
@click.option("--where", metavar="SQL", help="Only these rows: a condition on pairs, or a query that gives pair_id.")
@click.option(
    "--digests",
    is_flag=True,
    help="No rows: the recipe, and digests by which whoever has the sources proves that they built the same.",
)
@click.option(
    "--takedown",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Ids that were taken back, with reason and date: they and what came from them stay out from now on.",
)
@click.option("--replace", is_flag=True, help="Publish over another release, or over files that are none.")
@click.option("--private/--public", "private", default=None, help="What becomes of a repository that is made.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go, and what changed; write nothing at the target.")
def publish(
    out: printing.Printer,
    folder: Place,
    target: str,
    formats: tuple[str, ...],
    name: str | None,
    sources: tuple[str, ...],
    where: str | None,
    digests: bool,
    takedown: Path | None,
    replace: bool,
    private: bool | None,
    dry_run: bool,
) -> int:
    """Publish what may go. TARGET is a folder, s3://BUCKET/PREFIX, or hf://datasets/OWNER/NAME[@BRANCH]."""
    from curate.publish.formats import formats_of
    from curate.publish.run import publish as run_publish
    from curate.publish.takedown import load_takedown
    from curate.publish.targets import target_of

    published = run_publish(
        folder,
        target_of(target, private=private),
        formats_of(formats or (() if digests else ("hf-parquet",))),
        name=name,
        sources=sources or None,
        where=where,
        digests=digests,
        takedown=() if takedown is None else load_takedown(takedown),
        replace=replace,
        dry_run=dry_run,
    )
    return out.published(folder, published)


@command
@FOLDER
@click.option("--dry-run", is_flag=True, help="Only list.")
def gc(out: printing.Printer, folder: Place, dry_run: bool) -> int:
    """Remove files that no sidecar names. Not while a build runs."""
    from curate.status import collect

    return out.collected(folder, collect(folder, dry_run=dry_run), dry_run=dry_run)


def main() -> None:
    """The entry point."""
    cli()
