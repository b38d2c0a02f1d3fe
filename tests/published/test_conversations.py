"""Turns, tokens, tools and pairs: what training formats ask for."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from curate.published import Report, check_records
from tests.published.conftest import Check
from tests.published.rows import asked, preferred

USER = {"role": "user", "content": "What does this radiograph show?"}
ASSISTANT = {"role": "assistant", "content": "A clear chest."}


@pytest.mark.parametrize(
    ("turns", "broken"),
    [
        ([USER, ASSISTANT], 0),
        ([{"role": "system", "content": "You are a radiologist."}, USER, ASSISTANT, USER, ASSISTANT], 0),
        ([ASSISTANT, USER], 1),
        ([USER, USER, ASSISTANT], 1),
        ([USER, ASSISTANT, USER], 1),
        ([USER, {"role": "system", "content": "Be brief."}, ASSISTANT], 1),
        ([USER, {"role": "nurse", "content": "Hm."}], 1),
        ([USER, "A clear chest."], 1),
        (
            [
                USER,
                {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
                {"role": "tool", "content": "4"},
                ASSISTANT,
            ],
            0,
        ),
    ],
)
def test_turns_alternate_and_end_with_an_answer(counts: Check, turns: list[Any], broken: int) -> None:
    assert counts([{"messages": turns}])["role_order"] == broken


def test_an_empty_answer_is_told(counts: Check) -> None:
    assert counts([asked("Describe.", "  "), asked("Describe.", "Heart size is normal.")])["empty_turn"] == 1
    assert counts([{"question": "有无骨折？", "answer": "", "image": "1.png"}])["empty_turn"] == 1


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (asked("Describe.", "A kidney."), None),
        ({**asked("Describe.", "A kidney."), "image": ["a.png", "b.png"]}, "media_tokens"),
        ({"messages": [USER, ASSISTANT], "videos": []}, None),
        (
            {"messages": [{"role": "user", "content": "<video>Which phase?"}, ASSISTANT], "images": ["a.png"]},
            "media_tokens",
        ),
        (asked("Describe <image> as well.", "A kidney."), "media_tokens"),
    ],
)
def test_tokens_are_as_many_as_media(counts: Check, row: dict[str, Any], rule: str | None) -> None:
    assert counts([row, asked("And this?", "A spleen.", "c.png")])["media_tokens"] == (rule == "media_tokens")


def test_parts_of_openai_messages_are_tokens_and_media_at_once(counts: Check) -> None:
    content = [{"type": "image_url", "image_url": {"url": "scans/1.png"}}, {"type": "text", "text": "Which view?"}]
    found = counts([{"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "Lateral."}]}])
    assert not found


def test_a_file_without_any_token_is_only_noted(report: Callable[..., Report]) -> None:
    row = {"image": "a.png", "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "A hand."}]}
    (found,) = report([row]).findings
    assert (found.rule, found.severity) == ("media_tokens", "note")


def test_a_token_in_an_answer_is_told(counts: Check) -> None:
    assert counts([asked("Describe.", "As seen in <image>, a fracture.")])["token_in_answer"] == 1


def test_placeholders_of_objects_are_as_many_as_objects(counts: Check) -> None:
    row = asked("Find <ref-object>.", "<bbox>", objects={"ref": ["polyp"], "bbox": [[1, 2, 30, 40]]})
    assert counts([row])["object_placeholders"] == 0
    row["objects"]["bbox"].append([5, 5, 9, 9])
    assert counts([row])["object_placeholders"] == 1


@pytest.mark.parametrize(
    ("path", "absolute"),
    [
        ("images/1.png", 0), ("./1.png", 0), ("https://example.org/1.png", 0), ("s3://bucket/1.png", 0),
        ("/home/lee/data/1.png", 1), ("C:\\data\\1.png", 1), ("~/data/1.png", 1), ("\\\\server\\share\\1.png", 1),
        ("data:image/png;base64,iVBORw0KGgo=", 0), ("/9j/" + "4AAQSkZJRgABAQ" * 200, 0),
    ],
)  # fmt: skip
def test_absolute_paths(counts: Check, path: str, absolute: int) -> None:
    assert counts([asked("Describe.", "A hand.", path)])["absolute_path"] == absolute


def test_media_are_looked_for_where_they_are_said_to_lie(tmp_path: Any) -> None:
    Image.new("L", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    rows = [
        asked("Q1?", "A.", "a.png", width=64, height=48),
        asked("Q2?", "B.", "some/where/a.png", width=48, height=64),
        asked("Q3?", "C.", "a.png", width=640, height=480),
        asked("Q4?", "D.", "absent.png", width=1, height=1),
        asked("Q5?", "E.", "b.png", width=1, height=1),
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    found = {(one.rule, one.count, one.rows) for one in check_records([path], images=tmp_path).findings}
    assert found == {
        ("image_size", 1, ("row 2",)), ("image_size", 1, ("row 3",)),
        ("missing_media", 1, ("row 4",)), ("missing_media", 1, ("row 5",)),
    }  # fmt: skip
    assert not {one.rule for one in check_records([path]).findings} & {"missing_media", "image_size"}


def test_calls_of_tools_are_json_with_a_name(counts: Check) -> None:
    def row(call: str, tools: str = "[]") -> dict[str, Any]:
        turns = [("human", "Measure it."), ("function_call", call), ("observation", "12"), ("gpt", "Done.")]
        return {"conversations": [{"from": role, "value": text} for role, text in turns], "tools": tools}

    assert counts([row('{"name": "measure", "arguments": {}}')])["tool_call"] == 0
    assert counts([row("measure(lesion)")])["tool_call"] == 1
    assert counts([row('{"arguments": {}}')])["tool_call"] == 1
    assert counts([row('{"name": "measure"}', "[measure]")])["tool_call"] == 1


@pytest.mark.parametrize(
    ("chosen", "rejected", "identical", "prefix"),
    [
        ("Yes.", "yes. ", 1, 1),
        ("Pneumonia.", "Pneumonia with effusion.", 0, 1),
        ("肺炎。", "肺炎伴胸腔积液。", 0, 1),
        ("No", "The lung is normal.", 0, 0),
        ("A", "A large mass.", 0, 0),
    ],
)
def test_pairs_that_do_not_differ_by_the_truth(
    counts: Check, chosen: str, rejected: str, identical: int, prefix: int
) -> None:
    found = counts([preferred("Which disease?", chosen, rejected)])
    assert (found["identical_pair"], found["rejected_extends_chosen"]) == (identical, prefix)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Which organ?", "chosen": "Liver", "rejected": "liver"},
        {"prompt": [{"role": "user", "content": "Which organ?"}],
         "chosen": [{"role": "user", "content": "Which organ?"}, {"role": "assistant", "content": "Liver"}],
         "rejected": [{"role": "assistant", "content": "LIVER"}]},
        {"prompt": "Which organ?", "positive_response": "Liver", "negative_response": " liver"},
        {"messages": [{"role": "user", "content": "Which organ?"}, {"role": "assistant", "content": "Liver"}],
         "rejected_response": "liver"},
        {"conversations": [{"from": "human", "value": "Which organ?"}, {"from": "gpt", "value": "Liver"}],
         "rejected_conversations": [{"from": "human", "value": "Which organ?"}, {"from": "gpt", "value": "liver"}]},
    ],
)  # fmt: skip
def test_every_form_of_a_pair_is_read(report: Callable[..., Report], row: dict[str, Any]) -> None:
    found = report([row])
    assert found.files[0].format == "preference"
    assert "identical_pair" in {one.rule for one in found.findings}


def test_a_preference_that_length_predicts(counts: Check) -> None:
    long = "No, the lung is not affected in this image, which shows the abdomen"
    assert counts([preferred(f"{n}?", "Yes", long, f"{n}.png") for n in range(30)])["style_shortcut"] == 30
    same = [preferred(f"{n}?", "Yes, it is", "No, it is not", f"{n}.png") for n in range(30)]
    assert counts(same)["style_shortcut"] == 0
    chinese = [preferred(f"{n}？", "是", "否，图中肺部未见明显异常改变", f"{n}.png") for n in range(30)]
    assert counts(chinese)["style_shortcut"] == 30


def test_truth_labels_are_counted(report: Callable[..., Report]) -> None:
    rows = [{"messages": [USER, {"role": "assistant", "content": f"Answer {n}."}], "label": n < 57} for n in range(60)]
    (found,) = [one for one in report(rows).findings if one.rule == "label_balance"]
    assert (found.severity, found.count, found.of) == ("warning", 57, 60)
    assert "true 57, false 3" in found.message


def test_options_and_their_answers(counts: Check) -> None:
    options = ["Liver", "Spleen", "Kidney"]
    rows = [
        {"question": "Which organ?", "options": options, "answer": said, "image": f"{said}.png"}
        for said in ("Liver", "spleen.", "B", "C. Kidney", "(A)", "Pancreas", "D")
    ]
    assert counts(rows)["answer_not_an_option"] == 2
    lettered = {"question": "Which?", "A": "CT", "B": "MRI", "answer": "B", "image": "1.png"}
    assert counts([lettered, {**lettered, "answer": "E", "image": "2.png"}])["answer_not_an_option"] == 1
    by_letter = {"question": "有无？", "options": {"A": "有", "B": "无"}, "answer": "无", "image": "3.png"}
    assert counts([by_letter])["answer_not_an_option"] == 0


MODALITY = "Which modality is this?\nA. CT\nB. MRI\nC. Ultrasound"


@pytest.mark.parametrize(
    ("question", "answer", "rule"),
    [
        (MODALITY, "B", None),
        (MODALITY, "B. MRI", None),
        (MODALITY, "(C) Ultrasound", None),
        (MODALITY, "MRI.", None),
        (MODALITY, "A CT scan shows it best.", None),
        (MODALITY, "D", "answer_not_an_option"),
        (MODALITY, "A. MRI", "letter_against_text"),
        ("这是什么检查？\nA、CT\nB、磁共振", "B、CT", "letter_against_text"),
        ("这是什么检查？\nA、CT\nB、磁共振", "B、磁共振", None),
        ("Pick: A) CT B) MRI C) CT", "B", "option_twice"),
        ("Is vitamin A or B12 deficient?", "Vitamin D", None),
    ],
)
def test_options_within_a_question(counts: Check, question: str, answer: str, rule: str | None) -> None:
    found = counts([asked(question, answer)])
    broken = {one for one in ("answer_not_an_option", "letter_against_text", "option_twice") if found[one]}
    assert broken == ({rule} if rule else set())


def test_the_letter_that_is_mostly_right(report: Callable[..., Report]) -> None:
    def rows(letters: str) -> list[dict[str, Any]]:
        options = {"A": "CT", "B": "MRI", "C": "US", "D": "PET"}
        return [
            {"question": f"{n}?", "options": options, "answer": one, "image": f"{n}.png"}
            for n, one in enumerate(letters)
        ]

    (found,) = report(rows("A" * 40 + "BCD" * 10)).findings
    assert (found.rule, found.severity, found.count, found.of) == ("answer_letters", "warning", 40, 70)
    (found,) = report(rows("ABCD" * 20)).findings
    assert found.severity == "note"


def test_a_chosen_answer_has_the_higher_reward(counts: Check) -> None:
    pair = {"prompt": "Write the report.", "chosen": "No effusion.", "rejected": "Effusion.", "image": "1.png"}
    assert counts([{**pair, "reward_chosen": 0.9, "reward_rejected": 0.2}])["reward_order"] == 0
    assert counts([{**pair, "reward_chosen": 0.2, "reward_rejected": 0.2}])["reward_order"] == 1


def test_questions_within_a_row_are_rows(report: Callable[..., Report]) -> None:
    nested = {
        "image_path": "now.png",
        "qa": {"closed": [{"question": "Which?", "options": {"A": "CT", "B": "MRI"}, "answer": "C"}]},
        "VQA": [
            {"VQA_question": "Is it larger?", "VQA_answer": "yes"},
            {"VQA_question": "Is it new?", "VQA_answer": "no"},
        ],
    }
    found = report([nested])
    assert (found.files[0].format, found.files[0].rows) == ("question and answer", 3)
    (finding,) = found.findings
    assert (finding.rule, finding.rows) == ("answer_not_an_option", ("row 1, qa.closed 1",))


def test_a_child_is_not_asked_below_a_negative_parent(counts: Check) -> None:
    details = {"answer_type": "single_choice", "options": ["yes", "no"]}
    parent = ["Is there a device?", ["no"], [], details]
    child = ["Is there a pacemaker?", ["no"], [["Is there a device?", ["no"]]], details]
    allowed = ["Is there a clip?", ["no"], [["Is there a device?", ["yes"]]], details]
    assert counts([parent, child])["child_of_negative"] == 1
    assert counts([parent, allowed])["child_of_negative"] == 0


def test_one_question_with_two_answers(counts: Check) -> None:
    rows = [asked("Is there a mass?", "Yes."), asked("Is there a mass?", "No."), asked("Is there a cyst?", "No.")]
    assert counts(rows)["several_answers"] == 1
    assert counts(rows[1:])["several_answers"] == 0
    other = [asked("Is there a mass?", "Yes."), asked("Is there a mass?", "No.", "b.png")]
    assert counts(other)["several_answers"] == 0


def test_what_stands_twice(counts: Check) -> None:
    row = asked("Describe.", "The cornea is clear and the anterior chamber is deep and quiet.", id="1")
    assert counts([row, {**row, "id": "2"}])["repeated_row"] == 1
    assert counts([row, {**row, "image": "b.png"}])["repeated_id"] == 1
    assert counts([row, {**row, "image": "b.png", "id": "2"}])["repeated_answer"] == 1
    short = asked("Describe.", "Clear cornea.", id="1")
    assert not counts([short, {**short, "image": "b.png", "id": "2"}])
    assert counts(["What is seen?", "What do you see?", " What is seen?"])["repeated_question"] == 1
    assert counts({"glioma": ["A mass.", "A tumour."], "none": ["A mass."]})["repeated_question"] == 1


def test_a_key_has_one_type(counts: Check) -> None:
    rows = [
        {"question": "How many?", "answer": "3", "image": "1.png"},
        {"question": "Which?", "answer": ["a"], "image": "2.png"},
    ]
    assert counts(rows)["mixed_types"] == 1
    numbers = [
        {"question": "How many?", "answer": 3, "image": "1.png"},
        {"question": "How?", "answer": 2.5, "image": "2.png"},
    ]
    assert counts(numbers)["mixed_types"] == 0
    nothing = [{**numbers[0], "note": None}, {**numbers[1], "note": "blurred"}]
    assert counts(nothing)["mixed_types"] == 0


def test_most_answers_copy_a_field(counts: Check) -> None:
    texts = [f"Subcapsular lesion number {n} of the spleen." for n in range(12)]
    rows = [asked("Describe.", text, f"{n}.png", report=text) for n, text in enumerate(texts)]
    assert counts(rows)["differs_from_field"] == 0
    rows[3]["report"] += " Edited."
    assert counts(rows)["differs_from_field"] == 1


def test_ordinary_rows_break_no_rule(counts: Check) -> None:
    rows = [
        asked("Which modality is this?", "This is a CT scan of the abdomen.", "1.png", id=1),
        asked("Is there free fluid?", "No free fluid is seen around the liver.", "2.png", id=2),
        asked("这是什么检查？", "这是一张胸部X线片。", "3.png", id=3),
        asked("描述图像。", "心影大小形态正常，肋膈角锐利。", "4.png", id=4),
    ]
    assert counts(rows) == Counter()
