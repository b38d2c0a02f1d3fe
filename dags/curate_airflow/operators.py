"""Operators that call curate: its standard error is the task's log, its ledger the log's end and the XCom."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context, conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from curate_airflow import calls
from curate_airflow.settings import Settings

__all__ = ["BuildOperator", "CheckOperator", "FinishOperator", "PlanOperator"]


class _CurateOperator(BaseOperator):
    """One call of the command line. A try that is killed costs nothing that was committed."""

    _process: subprocess.Popen[str] | None = None

    def _run(self, call: Sequence[str]) -> dict[str, Any]:
        """The document that the call prints.

        Raises:
            AirflowFailException: it failed, and would fail again.
            AirflowException: it failed, and the next try may succeed.
        """
        self.log.info("calling curate %s", call[1:])
        with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:
            try:
                # In the task's own process group: who ends the task ends curate, too.
                self._process = subprocess.Popen(
                    call,
                    stdin=subprocess.DEVNULL,
                    stdout=answer,
                    stderr=subprocess.PIPE,
                    env=calls.environment_of(os.environ),
                    encoding="utf-8",
                    errors="replace",
                )
            except OSError as problem:
                raise AirflowFailException(
                    f"{call[0]} cannot be started here: {problem.strerror}; set CURATE_COMMAND, or install curate"
                ) from None
            with self._process as process:
                assert process.stderr is not None
                for line in process.stderr:
                    self.log.info("%s", line.rstrip())
            answer.seek(0)
            document = calls.result_of(answer.read())
        return self._judged(process.returncode, document)

    def _judged(self, code: int, document: dict[str, Any] | None) -> dict[str, Any]:
        for line in calls.told(document or {}):
            self.log.info("%s", line)
        verdict = calls.verdict_of(code, document)
        if verdict == calls.Verdict.FINAL:
            raise AirflowFailException(calls.why(code, document))
        if verdict == calls.Verdict.AGAIN or document is None:
            raise AirflowException(calls.why(code, document))
        return document

    def on_kill(self) -> None:
        """Let curate finish the commit that it is at, as Ctrl-C does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)


class PlanOperator(_CurateOperator):
    """The ranges of one stage that are to be built; the XCom is their list, empty where all is done."""

    def __init__(self, *, settings: Settings, recipe: Path, stage: str, most_tasks: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings, self.recipe, self.stage, self.most_tasks = settings, recipe, stage, most_tasks

    def execute(self, context: Context) -> list[str]:
        """Ask how many parts the stage wants now."""
        per_task = int(context["params"]["parts_per_task"])
        document = self._run(calls.plan_call(self.settings, self.recipe, self.stage, per_task))
        spans = calls.merged(document["ranges"], self.most_tasks or conf.getint("core", "max_map_length"))
        self.log.info(
            "%s: %d of %d parts to do, %d tasks", self.stage, document["todo"], document["wanted"], len(spans)
        )
        return spans


class BuildOperator(_CurateOperator):
    """One range of one stage's parts."""

    def __init__(self, *, settings: Settings, recipe: Path, stage: str, span: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings, self.recipe, self.stage, self.span = settings, recipe, stage, span

    def execute(self, context: Context) -> dict[str, Any]:
        """Build it; the XCom is the ledger of these parts."""
        return calls.summary(self._run(calls.build_call(self.settings, self.recipe, self.stage, self.span)))


class FinishOperator(_CurateOperator):
    """The ledger of the whole corpus, judged."""

    def __init__(self, *, settings: Settings, recipe: Path, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings, self.recipe = settings, recipe

    def execute(self, context: Context) -> dict[str, Any]:
        """Fail where a card expects something else, or too much was refused."""
        return calls.summary(self._run(calls.finish_call(self.settings, self.recipe)))


class CheckOperator(_CurateOperator):
    """The proof of the corpus."""

    def __init__(self, *, settings: Settings, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings = settings

    def execute(self, context: Context) -> dict[str, Any]:
        """Digests, schemas, invariants and expectations."""
        return calls.summary(self._run(calls.check_call(self.settings)))
