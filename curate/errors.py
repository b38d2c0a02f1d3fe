"""Everything that `curate` raises on purpose.

    CurateError                 exit code 1, unless a class below says otherwise
    ├── UsageError              2  the command line, or a path on it, is wrong
    │   ├── CardError           2  a source card does not say what a card must say
    │   └── RecipeError         2  a recipe does not say what a recipe must say
    ├── GateError               3  the terms of a source forbid what was asked
    ├── DataError               1  the data folder contradicts the card as a whole
    └── StoreError              1  the output folder is damaged, foreign or unwritable
        └── ConservationError   1  a part lost or invented rows: a bug in a stage, never bad input

A message says what failed, which item key, what was found and what to do next. It never holds patient text, pixels or
secrets. One bad item is not an exception: it is a `Refusal` (see `schema`) and becomes a row in `rejects`.
"""

__all__ = [
    "CardError",
    "ConservationError",
    "CurateError",
    "DataError",
    "GateError",
    "RecipeError",
    "StoreError",
    "UsageError",
]


class CurateError(Exception):
    """A failure that a person can do something about."""

    exit_code = 1
    retryable = True
    """False where the same command would fail in the same way until somebody changes something."""


class UsageError(CurateError):
    """The command line, or a path on it, is wrong."""

    exit_code = 2
    retryable = False


class CardError(UsageError):
    """A source card does not say what a card must say."""


class RecipeError(UsageError):
    """A recipe does not say what a recipe must say."""


class GateError(CurateError):
    """The terms of a source forbid what was asked."""

    exit_code = 3
    retryable = False


class DataError(CurateError):
    """The data folder contradicts the card as a whole."""

    retryable = False


class StoreError(CurateError):
    """The output folder is damaged, foreign or unwritable."""


class ConservationError(StoreError):
    """A part lost or invented rows: a bug in a stage, never bad input."""

    retryable = False
