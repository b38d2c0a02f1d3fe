"""The stages of a build, in the order of the flow. Each is imported when it is first asked for."""

from functools import lru_cache
from importlib import import_module
from typing import Final, cast

from curate.stages.base import Run, Stage

__all__ = ["STAGE_NAMES", "Run", "Stage", "stage_named", "stages"]

_CLASSES: Final = {
    "scan": "ScanStage",
    "read": "ReadStage",
    "group": "GroupStage",
    "draft": "DraftStage",
    "rewrite": "RewriteStage",
    "verify": "VerifyStage",
    "catalog": "CatalogStage",
}

STAGE_NAMES: Final = tuple(_CLASSES)
"""In the order of the flow."""


@lru_cache
def stage_named(name: str) -> Stage:
    """The stage with this name."""
    return cast(Stage, getattr(import_module(f"curate.stages.{name}"), _CLASSES[name])())


def stages() -> list[Stage]:
    """Every stage, in the order of the flow."""
    return [stage_named(name) for name in STAGE_NAMES]
