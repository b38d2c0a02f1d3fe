"""Where recipes, data and outputs lie, and how curate is called: read from the environment, or given by a DAG file."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

__all__ = ["Settings", "settings_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How every DAG of a folder of recipes calls curate.

    `out` is a folder, or a prefix of an object store, below which each recipe has a corpus of its own. The machines of
    the workers see `recipes`, `data`, `out` and `answers` under the same names.
    """

    recipes: Path
    out: str
    command: tuple[str, ...] = ("curate",)  # on the PATH of the workers, unless told otherwise
    data: str | None = None  # holds one folder per source id
    answers: str | None = None  # below it, each recipe's store of answers; null: beside each output
    build_options: tuple[str, ...] = ("--jobs", "1")  # Airflow runs the tasks side by side
    parts_per_task: int = 16
    rewrites_at_once: int = 1  # tasks that hold the engine of a language model
    rewrite_pool: str | None = None  # an Airflow pool, where several DAGs share an engine's machine

    def of(self, name: str) -> "Settings":
        """The settings of one recipe's corpus."""
        answers = None if self.answers is None else f"{self.answers.rstrip('/')}/{name}"
        return replace(self, out=f"{self.out.rstrip('/')}/{name}", answers=answers)


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that the variables `CURATE_<FIELD>` hold; of those that are absent or empty, the defaults.

    Raises:
        ValueError: a variable that must be there is not, or holds no number.
    """
    missing = [name for name in ("CURATE_RECIPES", "CURATE_OUT") if not environment.get(name)]
    if missing:
        raise ValueError(f"set {' and '.join(missing)} for the processor of DAGs and the workers; see docs/airflow.md")
    said = {
        field.name: _value(field.name, environment) for field in fields(Settings) if _variable(field.name, environment)
    }
    return Settings(**said)


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(f"CURATE_{name.upper()}", "")


def _value(name: str, environment: Mapping[str, str]) -> Any:
    text = _variable(name, environment)
    if name == "recipes":
        return Path(text)
    if name in ("command", "build_options"):
        return tuple(shlex.split(text))
    return _number(name, text) if name in ("parts_per_task", "rewrites_at_once") else text


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"CURATE_{name.upper()} is a whole number of at least 1, got {text!r}")
    return int(text)
