"""Yes-no questions. A "no" needs a stated absence, or the silence of an exclusive or complete label set."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from curate.rows import Asset, Draft, Subject
from curate.schema import Refusal, State
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import bare_in_chinese, picture_in_chinese, value_in_chinese
from curate.tasks.english import grammar, indefinite, verb
from curate.tasks.facts import Finding, findings, silent_absences
from curate.tasks.picture import modality_name, noun, view_name
from curate.tasks.statements import a_thing, bare, is_structure, reads_as_label, some_things, things
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["ClosedVqa", "presence"]


class ClosedVqaOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`surplus_no`: how many more questions about an asset may be answered no than yes; `surplus_yes` the other way.

    An open world has no absence, so all of its answers are yes: many of them would teach to say yes to anything.
    `max_attributes`: how many questions about the image itself (its view, its modality) one asset is asked.
    """

    surplus_no: int = 1
    surplus_yes: int = 1
    max_attributes: int = 1


class ClosedVqa:
    """Presence of each finding, and the view and modality of the image. What is uncertain is not asked."""

    name: ClassVar[str] = "closed_vqa"
    version: ClassVar[int] = 3
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = ClosedVqaOptions

    def __init__(self, options: ClosedVqaOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """The questions answered yes, then those answered no: of each as many as balance allows, chosen by a hash."""
        asset = subject.asset
        known = findings(subject)
        positives = [presence(asset, finding) for finding in known if finding.state is State.PRESENT]
        negatives = [presence(asset, finding) for finding in known if finding.state is State.ABSENT]
        negatives += [presence(asset, finding) for finding in silent_absences(subject, self.vocabulary)]
        attributes = sorted(
            _attribute_questions(asset), key=lambda put: hash_of(asset.asset_id, put[0].aspect, "asked")
        )
        for said, answer in attributes[: self.options.max_attributes]:
            (positives if answer else negatives).append(said)
        yes = _chosen(asset.asset_id, positives, len(negatives) + self.options.surplus_yes)
        for said in (*yes, *_chosen(asset.asset_id, negatives, len(yes) + self.options.surplus_no)):
            yield from drafts(self, asset, said)


def _chosen(asset_id: str, questions: Sequence[Said], most: int) -> list[Said]:
    ranked = sorted(questions, key=lambda said: (hash_of(asset_id, said.aspect, "no"), said.aspect))
    return ranked[: max(0, most)]


def presence(asset: Asset, finding: Finding) -> Said:
    """Whether one finding is there, and the answer."""
    absent = finding.state is State.ABSENT
    name = bare(finding)
    words = {"noun": noun(asset, without=frozenset({"view"}))}
    if reads_as_label(finding):
        style = "label"
        words["label"] = name
    elif is_structure(finding):
        style = "structure"
        words |= {"the": a_thing(finding), "is": verb(name), "Is": verb(name).capitalize()}
    elif finding.thing:
        style = "object"
        words |= {"things": things(finding), "some_things": things(finding) if absent else some_things(finding)}
        words["are"] = verb(words["some_things"])
    else:
        style = "finding"
        is_word = verb(name)
        words |= {"thing": name, "a_thing": a_thing(finding), "is": is_word, "Is": is_word.capitalize()}
    return Said(
        aspect=f"{finding.concept}:presence",
        exchange=f"{style}_{'absent' if absent else 'present'}",
        words=words,
        annotations=finding.annotations,
        constraints={"ask": "presence", "concept": finding.concept, "label_set": finding.label_set},
        chinese=partial(_presence_in_chinese, asset, finding),
    )


def _presence_in_chinese(asset: Asset, finding: Finding) -> dict[str, str]:
    name = bare_in_chinese(finding)
    return {**picture_in_chinese(asset), "label": name, "thing": name}


def _attribute_questions(asset: Asset) -> Iterator[tuple[Said, bool]]:
    """One question on the view and one on the modality where a contrast is known; a hash decides what is suggested."""
    for attribute, true, pools in (
        ("view", view_name(asset), grammar().view_contrasts),
        ("modality", modality_name(asset), (grammar().modality_contrasts,)),
    ):
        pool = next((pool for pool in pools if true in pool), None)
        if true is None or pool is None:
            continue
        seed = hash_of(asset.asset_id, attribute, "suggested")
        others = [name for name in pool if name != true]
        asked = true if seed % 2 else others[seed // 2 % len(others)]
        words = {
            "asked": asked,
            "true": true,
            "a_asked": indefinite(asked, thing=True),
            "a_true": indefinite(true, thing=True),
        }
        said = Said(
            aspect=f"{attribute}:is",
            exchange=f"{attribute}_is" if asked == true else f"{attribute}_is_not",
            words=words,
            annotations=(),
            constraints={"ask": "attribute_is", "attribute": attribute},
            chinese=partial(_attribute_in_chinese, attribute, asked, true),
        )
        yield said, asked == true


def _attribute_in_chinese(attribute: str, asked: str, true: str) -> dict[str, str]:
    return {"asked": value_in_chinese(attribute, asked), "true": value_in_chinese(attribute, true)}
