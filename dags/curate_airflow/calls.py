"""The calls of the command line that a DAG makes, and what their ends mean. Knows nothing of Airflow."""

import json
import math
import signal
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from curate_airflow.settings import Settings

__all__ = [
    "STAGES",
    "Verdict",
    "build_call",
    "check_call",
    "environment_of",
    "finish_call",
    "merged",
    "plan_call",
    "result_of",
    "summary",
    "told",
    "verdict_of",
    "why",
]

STAGES: Final = ("scan", "read", "group", "draft", "rewrite", "verify", "catalog")
"""In the order of the flow, as `curate build --stage` knows them."""

_KEPT: Final = ("ledger", "rejects", "built", "kept", "shortfalls", "rewriting", "checked", "findings", "not_run")
"""What of a document goes on to an XCom. Lines per stage and source, never rows; notes and paths stay in the log."""

_MOST_FINDINGS: Final = 20

_NOT_OURS: Final = ("AIRFLOW__", "_AIRFLOW_", "__AIRFLOW_", "AIRFLOW_CONN_", "AIRFLOW_VAR_")
_OF_ANOTHER_PYTHON: Final = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")


class Verdict(StrEnum):
    """What the end of a call means."""

    DONE = "done"
    AGAIN = "again"  # a kill, an interrupt, a disk: the same call may succeed, and what was committed is kept
    FINAL = "final"  # the same call fails in the same way until a person changes something


def plan_call(settings: Settings, recipe: Path, stage: str, parts_per_task: int) -> list[str]:
    """Ask for the ranges of a stage."""
    chosen = ["--stage", stage, "--ranges", str(parts_per_task)]
    return [*_call(settings, "plan", recipe), *_shared(settings.build_options), *chosen]


def build_call(settings: Settings, recipe: Path, stage: str, span: str) -> list[str]:
    """Build one range of a stage's parts."""
    return [*_call(settings, "build", recipe), *settings.build_options, "--stage", stage, "--parts", span]


def finish_call(settings: Settings, recipe: Path) -> list[str]:
    """Look over the whole: retire what nobody wants any more, and judge the ledger. No server is asked again."""
    offline = [] if "--offline" in settings.build_options else ["--offline"]
    return [*_call(settings, "build", recipe), *settings.build_options, *offline]


def check_call(settings: Settings) -> list[str]:
    """Prove the corpus."""
    return [*settings.command, "check", settings.out, "--json"]


def _call(settings: Settings, name: str, recipe: Path) -> list[str]:
    call = [*settings.command, name, str(recipe), "--out", settings.out, "--json"]
    call += [] if settings.data is None else ["--data", settings.data]
    return call + ([] if settings.answers is None else ["--answers", settings.answers])


def _shared(options: Sequence[str]) -> list[str]:
    """The options of a build that change what is wanted: a plan must be asked with them, too."""
    found = []
    for name in ("--limit", "--completer"):
        for place, word in enumerate(options):
            if word == name:
                found += [name, *options[place + 1 : place + 2]]
            elif word.startswith(f"{name}="):
                found.append(word)
    return found


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What curate inherits: keys and credentials as they are, nothing of Airflow's own or of its Python."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_NOT_OURS) and name not in _OF_ANOTHER_PYTHON
    }


def merged(spans: Sequence[str], most: int) -> list[str]:
    """Ranges `A:B`, neighbours taken together until there are at most `most` of them."""
    size = max(1, math.ceil(len(spans) / most))
    groups = (spans[start : start + size] for start in range(0, len(spans), size))
    return [f"{group[0].split(':')[0]}:{group[-1].split(':')[1]}" for group in groups]


def result_of(text: str) -> dict[str, Any] | None:
    """The JSON document that a call printed; null where it was killed before it could."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def verdict_of(code: int, document: Mapping[str, Any] | None) -> Verdict:
    """What an exit code (negative: a signal) and the document beside it mean.

    A failure that says nothing of itself is tried again, since that is always safe.
    """
    if code == 0:
        return Verdict.DONE if document is not None else Verdict.AGAIN
    if code in (2, 3):
        return Verdict.FINAL
    if code == 1 and document is not None:
        return Verdict.AGAIN if document.get("retryable", "error" in document) else Verdict.FINAL
    return Verdict.AGAIN


def why(code: int, document: Mapping[str, Any] | None) -> str:
    """One sentence on a call that failed."""
    if document is not None and "message" in document:
        return f"curate: {document['message']}"
    if document is not None and code == 1:
        return "curate: the corpus is not what it should be; the lines above say where"
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"curate ended by {name}; what was committed stays, and the next try goes on from there"
    return f"curate ended with exit code {code} and said nothing; the log above is all there is"


def told(document: Mapping[str, Any]) -> Iterator[str]:
    """A document as lines of a log: the ledger, what was refused, what fell short."""
    for line in document.get("ledger", ()):
        yield (
            f"{line['stage']} {line['source']} {line['unit']}: in {line['n_in']:,}, used {line['n_used']:,}, "
            f"rejected {line['n_rejected']:,}, filtered {line['n_filtered']:,}"
        )
    for row in document.get("rejects", ()):
        yield f"{row['verdict']} {row['source']} {row['unit']}: {row['reason']} {row['rows']:,}"
    for stage in document.get("built", ()):
        yield f"{stage}: {document['built'][stage]:,} parts built, {document['kept'][stage]:,} kept"
    for note in document.get("notes", ()):
        yield f"note: {note}"
    for name, n in document.get("checked", {}).items():
        yield f"checked {n:,} {name}"
    for fell in document.get("shortfalls", ()):
        yield f"FAILED {fell['source']}: {fell['message']}"
    for finding in document.get("findings", ())[:_MOST_FINDINGS]:
        yield f"FAILED {finding['check']}: {finding['subject']}: {finding['message']}"


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of a document becomes the XCom of its task."""
    return {name: document[name] for name in _KEPT if name in document}
