"""What is told of a class in general is reviewed, cited, told of what is there, and never claimed of the image."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from curate.phantom import classes
from curate.rows import Draft, Message, Subject
from curate.schema import Kind, Origin, Reason, State, World
from curate.tasks.base import Task, Vocabulary
from curate.tasks.descriptors import Descriptors, DescriptorsOptions, descriptor_of, descriptors
from curate.tasks.kin import normalised
from curate.tasks.label_strings import LabelStrings, LabelStringsOptions
from curate.testing.tasks import TaskContract
from curate.verify import verify
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

NAMES: Vocabulary = {"findings": LabelNames(("Cardiomegaly", "Pleural Effusion", "Pneumothorax"))}
EFFUSION = s.chest("effusion", Pleural__Effusion="present", Pneumothorax="absent", Cardiomegaly="uncertain")
DIAGNOSES = [s.classified(name, name, modality="light microscopy", anatomy="peripheral blood") for name in s.DISEASES]


def drafted(subject: Subject, vocabulary: Vocabulary = NAMES, **options: Any) -> list[Draft]:
    """The drafts about one image."""
    task = Descriptors(DescriptorsOptions(**options), vocabulary)
    return [one for one in task.draft(subject) if isinstance(one, Draft)]


def refused(draft: Draft, subject: Subject, answer: str, question: str | None = None) -> Reason | None:
    """Why the draft with another text is refused; None where it is not."""
    asked = draft.messages[0] if question is None else Message("user", f"<image>\n{question}")
    told = msgspec.structs.replace(draft, messages=[asked, Message("assistant", answer)])
    refusal = verify(told, (subject.asset,), subject.annotations, NAMES).refusal
    return None if refusal is None else refusal.reason


class TestDescriptors(TaskContract):
    @pytest.fixture
    def task(self) -> type[Task]:
        return Descriptors

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return s.VOCABULARY

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {"signs": 9}

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        return s.hand_built()


def test_every_sign_is_cited_and_reads_as_part_of_a_sentence() -> None:
    signs = 0
    for name, file in descriptors().items():
        used = set()
        for concept in file.concepts:
            assert concept.signs, f"{name}: {concept.name} has no sign"
            for one in concept.signs:
                assert file.sources[one.source], name
                assert re.match(r"[a-zA-Z][^.?!\n<>{}\[\]]*[A-Za-z0-9]$", one.sign), one.sign
                assert not re.search(r"\b(this|image|patient has|no evidence|normal study)\b", one.sign), one.sign
                used.add(one.source)
                signs += 1
        assert used == set(file.sources), f"{name} names works that it does not use"
        assert all(re.search(r"\b(19|20)\d\d\b|section", work) for work in file.sources.values()), name
    assert signs > 120


def test_no_name_means_two_things_on_images_of_one_kind() -> None:
    """A concept that two entries of one file claim would be told of by whichever stands first."""
    for name, file in descriptors().items():
        seen = [normalised(each) for one in file.concepts for each in {normalised(n) for n in (one.name, *one.also)}]
        assert len(seen) == len(set(seen)), f"{name}: {sorted(each for each in seen if seen.count(each) > 1)}"


def test_findings_that_are_usual_on_chest_radiographs_are_described() -> None:
    chexpert = ("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Edema", "Consolidation", "Pneumonia",
                "Atelectasis", "Pneumothorax", "Pleural Effusion", "Fracture", "Support Devices",
                "No Finding")  # fmt: skip
    shown = EFFUSION.asset
    assert [name for name in chexpert if descriptor_of(name, shown) is None] == []
    blood = s.smear("b", "e").asset
    assert all(descriptor_of(name, blood) for name in (*classes.CLASSES, *s.CELLS))


@pytest.mark.parametrize("changed", [{"modality": None}, {"modality": "CT"}, {"anatomy": "hand"}, {"anatomy": None}])
def test_nothing_is_told_where_it_is_not_known_to_be_seen_so(changed: dict[str, Any]) -> None:
    asset = msgspec.structs.replace(EFFUSION.asset, **changed)
    assert drafted(Subject(asset, EFFUSION.annotations)) == []


def test_ultrasound_is_described_as_ultrasound() -> None:
    seen = msgspec.structs.replace(EFFUSION.asset, modality="US", anatomy="lung")
    radiograph, ultrasound = (descriptor_of("pleural effusion", asset) for asset in (EFFUSION.asset, seen))
    assert radiograph is not None
    assert ultrasound is not None
    assert set(radiograph.signs).isdisjoint(ultrasound.signs)


def test_a_caption_describes_only_what_is_present() -> None:
    told = drafted(EFFUSION, styles=("caption",), signs=9)
    assert len(told) == 3
    assert {tuple(msgspec.json.decode(one.constraints)["knowledge"]) for one in told} == {("Pleural Effusion",)}


def test_of_several_things_a_caption_is_asked_for_one() -> None:
    """The same request with another answer each time would have no right answer."""
    several = s.chest("several", Pneumothorax="present", Cardiomegaly="present", Edema="absent")
    for subject, one in ((several, True), (EFFUSION, False)):
        asked = [draft.messages[0].content for draft in drafted(subject, styles=("caption",), variants=4)]
        assert asked
        assert all(bool(re.search(r"\b(one|something)\b", text)) is one for text in asked)


def test_a_question_describes_what_is_there_and_what_is_stated_absent_and_nothing_doubtful() -> None:
    told = drafted(EFFUSION, styles=("question",))
    answers = {msgspec.json.decode(one.constraints)["concept"]: one.messages[1].content[:3] for one in told}
    assert answers == {"Pleural Effusion": "Yes", "Pneumothorax": "No,"}


def test_organs_that_every_such_image_shows_are_not_asked_about() -> None:
    told = drafted(s.organs("o"), s.VOCABULARY, styles=("question",))
    assert all("lung" not in msgspec.json.decode(one.constraints)["concept"] for one in told)


def test_the_sentence_of_a_class_names_it_so_that_it_can_be_read_back() -> None:
    """By a lexicon that is not that of the task: the terms of the verifier."""
    from curate.verify.lexicon import CONCEPT, concept_key, mentions, vocabulary_index
    from curate.verify.text import tokenise

    chests = [_with_one(concept) for concept in s.CHEST_FINDINGS]
    for subject in (*DIAGNOSES, *chests):
        (label,) = subject.annotations
        for draft in drafted(subject, s.VOCABULARY, styles=("caption",), signs=9):
            index = vocabulary_index(frozenset((*s.DISEASES, *s.CHEST_FINDINGS)))
            found = {m.key(CONCEPT) for m in mentions(tokenise(draft.messages[1].content.split(". ")[0]), [index])}
            assert concept_key(label.concept or "") in found, draft.messages[1].content


def _with_one(concept: str) -> Subject:
    asset = s.chest(concept).asset
    told = s.says(asset, Kind.MULTILABEL, concept, "findings", 0, state=State.PRESENT)
    return Subject(asset, (told,))


class TestTheVerifier:
    """Lies about what is known in general."""

    caption = drafted(EFFUSION, styles=("caption",), variants=1)[0]
    said, _, sentence = caption.messages[1].content.partition(". ")

    def test_accepts_a_reviewed_sentence_word_for_word(self) -> None:
        assert refused(self.caption, EFFUSION, f"{self.said}. {self.sentence}") is None

    @pytest.mark.parametrize("place", range(4, 12))
    def test_refuses_a_changed_word(self, place: int) -> None:
        words = self.sentence.split(" ")
        if place >= len(words):
            pytest.skip("the sentence is shorter")
        for other in ("not", "sometimes", words[place] + "s", ""):
            changed = " ".join([*words[:place], *filter(None, [other]), *words[place + 1 :]])
            assert refused(self.caption, EFFUSION, f"{self.said}. {changed}") is Reason.LABEL_MISSING, changed

    def test_refuses_a_text_without_it(self) -> None:
        assert refused(self.caption, EFFUSION, f"{self.said}.") is Reason.LABEL_MISSING

    @pytest.mark.parametrize("concept", ["Pneumothorax", "Cardiomegaly", "Nodule"])
    def test_refuses_the_sentence_of_another_class(self, concept: str) -> None:
        other = descriptor_of(concept, EFFUSION.asset)
        assert other is not None
        for sentence in other.ensemble:
            assert refused(self.caption, EFFUSION, f"{self.said}. {sentence}") is Reason.LABEL_INVENTED

    @pytest.mark.parametrize("concept", ["Pneumothorax", "Cardiomegaly"])
    def test_does_not_believe_what_is_announced(self, concept: str) -> None:
        """Absent and doubtful findings are not described, whatever the constraints say."""
        other = descriptor_of(concept, EFFUSION.asset)
        assert other is not None
        asked = msgspec.json.encode({"ask": "caption", "attributes": [], "knowledge": [concept]}).decode()
        draft = msgspec.structs.replace(self.caption, constraints=asked)
        assert refused(draft, EFFUSION, f"{self.said}. {other.ensemble[0]}") is Reason.LABEL_INVENTED

    def test_refuses_a_sign_that_is_claimed_of_the_image(self) -> None:
        known = descriptor_of("Pleural Effusion", EFFUSION.asset)
        assert known is not None
        for sign in known.signs:
            for claim in (f"The image shows {sign}.", f"There is {sign}.", f"It can be recognised by {sign}."):
                assert refused(self.caption, EFFUSION, f"{self.said}. {claim}") is not None
                assert refused(self.caption, EFFUSION, f"{self.said}. {claim} {self.sentence}") is not None, claim

    def test_refuses_a_claimed_sign_of_words_that_every_text_may_use(self) -> None:
        smear = s.smear("l", "el")
        told = [
            one for one in drafted(smear, s.VOCABULARY, styles=("caption",), signs=9) if "leukocyte" in one.constraints
        ]
        (draft,) = [one for one in told if "larger than that" in one.messages[1].content]
        said = draft.messages[1].content
        claim = "Here one sees a size that is usually larger than that of the erythrocytes beside them."
        assert refused(draft, smear, said) is None
        assert refused(draft, smear, f"{said} {claim}") is Reason.LABEL_INVENTED

    def test_refuses_it_twice_and_where_nothing_was_announced(self) -> None:
        assert refused(self.caption, EFFUSION, f"{self.said}. {self.sentence} {self.sentence}") is Reason.LABEL_MISSING
        plain = msgspec.json.encode({"ask": "caption", "attributes": []}).decode()
        draft = msgspec.structs.replace(self.caption, constraints=plain, origin=Origin.LLM)
        assert refused(draft, EFFUSION, f"{self.said}. {self.sentence}") is not None

    def test_refuses_what_is_seen_on_other_images(self) -> None:
        """The effusion of ultrasound on a radiograph."""
        seen = msgspec.structs.replace(EFFUSION.asset, modality="US", anatomy="lung")
        known = descriptor_of("Pleural Effusion", seen)
        assert known is not None
        assert refused(self.caption, EFFUSION, f"{self.said}. {known.ensemble[0]}") is Reason.LABEL_INVENTED

    def test_refuses_a_question_that_describes_another_finding_and_a_wrong_answer(self) -> None:
        question = drafted(EFFUSION, styles=("question",))[1]
        assert "Pneumothorax" in question.constraints
        asked = question.messages[0].content.removeprefix("<image>\n")
        assert refused(question, EFFUSION, "No, there is no sign of pneumothorax.", asked) is None
        assert refused(question, EFFUSION, "Yes, there is a pneumothorax.", asked) is not None
        known = descriptor_of("Pleural Effusion", EFFUSION.asset)
        assert known is not None
        wrong = f"{known.ensemble[0]} Is there a pneumothorax in this radiograph?"
        assert refused(question, EFFUSION, "No, there is no sign of pneumothorax.", wrong) is not None


class TestStrings:
    """Modality, part, view and finding, in that order."""

    @staticmethod
    def strings(subject: Subject) -> list[str]:
        task = LabelStrings(LabelStringsOptions(), s.VOCABULARY)
        return [one.messages[1].content for one in task.draft(subject) if isinstance(one, Draft)]

    def test_one_per_finding_that_is_present(self) -> None:
        subject = s.chest("m", Cardiomegaly="present", Edema="present", Pneumothorax="absent", Pneumonia="uncertain")
        assert self.strings(subject) == [
            f"Radiography chest posteroanterior {name}" for name in ("cardiomegaly", "edema")
        ]

    def test_the_request_is_for_one_string_where_several_fit(self) -> None:
        task = LabelStrings(LabelStringsOptions(variants=4), s.VOCABULARY)
        alone, several = (
            {draft.messages[0].content for draft in task.draft(subject) if isinstance(draft, Draft)}
            for subject in (s.chest("1", Edema="present"), s.chest("2", Edema="present", Nodule="present"))
        )
        assert len(alone) == 4
        assert not any(re.search(r"\bone\b", text) for text in alone)
        assert all(re.search(r"\bone\b", text) for text in several)

    def test_the_request_names_what_the_string_holds(self) -> None:
        task = LabelStrings(LabelStringsOptions(variants=4), s.VOCABULARY)
        for subject, parts in (
            (s.chest("v", Edema="present"), "modality, body part, view and finding"),
            (DIAGNOSES[0], "modality, specimen and class"),
        ):
            asked = [draft.messages[0].content for draft in task.draft(subject) if isinstance(draft, Draft)]
            assert sum(f"its {parts}." in text or f": {parts}." in text for text in asked) == 2

    def test_what_is_not_known_is_left_out(self) -> None:
        asset = s.asset("u", labelled_by=["findings"])
        told = s.says(
            asset, Kind.MULTILABEL, "Nodule", "findings", 0, state=State.PRESENT, world=World.OPEN, side="left"
        )
        assert self.strings(Subject(asset, (told,))) == ["Left nodule"]

    def test_sides_are_those_of_the_source(self) -> None:
        asset = s.asset("b", modality="MG", anatomy="BREAST", view="MLO", laterality="right", labelled_by=["findings"])
        told = s.says(asset, Kind.MULTILABEL, "Mass", "findings", 0, state=State.PRESENT)
        (string,) = self.strings(Subject(asset, (told,)))
        assert "right breast" in string
        assert string.endswith(" mass")

    @pytest.mark.parametrize("string", ["radiography chest PA", "radiography chest PA edema cardiomegaly",
                                        "CT chest PA edema",
                                        "radiography chest PA no edema", "radiography chest PA edema and"])  # fmt: skip
    def test_a_false_string_is_refused(self, string: str) -> None:
        subject = s.chest("m", Edema="present", Cardiomegaly="absent")
        task = LabelStrings(LabelStringsOptions(), NAMES)
        (draft,) = [one for one in task.draft(subject) if isinstance(one, Draft)]
        assert refused(draft, subject, draft.messages[1].content) is None
        assert refused(draft, subject, string) is not None
