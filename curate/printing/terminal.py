"""What every printer is: text for people, or one JSON document."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError

if TYPE_CHECKING:
    from curate.build import Progress

__all__ = ["Terminal", "as_plain"]


class Terminal:
    """The terminal, or the JSON document that stands for it."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json

    def error(self, problem: CurateError) -> None:
        """An error, to standard error."""
        if self._json:
            self._document(
                {
                    "error": type(problem).__name__,
                    "message": str(problem),
                    "exit_code": problem.exit_code,
                    "retryable": problem.retryable,
                }
            )
        else:
            print(f"curate: {problem}", file=sys.stderr)

    def interrupted(self) -> None:
        """The user pressed Ctrl-C."""
        print("curate: interrupted; what was committed stays, run the same command again to go on", file=sys.stderr)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[["Progress"], None]]:
        """A progress bar on a terminal, silence elsewhere."""
        if self._json or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich import progress as bars
        from rich.console import Console

        columns = (
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description:8}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("parts, {task.fields[items]} items"),
            bars.TimeElapsedColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True)) as bar:
            shown: dict[str, Any] = {}
            items: dict[str, int] = {}

            def show(step: "Progress") -> None:
                if step.stage not in shown:
                    shown[step.stage] = bar.add_task(step.stage, total=step.parts_wanted, items=0)
                if step.item is not None:
                    items[step.stage] = items.get(step.stage, 0) + 1
                    if items[step.stage] % 20:
                        return
                    bar.update(shown[step.stage], items=items[step.stage])
                else:
                    bar.update(shown[step.stage], completed=step.parts_done, items=items.get(step.stage, 0))

            yield show

    def asks(self, question: str) -> bool:
        """True where somebody at a terminal says yes; nobody is there to be asked elsewhere."""
        if self._json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        import click

        return click.confirm(question, default=False, err=True)

    @contextlib.contextmanager
    def bytes_progress(self, what: str) -> Iterator[Callable[[int, int | None], object]]:
        """A bar of bytes on a terminal, silence elsewhere."""
        if self._json or not sys.stderr.isatty():
            yield lambda done, wanted: None
            return
        from rich import progress as bars
        from rich.console import Console

        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, wanted: bar.update(task, completed=done, total=wanted)

    def _document(self, value: Any) -> None:
        print(json.dumps(_finite(value), indent=1, ensure_ascii=False, default=_jsonable, allow_nan=False))

    @staticmethod
    def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: int = 0) -> None:
        """Plain aligned columns, the last `right` of them to the right."""
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        first_right = len(header) - right
        for row in [header, *rows]:
            cells = [cell.rjust(widths[i]) if i >= first_right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
            print("  ".join(cells).rstrip())


def as_plain(value: Any) -> Any:
    """A dataclass as a dictionary; any other value as it is."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _finite(value: Any) -> Any:
    """A value as JSON can say it: NaN and the infinities, which it has no words for, are null; keys are text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value)
