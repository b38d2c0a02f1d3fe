"""A worker that builds nothing: for each job it commits a sidecar like that of the part, and no other file.

It runs as a process of its own, so that what it costs is not counted as the driver's. Jobs come as lines of JSON, and
an empty line goes back for each. The first line names the recipe, the output, and how much each part pretends to hold.
"""

import json
import sys
from pathlib import Path
from typing import Any

from curate.corpus import project_key
from curate.plan import load, run_of
from curate.recipe import Parts
from curate.schema import Unit, identity
from curate.stages import Run, stage_named
from curate.stages.source_scan import bucket_count
from curate.store.commit import replace_file
from curate.store.part import Count, OutputFile, Part, Sidecar, encode_sidecar

WRITES = {
    "scan": ("files",),
    "read": ("annotations", "assets", "files", "images"),
    "group": ("groups",),
    "draft": ("drafts",),
    "verify": ("pairs",),
    "catalog": ("annotations", "assets", "groups", "pairs", "parts", "rejects", "responses"),
}
UNITS = {
    "scan": (Unit.FILE, Unit.IMAGE, Unit.ROW),
    "read": (Unit.ITEM, Unit.ANNOTATION),
    "group": (Unit.ASSET,),
    "draft": (Unit.ASSET,),
    "verify": (Unit.DRAFT,),
    "catalog": (),
}


class Pretender:
    """Commits the sidecar of one part after another."""

    def __init__(self, recipe: Path, out: Path, items: int, item_bytes: int) -> None:
        """`items` of `item_bytes` each are in every source."""
        self._corpus = load(recipe, None)
        self._out = out
        self._run: tuple[str, Run] | None = None
        self._items = items
        self.buckets = bucket_count(items * item_bytes, items, Parts())

    def build(self, part: Part) -> None:
        """As a worker would: with the fingerprint and the inputs of the real stage."""
        stage, run = stage_named(part.stage), self._run_for(part.stage)
        replace_file(
            self._out / part.sidecar_path,
            encode_sidecar(
                Sidecar(
                    stage=part.stage,
                    source=part.source,
                    bucket=part.bucket,
                    fingerprint=run.fingerprint(stage, part),
                    inputs=self._inputs(run, part),
                    files=tuple(self._files(part)),
                    counts=tuple(Count(unit=unit, n_in=n, n_used=n) for unit, n in self._counts(part)),
                    emitted=dict.fromkeys(WRITES[part.stage], self._items // self.buckets),
                    statistics=self._statistics(part),
                )
            ),
        )

    def _run_for(self, stage: str) -> Run:
        if self._run is None or self._run[0] != stage:
            self._run = (stage, run_of(self._corpus, self._out, project_key()))
        return self._run[1]

    def _inputs(self, run: Run, part: Part) -> dict[str, str]:
        if part.stage == "scan":
            return {"listing": f"{self._items} files, {identity(part.source)}"}
        if part.stage == "read":
            scan = run.sidecars.need(Part("scan", part.source))
            return {"files": identity(str(part)), "inventory": scan.digest("inventory", part.bucket)}
        return stage_named(part.stage).inputs(run, part)

    def _files(self, part: Part) -> list[OutputFile]:
        slots: list[tuple[str, int | None]] = [(table, part.bucket) for table in WRITES[part.stage]]
        if part.stage == "scan":
            slots += [("inventory", bucket) for bucket in range(self.buckets)]
        return [self._file(part, table, bucket) for table, bucket in slots]

    def _file(self, part: Part, table: str, bucket: int | None) -> OutputFile:
        digest = identity(str(part), table, bucket)
        name = f"{table}/{part.folder}/{part.stage}-{bucket or 0:05d}-{digest[:32]}.parquet"
        rows = self._items // self.buckets
        return OutputFile(table=table, bucket=bucket, name=name, sha256=digest, bytes=100 * rows, rows=rows)

    def _counts(self, part: Part) -> list[tuple[Unit, int]]:
        n = self._items if part.bucket is None else self._items // self.buckets
        return [(unit, n) for unit in UNITS[part.stage]]

    def _statistics(self, part: Part) -> dict[str, Any]:
        if part.stage != "scan":
            return {}
        vocabulary = {labels.name: ["left", "right"] for labels in self._corpus.source(part.source).card.labels}
        return {"buckets": list(range(self.buckets)), "bucket_count": self.buckets, "vocabulary": vocabulary}


def main() -> None:
    """Serve until the input ends."""
    said = json.loads(sys.stdin.readline())
    pretender = Pretender(Path(said["recipe"]), Path(said["out"]), said["items"], said["item_bytes"])
    for line in sys.stdin:
        job = json.loads(line)
        pretender.build(Part(job["stage"], job["source"], job["bucket"]))
        print(flush=True)


if __name__ == "__main__":
    main()
