"""Commands that make an output: what would be built, what it would look like, building it, and following it."""

from pathlib import Path

import click

from curate import printing
from curate.cli.command import ANSWERS, COMPLETER, DATA, FOLDER, OUT, RECIPE, command, place_named
from curate.errors import UsageError
from curate.store.place import Place


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
    from curate.plan import load
    from curate.plan import plan as make_plan

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
    type=place_named,
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
