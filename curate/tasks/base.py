"""What every task does: read one asset's annotations, render instruction drafts. Tasks never touch files."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Protocol

from curate.card import Struct
from curate.rows import Draft, Subject
from curate.schema import Refusal
from curate.vocabulary import Vocabulary

__all__ = ["Scope", "Task", "TaskOptions", "Vocabulary"]

Scope = Literal["asset", "subject", "corpus"]


class TaskOptions(Struct, frozen=True):
    """Base of every task's own settings in a recipe."""

    variants: int = 1


class Task(Protocol):
    """One capability.

    `draft` yields drafts in a stable order, whose text is chosen by a hash of the draft's identity. Where an asset
    gives it nothing to say it yields nothing; where it must leave something out, it yields the `Refusal`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    scope: ClassVar[Scope]
    Options: ClassVar[type[TaskOptions]]

    def __init__(self, options: Any, vocabulary: Vocabulary) -> None: ...

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """The drafts about one asset."""
        ...
