"""Set up the virtual environment of `make test-airflow`: Airflow alone; curate stays in its own.

    python3.11 -m tests.airflow.environment .venv-airflow

What stands in the way (another Python, no wheel for this machine) is said in one line; it is a failure where
CURATE_REQUIRE names `airflow`, and elsewhere exit code 0 with no environment, so that a laptop can go on.
Runs on the standard library alone.
"""

import hashlib
import os
import shutil
import sys
import venv
from pathlib import Path

from tests.llm.environment import UnfitMachineError, run

ROOT = Path(__file__).resolve().parents[2]
PINNED = ROOT / "constraints-airflow.txt"


def main(folder: Path) -> int:
    """Exit code: 0 unless CURATE_REQUIRE names `airflow` and there is no environment in the end."""
    required = "airflow" in os.environ.get("CURATE_REQUIRE", "").split(",")
    try:
        make(folder)
    except UnfitMachineError as reason:
        print(f"tests/airflow {'cannot run' if required else 'are skipped'}: {reason}", file=sys.stderr)
        return 1 if required else 0
    return 0


def make(folder: Path) -> None:
    """The environment, unless it is there already and was made from the same files.

    Raises:
        UnfitMachineError: this machine cannot hold it.
    """
    if sys.version_info[:2] != (3, 11) or sys.platform == "win32":
        found = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
        raise UnfitMachineError(f"constraints-airflow.txt was made on Linux with Python 3.11; this is {found}")
    made_from = hashlib.sha256(PINNED.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    stamp = folder / ".ready"
    if stamp.exists() and stamp.read_text() == made_from:
        return
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
    run([*pip, "-r", PINNED], "a wheel in constraints-airflow.txt is not to be had here")
    run([python, "-W", "ignore", "-c", "import airflow.sdk"], "Airflow cannot be imported")
    stamp.write_text(made_from)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
