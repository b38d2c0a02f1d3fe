"""Clusters that were there before the build: a scheduler and its workers as processes of their own."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

STARTS_WITHIN_S = 120


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a scheduler with so many workers of one thread, which run in `folder`."""
    where = folder / "scheduler.json"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(where)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where), "--nworkers"]
    worker += [str(workers), "--nthreads", "1", "--memory-limit", "0", "--dashboard-address", "127.0.0.1:0"]
    with _started(scheduler, folder / "scheduler.log", variables):
        _until(where.exists, folder / "scheduler.log")
        log = folder / "worker.log"
        with _started(worker, log, {**variables, **(environment or {})}, folder):
            _until(lambda: log.read_text().count("Starting established connection") >= workers, log)
            found = re.search(r'"address": "(tcp://[^"]+)"', where.read_text())
            assert found is not None
            yield found[1]


@contextmanager
def ray_cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """The address of a Ray cluster of one node with so many processors."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", "0"]
    command += ["--num-cpus", str(workers), "--include-dashboard", "false", "--object-store-memory", "83886080"]
    log = folder / "ray.log"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
    with tempfile.TemporaryDirectory(prefix="ray-") as short:  # the names of Ray's sockets must not be long
        command += ["--temp-dir", short, "--disable-usage-stats"]
        with _started(command, log, variables):
            _until(lambda: "--address='" in log.read_text(), log)
            found = re.search(r"--address='([^']+)'", log.read_text())
            assert found is not None
            yield found[1]


@contextmanager
def _started(
    command: list[str], log: Path, environment: Mapping[str, str], folder: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=folder)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(is_so: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while not is_so():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
