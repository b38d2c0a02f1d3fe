"""Virtual environments of tests that need what the package's own does not hold.

What stands in the way (another Python, no wheel for this machine) is said in one line; it is a failure where
CURATE_REQUIRE names the tests, as in CI, and elsewhere exit code 0 with no environment, so that a laptop can go on.
Runs on the standard library alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class UnfitMachineError(Exception):
    """Why there is no environment on this machine."""


def outcome(tests: str, make: Callable[[], None]) -> int:
    """Exit code: 0 unless CURATE_REQUIRE names the tests and there is no environment in the end."""
    required = tests in os.environ.get("CURATE_REQUIRE", "").split(",")
    try:
        make()
    except UnfitMachineError as reason:
        print(f"tests/{tests} {'cannot run' if required else 'are skipped'}: {reason}", file=sys.stderr)
        return 1 if required else 0
    return 0


def environment(folder: Path, made_from: Sequence[Path], fill: Callable[[Path], None]) -> None:
    """The environment, unless it is there already and was made from the same files; `fill` is given its Python.

    Raises:
        UnfitMachineError: this machine cannot hold it.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in (Path(__file__), *made_from))).hexdigest()
    stamp = folder / ".ready"
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    fill(folder / "bin" / "python")
    stamp.write_text(digest)


def install(python: Path, *what: str | Path, remedy: str) -> None:
    """Install what is named and nothing that it depends on.

    Raises:
        UnfitMachineError: it failed.
    """
    run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps", *what], remedy)


def run(command: Sequence[str | Path], remedy: str) -> None:
    """Run a step.

    Raises:
        UnfitMachineError: it failed.
    """
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise UnfitMachineError(f"{remedy} (see above)")
