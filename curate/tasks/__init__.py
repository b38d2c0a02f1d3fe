"""Tasks: one module per capability, each a pure function of one asset, or one subject, and what is said of it."""

from collections.abc import Mapping
from typing import Any

from curate import plugins
from curate.card import convert_strictly
from curate.errors import RecipeError
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


def task_names() -> tuple[str, ...]:
    """Every known task, sorted."""
    return plugins.names("curate.tasks", BUILT_IN)


def task_class(name: str) -> type[Task] | type[SubjectTask]:
    """The class of a task.

    Raises:
        RecipeError: no task is called so.
    """
    found: type[Task] | type[SubjectTask] | None = plugins.class_named(name, "curate.tasks", BUILT_IN)
    if found is None:
        raise RecipeError(f"no task is called {name!r}; known tasks: {', '.join(task_names())}")
    return found


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
