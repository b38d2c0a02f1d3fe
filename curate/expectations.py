"""The great-expectations suite over the catalog's metadata columns; its normalised result is kept.

The suite lies in `schemas/expectations/catalog.json`. Only the columns that it names are loaded, never text or bytes;
the result that is kept holds no run time, run id or value of a row, so that the same corpus gives the same file.
"""

import importlib.util
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from curate.catalog import open_catalog
from curate.resources import shipped
from curate.store.commit import replace_file
from curate.store.place import Place

__all__ = ["RESULT_FILE", "Outcome", "run"]

RESULT_FILE: Final = "checks/expectations.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many expectations were evaluated, and those that are not met."""

    evaluated: int
    failed: tuple[str, ...]


def run(out: Place) -> Outcome | None:
    """Evaluate the suite and keep its result; null where great-expectations is not installed."""
    if importlib.util.find_spec("great_expectations") is None:
        return None
    suite = json.loads((shipped("schemas") / "expectations" / "catalog.json").read_text())
    catalog = open_catalog(out)
    results: list[dict[str, Any]] = []
    with _quiet():
        for table, expected in suite["tables"].items():
            columns = sorted({entry["kwargs"]["column"] for entry in expected})
            frame = getattr(catalog, table).select(columns).collect().to_pandas()
            results += [{"table": table, **result} for result in _validate(table, expected, frame)]
    replace_file(
        out / RESULT_FILE, json.dumps({"suite": suite["name"], "results": results}, indent=1, sort_keys=True).encode()
    )
    failed = [
        f"{result['table']}: {result['type']} {json.dumps(result['kwargs'])}"
        for result in results
        if not result["success"]
    ]
    return Outcome(len(results), tuple(failed))


def _validate(table: str, expected: list[dict[str, Any]], frame: Any) -> list[dict[str, Any]]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("catalog")
        .add_dataframe_asset(table)
        .add_batch_definition_whole_dataframe("all")
    )
    suite = gx.ExpectationSuite(
        name=table,
        expectations=[ExpectationConfiguration(type=entry["type"], kwargs=entry["kwargs"]) for entry in expected],
    )
    definition = gx.ValidationDefinition(data=batch, suite=context.suites.add(suite), name=table)
    outcome = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": frame}, result_format="BASIC"
    )
    return [_normal(result.to_json_dict()) for result in outcome.results]


def _normal(result: dict[str, Any]) -> dict[str, Any]:
    config = result["expectation_config"]
    counted = result.get("result", {})
    return {
        "type": config["type"],
        "kwargs": {name: value for name, value in sorted(config["kwargs"].items()) if name != "batch_id"},
        "success": result["success"],
        "element_count": counted.get("element_count"),
        "unexpected_count": counted.get("unexpected_count"),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, no analytics, no warnings of the libraries beneath."""
    before = {name: os.environ.get(name) for name in ("GX_ANALYTICS_ENABLED",)}
    os.environ.update({"GX_ANALYTICS_ENABLED": "false"})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
