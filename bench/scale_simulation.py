"""Ten million items in about 100,000 parts on 1,000 workers, in virtual time: what does the driver cost, and who waits?

The planner, the loop over the stages and the loop that sends jobs and takes lost ones back (`curate.execute.cluster`)
are the real ones. Only the workers are simulated: each job takes a time of a heavy-tailed distribution, some lose their
worker in the middle, and what is committed is a sidecar without its files (see `scale_worker`). Times are drawn from
hashes, so that every run tells the same.

Run: python -m bench.scale_simulation [--sources N] [--workers N] [--items N]
"""

import argparse
import heapq
import json
import math
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from types import TracebackType
from typing import Any, cast

import msgspec

from bench.common import workplace
from curate.build import build_corpus
from curate.execute import Executing
from curate.execute.base import Beat, Job, Work
from curate.execute.cluster import drive
from curate.plan import load
from curate.schema import identity

ITEMS_OF_A_SOURCE = 156_250
ITEM_BYTES = 500_000
SECONDS = {"scan": 300.0, "read": 60.0, "group": 600.0, "draft": 8.0, "verify": 8.0, "catalog": 600.0}
"""The median of a part's time, assumed: a bucket of 305 items of 0.5 MB, a source of 156,250, the corpus."""

SPREAD = 0.4  # sigma of the logarithm
STRAGGLERS = 0.01  # so many parts take five times as long or more, by a Pareto distribution with exponent 1.5
LOSSES = 0.01  # so many attempts lose their worker
NEW_WORKER_S = 120.0  # until another one takes its place
LONGEST = 100.0  # no part takes more than so many times the median: then it is hung, and killed

CARD = """\
id: {name}
title: Made up
source: {{home: https://example.org}}
terms: {{licence: CC0-1.0, quote: none, read_at: nowhere, deidentified: true}}
images: {{glob: "images/*"}}
labels: [{{layout: table, files: labels.csv, image: image, columns: {{label: {{kind: class}}}}}}]
subject: {{column: subject}}
"""


def chance(*of: object) -> float:
    """A number in (0, 1) that depends on nothing but what it is of."""
    return (int(identity("chance", *of)[:13], 16) + 0.5) / 16**13


def seconds_of(stage: str, source: str, bucket: int | None) -> float:
    """How long a worker needs for a part."""
    median = SECONDS[stage]
    usual = median * math.exp(SPREAD * NormalDist().inv_cdf(chance("usual", stage, source, bucket)))
    if stage in ("group", "catalog") or chance("straggler", stage, source, bucket) >= STRAGGLERS:
        return usual
    return min(5 * usual * chance("tail", stage, source, bucket) ** (-1 / 1.5), LONGEST * median)


@dataclass
class Clock:
    """Virtual time, and what happened in it."""

    now: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # stage -> when its last part was committed
    work: Counter[str] = field(default_factory=Counter)  # stage -> seconds of all parts, each once
    lost: int = 0
    lost_seconds: float = 0.0
    in_flight: int = 0  # the most jobs that the driver had out


class Workers:
    """A `cluster.Pool` of simulated workers; jobs that no worker is free for wait in a queue, as at a scheduler."""

    def __init__(self, clock: Clock, count: int, pretend: "subprocess.Popen[str]") -> None:
        self._clock = clock
        self._count = count
        self._pretend = pretend
        self._free = [clock.now] * count  # when each worker is free
        self._ends: list[tuple[float, int, bytes, bool]] = []
        self._tickets = 0

    def room(self) -> int:
        """Twice the workers, as on Dask and Ray."""
        return 2 * self._count

    def submit(self, job: bytes, *, watched: bool) -> Hashable:
        """The worker that is free first takes it."""
        self._tickets += 1
        part = json.loads(job)
        place = (part["stage"], part["source"], part["bucket"])
        began = max(heapq.heappop(self._free), self._clock.now)
        takes = seconds_of(*place)
        lost = chance("lost", *place, self._tickets) < LOSSES
        if lost:
            takes *= chance("when", *place, self._tickets)
            self._clock.lost += 1
            self._clock.lost_seconds += takes
        else:
            self._clock.work[part["stage"]] += takes
        heapq.heappush(self._free, began + takes + (NEW_WORKER_S if lost else 0.0))
        heapq.heappush(self._ends, (began + takes, self._tickets, job, lost))
        self._clock.in_flight = max(self._clock.in_flight, len(self._ends))
        return self._tickets

    def finished(self) -> Iterable[tuple[Hashable, bytes | None]]:
        """The next one in time."""
        self._clock.now, ticket, job, lost = heapq.heappop(self._ends)
        if lost:
            return [(ticket, None)]
        assert self._pretend.stdin is not None and self._pretend.stdout is not None
        print(job.decode(), file=self._pretend.stdin, flush=True)
        if self._pretend.stdout.readline() != "\n":
            raise SystemExit("the process that commits sidecars has ended")
        part = json.loads(job)
        self._clock.stages[part["stage"]] = self._clock.now
        return [(ticket, msgspec.json.encode({"job": part, "receipt": {}}))]

    def ends(self, ticket: Hashable) -> list[str]:
        """No item is to blame for a node that goes."""
        return [""]


