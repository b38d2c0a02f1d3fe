"""What every rule does: compare one text with the annotations that it rests on. Rules never call a model."""

from typing import ClassVar, Protocol

from curate.rows import Annotation, Asset, Draft
from curate.schema import Refusal

__all__ = ["NOT_APPLICABLE", "Rule", "Verdict"]

NOT_APPLICABLE = "not_applicable"

Verdict = Refusal | str | None
"""None: the rule holds. `NOT_APPLICABLE`: nothing here that it speaks of. A refusal: why the text is wrong."""


class Rule(Protocol):
    """One family of checks, named as in `schema.RULES`."""

    name: ClassVar[str]
    version: ClassVar[int]

    def check(self, draft: Draft, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> "Verdict":
        """The verdict on a draft, given its assets and *all* annotations of those assets.

        The draft's own `annotation_ids` are the ones that it claims to rest on. The rule reads the text itself and
        derives what it may say from the annotations; it must not import `tasks` nor trust the draft's constraints for
        what is true (only for what was asked).
        """
        ...
