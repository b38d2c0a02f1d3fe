"""What the commands print that make an output: plan, preview, build, status, lineage."""

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.printing.terminal import Terminal, as_plain

if TYPE_CHECKING:
    from curate.build import Built
    from curate.ledger import Ledger, Rewriting
    from curate.lineage import Sent
    from curate.plan import Plan
    from curate.ranges import StageRanges
    from curate.status import Status
    from curate.store.place import Place
    from curate.view import Preview

__all__ = ["OfBuilds"]

_NOTHING_SAID: Final = (
    "no task has anything to say: pairs come from classes, findings, grades, counts, measurements, objects and "
    "questions, and from modality, anatomy and view; say on the card what the labels mean (docs/cards.md)"
)


class OfBuilds(Terminal):
    """Of what will be built, is being built, and was."""

    def plan(self, plan: "Plan") -> int:
        """Parts by state and reason."""
        if self._json:
            self._document(
                [
                    {
                        "stage": planned.part.stage,
                        "source": planned.part.source,
                        "bucket": planned.part.bucket,
                        "state": planned.state,
                        "reasons": list(planned.reasons),
                    }
                    for planned in plan.parts
                ]
            )
            return 0
        rows = [
            (str(planned.part), planned.state, "; ".join(planned.reasons))
            for planned in plan.parts
            if planned.state != "done"
        ]
        if rows:
            self._table(("part", "state", "why"), rows)
        for note in plan.notes:
            print(f"note: {note}")
        states = {state: len(plan.in_state(state)) for state in ("done", "missing", "stale", "waiting")}
        print(
            ", ".join(f"{n} {state}" for state, n in states.items())
            + ". "
            + ("Next: curate build" if rows else "Nothing to do.")
        )
        return 0

    def ranges(self, told: "StageRanges") -> int:
        """The ranges of one stage, one to a line and nothing else: a shell or a scheduler reads them."""
        spans = [f"{first}:{last}" for first, last in told.ranges]
        if self._json:
            self._document({"stage": told.stage, "wanted": told.wanted, "todo": told.todo, "ranges": spans})
        else:
            for span in spans:
                print(span)
        return 0

    def previewed(self, recipe: Path, page: Path, preview: "Preview") -> int:
        """What the page of a preview shows."""
        kept, drafts = preview.pairs
        if self._json:
            self._document(
                {
                    "page": str(page),
                    "items": [{"source": item.source, "item_key": item.key} for item in preview.items],
                    "pairs": kept,
                    "drafts": drafts,
                    "rewriting": None if preview.rewriting is None else as_plain(preview.rewriting),
                    "rejects": [as_plain(refused) for refused in preview.refused],
                    "estimate": as_plain(preview.estimate),
                    "notes": list(preview.notes),
                }
            )
            return 0
        rows = [
            (one.source, f"{one.items:,}", f"{one.sampled:,}", f"{one.pairs:,.0f}") for one in preview.estimate.sources
        ]
        self._table(("source", "items", "sampled", "pairs, about"), rows, right=3)
        for note in (*preview.estimate.missing, *preview.notes):
            print(f"note: {note}")
        if not drafts:
            print(f"note: {_NOTHING_SAID}")
        told = f"{len(preview.items)} items, {kept:,} pairs of {drafts:,} drafts"
        print(f"Wrote {page}: {told}. Next: open it in a browser, then curate build {recipe} --out DIR")
        return 0

    def built(self, folder: "Place", built: "Built") -> int:
        """The ledger, and what fell short."""
        code = 1 if built.shortfalls else 0
        if self._json:
            self._document(
                {
                    "ledger": [as_plain(line) for line in built.ledger.lines],
                    "rejects": _reasons(built.ledger),
                    "built": built.built,
                    "kept": built.kept,
                    "shortfalls": [as_plain(shortfall) for shortfall in built.shortfalls],
                    "notes": list(built.notes),
                    "ingested": [as_plain(ingested) for ingested in built.ingested],
                    "rewriting": None if built.rewriting is None else as_plain(built.rewriting),
                }
            )
            return code
        for ingested in built.ingested:
            came = "from its mirror, no server asked" if ingested.offline else f"{ingested.fetched:,} fetched now"
            print(
                f"{ingested.source}: {ingested.found:,} instances found, of {ingested.series:,} series in "
                f"{ingested.studies:,} studies; {came}, {ingested.kept:,} kept, {ingested.gone:,} gone"
            )
        self._ledger(built.ledger)
        if built.rewriting is not None:
            self._rewriting(built.rewriting)
        for note in built.notes:
            print(f"note: {note}")
        stages_told = {line.stage for line in built.ledger.lines}
        if "draft" in stages_told and "verify" not in stages_told:
            print(f"note: {_NOTHING_SAID}")
        for shortfall in built.shortfalls:
            print(f"FAILED {shortfall.source}: {shortfall.message}")
        parts = f"{sum(built.built.values())} parts built, {sum(built.kept.values())} kept, {built.seconds:.1f} s"
        pairs = built.ledger.emitted.get(("verify", "pairs"), 0)
        assets = built.ledger.emitted.get(("read", "assets"), 0)
        head = "FAILED: see above." if code else f"Built {pairs:,} pairs over {assets:,} assets in {folder}"
        print(f"{head} ({parts}). Next: curate {'rejects' if code else 'check'} {folder}")
        return code

    def _ledger(self, ledger: "Ledger") -> None:
        rows = [
            (
                line.stage,
                line.source,
                line.unit,
                f"{line.n_in:,}",
                f"{line.n_used:,}",
                f"{line.n_rejected:,}",
                f"{line.n_filtered:,}",
            )
            for line in ledger.lines
        ]
        self._table(("stage", "source", "unit", "in", "used", "rejected", "filtered"), rows, right=4)
        reasons = _reasons(ledger)
        if reasons:
            print()
            self._table(
                ("source", "unit", "verdict", "reason", "rows"),
                [(row["source"], row["unit"], row["verdict"], row["reason"], f"{row['rows']:,}") for row in reasons],
                right=1,
            )

    def _rewriting(self, told: "Rewriting") -> None:
        """What a language model was asked, and what came of it."""
        saved = 1 - told.requests / max(told.drafts, 1)
        print(
            f"rewrite: {told.drafts:,} drafts asked {told.requests:,} distinct requests ({saved:.0%} of the calls "
            f"saved), {told.answers:,} answers, {told.prompt_tokens:,} + {told.completion_tokens:,} tokens"
        )
        refused = ", ".join(f"{reason} {n:,}" for reason, n in told.refused.items()) or "none"
        print(f"rewrite: {told.pairs:,} pairs in the model's words, the others in those of their template")
        print(
            f"rewrite: answers refused: {refused}; accepted ones that did not hold for one more draft: "
            f"{told.refused_elsewhere:,}"
        )

    def status(self, folder: "Place", status: "Status", *, again: bool = False) -> int:
        """How far it is; `again`: one look of many, which on a terminal takes the place of the last."""
        if self._json:
            plain = {
                "name": status.name,
                "complete": status.complete,
                "stopped": status.stopped,
                "left_s": status.left_s,
                "left_without": list(status.unknown),
                "stages": [as_plain(stage) | {"left_s": stage.left_s} for stage in status.stages],
            }
            if again:
                print(json.dumps(plain, ensure_ascii=False), flush=True)
            else:
                self._document(plain)
            return 0
        if again and sys.stdout.isatty():
            print("\x1b[H\x1b[J", end="")
        rows = [
            (
                stage.stage,
                f"{stage.done:,}",
                "?" if stage.wanted is None else f"{stage.wanted:,}",
                f"{stage.stale:,}",
                f"{stage.rejected:,}",
                f"{stage.filtered:,}",
                f"{stage.retry:,}",
                "" if stage.speed is None else f"{stage.speed.parts_per_minute:,.1f}",
                "" if stage.speed is None else f"{stage.speed.items_per_minute:,.0f}",
                "" if stage.left_s is None else _duration(stage.left_s),
            )
            for stage in status.stages
        ]
        head = ("stage", "done", "wanted", "stale", "rejected", "filtered", "retry", "parts/min", "items/min", "left")
        self._table(head, rows, right=9)
        if status.left_s is not None:
            without = f", without {', '.join(status.unknown)}" if status.unknown else ""
            print(f"About {_duration(status.left_s)} left at the speed of the last ten minutes{without}.")
        if status.stopped is not None and not status.complete:
            print(f"The last build here was stopped: {status.stopped}")
        state, following = ("complete", "check") if status.complete else ("not complete", "build RECIPE --out")
        print(f"{status.name} is {state}. Next: curate {following} {folder}", flush=again)
        return 0

    def sent(self, folder: "Place", target: str, sent: "Sent") -> int:
        """How many events went out."""
        if self._json:
            self._document(as_plain(sent))
        else:
            told = f"{sent.sent:,} events sent, {sent.known:,} were there already"
            print(f"{told}. Next: after the next build, curate lineage {folder} --to {target}")
        return 0


def _reasons(ledger: "Ledger") -> list[dict[str, Any]]:
    return [
        {"source": source, "unit": unit, "verdict": verdict, "reason": reason, "rows": n}
        for (source, unit, verdict, reason), n in sorted(ledger.refusals.items())
    ]


def _duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, the two largest of them."""
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"