@dataclass(frozen=True)
class Simulated:
    """An executor, and how it is chosen, in one."""

    clock: Clock
    workers: int
    pretend: "subprocess.Popen[str]"
    gpus: float = 0.0

    def open(self) -> "Simulated":
        """Itself."""
        return self

    def __enter__(self) -> "Simulated":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def run(self, work: Work, jobs: Iterable[Job], beat: Beat) -> Iterator[tuple[Job, Any]]:
        """See `Executor.run`."""
        return drive(Workers(self.clock, min(self.workers, work.at_once or self.workers), self.pretend), jobs)


def make_recipe(folder: Path, sources: int) -> Path:
    """A recipe of so many sources, whose folders are empty: nobody will look."""
    names = [f"source-{number:04d}" for number in range(sources)]
    for name in names:
        (folder / "data" / name).mkdir(parents=True)
        (folder / f"{name}.yaml").write_text(CARD.format(name=name))
    entries = ", ".join(f"{{card: {name}.yaml, data: data/{name}}}" for name in names)
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"name: simulation\nsources: [{entries}]\ntasks: [label_caption]\n")
    return recipe


def simulate(sources: int, workers: int, items: int) -> dict[str, Any]:
    """One build in this process; what it told."""
    with workplace() as folder:
        recipe, out = make_recipe(folder, sources), folder / "out"
        said = {"recipe": str(recipe), "out": str(out), "items": items, "item_bytes": ITEM_BYTES}
        command = [sys.executable, "-m", "bench.scale_worker"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as pretend:
            assert pretend.stdin is not None
            print(json.dumps(said), file=pretend.stdin, flush=True)
            corpus = load(recipe, None)
            clock = Clock()
            before_bytes, before = peak_bytes(), time.process_time()
            built = build_corpus(corpus, out, executing=cast(Executing, Simulated(clock, workers, pretend)))
            cpu = time.process_time() - before
            pretend.stdin.close()
        buckets = built.built["read"] // sources
        return {
            "parts": sum(built.built.values()),
            "items": sources * items,
            "cpu_s": cpu,
            "peak_bytes": peak_bytes(),
            "start_bytes": before_bytes,
            "clock": clock.__dict__ | {"work": dict(clock.work)},
            "chain_s": longest_chain([source.id for source in corpus.sources], buckets),
        }


def longest_chain(sources: list[str], buckets: int) -> float:
    """The longest way from a source to the catalog, had every part begun as soon as what it reads was there."""
    read, verified = 0.0, 0.0
    for source in sources:
        scanned = seconds_of("scan", source, None)
        for bucket in range(buckets):
            at = scanned + seconds_of("read", source, bucket)
            read = max(read, at)
            verified = max(verified, at + seconds_of("draft", source, bucket) + seconds_of("verify", source, bucket))
    return max(read + seconds_of("group", "*", None), verified) + seconds_of("catalog", "*", None)


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tell(result: dict[str, Any], workers: int) -> None:
    """What one simulation means."""
    clock = result["clock"]
    parts, total = result["parts"], sum(clock["work"].values())
    even, chain = total / workers, result["chain_s"]
    bound = max(even, chain)
    print(f"\n{result['items']:,} items, {parts:,} parts, {workers:,} workers")
    print(f"driver      {result['cpu_s']:.1f} s of processor time, {1e3 * result['cpu_s'] / parts:.2f} ms a part")
    print(
        f"            {result['peak_bytes'] / 2**20:.0f} MB at most, {result['start_bytes'] / 2**20:.0f} at its start"
    )
    print(f"            {clock['in_flight']:,} jobs out at most")
    print(f"lost        {clock['lost']:,} workers, and {clock['lost_seconds'] / 3600:.1f} hours of their work")
    print(
        f"makespan    {clock['now'] / 60:.1f} min; work / workers {even / 60:.1f}, longest chain {chain / 60:.1f} min"
    )
    print(f"            {clock['now'] / bound:.2f} times the bound, {total / workers / clock['now']:.0%} busy")
    before = 0.0
    for stage, end in clock["stages"].items():
        needs = clock["work"][stage] / workers
        print(f"  {stage:9} {(end - before) / 60:7.1f} min; its work/workers {needs / 60:.1f} min")
        before = end


def main() -> None:
    """The command line: the small one and the large one, each in a process of its own."""
    parser = argparse.ArgumentParser(description="A build of ten million items in virtual time")
    parser.add_argument("--sources", type=int, default=64, help=f"of {ITEMS_OF_A_SOURCE:,} items each")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--items", type=int, default=ITEMS_OF_A_SOURCE, help="of each source")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(simulate(options.sources, options.workers, options.items)))
        return
    for sources in sorted({max(1, options.sources // 100), options.sources}):
        command = [sys.executable, "-m", "bench.scale_simulation", "--run", "--sources", str(sources)]
        command += ["--workers", str(options.workers), "--items", str(options.items)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        tell(json.loads(told.stdout.splitlines()[-1]), options.workers)


if __name__ == "__main__":
    main()
