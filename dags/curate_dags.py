"""One DAG for every recipe of a folder: what it is and where things lie, the environment says. See docs/airflow.md.

For more than the environment can say, call `curate_airflow.factory.dag_of` or `dags_of` from a DAG file of your own.
"""

import os
import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:  # Airflow's own processes have it there; a DagBag made by hand has not
    sys.path.append(HERE)

from curate_airflow.factory import dags_of  # noqa: E402
from curate_airflow.settings import settings_of  # noqa: E402

# A DAG file is imported for its DAGs: Airflow looks for them among its globals.
globals().update(dags_of(settings_of(os.environ)))
