"""scan: what lies in a source. Reads label files and headers, never pixels; writes a slice of inventory per bucket."""

from typing import Any

import msgspec

from curate import layouts
from curate.layouts.tree import ArchiveError, Entry
from curate.stages.base import Beat, Run, stage_fingerprint
from curate.stages.source_files import SourceFiles
from curate.stages.source_scan import SourceScan
from curate.store.commit import PartWriter
from curate.store.part import Part

__all__ = ["ScanStage"]


class ScanStage:
    """One part per source."""

    name = "scan"
    version = 3
    tables: tuple[str, ...] = ("inventory", "files", "rejects")
    after: tuple[str, ...] = ()

    def parts(self, run: Run) -> list[Part]:
        """One per source of the recipe."""
        return sorted(Part(self.name, source.id) for source in run.corpus.sources)

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """What the card says about files and labels, the layouts' versions, the key behind tokens."""
        source = run.corpus.source(part.source)
        card = source.card
        said = ("id", "images", "labels", "subject", "study", "split", "ignores", "modality", "anatomy", "view")
        config: dict[str, Any] = {f"card.{key}": msgspec.to_builtins(getattr(card, key)) for key in said}
        config |= {f"layout.{labels.layout}": layouts.layout_of(labels).version for labels in card.labels}
        config |= {
            "card.hides_paths": card.hides_paths,
            "recipe.limit": source.limit,
            "recipe.parts": msgspec.to_builtins(run.corpus.recipe.parts),
            "key": run.key.fingerprint,
        }
        return stage_fingerprint(self, config, ("pyarrow", "pydicom") if card.reads_headers else ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The listing of the data root and the digest of every label file."""
        source = run.corpus.source(part.source)
        stats = run.stats(part.source)
        cached = run.freshness.inputs(part, source.root, stats, whole=True)
        if cached is not None:
            return cached
        with SourceFiles(run, source, parse=False) as files:
            for labels in source.card.labels:
                for entry in layouts.layout_of(labels).label_files(files.context(labels)):
                    files.try_read(entry)
            for entry, _ in files.split_lists():
                files.try_read(entry)
            stacks = source.card.images.form == "volume"
            if stacks or source.card.reads_headers:
                for entry in files.images:
                    if not stacks or files.is_dicom(entry):
                        files.try_read(entry)
            now = files.inputs(run)
        built = run.sidecars.get(part)
        if built is not None and built.inputs == now:
            run.freshness.confirm(part, source.root, stats, now)
        return now

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Fill the inventory."""
        source = run.corpus.source(part.source)
        stats = run.stats(part.source)

        def touch(entry: Entry) -> None:
            """Name a file before its bytes are parsed, so that one that ends the process is known, then left out."""
            key = run.visible(source.id, entry.key)
            beat(key)
            if key in run.poisoned:
                raise ArchiveError(run.poisoned[key], "reading the file ended the process")

        with SourceFiles(run, source, touch) as files:
            files.check_patterns()
            scan = SourceScan(run, source, files, writer, beat)
            scan.read_headers()
            for labels in source.card.labels:
                scan.read_labels(labels)
            scan.check_columns()
            scan.read_split_lists()
            beat("")
            scan.account_for_files()
            scan.write(run.corpus.recipe.parts)
            inputs = files.inputs(run)
        run.freshness.record(part, source.root, stats, inputs)
        return inputs
