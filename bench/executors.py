"""What executors cost: per part, in the driver's memory, and what a second worker brings.

    python -m bench.executors overhead|memory|speed [--jobs N] [--images N] [--rounds N] [--only NAME ...]

`overhead`: parts that do nothing, beside the bare scheduler that does as little. `memory`: the driver's peak from 1,000
to 100,000 such parts (resident, the driver's process alone; Dask's scheduler runs in it). `speed`: the read stage of
distinct images that are resized, by one worker and by two. Each run is a process of its own, in turn; medians.
"""

import argparse
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.common import ROOT, replicate, workplace

WORKERS = 2
AHEAD = 2 * WORKERS
WARM = 50
"""Jobs before the clock starts: every worker has imported what it needs."""

RESIZED = "images: {longest_side: 512}\nparts: {items: 250}\n"


def nothing(shared: Any) -> Callable[[Any, Callable[[str], None]], Any]:
    """A factory of jobs that do nothing."""
    return lambda job, beat: job["number"]


def same(number: int) -> int:
    """What the bare schedulers run."""
    return number


def ours(name: str) -> Callable[[int], Iterator[object]]:
    """One of our executors."""

    def run(count: int) -> Iterator[object]:
        from curate.execute import Executing
        from curate.execute.base import Work
        from curate.execute.child import Limits

        work = Work("bench.executors:nothing", b"null", Limits())
        with Executing(name, WORKERS).open() as executor:
            yield from executor.run(work, ({"number": number} for number in range(count)), lambda _: None)

    return run


def bare_pool(count: int) -> Iterator[object]:
    """A pool of the standard library."""
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

    with ProcessPoolExecutor(WORKERS) as pool:
        numbers = iter(range(count))
        out = {pool.submit(same, number) for number in itertools.islice(numbers, AHEAD)}
        while out:
            done, out = wait(out, return_when=FIRST_COMPLETED)
            out |= {pool.submit(same, number) for number in itertools.islice(numbers, len(done))}
            yield from (future.result() for future in done)


def bare_dask(count: int) -> Iterator[object]:
    """Dask's own loop over what is completed."""
    from distributed import Client, LocalCluster, as_completed

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        numbers = iter(range(count))
        first = [client.submit(same, number, pure=False) for number in itertools.islice(numbers, AHEAD)]
        done = as_completed(first, with_results=True)
        for _, said in done:
            for number in itertools.islice(numbers, 1):
                done.add(client.submit(same, number, pure=False))
            yield said


def bare_ray(count: int) -> Iterator[object]:
    """Ray's own loop over what is ready."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    task = ray.remote(same)
    numbers = iter(range(count))
    out = [task.remote(number) for number in itertools.islice(numbers, AHEAD)]
    while out:
        done, out = ray.wait(out)
        out += [task.remote(number) for number in itertools.islice(numbers, len(done))]
        yield from ray.get(done)
    ray.shutdown()


CONTESTANTS: dict[str, Callable[[int], Iterator[object]]] = {
    "bare process pool": bare_pool,
    "curate, local": ours("local"),
    "bare Dask": bare_dask,
    "curate, Dask": ours("dask"),
    "bare Ray": bare_ray,
    "curate, Ray": ours("ray"),
}
OURS = [name for name in CONTESTANTS if name.startswith("curate")]


def timed(name: str, count: int) -> dict[str, float]:
    """One run in this process: seconds to the first answers, milliseconds for each of the others, and peak memory."""
    began = warm = time.perf_counter()
    seen = 0
    for seen, _ in enumerate(CONTESTANTS[name](count + WARM), start=1):
        if seen == WARM:
            warm = time.perf_counter()
        if seen == count + WARM:
            ended = time.perf_counter()
    assert seen == count + WARM, f"{name} gave {seen} answers of {count + WARM}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"start_s": warm - began, "each_ms": (ended - warm) / count * 1000, "peak_mb": peak}


def apart(name: str, count: int) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "bench.executors", "one", "--only", name, "--jobs", str(count)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    print(f"{name}, {count}: {found}", file=sys.stderr)
    return found


def overhead(names: list[str], count: int, rounds: int) -> None:
    """What one part costs that does nothing."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
            runs[name].append(apart(name, count))
    print(f"\n{'parts that do nothing':24}{'start s':>9}{'ms each':>9}{'peak MB':>9}")
    for name in names:
        start, each, peak = (_median(runs[name], key) for key in ("start_s", "each_ms", "peak_mb"))
        print(f"{name:24}{start:>9.1f}{each:>9.2f}{peak:>9.0f}")


def memory(names: list[str], rounds: int) -> None:
    """The driver's peak memory as parts grow in number."""
    print(f"{'driver, peak MB':24}{'1,000':>9}{'10,000':>9}{'100,000':>9}{'last / first':>14}")
    for name in names:
        peaks = [_median([apart(name, count) for _ in range(rounds)], "peak_mb") for count in (1000, 10_000, 100_000)]
        print(f"{name:24}" + "".join(f"{peak:>9.0f}" for peak in peaks) + f"{peaks[-1] / peaks[0]:>14.2f}", flush=True)


def speed(executors: list[str], images: int, rounds: int) -> None:
    """Two workers against one."""
    print(f"{'read, ' + str(images) + ' images':24}{'1 worker s':>12}{'2 workers s':>12}{'gain':>8}")
    with workplace() as folder:
        inputs = replicate(folder / "inputs", images, lambda _: True, RESIZED)
        for name in executors:
            seconds: dict[int, list[float]] = {1: [], 2: []}
            for turn in range(rounds):
                for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                    seconds[workers].append(_read(inputs.folder, folder / "out", name, workers))
            one, two = statistics.median(seconds[1]), statistics.median(seconds[2])
            print(f"{name:24}{one:>12.2f}{two:>12.2f}{one / two:>8.2f}", flush=True)


def _read(inputs: Path, out: Path, executor: str, workers: int) -> float:
    """Seconds that a build takes for the read stage alone, the start of its process and its cluster included."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-P", "-c", "from curate.cli import main; main()", "build", str(inputs / "recipe.yaml")]
    command += ["--out", str(out), "-j", str(workers)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    quiet = partial(subprocess.run, cwd=inputs, env=environment, stdout=subprocess.DEVNULL, check=True)
    quiet([*command, "--stage", "scan"])
    began = time.perf_counter()
    quiet([*command, "--stage", "read", "--executor", executor])
    return time.perf_counter() - began


def _median(runs: Iterable[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "memory", "speed", "one"])
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    if options.what == "one":
        print(json.dumps(timed(options.only[0], options.jobs)))
    elif options.what == "overhead":
        overhead(options.only or list(CONTESTANTS), options.jobs, options.rounds)
    elif options.what == "memory":
        memory(options.only or OURS, options.rounds)
    else:
        speed(options.only or ["local", "dask", "ray"], options.images, options.rounds)


if __name__ == "__main__":
    main()
