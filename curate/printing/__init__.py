"""What the command line prints: text for people, or one JSON document."""

from curate.printing.builds import OfBuilds
from curate.printing.outputs import OfOutputs
from curate.printing.sources import OfSources

__all__ = ["Printer"]


class Printer(OfSources, OfBuilds, OfOutputs):
    """Prints results; each method returns the exit code. The last line says what was done and the next command."""
