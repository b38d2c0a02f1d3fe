"""Which ranges of a stage's parts are still to be built: what a scheduler hands to `curate build --stage --parts`."""

from dataclasses import dataclass
from pathlib import Path

from curate.corpus import Corpus, project_key
from curate.errors import UsageError
from curate.gates import check_gates
from curate.plan import run_of, state_of
from curate.stages import STAGE_NAMES, stage_named
from curate.store.place import Place

__all__ = ["StageRanges", "ranges_of", "stage_ranges"]


@dataclass(frozen=True, slots=True)
class StageRanges:
    """What a stage wants and what of it is to do.

    `wanted` and `todo` count parts. A range (A, B) stands for the parts A up to B, B not among them, of the full sorted
    list of the stage, as `--parts A:B` does.
    """

    stage: str
    wanted: int
    todo: int
    ranges: tuple[tuple[int, int], ...]


def stage_ranges(corpus: Corpus, out: Place, stage: str, at_most: int, answers: Path | None = None) -> StageRanges:
    """The ranges of one stage, `at_most` parts to do in each. The stages before it must be done.

    A source that a DICOMweb server holds is always scanned again: only the server knows whether it changed.

    Raises:
        UsageError: there is no such stage.
        StoreError: a stage before it is not done, so nobody knows how many parts there are.
        GateError: the terms of a source forbid what the recipe asks.
    """
    if stage not in STAGE_NAMES:
        raise UsageError(f"no stage {stage!r}; the stages are {', '.join(STAGE_NAMES)}")
    check_gates(corpus)
    run = run_of(corpus, out, project_key(), answers)
    flow = stage_named(stage)
    parts = flow.parts(run)
    asked = {source.id for source in corpus.sources if source.dicomweb is not None} if stage == "scan" else set()
    todo = [
        number for number, part in enumerate(parts) if part.source in asked or state_of(flow, run, part).state != "done"
    ]
    return StageRanges(stage, len(parts), len(todo), ranges_of(todo, at_most))


def ranges_of(todo: list[int], at_most: int) -> tuple[tuple[int, int], ...]:
    """Ascending numbers in ranges that hold `at_most` of them; what lies between two of a range is in it, too.

    A part that is current costs a look at its sidecar, so that few ranges are better than tight ones.
    """
    chunks = [todo[start : start + at_most] for start in range(0, len(todo), at_most)]
    return tuple((chunk[0], chunk[-1] + 1) for chunk in chunks)
