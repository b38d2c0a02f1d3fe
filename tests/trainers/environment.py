"""Set up the virtual environment of `make test-trainers`: those who train on a release, without this package.

    python3.11 -m tests.trainers.environment .venv-trainers

`tests/environment.py` says what becomes of a machine that cannot hold it.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

from tests.environment import ROOT, UnfitMachineError, environment, install, outcome, run
from tests.llm.environment import HOOK

PINNED = ROOT / "constraints-trainers.txt"


def make(folder: Path) -> None:
    """The environment.

    Raises:
        UnfitMachineError: this machine cannot hold it.
    """
    if sys.version_info[:2] != (3, 11) or not sys.platform.startswith("linux"):
        found = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
        raise UnfitMachineError(f"constraints-trainers.txt was made on Linux with Python 3.11; this is {found}")
    environment(folder, (PINNED, HOOK, Path(__file__)), fill)


def fill(python: Path) -> None:
    """Install, let torchvision be imported without its compiled operators, and try what was installed."""
    install(python, "-r", PINNED, remedy="a wheel in constraints-trainers.txt is not to be had here")
    packages = next((python.parents[1] / "lib").glob("python3.*")) / "site-packages"
    shutil.copy(HOOK, packages)
    (packages / f"{HOOK.stem}.pth").write_text(f"import {HOOK.stem}\n")
    run(
        [python, "-W", "ignore", "-c", "import swift.template, trl, verl.utils.dataset.rl_dataset"],
        "trainers cannot be imported; torch must be the build for processors (let pip find PyTorch's CPU wheels)",
    )


if __name__ == "__main__":
    sys.exit(outcome("trainers", partial(make, Path(sys.argv[1]))))
