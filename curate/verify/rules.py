"""What all rules share: they speak of one reading, and say no with a reason."""

from typing import ClassVar

from curate.rows import Annotation, Asset, Draft
from curate.schema import Reason, Refusal
from curate.verify.base import NOT_APPLICABLE, Verdict
from curate.verify.reading import Reader, Reading

__all__ = ["NOT_APPLICABLE", "ReadingRule", "Verdict", "no"]


class ReadingRule:
    """A rule about the reading of a draft. Rules of one verifier share a reader, so that each text is read once."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def check(self, draft: Draft, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Verdict:
        """The verdict on a draft, given its assets and all annotations of those assets."""
        return self.judge(self._reader.read(draft, assets, annotations))

    def judge(self, reading: Reading) -> Verdict:
        """The verdict on a reading."""
        raise NotImplementedError


def no(reason: Reason, detail: str) -> Refusal:
    """A refusal."""
    return Refusal(reason, detail)
