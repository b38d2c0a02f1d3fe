"""How fast drafts are verified: `python -m bench.verify.speed`.

Rows are the drafts of the seven-source corpus, as their tasks wrote them and as if a model had, held in memory: what is
timed is `Verifier.verify` alone, one process, then as many as there are cores, each with all rows. Medians of several
runs, each in a fresh process; processor time beside wall time, since it wanders less; memory is the largest resident
set of one process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.verify.sources import RECIPE, TEMPLATES, as_model_text, corpus_rows, opened

__all__ = ["main"]

PASSES = 3
"""How often one run goes over all rows; the fastest pass counts, so that the first one warms caches up."""


def _once(recipe: Path, data: Path | None, corpus: Path, model: bool) -> dict[str, Any]:
    """One process: rows and seconds of its fastest pass."""
    from curate.verify import Verifier

    with opened(recipe, data, corpus) as run:
        rows = [row for row in corpus_rows(run) if not model or row.group == TEMPLATES]
    rows = [as_model_text(row) for row in rows] if model else rows
    verifiers = {row.draft.source: Verifier(row.vocabulary) for row in rows}
    seconds, cpu_seconds = [], []
    for _ in range(PASSES):
        began, cpu_began = time.perf_counter(), time.process_time()
        for row in rows:
            verifiers[row.draft.source].verify(row.draft, row.assets, row.annotations)
        seconds.append(time.perf_counter() - began)
        cpu_seconds.append(time.process_time() - cpu_began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"rows": len(rows), "seconds": min(seconds), "cpu_seconds": min(cpu_seconds), "peak_bytes": peak}


def _together(command: list[str], processes: int) -> list[dict[str, Any]]:
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{' '.join(command)} failed")
    return [json.loads(text.splitlines()[-1]) for text in printed]


def main(arguments: list[str] | None = None) -> int:
    """Print one line per kind of text and number of processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--corpus", type=Path, help="an output of this recipe that is built already")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the numbers here, as JSON")
    parser.add_argument("--once", choices=["template", "model"], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.once:
        print(json.dumps(_once(options.recipe, options.data, options.corpus, options.once == "model")))
        return 0
    found: dict[str, dict[str, float]] = {}
    print(f"{'':26}{'rows':>8}{'rows/s':>10}{'lowest':>10}{'highest':>10}{'per cpu s':>11}{'peak MB':>9}")
    with opened(options.recipe, options.data, options.corpus) as run:
        for text in ("template", "model"):
            for processes in sorted({1, os.cpu_count() or 1}):
                command = [sys.executable, "-m", "bench.verify.speed", "--once", text, "--corpus", str(run.out)]
                command += ["--recipe", str(options.recipe)] + (["--data", str(options.data)] if options.data else [])
                rounds = [_together(command, processes) for _ in range(options.rounds)]
                rates = [sum(one["rows"] / one["seconds"] for one in each) for each in rounds]
                peak = statistics.median(max(one["peak_bytes"] for one in each) for each in rounds)
                per_cpu = statistics.median(one["rows"] / one["cpu_seconds"] for each in rounds for one in each)
                name = f"{text} text, {processes} process{'es' if processes > 1 else ''}"
                found[name] = {
                    "rows_per_s": round(statistics.median(rates)),
                    "rows_per_cpu_s": round(per_cpu),
                    "peak_mb": round(peak / 2**20),
                }
                print(f"{name:26}{rounds[0][0]['rows']:>8,}{statistics.median(rates):>10,.0f}{min(rates):>10,.0f}"
                      f"{max(rates):>10,.0f}{per_cpu:>11,.0f}{peak / 2**20:>9,.0f}")  # fmt: skip
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
