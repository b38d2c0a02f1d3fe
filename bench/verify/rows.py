"""What the bench works on: one text with all that its source says, and false variants of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from curate.rows import Annotation, Asset, Draft, Message
from curate.schema import Origin, identity
from curate.vocabulary import Vocabulary

__all__ = ["IMAGE_TOKEN", "Draw", "Mutant", "Row"]

IMAGE_TOKEN = "<image>"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A text that the annotations of its row forbid. `prompt` is the whole first turn, image tokens included.

    `constraints` and `assets` stand in place of the row's own where the lie is in what was asked or in which images are
    shown: a task that errs writes both alike.
    """

    kind: str
    prompt: str
    answer: str
    why: str  # from which facts it follows that the text is false or not given
    constraints: str | None = None
    assets: tuple[Asset, ...] | None = None


@dataclass(frozen=True)
class Row:
    """A true text.

    `group` is what is reported apart (own templates, hand-written English dev, ...), `kind` what the text exercises:
    the task of a template, the `kind` of a hand-written entry. `prior` says that the first asset is an earlier image.
    """

    row_id: str
    group: str
    kind: str
    draft: Draft
    assets: tuple[Asset, ...]
    annotations: tuple[Annotation, ...]
    vocabulary: Vocabulary
    prior: bool = False

    @property
    def language(self) -> str:
        """en or zh."""
        return self.draft.language

    @property
    def tokens(self) -> str:
        """The lines of image tokens that the first turn begins with."""
        prompt = self.draft.messages[0].content
        return prompt[: len(prompt) - len(self.question)]

    @property
    def question(self) -> str:
        """The first turn without its image tokens."""
        prompt = self.draft.messages[0].content
        while prompt.startswith(IMAGE_TOKEN):
            prompt = prompt.removeprefix(IMAGE_TOKEN).removeprefix("\n")
        return prompt

    @property
    def answer(self) -> str:
        """The last turn."""
        return self.draft.messages[-1].content

    @property
    def asks(self) -> dict[str, Any]:
        """What was asked, as the draft's task wrote it."""
        asked: dict[str, Any] = msgspec.json.decode(self.draft.constraints)
        return asked

    def draft_with(self, prompt: str, answer: str, origin: Origin) -> Draft:
        """The row's draft with other texts from another hand."""
        first, *middle, last = self.draft.messages
        turns = [Message(first.role, prompt), *middle, Message(last.role, answer)]
        return msgspec.structs.replace(self.draft, messages=turns, origin=origin)

    def mutated(self, mutant: Mutant) -> "Row":
        """This row with the text of a mutant, and what else it changes. Annotations are those of the images shown."""
        draft = self.draft_with(mutant.prompt, mutant.answer, self.draft.origin)
        if mutant.constraints is not None:
            draft = msgspec.structs.replace(draft, constraints=mutant.constraints)
        if mutant.assets is None:
            return replace(self, draft=draft)
        shown = [asset.asset_id for asset in mutant.assets]
        draft = msgspec.structs.replace(draft, asset_ids=shown)
        annotations = tuple(each for each in self.annotations if each.asset_id in shown)
        return replace(self, draft=draft, assets=mutant.assets, annotations=annotations)


class Draw:
    """Choices that follow from what they are made for: no state, no order, no clock."""

    def __init__(self, *seed: object) -> None:
        self._seed = seed

    def number(self, what: object) -> int:
        """64 bits for a purpose."""
        return int(identity(*self._seed, what)[:16], 16)

    def below(self, what: object, limit: int) -> int:
        """A whole number from 0 up to `limit`, itself not included."""
        return self.number(what) % limit

    def pick(self, what: object, pool: Sequence[T]) -> T:
        """One of a pool that is not empty."""
        return pool[self.below(what, len(pool))]

    def walk(self, what: object, pool: Sequence[T]) -> Iterator[T]:
        """All of a pool in an order of its own, at the price of one hash: for pools too long to rank."""
        if not pool:
            return
        start = self.number((what, "start")) % len(pool)
        step = next(
            step
            for step in range(1 + self.number((what, "step")) % len(pool), 2 * len(pool) + 2)
            if math.gcd(step, len(pool)) == 1
        )
        for turn in range(len(pool)):
            yield pool[(start + turn * step) % len(pool)]

    def some(self, what: object, pool: Sequence[T], count: int) -> list[T]:
        """At most `count` of a pool, each place of it once."""
        ranked = sorted(range(len(pool)), key=lambda place: (self.number((what, place)), place))
        return [pool[place] for place in ranked[:count]]
