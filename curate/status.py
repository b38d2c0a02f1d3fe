"""status, rejects and gc: what an output folder tells about itself without its sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from curate.corpus import CORPUS_FILE, described
from curate.expectations import RESULT_FILE
from curate.ledger import Ledger, ledger_of
from curate.schema import REJECTS
from curate.stages.rewrite import parts_for
from curate.store.commit import retire
from curate.store.gc import leftovers, remove, remove_empty_folders
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar, Sidecars

__all__ = ["StageStatus", "Status", "collect", "forget_environmental", "reject_counts", "reject_rows", "status"]

_BUCKETED: Final = ("read", "draft", "verify")


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage is. `wanted` is null until scan has dealt every source into buckets."""

    stage: str
    done: int
    wanted: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """How far a build is."""

    name: str
    stages: tuple[StageStatus, ...]
    ledger: Ledger

    @property
    def complete(self) -> bool:
        """True where every wanted part exists."""
        return all(stage.wanted is not None and stage.done >= stage.wanted for stage in self.stages)


def status(out: Path) -> Status:
    """From sidecars alone, while another process builds.

    Raises:
        UsageError: the folder holds no corpus.
    """
    corpus = described(out)
    sidecars = Sidecars(out).listed()
    scans = {sidecar.source: sidecar for sidecar in sidecars if sidecar.stage == "scan"}
    buckets = None
    if set(scans) >= set(corpus.cards):
        buckets = sum(len(scans[source].statistics["buckets"]) for source in corpus.cards)
    wanted: dict[str, int | None] = {"scan": len(corpus.cards), "group": 1, "catalog": 1}
    wanted |= dict.fromkeys(_BUCKETED, buckets)
    flow = ["scan", "read", "group", "draft", "verify", "catalog"]
    if corpus.recipe.get("rewrite") is not None:
        flow.insert(flow.index("verify"), "rewrite")
        wanted["rewrite"] = _rewrite_parts(sidecars, buckets)
    stages = tuple(
        StageStatus(stage, sum(sidecar.stage == stage for sidecar in sidecars), wanted[stage]) for stage in flow
    )
    return Status(str(corpus.recipe["name"]), stages, ledger_of(sidecars))


def _rewrite_parts(sidecars: Sequence[Sidecar], buckets: int | None) -> int | None:
    """How many parts share the requests; unknown until all is drafted."""
    drafted = [sidecar for sidecar in sidecars if sidecar.stage == "draft"]
    return parts_for(drafted) if len(drafted) == buckets else None


def reject_rows(out: Path) -> list[dict[str, Any]]:
    """Every row of `rejects` committed so far, part by part."""
    described(out)
    return [row for sidecar in Sidecars(out).listed() if sidecar.stage != "catalog" for row in _rejects(out, sidecar)]


def _rejects(out: Path, sidecar: Sidecar) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(out, sidecar.of("rejects"), REJECTS).to_pylist()
    return rows


def reject_counts(out: Path, by: Literal["reason", "source", "stage"] | str) -> list[tuple[str, str, str, int]]:
    """(what, unit, verdict, rows), from sidecars alone."""
    described(out)
    counts: dict[tuple[str, str, str], int] = {}
    for sidecar in Sidecars(out).listed():
        for unit, verdicts in sidecar.refusals.items():
            for verdict, reasons in verdicts.items():
                for reason, n in reasons.items():
                    what = {"reason": reason, "source": sidecar.source, "stage": sidecar.stage}[by]
                    counts[what, unit, verdict] = counts.get((what, unit, verdict), 0) + n
    return sorted((*key, n) for key, n in counts.items())


def forget_environmental(out: Path) -> list[Part]:
    """Retire the parts in which something was refused for want of time or memory: the next build makes them anew."""
    described(out)
    sidecars = [sidecar for sidecar in Sidecars(out).listed() if sidecar.stage != "catalog"]
    parts = [sidecar.part for sidecar in sidecars if any(row["environmental"] for row in _rejects(out, sidecar))]
    retire(out, parts)
    return parts


def collect(out: Path, *, dry_run: bool) -> tuple[list[Path], int]:
    """The files that no sidecar names, removed unless `dry_run`, and their bytes."""
    described(out)
    found = leftovers(out, frozenset({CORPUS_FILE, RESULT_FILE}))
    freed = sum(path.lstat().st_size for path in found)
    if not dry_run:
        remove(found)
        remove_empty_folders(out)
    return found, freed
