"""replay: no engine at all. What the answer store does not hold stays unanswered."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from curate.language.base import CompleterOptions, Failure, ImageSource, Outcome, Request, Trouble, Where

__all__ = ["Replay"]


class Replay:
    """Answers nothing: a build takes what is stored before it asks, so only what is not stored comes here."""

    name: ClassVar[str] = "replay"
    Options: ClassVar[type[CompleterOptions]] = CompleterOptions

    def __init__(self, model: str, revision: str | None, options: CompleterOptions) -> None:
        pass

    @staticmethod
    def place(options: CompleterOptions) -> Where:
        """Nothing is sent."""
        return Where.LOCAL

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        """Each request is told to be missing."""
        for asked in requests:
            yield Failure(asked.request_id, Trouble.NOT_STORED)

    def close(self) -> None:
        """Nothing to stop."""
