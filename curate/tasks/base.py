"""What every task does: read annotations, render instruction drafts. Tasks never touch files.

A task of scope `asset` is shown one asset at a time. One of scope `subject` is shown all that a source holds of one
subject: buckets keep subjects whole. Assets of which no subject is known stand alone and are never shown to it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Protocol

from curate.card import Struct
from curate.rows import Draft, Subject
from curate.schema import Refusal
from curate.vocabulary import Vocabulary

__all__ = ["Scope", "SubjectTask", "Task", "TaskOptions", "Vocabulary"]

Scope = Literal["asset", "subject"]


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


class SubjectTask(Protocol):
    """One capability that needs several assets of one subject. What a `Task` keeps, it keeps."""

    name: ClassVar[str]
    version: ClassVar[int]
    scope: ClassVar[Scope]
    Options: ClassVar[type[TaskOptions]]

    def __init__(self, options: Any, vocabulary: Vocabulary) -> None: ...

    def draft(self, history: Sequence[Subject]) -> Iterator[Draft | Refusal]:
        """The drafts about one subject, whose assets come in the order in which they lie in the corpus."""
        ...
