"""Tasks: one module per capability, each a pure function of one asset, or one subject, and what is said of it."""

from collections.abc import Mapping
from typing import Any, Final

from curate.card import convert_strictly
from curate.errors import RecipeError
from curate.plugins import Registry
from curate.tasks.base import SubjectTask, Task, Vocabulary

__all__ = ["BUILT_IN", "make_task", "task_class", "task_names"]

BUILT_IN: Mapping[str, str] = {
    "closed_vqa": "curate.tasks.closed_vqa:ClosedVqa",
    "count": "curate.tasks.count:Count",
    "defined_grounding": "curate.tasks.defined_grounding:DefinedGrounding",
    "descriptors": "curate.tasks.descriptors:Descriptors",
    "grounding": "curate.tasks.grounding:Grounding",
    "hierarchical_vqa": "curate.tasks.hierarchy:HierarchicalVqa",
    "label_caption": "curate.tasks.label_caption:LabelCaption",
    "label_strings": "curate.tasks.label_strings:LabelStrings",
    "measurement": "curate.tasks.measurement:Measurement",
    "multiple_choice": "curate.tasks.multiple_choice:MultipleChoice",
    "open_vqa": "curate.tasks.open_vqa:OpenVqa",
    "points": "curate.tasks.points:Points",
    "referring": "curate.tasks.referring:Referring",
    "source_qa": "curate.tasks.source_qa:SourceQa",
    "temporal": "curate.tasks.temporal:Temporal",
}
"""Task: where its class stands. Plug-ins add theirs by the entry point group `curate.tasks`."""

_TASKS: Final[Registry[Task | SubjectTask]] = Registry("task", "curate.tasks", BUILT_IN, RecipeError)


def task_names() -> tuple[str, ...]:
    """Every known task, sorted."""
    return _TASKS.names


def task_class(name: str) -> type[Task | SubjectTask]:
    """The class of a task.

    Raises:
        RecipeError: no task is called so.
    """
    return _TASKS.named(name)


def make_task(
    name: str, options: Mapping[str, Any], vocabulary: Vocabulary, *, variants: int = 1
) -> Task | SubjectTask:
    """A task with the settings of a recipe.

    Raises:
        RecipeError: no task is called so, or it does not know one of the settings.
    """
    found = task_class(name)
    settings = convert_strictly({"variants": variants, **options}, found.Options, f"task {name}", RecipeError)
    return found(settings, vocabulary)
