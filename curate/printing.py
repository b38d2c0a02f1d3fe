"""What the command line prints: text for people, or one JSON document."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate.errors import CurateError, UsageError

if TYPE_CHECKING:
    import duckdb

    from curate.build import Built, Plan, Progress
    from curate.card import Card
    from curate.check import Report
    from curate.doctor import Finding
    from curate.fetch.acceptance import Terms
    from curate.fetch.run import Fetched
    from curate.layouts.sniff import Sniffed
    from curate.ledger import Ledger, Rewriting
    from curate.lineage import Sent
    from curate.phantom import Truth
    from curate.publish.index import Difference
    from curate.publish.rebuild import Comparison
    from curate.publish.run import Published
    from curate.published import Report as RecordsReport
    from curate.ranges import StageRanges
    from curate.status import Collected, Status
    from curate.store.part import Part
    from curate.store.place import Place
    from curate.view import Preview
    from curate.why import Explanation

__all__ = ["Printer"]

_KINDS: Final = ("added", "removed", "changed")

MAX_ROWS: Final = 100
"""Rows of an answer that the terminal shows; `--json` prints all of them."""


class Printer:
    """Prints results; each method returns the exit code. The last line says what was done and the next command."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json

    def error(self, problem: CurateError) -> None:
        """An error, to standard error."""
        if self._json:
            self._document(
                {
                    "error": type(problem).__name__,
                    "message": str(problem),
                    "exit_code": problem.exit_code,
                    "retryable": problem.retryable,
                }
            )
        else:
            print(f"curate: {problem}", file=sys.stderr)

    def interrupted(self) -> None:
        """The user pressed Ctrl-C."""
        print("curate: interrupted; what was committed stays, run the same command again to go on", file=sys.stderr)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[["Progress"], None]]:
        """A progress bar on a terminal, silence elsewhere."""
        if self._json or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich import progress as bars
        from rich.console import Console

        columns = (
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description:8}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("parts, {task.fields[items]} items"),
            bars.TimeElapsedColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True)) as bar:
            shown: dict[str, Any] = {}
            items: dict[str, int] = {}

            def show(step: "Progress") -> None:
                if step.stage not in shown:
                    shown[step.stage] = bar.add_task(step.stage, total=step.parts_wanted, items=0)
                if step.item is not None:
                    items[step.stage] = items.get(step.stage, 0) + 1
                    if items[step.stage] % 20:
                        return
                    bar.update(shown[step.stage], items=items[step.stage])
                else:
                    bar.update(shown[step.stage], completed=step.parts_done, items=items.get(step.stage, 0))

            yield show

    def doctor(self, findings: Sequence["Finding"]) -> int:
        """What was found, what is missing."""
        ok = all(finding.ok is not False for finding in findings)
        if self._json:
            self._document([asdict(finding) for finding in findings])
        else:
            marks = {True: "ok", False: "MISSING", None: "-"}
            self._table(
                ("", "what", "found", "remedy"),
                [(marks[f.ok], f.name, f.found, "" if f.ok else f.remedy) for f in findings],
            )
            print(
                "Everything that curate needs is here. Next: curate sources"
                if ok
                else "Something is missing: see the remedies above."
            )
        return 0 if ok else 1

    def sources(self, cards: Mapping[str, "Card"]) -> int:
        """One line per card."""
        if self._json:
            self._document([msgspec.to_builtins(card) for card in cards.values()])
            return 0
        rows = [
            (
                card.id,
                card.modality or "",
                card.terms.licence,
                ", ".join(sorted({labels.layout for labels in card.labels})) or "-",
                card.title,
            )
            for card in cards.values()
        ]
        self._table(("id", "modality", "licence", "labels", "title"), rows)
        print(f"{len(rows)} cards. Next: curate sources ID")
        return 0

    def source(self, card: "Card") -> int:
        """One card in full."""
        import yaml

        plain = msgspec.to_builtins(card)
        if self._json:
            self._document(plain)
        else:
            print(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))
            print(f"Next: curate build the card's file, with --data ROOT where ROOT/{card.id} holds {card.source.home}")
        return 0

    def terms(self, terms: "Terms") -> None:
        """The terms of a source, to standard error: shown wherever standard output goes."""
        print(terms.text, file=sys.stderr)

    def asks(self, question: str) -> bool:
        """True where somebody at a terminal says yes; nobody is there to be asked elsewhere."""
        if self._json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        import click

        return click.confirm(question, default=False, err=True)

    @contextlib.contextmanager
    def bytes_progress(self, what: str) -> Iterator[Callable[[int, int | None], object]]:
        """A bar of bytes on a terminal, silence elsewhere."""
        if self._json or not sys.stderr.isatty():
            yield lambda done, wanted: None
            return
        from rich import progress as bars
        from rich.console import Console

        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, wanted: bar.update(task, completed=done, total=wanted)

    def fetched(self, source: str, data_root: Path, done: "Fetched") -> int:
        """What a fetch brought."""
        if self._json:
            self._document(done)
            return 0
        if done.unproved:
            print(
                f"note: no digest of {done.unproved:,} of {done.files:,} files is on the card; theirs are kept "
                f"in {done.receipt}, and another fetch must find the same"
            )
        if done.left_out:
            print(f"note: {done.left_out:,} links and devices in archives were left out")
        came = f"{done.downloaded:,} of {done.files:,} files came ({done.bytes_downloaded:,} bytes)"
        if not done.downloaded:
            came = "nothing was downloaded, all of it is here"
        print(
            f"{done.folder} is whole, {done.pieces:,} files of {done.bytes:,} bytes: {came}. "
            f"Next: curate plan RECIPE --data {data_root}, with {source} among its sources"
        )
        return 0

    def sniffed(self, sniffed: "Sniffed", target: Path | None) -> int:
        """A drafted card and what it could not know."""
        import yaml

        text = yaml.safe_dump(sniffed.card, sort_keys=False, allow_unicode=True, width=120)
        notes = "".join(f"# unsure: {line}\n" for line in sniffed.unsure)
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(notes + text, encoding="utf-8")
        if self._json:
            self._document(
                {"card": sniffed.card, "unsure": list(sniffed.unsure), "file": None if target is None else str(target)}
            )
            return 0
        if target is None:
            print(notes + text, end="")
            print("# Next: look at each `unsure` line, then: curate build CARD --out DIR --data ROOT", file=sys.stderr)
        else:
            print(notes, end="")
            print(
                f"Wrote {target}, unsure of {len(sniffed.unsure)} things. "
                f"Next: edit it, then curate build {target} --out DIR --data ROOT"
            )
        return 0

    def phantoms(self, folder: Path, truth: "Truth") -> int:
        """What was drawn."""
        if self._json:
            self._document(msgspec.to_builtins(truth))
        else:
            rows = [(name, str(d.images), str(d.objects), str(d.rows)) for name, d in sorted(truth.datasets.items())]
            self._table(("dataset", "images", "objects", "rows"), rows)
            print(
                f"Wrote {len(rows)} datasets and their truth below {folder}. "
                f"Next: curate build pipelines/quickstart.yaml --data {folder} --out DIR"
            )
        return 0

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
                    "rewriting": None if preview.rewriting is None else _plain(preview.rewriting),
                    "rejects": [_plain(refused) for refused in preview.refused],
                    "estimate": _plain(preview.estimate),
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
        told = f"{len(preview.items)} items, {kept:,} pairs of {drafts:,} drafts"
        print(f"Wrote {page}: {told}. Next: open it in a browser, then curate build {recipe} --out DIR")
        return 0

    def difference(self, before: "Place", after: "Place", found: "Difference") -> int:
        """What became of the rows."""
        if self._json:
            self._document(msgspec.to_builtins(found))
            return 0
        rows = [(one.source, one.kind, one.cause, f"{one.rows:,}", one.examples[0]) for one in found.changes]
        if rows:
            self._table(("source", "rows", "cause", "number", "such as"), rows)
        told = ", ".join(f"{sum(c.rows for c in found.changes if c.kind == kind):,} {kind}" for kind in _KINDS)
        sides = f"{found.rows_before:,} rows in {before}, {found.rows_after:,} in {after}"
        print(f"{sides}: {told}, {found.unchanged:,} as they were")
        return 0

    def published(self, folder: "Place", done: "Published") -> int:
        """What went where, what stayed and why."""
        if self._json:
            self._document(msgspec.to_builtins(done))
            return 0
        withheld = [(source, why, f"{n:,}") for source, reasons in done.withheld.items() for why, n in reasons.items()]
        if withheld:
            self._table(("source", "stays because of", "rows"), withheld)
        left = [(one.format, it.reason, f"{it.rows:,}") for one in done.formats for it in one.left_out]
        if left:
            self._table(("format", "cannot take", "rows"), left)
        if done.difference is not None and done.difference.changes:
            changes = [(c.source, c.kind, c.cause, f"{c.rows:,}") for c in done.difference.changes]
            self._table(("source", "rows", "cause", "number"), changes)
        if done.strange:
            print(f"note: {done.strange} of {done.tombstones} ids that were taken back name nothing in {folder}")
        rows = sum(done.rows.values())
        if done.dry_run:
            print(f"Would publish {rows:,} rows of {done.name} to {done.target}. Next: the same without --dry-run")
        elif done.is_unchanged:
            print(f"{done.target} holds release {done.number} of {done.name} already, {rows:,} rows: nothing was sent")
        else:
            sent = f"{done.sent.files:,} files sent ({done.sent.bytes:,} bytes), {done.sent.kept:,} kept"
            told = f"{rows:,} rows under {done.licence}, {sent}, {done.sent.removed:,} removed"
            print(f"Published release {done.number} of {done.name} to {done.target}: {told}. Next: read its README.md")
        return 0

    def built(self, folder: "Place", built: "Built") -> int:
        """The ledger, and what fell short."""
        code = 1 if built.shortfalls else 0
        if self._json:
            self._document(
                {
                    "ledger": [_plain(line) for line in built.ledger.lines],
                    "rejects": _reasons(built.ledger),
                    "built": built.built,
                    "kept": built.kept,
                    "shortfalls": [_plain(shortfall) for shortfall in built.shortfalls],
                    "notes": list(built.notes),
                    "ingested": [_plain(ingested) for ingested in built.ingested],
                    "rewriting": None if built.rewriting is None else _plain(built.rewriting),
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
                "stages": [_plain(stage) | {"left_s": stage.left_s} for stage in status.stages],
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
            self._document(_plain(sent))
        else:
            told = f"{sent.sent:,} events sent, {sent.known:,} were there already"
            print(f"{told}. Next: after the next build, curate lineage {folder} --to {target}")
        return 0

    def reject_counts(self, folder: "Place", by: str, counts: Sequence[tuple[str, str, str, int]]) -> int:
        """Rows in rejects, counted."""
        if self._json:
            self._document(
                [{by: what, "unit": unit, "verdict": verdict, "rows": n} for what, unit, verdict, n in counts]
            )
            return 0
        self._table(
            (by, "unit", "verdict", "rows"),
            [(what, unit, verdict, f"{n:,}") for what, unit, verdict, n in counts],
            right=1,
        )
        print(f"{sum(n for *_, n in counts):,} rows. Next: curate why {folder} KEY, or curate rejects {folder} --list")
        return 0

    def reject_rows(self, rows: Sequence[dict[str, Any]]) -> int:
        """Rows in rejects, each on its line."""
        if self._json:
            self._document(list(rows))
            return 0
        for row in rows:
            place = " ".join(str(row[name]) for name in ("file", "locator") if row[name])
            print(
                f"{row['source']}\t{row['stage']}\t{row['verdict']}\t{row['reason']}\t{row['item_key']}\t{place}\t{row['detail']}"
            )
        return 0

    def forgotten(self, folder: "Place", parts: Sequence["Part"]) -> int:
        """Parts that the next build makes anew."""
        if self._json:
            self._document([str(part) for part in parts])
            return 0
        for part in parts:
            print(part)
        print(f"{len(parts)} parts will be built anew. Next: curate build RECIPE --out {folder}")
        return 0

    def checked(self, folder: "Place", report: "Report", rebuilt: "Mapping[str, Comparison]") -> int:
        """What was checked and found; `rebuilt`: how rows compare with the digests of a release, by source."""
        ok = report.ok and all(one.is_whole for one in rebuilt.values())
        if self._json:
            self._document(
                {
                    "ok": ok,
                    "checked": report.checked,
                    "findings": [_plain(f) for f in report.findings],
                    "not_run": list(report.not_run),
                    "rebuilt": {source: asdict(one) for source, one in rebuilt.items()},
                }
            )
        else:
            for name, n in report.checked.items():
                print(f"checked {n:,} {name}")
            for reason in report.not_run:
                print(f"NOT RUN {reason}")
            for finding in report.findings:
                print(f"FAILED {finding.check}: {finding.subject}: {finding.message}")
            for source, one in rebuilt.items():
                _rebuilt(source, one)
            verdict = (
                f"{folder} is what it says."
                if report.ok
                else f"{len(report.findings)} findings in {folder}: build again, or see curate why."
            )
            print(
                f"{verdict} Next: curate query {folder} 'SELECT task, split, count(*) FROM pairs GROUP BY ALL'"
                if report.ok
                else verdict
            )
        return 0 if ok else 1

    def records_checked(self, report: "RecordsReport") -> int:
        """What was read of published records, and what is wrong with them."""
        errors = sum(finding.severity == "error" for finding in report.findings)
        if self._json:
            self._document(
                {
                    "files": [_plain(file) for file in report.files],
                    "findings": [_plain(finding) for finding in report.findings],
                }
            )
            return 1 if errors else 0
        for file in report.files:
            more = f"; {file.summary}" if file.summary else ""
            print(f"read {file.path}: {file.format}, {file.rows:,} rows{more}")
        for finding in report.findings:
            share = f"{finding.count:,}/{finding.of:,}" if finding.of else f"{finding.count:,}"
            rows = f" ({', '.join(finding.rows)}{', ...' if len(finding.rows) < finding.count else ''})"
            told = f"{finding.severity} {finding.rule}: {finding.file}: {share}: {finding.message}"
            print(told + (rows if finding.rows else ""))
        told = f"{len(report.findings)} findings in {len(report.files)} files, {errors} of them errors"
        print(f"{told}. Next: docs/records.md says what each means")
        return 1 if errors else 0

    def answer(self, relation: "duckdb.DuckDBPyRelation") -> int:
        """The rows of a query.

        Raises:
            UsageError: DuckDB accepted the statement and met a value, while it ran, that it cannot serve.
        """
        import duckdb

        try:
            if self._json:
                names = relation.columns
                self._document([dict(zip(names, row, strict=True)) for row in relation.fetchall()])
            else:
                relation.show(max_rows=MAX_ROWS, max_width=200)
        except duckdb.Error as problem:
            raise UsageError(f"the query broke off: {problem}") from None
        return 0

    def explanation(self, explanation: "Explanation") -> int:
        """A story, block by block."""
        if self._json:
            blocks = [{"block": title, **values} for title, values in explanation.blocks]
            self._document({"kind": explanation.kind, "key": explanation.key, "blocks": blocks})
            return 0
        for title, values in explanation.blocks:
            print(title)
            for name, value in values.items():
                print(f"  {name}: {_told(value)}")
        print(f"That is all about {explanation.kind} {explanation.key[:64]}.")
        return 0

    def collected(self, folder: "Place", collected: "Collected", *, dry_run: bool) -> int:
        """What gc removed."""
        if self._json:
            self._document(
                {
                    "files": [file.name for file in collected.files],
                    "bytes": collected.bytes,
                    "uploads": collected.uploads,
                    "removed": not dry_run,
                }
            )
            return 0
        for file in collected.files:
            print(file.name)
        did = "Would remove" if dry_run else "Removed"
        uploads = f" and {collected.uploads} unfinished uploads" if collected.uploads else ""
        print(f"{did} {len(collected.files)} files, {collected.bytes:,} bytes{uploads}. Next: curate check {folder}")
        return 0

    def _document(self, value: Any) -> None:
        print(json.dumps(_finite(value), indent=1, ensure_ascii=False, default=_jsonable, allow_nan=False))

    @staticmethod
    def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: int = 0) -> None:
        """Plain aligned columns, the last `right` of them to the right."""
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        first_right = len(header) - right
        for row in [header, *rows]:
            cells = [cell.rjust(widths[i]) if i >= first_right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
            print("  ".join(cells).rstrip())


def _reasons(ledger: "Ledger") -> list[dict[str, Any]]:
    return [
        {"source": source, "unit": unit, "verdict": verdict, "reason": reason, "rows": n}
        for (source, unit, verdict, reason), n in sorted(ledger.refusals.items())
    ]


def _rebuilt(source: str, found: "Comparison") -> None:
    told = f"{found.same:,} of {found.lines:,} rows are those of the release"
    if not found.is_whole:
        told += (
            f", {found.changed:,} say something else and {found.missing:,} are not there; {found.missing_files:,} of "
            "its source files are not in this corpus: compare the data and the version of curate"
        )
    failed = "" if found.is_whole else "FAILED "
    print(f"{failed}digests: {source}: {told}; {found.extra:,} rows are of this corpus alone")


def _duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, the two largest of them."""
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def _told(value: Any) -> str:
    """A value on a terminal: what others wrote moves no cursor, and its further lines look like no line of ours."""
    lines = ("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in str(value).split("\n"))
    return "\n    ".join(lines)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _finite(value: Any) -> Any:
    """A value as JSON can say it: NaN and the infinities, which it has no words for, are null; keys are text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value)
