"""From a brief to a request and back: placeholders survive or the answer is refused, and words stay what they are."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.language.packs import KEYS, load_pack
from curate.language.rewriting import Written, first_request, read_answer
from curate.recipe import Engine, Rewrite
from curate.rows import Brief, Draft, Subject
from curate.schema import Reason, Refusal
from curate.testing.scripted import brief_of
from tests.tasks.subjects import CHEST_FINDINGS, chest, drafts_of, smear

PACK = load_pack("clinical", "en", ".")
BOXES = Brief(
    "Locate all {things} in this {noun}. {form}",
    "{boxes}",
    {"things": "platelets", "noun": "blood smear", "form": "Answer with [x0, y0, x1, y1].", "boxes": "[[1, 2, 3, 4]]"},
    ("boxes", "form"),
)
PRESENCE = Brief(
    "Does this {noun} show {a_thing}?",
    "No, there {is} no {thing}.",
    {"noun": "chest radiograph", "a_thing": "a pleural effusion", "thing": "pleural effusion", "is": "is"},
)

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), max_size=30)


def said(question: str, answer: str) -> str:
    return msgspec.json.encode({"question": question, "answer": answer}).decode()


def read(brief: Brief, mode: str, question: str, answer: str, finish_reason: str = "stop") -> Written | Refusal:
    return read_answer(said(question, answer), finish_reason, brief, mode)


def shown(brief: Brief, mode: str) -> dict[str, Any]:
    """What the model is shown, read out of the request as a model would."""
    rewrite = Rewrite(model="m", completer=Engine(name="replay"), mode=mode)  # type: ignore[arg-type]
    return brief_of(msgspec.json.decode(first_request(brief, 0, rewrite, PACK, None).body))


def request_id(draft: Draft, mode: str, variant: int = 0) -> str:
    rewrite = Rewrite(model="m", completer=Engine(name="replay"), mode=mode)  # type: ignore[arg-type]
    assert draft.brief is not None
    return first_request(msgspec.json.decode(draft.brief, type=Brief), variant, rewrite, PACK, None).request_id


def radiograph(name: str, states: dict[str, str]) -> Subject:
    return chest(name, **states)  # type: ignore[arg-type]


def briefs(task: str, subject: Subject) -> dict[str, Draft]:
    return {draft.constraints: draft for draft in drafts_of(subject, (task,))}


def test_in_free_mode_the_model_sees_words_and_no_coordinate() -> None:
    assert shown(BOXES, "free") == {"question": "Locate all platelets in this blood smear. {form}", "answer": "{boxes}"}
    assert shown(PRESENCE, "free") == {
        "question": "Does this chest radiograph show a pleural effusion?",
        "answer": "No, there is no pleural effusion.",
    }


def test_in_slots_mode_the_model_sees_placeholders_alone() -> None:
    assert shown(BOXES, "slots") == {"question": BOXES.question, "answer": BOXES.answer}
    assert shown(PRESENCE, "slots") == {"question": PRESENCE.question, "answer": PRESENCE.answer}


def test_code_fills_what_the_model_left_open() -> None:
    found = read(BOXES, "slots", "please find {things} in the {noun}: {form}", "{boxes}")
    assert found == Written("Please find platelets in the blood smear: Answer with [x0, y0, x1, y1].", "[[1, 2, 3, 4]]")
    found = read(BOXES, "free", "Where are the platelets? {form}", " {boxes}\n")
    assert found == Written("Where are the platelets? Answer with [x0, y0, x1, y1].", "[[1, 2, 3, 4]]")


def test_a_sentence_begins_with_a_capital_wherever_white_space_or_a_slot_stood_first() -> None:
    found = read(PRESENCE, "slots", " {thing} or {a_thing}? {noun}.", "\n no {thing} {is} seen")
    assert isinstance(found, Refusal)  # {thing} is not in the question's template
    found = read(PRESENCE, "slots", " {a_thing} in this {noun}?", "\n no {thing} {is} seen")
    assert found == Written("A pleural effusion in this chest radiograph?", "No pleural effusion is seen")


@pytest.mark.parametrize(
    ("question", "answer", "detail"),
    [
        ("Does this {noun} show it?", "No, there {is} no {thing}.", "question holds the placeholder a_thing 0 times"),
        ("Does this {noun} show {a_thing}?", "No {thing}.", "answer holds the placeholder is 0 times"),
        ("Does {noun} {noun} show {a_thing}?", "No, there {is} no {thing}.", "placeholder noun 2 times instead of 1"),
        ("Does this {noun} show {a_thing}?", "No, there {is} no {thing}, no {thing}.", "thing 2 times instead of 1"),
        ("Does this {noun} show {a_thing}?", "No, there {is} no {thing} in {noun}.", "noun 1 times instead of 0"),
        ("Does this {noun} show {a_thing}?", "No, {n} {thing} {is} there.", "placeholder n 1 times instead of 0"),
        ("Does this {noun} show {A_thing}?", "No, there {is} no {thing}.", "A_thing 1 times instead of 0"),
        ("Does this {noun} show {a_thing }?", "No, there {is} no {thing}.", "a_thing 0 times"),
        ("Does this {noun} show {a_thing}?", "No, there {is} no {{thing}}.", "braces that belong to no placeholder"),
        ("Does this {noun} show {a_thing}?", "No, there {is} no {thing}. {", "braces that belong to no placeholder"),
        ("Does this {noun} show {a_thing}?", "No, there {is} no {thing}. {}", "braces that belong to no placeholder"),
        ("Does this {noun} show a pleural effusion?", "No, there is no pleural effusion.", "a_thing 0 times"),
    ],
)
def test_a_placeholder_lost_doubled_moved_or_invented_is_told(question: str, answer: str, detail: str) -> None:
    found = read(PRESENCE, "slots", question, answer)
    assert isinstance(found, Refusal)
    assert (found.reason, detail in found.detail) == (Reason.SLOT, True), found


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where are the platelets?", "{boxes}"),
        ("Where are the platelets? {form}", "[[1, 2, 3, 4]]"),
        ("Where are the platelets? {form}", "{boxes} {boxes}"),
        ("Where are the platelets? {form}", "{{boxes}}"),
        ("Where are the {things}? {form}", "{boxes}"),
        ("Where are the platelets? {form} {boxes}", "{boxes}"),
    ],
)
def test_no_coordinate_is_the_models_in_free_mode_either(question: str, answer: str) -> None:
    found = read(BOXES, "free", question, answer)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.SLOT


@pytest.mark.parametrize("mode", ["free", "slots"])
@pytest.mark.parametrize(
    "name", ["{stage} IV", "a{b}c{b}", "{} empty", "open { brace", "}{", "{{twice}}", "{0}", "{a b}"]
)
def test_braces_in_a_name_are_words_and_not_placeholders(mode: str, name: str) -> None:
    brief = Brief(
        "Is there {thing} in this {noun}? {form}",
        "Yes, {thing}. {boxes}",
        {"thing": name, "noun": "image", "form": "Boxes, please.", "boxes": "[[1, 2, 3, 4]]"},
        ("boxes", "form"),
    )
    asked = shown(brief, mode)
    found = read(brief, mode, f"Look: {asked['question']}", asked["answer"])
    assert found == Written(f"Look: Is there {name} in this image? Boxes, please.", f"Yes, {name}. [[1, 2, 3, 4]]")


@pytest.mark.parametrize("name", ["{boxes}", "{form}", "grade {boxes} {form}"])
def test_a_name_that_looks_like_a_fixed_placeholder_never_becomes_a_coordinate(name: str) -> None:
    brief = msgspec.structs.replace(BOXES, slots=BOXES.slots | {"things": name})
    asked = shown(brief, "free")
    found = read(brief, "free", asked["question"], asked["answer"])
    assert isinstance(found, Refusal)
    assert found.reason is Reason.SLOT
    asked = shown(brief, "slots")
    found = read(brief, "slots", asked["question"], asked["answer"])
    assert isinstance(found, Written)
    assert found.question == f"Locate all {name} in this blood smear. Answer with [x0, y0, x1, y1]."


@given(thing=words, noun=words, boxes=words, mode=st.sampled_from(["free", "slots"]))
def test_a_model_that_says_what_it_was_shown_gives_the_template_back(
    thing: str, noun: str, boxes: str, mode: str
) -> None:
    """Whatever stands in the words: nothing is filled twice, lost, or read as something else."""
    slots = {"thing": thing, "noun": noun, "boxes": boxes}
    brief = Brief("Is {thing} seen in {noun}?", "Yes: {thing}, at {boxes}.", slots, ("boxes",))
    asked = shown(brief, mode)
    found = read(brief, mode, asked["question"], asked["answer"])
    if mode == "free" and "{boxes}" in thing + noun:
        assert isinstance(found, Refusal)
    else:
        assert found == Written(f"Is {thing} seen in {noun}?", f"Yes: {thing}, at {boxes}.")


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("I cannot help with medical images.", "stop", Reason.INVALID_ANSWER),
        ("", "stop", Reason.INVALID_ANSWER),
        ('{"question": "Is it?"}', "stop", Reason.INVALID_ANSWER),
        ('{"question": "Does this chest radiograph show', "length", Reason.TRUNCATED_ANSWER),
        ('{"question": "Does this chest radiograph show', "stop", Reason.TRUNCATED_ANSWER),
        ("<think>The question is about", "length", Reason.TRUNCATED_ANSWER),
    ],
)
def test_an_answer_that_cannot_be_read_says_how(text: str, finish_reason: str, reason: Reason) -> None:
    found = read_answer(text, finish_reason, PRESENCE, "free")
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert found.detail
    assert "radiograph" not in found.detail


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_question_or_answer_is_refused(key: str) -> None:
    plain = {"question": "Is it?", "answer": "Yes."} | {key: "  "}
    found = read_answer(msgspec.json.encode(plain).decode(), "stop", Brief("Is it?", "Yes."), "free")
    assert isinstance(found, Refusal)


def test_whole_answers_are_read_although_the_model_ran_on() -> None:
    found = read_answer(said("Is it?", "Yes.") + " And furth", "length", Brief("Was it?", "Yes."), "free")
    assert found == Written("Is it?", "Yes.")


def test_equal_facts_of_different_patients_are_one_request() -> None:
    """And everything that only a hash of the asset chose is left out of what is asked."""
    for task in ("label_caption", "closed_vqa", "open_vqa"):
        one, other = (
            briefs(task, chest(name, Pleural_Thickening="present", Edema="absent")) for name in ("one", "other")
        )
        shared = {key for key in one.keys() & other.keys() if '"attribute_is"' not in key}  # a hash chose what it asks
        assert shared
        for key, mode in itertools.product(shared, ("free", "slots")):
            assert request_id(one[key], mode) == request_id(other[key], mode)
            assert one[key].draft_id != other[key].draft_id


def test_other_facts_are_another_request_in_free_mode() -> None:
    pairs = itertools.product(("present", "absent", "uncertain"), repeat=2)
    states = [{"Edema": edema, "Nodule": nodule} for edema, nodule in pairs]
    subjects = [radiograph(str(number), each) for number, each in enumerate(states)]
    ids = [request_id(draft, "free") for subject in subjects for draft in drafts_of(subject, ("label_caption",))]
    assert len(set(ids)) == len(ids) == len(states)


def test_one_call_serves_a_whole_shape_whatever_the_annotations() -> None:
    free, slots = set(), set()
    for number, finding in enumerate(CHEST_FINDINGS):
        for draft in drafts_of(radiograph(str(number), {finding.replace(" ", "__"): "present"}), ("closed_vqa",)):
            if '"presence"' in draft.constraints:
                free.add(request_id(draft, "free"))
                slots.add(request_id(draft, "slots"))
    assert len(free) > 8
    assert len(slots) <= 3  # a finding, a thing or a label
    counted = [
        draft for cells in ("e", "ee", "eelp", "ppppppp") for draft in drafts_of(smear(cells, cells), ("count",))
    ]
    assert len({request_id(draft, "free") for draft in counted}) > 6
    assert len({request_id(draft, "slots") for draft in counted}) <= 3  # some, none, in total


def test_every_brief_fills_to_a_text_of_its_own_task() -> None:
    """The brief is one of the wordings that the template could have chosen, with the very same facts."""
    subjects = [chest("c", Edema="present", Nodule="absent", Pneumonia="uncertain"), smear("s", "eeelpp")]
    tasks = ("label_caption", "closed_vqa", "open_vqa", "count", "grounding", "points")
    seen = 0
    for task, subject in itertools.product(tasks, subjects):
        for draft in drafts_of(subject, (task,)):
            assert draft.brief is not None
            brief = msgspec.json.decode(draft.brief, type=Brief)
            for mode in ("free", "slots"):
                asked = shown(brief, mode)
                found = read(brief, mode, asked["question"], asked["answer"])
                assert isinstance(found, Written)
                assert "{" not in found.question + found.answer
                seen += 1
    assert seen > 30
