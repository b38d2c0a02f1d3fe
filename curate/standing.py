"""How far an output is and whether its parts fit each other, by what lies in it alone: no source, no recipe file.

Times are those of the sidecars' files: when parts were committed. They decide nothing but what is told of a speed.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from curate.corpus import Corpus, ResolvedSource, described, project_key
from curate.errors import CurateError, StoreError
from curate.ledger import Shortfall, judge, ledger_of
from curate.recipe import Recipe
from curate.schema import Reason, Unit
from curate.stages import STAGE_NAMES, Run, Stage, stage_named, stages
from curate.store.commit import replace_file
from curate.store.freshness import Freshness, cache_folder
from curate.store.part import WHOLE, Part, Sidecar, Sidecars
from curate.store.place import Place

__all__ = [
    "RECENT_S",
    "Misfit",
    "Speed",
    "StageStatus",
    "Standing",
    "Stop",
    "flow_of",
    "inputs_within",
    "misfits",
    "note_stop",
    "run_within",
    "stop_noted",
]

RECENT_S: Final = 600.0
"""A speed is that of the parts committed so shortly before the newest one; where that is older, nothing goes on."""

STOP_FILE: Final = "stopped.json"

CHANGES_SHOWN: Final = 5
"""Inputs of a part that are named where they are other ones."""

_ITEMS: Final = {
    "scan": Unit.IMAGE,
    "read": Unit.ITEM,
    "group": Unit.ASSET,
    "draft": Unit.ASSET,
    "rewrite": Unit.REQUEST,
    "verify": Unit.DRAFT,
}
"""What a stage is counted by."""


@dataclass(frozen=True, slots=True)
class Stop:
    """An error that ended a build, and when, in seconds since the epoch."""

    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What was committed in the last minutes: `parts` and `items` within `seconds`, the newest `age_s` ago."""

    parts: int
    items: int
    seconds: float
    age_s: float

    @property
    def parts_per_minute(self) -> float:
        """Parts a minute."""
        return 60 * self.parts / self.seconds

    @property
    def items_per_minute(self) -> float:
        """Items a minute."""
        return 60 * self.items / self.seconds


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage is.

    `done` counts parts that exist and were made from what stands beside them now, `stale` those made from something
    else; `wanted` is null until the stages before say how many there are. `retry` counts rows that were refused for
    want of time or memory. `speed` is null where nothing was committed lately, or but one part.
    """

    stage: str
    done: int
    wanted: int | None
    stale: int = 0
    rejected: int = 0
    filtered: int = 0
    retry: int = 0
    speed: Speed | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest of the stage takes at this speed; null where the number or the speed is unknown."""
        if self.wanted is None:
            return None
        left = self.wanted - self.done
        if left <= 0:
            return 0.0
        return None if self.speed is None else left * self.speed.seconds / self.speed.parts


@dataclass(slots=True)
class _Known:
    """What is remembered of one sidecar."""

    seconds: float  # since the epoch
    items: int
    rejected: int
    filtered: int
    retry: int
    fits: bool | None = None  # null: it is yet to be seen


class Standing:
    """Looks at an output again and again. Each look lists the sidecars and reads those that came or changed.

    So a look at 100,000 parts of which ten are new costs a listing and ten small files.
    """

    def __init__(self, out: Place) -> None:
        self._out = out
        self._described = described(out)
        self._run = run_within(out)
        self._known: dict[Part, _Known] = {}

    @property
    def name(self) -> str:
        """What the corpus is called."""
        return str(self._described.recipe["name"])

    def look(self, now: float) -> tuple[StageStatus, ...]:
        """Every stage of the flow; `now` in seconds since the epoch.

        Raises:
            UsageError: the place holds no corpus any more.
        """
        said = described(self._out)
        if said != self._described:
            self._described, self._run, self._known = said, run_within(self._out), {}
        changed = self._refresh()
        return tuple(self._stage(stage_named(name), changed, now) for name in flow_of(self._run.corpus))

    def _refresh(self) -> set[Part]:
        """Read what is new; the parts whose sidecars came, went or changed."""
        times = self._run.sidecars.times()
        gone = self._known.keys() - times.keys()
        fresh = [part for part, at in times.items() if part not in self._known or self._known[part].seconds != at]
        for part in (*gone, *fresh):
            self._run.sidecars.forget(part)
        for part in gone:
            del self._known[part]
        for part in fresh:
            sidecar = self._run.sidecars.get(part)
            if sidecar is not None:
                self._known[part] = _known(sidecar, times[part])
        return {*gone, *fresh}

    def _stage(self, stage: Stage, changed: set[Part], now: float) -> StageStatus:
        wanted = self._wanted(stage)
        there = {part: known for part, known in self._known.items() if part.stage == stage.name}
        mine = {part: there[part] for part in (there if wanted is None else wanted) if part in there}
        if wanted is not None:
            self._see_which_fit(stage, mine, changed)
        stale = sum(known.fits is False for known in mine.values())
        return StageStatus(
            stage.name,
            len(mine) - stale,
            None if wanted is None else len(wanted),
            stale,
            sum(known.rejected for known in mine.values()),
            sum(known.filtered for known in mine.values()),
            sum(known.retry for known in mine.values()),
            _speed(list(there.values()), now),
        )

    def _wanted(self, stage: Stage) -> list[Part] | None:
        """The stage's parts; null where what they depend on is not there yet."""
        if stage.name == "rewrite" and any(
            part not in self._known for part in self._wanted(stage_named("draft")) or [Part("draft")]
        ):
            return None
        try:
            return stage.parts(self._run)
        except StoreError:
            return None

    def _see_which_fit(self, stage: Stage, mine: dict[Part, _Known], changed: set[Part]) -> None:
        """Compare inputs again where they, or what they were made from, changed."""
        upstream = {part for part in changed if part.stage in stage.after}
        whole = {part.source for part in upstream if part.bucket is None or part.source == WHOLE}
        places = {(part.source, part.bucket) for part in upstream}
        for part, known in mine.items():
            touched = part in changed or part.source in whole or WHOLE in whole or (part.source, part.bucket) in places
            if known.fits is None or touched or (part.source == WHOLE and upstream):
                known.fits = self._fits(stage, part)

    def _fits(self, stage: Stage, part: Part) -> bool | None:
        try:
            built, now = self._run.sidecars.need(part), inputs_within(stage, self._run, part)
        except StoreError:
            return None  # what it reads is not there yet, or no more
        return all(built.inputs.get(name) == digest for name, digest in now.items())


