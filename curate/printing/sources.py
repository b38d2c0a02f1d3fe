"""What the commands print that look at sources: doctor, sources, fetch, sniff, phantom."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from curate.printing.terminal import Terminal

if TYPE_CHECKING:
    from curate.card import Card
    from curate.doctor import Finding
    from curate.fetch.acceptance import Terms
    from curate.fetch.run import Fetched
    from curate.layouts.sniff import Sniffed
    from curate.phantom import Truth

__all__ = ["OfSources"]


class OfSources(Terminal):
    """Of the installation and of sources."""

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
        card_id = sniffed.card["id"]
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
            told = f"curate build CARD --out DIR --data ROOT, with the dataset as the folder ROOT/{card_id}"
            print(f"# Next: look at each `unsure` line, then: {told}", file=sys.stderr)
        else:
            print(notes, end="")
            print(
                f"Wrote {target}, unsure of {len(sniffed.unsure)} things. Next: edit it, then curate build "
                f"{shlex.quote(str(target))} --out DIR --data ROOT, with the dataset as the folder ROOT/{card_id}"
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
                f"Next: curate build RECIPE --data {folder} --out DIR, with a recipe that names them "
                "(pipelines/quickstart.yaml names all)"
            )
        return 0
