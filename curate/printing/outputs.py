"""What the commands print that look at an output, or pass it on: check, query, why, diff, rejects, publish, gc."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate.errors import UsageError
from curate.printing.terminal import Terminal, as_plain

if TYPE_CHECKING:
    import duckdb

    from curate.check import Report
    from curate.publish.index import Difference
    from curate.publish.rebuild import Comparison
    from curate.publish.run import Published
    from curate.published import Report as RecordsReport
    from curate.status import Collected
    from curate.store.part import Part
    from curate.store.place import Place
    from curate.why import Explanation

__all__ = ["OfOutputs"]

_KINDS: Final = ("added", "removed", "changed")

MAX_ROWS: Final = 100
"""Rows of an answer that the terminal shows; `--json` prints all of them."""


class OfOutputs(Terminal):
    """Of what was built."""

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
        if done.formats and not any(one.rows for one in done.formats):
            cut = "; `volumes: {slices: 3}` in the recipe makes pictures of volumes"
            print(f"note: no row is in any format{cut if any('volume' in why for _, why, _ in left) else ''}")
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
                    "findings": [as_plain(f) for f in report.findings],
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
                    "files": [as_plain(file) for file in report.files],
                    "findings": [as_plain(finding) for finding in report.findings],
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


def _rebuilt(source: str, found: "Comparison") -> None:
    told = f"{found.same:,} of {found.lines:,} rows are those of the release"
    if not found.is_whole:
        told += (
            f", {found.changed:,} say something else and {found.missing:,} are not there; {found.missing_files:,} of "
            "its source files are not in this corpus: compare the data and the version of curate"
        )
    failed = "" if found.is_whole else "FAILED "
    print(f"{failed}digests: {source}: {told}; {found.extra:,} rows are of this corpus alone")


def _told(value: Any) -> str:
    """A value on a terminal: what others wrote moves no cursor, and its further lines look like no line of ours."""
    lines = ("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in str(value).split("\n"))
    return "\n    ".join(lines)