def _known(sidecar: Sidecar, at: float) -> _Known:
    items = sum(count.n_in for count in sidecar.counts if count.unit == _ITEMS.get(sidecar.stage))
    retry = 0
    rows = {"rejected": 0, "filtered": 0}
    for verdicts in sidecar.refusals.values():
        for verdict, reasons in verdicts.items():
            rows[verdict] = rows.get(verdict, 0) + sum(reasons.values())
            retry += sum(n for reason, n in reasons.items() if Reason(reason).is_environmental)
    return _Known(at, items, rows["rejected"], rows["filtered"], retry)


def _speed(parts: list[_Known], now: float) -> Speed | None:
    """From the first of the recent parts to the newest: the first one's own work lies before, so it does not count."""
    newest = max((known.seconds for known in parts), default=float("-inf"))
    if now - newest > RECENT_S:
        return None
    recent = sorted((known.seconds, known.items) for known in parts if newest - known.seconds <= RECENT_S)
    seconds = newest - recent[0][0]
    if len(recent) < 2 or seconds <= 0:
        return None
    return Speed(len(recent) - 1, sum(items for _, items in recent[1:]), seconds, max(0.0, now - newest))


def note_stop(out: Place, problem: CurateError | None) -> None:
    """Remember on this machine, beside the output, what ended a build; null: one begins or ended well."""
    path = cache_folder(out) / STOP_FILE
    with contextlib.suppress(OSError, StoreError):
        if problem is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, msgspec.json.encode({"error": type(problem).__name__, "message": str(problem)}))


def stop_noted(out: Place) -> Stop | None:
    """What ended the last build that this machine knows of; null where none was ended by an error."""
    path = cache_folder(out) / STOP_FILE
    try:
        return Stop(str(msgspec.json.decode(path.read_bytes())["message"]), path.stat().st_mtime)
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return None


def flow_of(corpus: Corpus) -> tuple[str, ...]:
    """The stages that a corpus goes through."""
    return tuple(name for name in STAGE_NAMES if name != "rewrite" or corpus.recipe.rewrite is not None)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A part that is absent, or was made from others than stand beside it now."""

    subject: str
    message: str


def misfits(out: Place) -> Iterator[Misfit]:
    """What keeps an output from being built to its end; nothing where it is.

    Raises:
        UsageError: the place holds no corpus.
    """
    run = run_within(out)
    scan, *others = stages()
    unscanned = [part for part in scan.parts(run) if run.sidecars.get(part) is None]
    if unscanned:
        yield from (Misfit(str(part), "is not built; run the build to its end") for part in unscanned)
        return
    for stage in others:
        try:
            wanted = [(part, run.sidecars.need(part), inputs_within(stage, run, part)) for part in stage.parts(run)]
        except StoreError as problem:
            yield Misfit(stage.name, str(problem))
            return
        for part, built, now in wanted:
            changed = [name for name, digest in now.items() if built.inputs.get(name) != digest]
            if changed:
                told = ", ".join(changed[:CHANGES_SHOWN])
                yield Misfit(str(part), f"was made from other {told}; build again")


def shortfalls(out: Place) -> tuple[Shortfall, ...]:
    """Where a corpus that is built to its end fell short of its cards or of its recipe's limits, as its build told.

    Raises:
        UsageError: the place holds no corpus.
        StoreError: a sidecar is damaged.
    """
    run = run_within(out)
    return judge(ledger_of(run.sidecars.each()), run.corpus)


def inputs_within(stage: Stage, run: Run, part: Part) -> dict[str, str]:
    """The inputs of a part that lie in the output itself: nothing of a scan, of a read part its slice of inventory.

    Raises:
        StoreError: a part that it reads is not there.
    """
    if stage.name == "scan":
        return {}
    if stage.name == "read":
        return {"inventory": run.sidecars.need(Part("scan", part.source)).digest("inventory", part.bucket)}
    return stage.inputs(run, part)


def run_within(out: Place) -> Run:
    """What an output says of itself, as a run without data folders.

    Raises:
        UsageError: the place holds no corpus.
    """
    said = described(out)
    entries = [{"card": name} for name in sorted(said.cards)]
    recipe = msgspec.convert(said.recipe | {"sources": entries}, Recipe)
    sources = tuple(ResolvedSource(card, "", said.limits.get(name)) for name, card in sorted(said.cards.items()))
    corpus = Corpus(recipe=recipe, sources=sources, pack=said.pack)
    sidecars = Sidecars(out)
    sidecars.load()
    return Run(corpus, project_key({}), out, sidecars, Freshness(cache_folder(out)))
