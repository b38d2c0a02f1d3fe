"""What every task does: read annotations, render instruction drafts. Tasks never touch files.

A task of scope `asset` is shown one asset at a time. One of scope `subject` is shown all that a source holds of one
subject: buckets keep subjects whole. Assets of which no subject is known stand alone and are never shown to it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, Literal, Protocol

from curate.card import Struct
from curate.rows import Draft, Subject
from curate.schema import Refusal
from curate.vocabulary import Vocabulary

__all__ = ["ENGLISH", "Language", "Scope", "SpokenOptions", "SubjectTask", "Task", "TaskOptions", "Vocabulary"]

Scope = Literal["asset", "subject"]
Language = Literal["en", "zh"]
ENGLISH: Final = "en"


class TaskOptions(Struct, frozen=True):
    """Base of every task's own settings in a recipe."""

    variants: int = 1


class SpokenOptions(TaskOptions, frozen=True, kw_only=True):
    """Of tasks that speak from templates in several languages: `languages` names those in which each thing is said.

    Drafts of one thing in two languages rest on the same annotations and have the same constraints. What has no
    reviewed name in a language is not said in it (`no_term` in `rejects`).
    """

    languages: tuple[Language, ...] = (ENGLISH,)

    def __post_init__(self) -> None:
        if not self.languages or len(set(self.languages)) != len(self.languages):
            raise ValueError(f"`languages` names at least one, and each once, got {list(self.languages)}")


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
