"""Recipes become DAGs: for each stage one task that plans and one mapped task per range of parts, then the proof."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule

from curate_airflow.calls import STAGES
from curate_airflow.operators import BuildOperator, CheckOperator, FinishOperator, PlanOperator
from curate_airflow.settings import Settings

__all__ = ["asset_of", "dag_of", "dags_of"]

RETRIES: Final = 3
"""Of every task, unless a DAG file says otherwise: tasks are idempotent, so that a retry is always safe."""

_NOT_AN_ID: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def dags_of(settings: Settings, **kwargs: Any) -> dict[str, DAG]:
    """DAG id -> the DAG of each recipe in the folder; a card is a recipe, too. `kwargs` as in `dag_of`.

    Raises:
        NotADirectoryError: there is no folder of recipes.
    """
    if not settings.recipes.is_dir():
        raise NotADirectoryError(f"no folder of recipes at {settings.recipes}; set CURATE_RECIPES")
    recipes = sorted(path for path in settings.recipes.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    dags: dict[str, DAG] = {}
    for recipe in recipes:
        name = _NOT_AN_ID.sub("-", recipe.stem)
        name = name if name not in dags else _NOT_AN_ID.sub("-", recipe.name)
        dags[name] = dag_of(recipe, settings.of(name), dag_id=name, **kwargs)
    return dags


def dag_of(
    recipe: Path,
    settings: Settings,
    *,
    dag_id: str,
    default_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> DAG:
    """The DAG of one recipe, whose corpus lies at `settings.out`.

    `default_args` go to every task (retries, queue, pool, executor_config); `kwargs` to the DAG (schedule, tags). Runs
    follow one another: two at once would do the same work twice. A recipe that cannot be read becomes a DAG all the
    same, so that it hides no other; its first task says what is wrong.
    """
    with DAG(
        dag_id,
        description=f"Build and prove the corpus of {recipe.name}",
        params={"parts_per_task": Param(settings.parts_per_task, type="integer", minimum=1)},
        default_args={"retries": RETRIES, **(default_args or {})},
        **{"schedule": None, "catchup": False, "max_active_runs": 1, "tags": {"curate"}, **kwargs},
    ) as dag:
        before: list[BuildOperator] = []
        for stage in STAGES:
            if stage != "rewrite" or _rewrites(recipe):
                before = _stage(stage, recipe, settings, before)
        ledger = FinishOperator(
            task_id="ledger", settings=settings, recipe=recipe, trigger_rule=TriggerRule.NONE_FAILED
        )
        check = CheckOperator(task_id="check", settings=settings, outlets=[asset_of(dag_id)])
        before >> ledger >> check
    return dag


def asset_of(dag_id: str) -> Asset:
    """What a DAG updates when its corpus is built and proved: schedule a DAG that publishes on it."""
    return Asset(name=f"curate-{dag_id}")


def _stage(name: str, recipe: Path, settings: Settings, before: list[Any]) -> list[Any]:
    """One stage: when all of the one before is built, ask which parts are wanted, then build them."""
    # An engine fills its machine and is slow to start: few tasks with many parts each, one after another.
    few = settings.rewrites_at_once if name == "rewrite" else None
    pool = {} if few is None or settings.rewrite_pool is None else {"pool": settings.rewrite_pool}
    shared = {"settings": settings, "recipe": recipe, "stage": name}
    with TaskGroup(name):
        # What is done already has no tasks, and a mapped task without any is skipped: that is no failure.
        plan = PlanOperator(task_id="plan", most_tasks=few, trigger_rule=TriggerRule.NONE_FAILED, **shared)
        build = BuildOperator.partial(
            task_id="build", map_index_template="{{ task.span }}", max_active_tis_per_dag=few, **shared, **pool
        ).expand(span=plan.output)
    before >> plan
    return [build]


def _rewrites(recipe: Path) -> bool:
    """True where a recipe asks a language model; what cannot be read is curate's to tell."""
    try:
        document = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(document, dict) and document.get("rewrite") is not None
