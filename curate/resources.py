"""Where the files that ship beside the package lie: in a checkout, or in an installed distribution's data folder."""

import sysconfig
from pathlib import Path
from typing import Literal

__all__ = ["shipped"]


def shipped(folder: Literal["catalogs", "pipelines", "schemas"]) -> Path:
    """The folder of shipped cards, recipes or schemas; it may not exist where none were installed."""
    checkout = Path(__file__).resolve().parents[1] / folder
    return checkout if checkout.is_dir() else Path(sysconfig.get_path("data")) / "share" / "medcurate" / folder
