"""The command `curate`: parses, calls, prints.

Exit codes: 0 ok, 1 check failed or rejects over the limit, 2 usage, 3 refused by a gate, 130 interrupted.
"""

from curate.cli import builds, outputs, sources  # noqa: F401 (each brings its commands)
from curate.cli.command import cli

__all__ = ["cli", "main"]


def main() -> None:
    """The entry point."""
    cli()
