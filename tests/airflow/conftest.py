"""A real Airflow in its own environment and a home of its own. `make test-airflow` runs these tests."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests.conftest import ROOT, skip_or_fail

DAGS = ROOT / "dags"
BAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
told = {
    name: {
        task.task_id: {
            "after": sorted(task.upstream_task_ids),
            "retries": task.retries if not task.is_mapped else task.partial_kwargs["retries"],
            "at_once": task.max_active_tis_per_dag,
            "pool": task.pool,
        }
        for task in dag.tasks
    }
    for name, dag in bag.dags.items()
}
print("BAG" + json.dumps({"errors": bag.import_errors, "warnings": bag.captured_warnings, "dags": told}))
"""


@dataclass(frozen=True)
class Airflow:
    """An Airflow with a database of its own."""

    programs: Path
    home: Path

    def environment(self, recipes: Path, out: Path, data: Path | None, extra: Mapping[str, str]) -> dict[str, str]:
        """What its processes see: no examples, no waiting before a retry, and curate in another environment."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CURATE_"))}
        return ours | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "CURATE_COMMAND": os.environ.get("CURATE_COMMAND", str(Path(sys.executable).parent / "curate")),
            "CURATE_RECIPES": str(recipes),
            "CURATE_OUT": str(out),
            **({} if data is None else {"CURATE_DATA": str(data)}),
            **extra,
        }

    def start(
        self,
        arguments: Sequence[str],
        log: IO[str],
        recipes: Path,
        out: Path,
        data: Path | None = None,
        **extra: str,
    ) -> subprocess.Popen[str]:
        """A process of it. Its log is a file: a pipe that nobody reads for a while would stop it."""
        return subprocess.Popen(
            [self.programs / arguments[0], *arguments[1:]],
            env=self.environment(recipes, out, data, extra),
            cwd=self.home,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], recipes: Path, out: Path, data: Path | None = None, **extra: str
    ) -> tuple[int, str]:
        """One process to its end: its exit code and its log."""
        with tempfile.TemporaryFile("w+") as log:
            with self.start(arguments, log, recipes, out, data, **extra) as process:
                code = process.wait()
            log.seek(0)
            return code, log.read()

    def test(self, dag: str, recipes: Path, out: Path, data: Path | None = None, **extra: str) -> str:
        """One run of a DAG to its end; its log."""
        return self.run(["airflow", "dags", "test", dag], recipes, out, data, **extra)[1]

    def bag(self, recipes: Path, out: Path, **extra: str) -> dict[str, Any]:
        """What Airflow finds in the folder of DAGs."""
        said = self.run(["python", "-c", BAG, str(DAGS)], recipes, out, **extra)[1]
        found = [line.removeprefix("BAG") for line in said.splitlines() if line.startswith("BAG")]
        assert found, said
        told: dict[str, Any] = json.loads(found[0])
        return told


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """Airflow, its database made by its own migration."""
    named = os.environ.get("CURATE_AIRFLOW")
    if named is None:
        skip_or_fail("airflow", "no environment of Airflow is named by CURATE_AIRFLOW; `make test-airflow` sets one up")
    assert named is not None
    found = Airflow(Path(named).resolve() / "bin", tmp_path_factory.mktemp("airflow"))
    code, said = found.run(["airflow", "db", "migrate"], found.home, found.home)
    assert code == 0, said
    return found
