"""status, rejects and gc: what an output folder tells about itself without its sources."""

import time
from dataclasses import dataclass
from typing import Any, Literal

from curate.corpus import CORPUS_FILE, described
from curate.expectations import RESULT_FILE
from curate.schema import REJECTS
from curate.standing import StageStatus, Standing, stop_noted
from curate.store.commit import retire
from curate.store.gc import abandoned, leftovers, remove, remove_empty_folders
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar, Sidecars
from curate.store.place import Listed, Place

__all__ = [
    "Collected",
    "StageStatus",
    "Status",
    "Watch",
    "collect",
    "forget_environmental",
    "reject_counts",
    "reject_rows",
    "status",
]


@dataclass(frozen=True, slots=True)
class Status:
    """How far a build is.

    `stopped` is what the last build on this machine said when an error ended it; null since one goes on or ended well.
    """

    name: str
    stages: tuple[StageStatus, ...]
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        """True where every wanted part exists and fits those that it was made from."""
        return all(stage.wanted is not None and stage.done >= stage.wanted for stage in self.stages)

    @property
    def left_s(self) -> float | None:
        """Seconds to the end of those stages whose speed is known; null where none is."""
        known = [stage.left_s for stage in self.stages if stage.left_s]
        return sum(known) if known else None

    @property
    def unknown(self) -> tuple[str, ...]:
        """The stages that `left_s` leaves out: not begun, or nothing came of them lately."""
        return tuple(stage.stage for stage in self.stages if stage.left_s is None)


class Watch:
    """The status of an output, looked at as often as wanted."""

    def __init__(self, out: Place) -> None:
        self._out = out
        self._standing = Standing(out)

    def look(self) -> Status:
        """From sidecars alone, while another process builds.

        Raises:
            UsageError: the place holds no corpus.
        """
        stages = self._standing.look(time.time())
        stop = stop_noted(self._out)
        return Status(self._standing.name, stages, None if stop is None else stop.message)


def status(out: Place) -> Status:
    """One look.

    Raises:
        UsageError: the place holds no corpus.
    """
    return Watch(out).look()


def reject_rows(out: Place) -> list[dict[str, Any]]:
    """Every row of `rejects` committed so far, part by part."""
    described(out)
    return [row for sidecar in Sidecars(out).listed() if sidecar.stage != "catalog" for row in _rejects(out, sidecar)]


def _rejects(out: Place, sidecar: Sidecar) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(out, sidecar.of("rejects"), REJECTS).to_pylist()
    return rows


def reject_counts(out: Place, by: Literal["reason", "source", "stage"] | str) -> list[tuple[str, str, str, int]]:
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


def forget_environmental(out: Place) -> list[Part]:
    """Retire the parts in which something was refused for want of time or memory: the next build makes them anew."""
    described(out)
    sidecars = [sidecar for sidecar in Sidecars(out).listed() if sidecar.stage != "catalog"]
    parts = [sidecar.part for sidecar in sidecars if any(row["environmental"] for row in _rejects(out, sidecar))]
    retire(out, parts)
    return parts


@dataclass(frozen=True, slots=True)
class Collected:
    """What `gc` found: files that no sidecar names, and unfinished uploads to a store."""

    files: tuple[Listed, ...]
    uploads: int

    @property
    def bytes(self) -> int:
        """Of the files."""
        return sum(file.bytes for file in self.files)


def collect(out: Place, *, dry_run: bool) -> Collected:
    """The files that no sidecar names, removed unless `dry_run`."""
    described(out)
    found = leftovers(out, frozenset({CORPUS_FILE, RESULT_FILE}))
    uploads = abandoned(out)
    if not dry_run:
        remove(out, found, uploads)
        remove_empty_folders(out)
    return Collected(tuple(found), len(uploads))
