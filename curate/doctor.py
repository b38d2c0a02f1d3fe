"""doctor: what is installed, what is missing, and one line of remedy each."""

import importlib.metadata
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.resources import shipped

__all__ = ["Finding", "examine"]

DISTRIBUTION: Final = "medcurate"

_EXTRAS: Final = {
    "great-expectations": ("expectations", "`curate check` runs the expectation suite"),
    "distributed": ("dask", "builds on a Dask cluster"),
    "ray": ("ray", "builds on a Ray cluster"),
    "vllm": ("vllm", "rewriting by a local language model"),
}

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

MIN_FREE_BYTES: Final = 5 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `ok` is null where it is only good to know."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def examine(folder: Path) -> list[Finding]:
    """The installation and the place where a build would run."""
    findings = [_distribution(name, f"pip install {DISTRIBUTION}", required=True) for name in _required()]
    for name, (extra, purpose) in _EXTRAS.items():
        findings.append(_distribution(name, f"pip install '{DISTRIBUTION}[{extra}]' ({purpose})", required=False))
    findings.append(_folder("catalogs", shipped("catalogs")))
    findings.append(_folder("schemas", shipped("schemas")))
    free = shutil.disk_usage(folder).free
    findings.append(
        Finding("free disk space", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB", f"free some space below {folder}")
    )
    key = "set" if os.environ.get("CURATE_KEY") or os.environ.get("CURATE_KEY_FILE") else "the public demonstration key"
    findings.append(Finding("project key", None, key, "set CURATE_KEY_FILE for data that are not public"))
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        findings.append(
            Finding(
                "bytecode",
                None,
                "PYTHONDONTWRITEBYTECODE is set",
                "unset it: every start takes two to three times as long",
            )
        )
    findings.append(Finding("processors", None, str(os.cpu_count()), "one worker each, unless -j says otherwise"))
    return findings


def _required() -> list[str]:
    """The distributions that the core needs, as the package's own metadata name them."""
    try:
        stated = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [DISTRIBUTION]  # (a checkout that is not installed: said as what is missing)
    plain = [line for line in stated if "extra ==" not in line]
    return sorted({found.group() for line in plain if (found := _NAME.match(line))})


def _distribution(name: str, remedy: str, *, required: bool) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False if required else None, "not installed", remedy)


def _folder(name: str, path: Path) -> Finding:
    if path.is_dir():
        return Finding(name, True, f"{len(list(path.glob('*')))} files")
    return Finding(name, False, "not found", "install medcurate again, or run from a checkout")
