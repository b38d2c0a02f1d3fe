"""Set up the virtual environment of `make test-airflow`: Airflow alone; curate stays in its own.

    python3.11 -m tests.airflow.environment .venv-airflow

`tests/environment.py` says what becomes of a machine that cannot hold it.
"""

import sys
from functools import partial
from pathlib import Path

from tests.environment import ROOT, UnfitMachineError, environment, install, outcome, run

PINNED = ROOT / "constraints-airflow.txt"


def make(folder: Path) -> None:
    """The environment.

    Raises:
        UnfitMachineError: this machine cannot hold it.
    """
    if sys.version_info[:2] != (3, 11) or sys.platform == "win32":
        found = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
        raise UnfitMachineError(f"constraints-airflow.txt was made on Linux with Python 3.11; this is {found}")
    environment(folder, (PINNED, Path(__file__)), fill)


def fill(python: Path) -> None:
    """Install and try what was installed."""
    install(python, "-r", PINNED, remedy="a wheel in constraints-airflow.txt is not to be had here")
    run([python, "-W", "ignore", "-c", "import airflow.sdk"], "Airflow cannot be imported")


if __name__ == "__main__":
    sys.exit(outcome("airflow", partial(make, Path(sys.argv[1]))))
