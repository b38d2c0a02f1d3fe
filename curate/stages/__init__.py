"""The stages of a build, in the order of the flow."""

from curate.stages.base import Run, Stage
from curate.stages.catalog import CatalogStage
from curate.stages.draft import DraftStage
from curate.stages.group import GroupStage
from curate.stages.read import ReadStage
from curate.stages.scan import ScanStage
from curate.stages.verify import VerifyStage

__all__ = ["STAGES", "Run", "Stage", "stage_named"]

STAGES: tuple[Stage, ...] = (ScanStage(), ReadStage(), GroupStage(), DraftStage(), VerifyStage(), CatalogStage())


def stage_named(name: str) -> Stage:
    """The stage with this name."""
    return next(stage for stage in STAGES if stage.name == name)
