"""Questions down a tree: first about a group of findings, then, only where it holds, about the findings in it.

Seeds: Rad-ReStruct (Pellegrini et al. 2023, arXiv:2307.05766) and its successor HiCA-VQA, whose reports are filled in
from body region to sign or disease; Dr-LLaVA and VisionUnite, whose dialogues go down a decision tree.

Rules and their reasons:

- A group names all of its findings that the label set can name, in the same words for every image of a source: which of
  them are listed tells nothing. It holds where one of them is stated present; it does not where each of them is stated
  absent, or is absent by the silence of an exclusive or complete label set. Otherwise it is not asked.
- A finding is asked only after a group, and after broader findings, that were answered yes. What is uncertain or not
  stated is not asked, and what was answered follows from no earlier turn: where all findings of a group but one were
  denied, the last is given away by the group and is left out; so is a broader finding after a narrower one.
- A group of which the label set can name one finding is that finding.
- A source that cannot say no to a group is not asked for it: every answer would be yes, whatever the image.
- Answers of yes and no are balanced, of groups and of the findings below each; which are asked, a hash decides.

The turns are one conversation about one image, and `constraints` hold what each of them asked.
"""

import dataclasses
import functools
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import yaml

from curate.rows import Annotation, Asset, Draft, Message, Subject
from curate.schema import Kind, Origin, Refusal, State, World, identity
from curate.tasks.base import ENGLISH, Scope, TaskOptions, Vocabulary
from curate.tasks.closed_vqa import presence
from curate.tasks.english import joined, speakable
from curate.tasks.facts import Finding, findings, silence_of, silent_absences
from curate.tasks.kin import covers, normalised
from curate.tasks.picture import called, noun
from curate.tasks.statements import bare, is_structure, reads_as_label
from curate.tasks.wording import IMAGE_TOKEN, Exchange, Said, filled, hash_of, load, stride

__all__ = ["HierarchicalVqa", "HierarchicalVqaOptions", "default_groups"]

_FEWEST_MEMBERS = 2
"""A group of one finding is that finding."""


