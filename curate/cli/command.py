"""The command line's frame: the group, what every command shares, and the arguments that several take."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from curate import printing
from curate._version import __version__
from curate.errors import CurateError, UsageError
from curate.store.place import Place, place_of

__all__ = ["ANSWERS", "COMPLETER", "DATA", "FOLDER", "OUT", "RECIPE", "cli", "command", "data_folder", "place_named"]

RECIPE = click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))


def place_named(text: str) -> Place:
    """What a command line names as an output."""
    try:
        place = place_of(text)
    except UsageError as problem:
        raise click.BadParameter(str(problem)) from None
    try:
        is_file = isinstance(place, Path) and place.exists() and not place.is_dir()
    except OSError as problem:  # a name that is too long, a folder that may not be looked into
        raise click.BadParameter(f"'{place}' cannot be looked at: {problem.strerror}.") from None
    if is_file:
        raise click.BadParameter(f"Directory '{place}' is a file.")
    return place


def data_folder(text: str) -> Path:
    """Where sources lie: a folder of this machine."""
    place = place_named(text)
    if not isinstance(place, Path):
        raise click.BadParameter(
            f"{text}: data are read from folders; mirror them into one or mount them, and name that"
        )
    return place


FOLDER = click.argument("folder", metavar="DIR", type=place_named)
OUT = click.option(
    "--out",
    "target",
    metavar="DIR",
    required=True,
    type=place_named,
    help="The output: a folder, or s3://BUCKET/PREFIX.",
)
ANSWERS = click.option(
    "--answers",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the answer store; by default OUT.answers. An output in a store has none beside it.",
)
COMPLETER = click.option(
    "--completer", help="Who answers the rewriter's requests, instead of whom the recipe names: replay, ..."
)
DATA = click.option(
    "--data",
    "data_root",
    type=data_folder,
    metavar="DIRECTORY",
    help="Folder that holds one folder per source id.",
)


def _is_interrupt(problem: BaseException) -> bool:
    """True where an exception came of an interrupt: in the middle of an import it may come out wrapped."""
    told: BaseException | None = problem
    while told is not None:
        if isinstance(told, KeyboardInterrupt):
            return True
        told = told.__cause__ or told.__context__
    return False


def command(function: Callable[..., Any]) -> click.Command:
    """A subcommand with `--json`, whose exit code is what the function returns."""

    @functools.wraps(function)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> None:
        out = printing.Printer(as_json)
        try:
            code = function(out, *args, **kwargs) or 0
        except CurateError as problem:
            out.error(problem)
            code = problem.exit_code
        except KeyboardInterrupt:
            out.interrupted()
            code = 130
        except BrokenPipeError:
            code = 0
        except OSError as problem:
            place = f"{problem.filename}: " if problem.filename is not None else ""
            failed = CurateError(f"{place}{problem.strerror or type(problem).__name__}; free space or correct the path")
            out.error(failed)
            code = failed.exit_code
        except Exception as problem:
            if not _is_interrupt(problem):
                raise
            out.interrupted()
            code = 130
        sys.exit(code)

    run = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")(run)
    name = function.__name__.removesuffix("_command").replace("_", "-")
    return cli.command(name=name, help=function.__doc__)(run)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="curate")
def cli() -> None:
    """One proved corpus of instruction image-text pairs from unlike public medical datasets."""
