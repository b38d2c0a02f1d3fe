"""Commands that look at an output, or pass it on."""

from pathlib import Path

import click

from curate import printing
from curate.cli.command import DATA, FOLDER, command, place_named
from curate.errors import UsageError
from curate.store.place import Place


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
@click.argument("folder", metavar="[DIR]", required=False, type=place_named)
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
    from curate.check import check as run_check
    from curate.plan import run_for

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
@click.argument("before", metavar="BEFORE", type=place_named)
@click.argument("after", metavar="AFTER", type=place_named)
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