class HierarchicalVqaOptions(TaskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`groups`: what a group is called in a question (`pleural findings`), and its findings by any of their names.

    `surplus_no`: how many more groups, and findings of a group, may be answered no than yes.
    `max_turns`: of one conversation.
    """

    groups: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    surplus_no: int = 1
    max_turns: int = 12

    def __post_init__(self) -> None:
        if self.max_turns < 1 or self.surplus_no < 0:
            raise ValueError("`max_turns` is at least 1 and `surplus_no` at least 0")
        if any(len(members) < _FEWEST_MEMBERS for members in self.groups.values()):
            raise ValueError(f"a group of `groups` holds at least {_FEWEST_MEMBERS} findings")


@functools.cache
def default_groups() -> Mapping[str, tuple[str, ...]]:
    """The reviewed groups, by what they are called in a question."""
    text = importlib.resources.files(__package__).joinpath("wordings", "question_tree.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class _Turn:
    said: Said
    wordings: Exchange
    holds: bool


class HierarchicalVqa:
    """One conversation per image and label set: each group in the order of the tree, then findings under it."""

    name: ClassVar[str] = "hierarchical_vqa"
    version: ClassVar[int] = 2
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = HierarchicalVqaOptions

    def __init__(self, options: HierarchicalVqaOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary
        groups = options.groups or default_groups()
        self._groups = {name: frozenset(map(normalised, members)) for name, members in groups.items()}

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """The conversations about one image, by label set."""
        known = [*findings(subject), *silent_absences(subject, self.vocabulary)]
        askable = {one.concept: one for one in known if one.state in (State.PRESENT, State.ABSENT) and _is_thing(one)}
        for label_set in sorted(set(subject.asset.labelled_by)):
            if not self._can_deny(subject, label_set):
                continue
            branches = [
                list(self._group(subject.asset, name, self._members(label_set, members), askable))
                for name, members in self._groups.items()
            ]
            turns = self._balanced(subject.asset, [branch for branch in branches if branch])
            if turns:
                yield from self._conversations(subject.asset, label_set, turns[: self.options.max_turns])

    def _balanced(self, asset: Asset, branches: Sequence[Sequence[_Turn]]) -> list[_Turn]:
        """The turns of branches that hold and of as many denied ones as balance allows, in the order of the tree."""
        denied = [branch[0].said.aspect for branch in branches if not branch[0].holds]
        most = len(branches) - len(denied) + self.options.surplus_no
        kept = sorted(denied, key=lambda aspect: hash_of(asset.asset_id, aspect, "branch"))[:most]
        return [turn for branch in branches if branch[0].holds or branch[0].said.aspect in kept for turn in branch]

    def _can_deny(self, subject: Subject, label_set: str) -> bool:
        """True where the label set can state an absence, by its silence or in words."""
        silence = silence_of(label_set, subject, self.vocabulary)
        if silence is not None and silence.world is not World.OPEN:
            return True
        return any(a.label_set == label_set and a.state is State.ABSENT for a in subject.annotations)

    def _members(self, label_set: str, members: frozenset[str]) -> list[str]:
        names = self.vocabulary.get(label_set)
        concepts = names.concepts if names is not None else ()
        return [concept for concept in concepts if speakable(concept) and normalised(concept) in members]

    def _group(self, asset: Asset, name: str, concepts: Sequence[str], known: Mapping[str, Finding]) -> Iterator[_Turn]:
        if len(concepts) == 1 and concepts[0] in known:
            yield _finding_turn(asset, known[concepts[0]])
        states = [known[concept].state if concept in known else None for concept in concepts]
        present = State.PRESENT in states
        if len(concepts) < _FEWEST_MEMBERS or not (present or all(state is State.ABSENT for state in states)):
            return
        own = [known[concept] for concept in concepts if concept in known]
        yield _group_turn(asset, name, concepts, own, present=present)
        if present:
            for finding in self._children(asset, name, own, complete=len(own) == len(concepts)):
                yield _finding_turn(asset, finding)

    def _children(self, asset: Asset, name: str, own: Sequence[Finding], *, complete: bool) -> list[Finding]:
        """The findings that are asked, broader ones first; none of which an earlier turn gives away."""
        ranked = sorted(own, key=lambda finding: (hash_of(asset.asset_id, name, finding.concept), finding.concept))
        present = [finding for finding in ranked if finding.state is State.PRESENT]
        absent = [finding for finding in ranked if finding.state is State.ABSENT]
        chosen = {id(one) for one in (*present, *absent[: len(present) + self.options.surplus_no])}
        asked: list[Finding] = []
        for finding in _broader_first([one for one in ranked if id(one) in chosen]):
            denied = [one for one in asked if one.state is State.ABSENT]
            if any(covers(one.concept, finding.concept) for one in denied):
                continue
            left = [one for one in own if not any(covers(no.concept, one.concept) for no in denied)]
            if len(denied) == len(asked) and complete and len(left) == 1:
                continue
            asked.append(finding)
        return asked

    def _conversations(self, asset: Asset, label_set: str, turns: Sequence[_Turn]) -> Iterator[Draft]:
        annotations = {a.annotation_id: a for turn in turns for a in turn.said.annotations}
        key = (f"{self.name}:{label_set}", asset.asset_id, ",".join(sorted(annotations)))
        most = max(len(turn.wordings.ask) * len(turn.wordings.tell) for turn in turns)
        for variant in range(min(self.options.variants, most)):
            yield self._conversation(asset, turns, key, variant)

    def _conversation(self, asset: Asset, turns: Sequence[_Turn], key: tuple[str, ...], variant: int) -> Draft:
        messages: list[Message] = []
        for number, turn in enumerate(turns):
            ask, tell = _wording(turn, key, variant)
            opening = "" if number else IMAGE_TOKEN
            messages.append(Message("user", opening + filled(ask, turn.said.words, called(asset))))
            messages.append(Message("assistant", filled(tell, turn.said.words, called(asset))))
        asked: dict[str, Any] = {"ask": "dialogue", "turns": [dict(turn.said.constraints) for turn in turns]}
        annotations: set[str] = {a.annotation_id for turn in turns for a in turn.said.annotations}
        return Draft(
            draft_id=identity(*key, variant),
            source=asset.source,
            asset_ids=[asset.asset_id],
            annotation_ids=sorted(annotations),
            task=self.name,
            variant=variant,
            wording=f"{self.name}@{self.version}/dialogue/{variant}",
            language=ENGLISH,
            origin=Origin.TEMPLATE,
            messages=messages,
            constraints=msgspec.json.encode(asked, order="deterministic").decode(),
        )


def _is_thing(finding: Finding) -> bool:
    """True for what is seen in an image: neither what it is called, nor anatomy that each body has."""
    return not reads_as_label(finding) and not is_structure(finding)


def _group_turn(asset: Asset, name: str, concepts: Sequence[str], own: Sequence[Finding], *, present: bool) -> _Turn:
    proof = [one for one in own if not present or one.state is State.PRESENT]
    annotations: tuple[Annotation, ...] = tuple(a for one in proof for a in one.annotations)
    exchange = "group_present" if present else "group_absent"
    members = joined([_name(concept) for concept in concepts], "or")
    said = Said(
        aspect=f"{name}:group",
        exchange=exchange,
        words={"noun": noun(asset, without=frozenset({"view"})), "group": name, "members": members},
        annotations=annotations,
        constraints={"ask": "any_of", "concepts": list(concepts), "group": name},
    )
    return _Turn(said, load("hierarchical_vqa")[exchange], present)


def _finding_turn(asset: Asset, finding: Finding) -> _Turn:
    """Whether a finding is there; on which side would tell that it is."""
    said = presence(asset, dataclasses.replace(finding, side=None))
    return _Turn(said, load("closed_vqa")[said.exchange], finding.state is State.PRESENT)


def _name(concept: str) -> str:
    """What a finding is called whatever is known of it: neither number nor side may tell that it is there."""
    return bare(Finding(concept, "", State.ABSENT, Kind.MULTILABEL, ()))


def _broader_first(ranked: Sequence[Finding]) -> list[Finding]:
    """In the given order, each after all that are broader than it."""
    done: list[Finding] = []
    open_ = list(ranked)
    while open_:
        free = next(
            (one for one in open_ if not any(other is not one and _above(other, one) for other in open_)), open_[0]
        )
        open_.remove(free)
        done.append(free)
    return done


def _above(wide: Finding, narrow: Finding) -> bool:
    return covers(wide.concept, narrow.concept) and not covers(narrow.concept, wide.concept)


def _wording(turn: _Turn, key: tuple[str, ...], variant: int) -> tuple[str, str]:
    n_ask, n_tell = len(turn.wordings.ask), len(turn.wordings.tell)
    start = hash_of(*key, turn.said.aspect, "wording")
    ask, tell = divmod((start + variant * stride(n_ask * n_tell)) % (n_ask * n_tell), n_tell)
    return turn.wordings.ask[ask], turn.wordings.tell[tell]
