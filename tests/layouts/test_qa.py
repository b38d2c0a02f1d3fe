"""A question-answer record asks one thing about one image, in the source's own words."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.layouts.base import RawAnnotation, Record, Refused
from curate.layouts.qa import Qa
from curate.schema import Kind, Reason, Refusal
from tests.layouts.scanning import refusals, scan, write

KEYS = {"image": "image", "question": "question", "answer": "answer"}


def said(units: list[Record | Refused]) -> list[RawAnnotation]:
    return [annotation for unit in units if isinstance(unit, Record) for annotation in unit.annotations]


def read(root: Path, text: str, name: str = "qa.jsonl", **labels: Any) -> list[Record | Refused]:
    write(root, {name: text})
    return scan(Qa, root, "**/*.png", files=name, **{**KEYS, **labels})[0]


def test_questions_of_clinicians_keep_their_answer_type_and_their_split(test_data: Callable[[str], Path]) -> None:
    units, images = scan(
        Qa,
        test_data("vqa-rad"),
        "images/*.jpg",
        files=["trainset.json", "testset.json"],
        image="image_name",
        question="question",
        answer="answer",
        answer_type="answer_type",
        splits={"train*.json": "train", "*.json": "test"},
        fields={"anatomy": {"column": "image_organ", "values": {"HEAD": "head", "CHEST": "chest", "ABD": "abdomen"}}},
        qualifiers={"question_type": "question_type"},
    )
    asked = said(units)
    assert refusals(units) == []
    assert Counter(one.source_split for one in asked) == {"train": 3064, "test": 451}
    assert {one.qualifiers["answer_type"] for one in asked} == {"OPEN", "CLOSED"}
    assert {unit.columns["@anatomy"] for unit in units if isinstance(unit, Record)} == {"head", "chest", "abdomen"}
    assert all(one.text and one.text == one.text.strip() for one in asked)
    resolved = {images.resolve(unit.image.name, unit.image.near) for unit in units if isinstance(unit, Record)}
    assert len(resolved) == 314


def test_bilingual_records_state_the_language_of_each(test_data: Callable[[str], Path]) -> None:
    units, images = scan(
        Qa,
        test_data("slake-bilingual-text"),
        "**/*.jpg",
        files="Slake1.0/train.json",
        image="img_name",
        question="question",
        answer="answer",
        language="q_lang",
    )
    assert Counter(one.language for one in said(units)) == {"en": 4918, "zh": 4916}
    assert [reason for *_, reason in refusals(units)] == ["missing_value"]  # one answer is an empty text
    absent = images.resolve("xmlab1/source.jpg", "Slake1.0")
    assert isinstance(absent, Refusal)
    assert absent.reason is Reason.MISSING_FILE


def test_the_language_is_a_tag_or_a_column(tmp_path: Path) -> None:
    row = '{"image":"a","question":"q","answer":"x","spoken":""}'
    assert [one.language for one in said(read(tmp_path, row, language="de"))] == ["de"]
    assert [one.language for one in said(read(tmp_path, row, language="spoken"))] == [None]
    assert refusals(read(tmp_path, row, language="q_lang")) == [("file", "", "missing_column")]


def test_answers_that_are_no_text_are_written_out(tmp_path: Path) -> None:
    rows = '{"image":"a","question":"q","answer":0}\n{"image":"a","question":"q","answer":false}\n'
    asked = said(read(tmp_path, rows))
    assert [(one.kind, one.question, one.text, one.language) for one in asked] == [
        (Kind.QA, "q", "0", "en"),
        (Kind.QA, "q", "false", "en"),
    ]


def test_a_record_without_image_question_or_answer_is_refused(tmp_path: Path) -> None:
    rows = [
        '{"image":"a","question":"q","answer":"  "}',
        '{"image":"a","question":null,"answer":"x"}',
        '{"question":"q","answer":"x"}',
        '{"image":"a","question":"q","answer":{"text":"x"}}',
        '{"image":"a","question":" q ","answer":" x "}',
    ]
    units = read(tmp_path, "\n".join(rows))
    assert refusals(units) == [
        ("row", "row 1", "missing_value"),
        ("row", "row 2", "missing_value"),
        ("row", "row 3", "missing_value"),
        ("row", "row 4", "invalid_row"),
    ]
    assert [(one.question, one.text, one.locator) for one in said(units)] == [("q", "x", "row 5")]


def test_the_details_of_refusals_hold_no_words_of_the_record(tmp_path: Path) -> None:
    units = read(tmp_path, '{"image":"a","question":"Is Mr Miller ill?","answer":["Miller","yes"]}')
    assert refusals(units) == [("row", "row 1", "invalid_row")]
    assert not [unit for unit in units if isinstance(unit, Refused) and "Miller" in unit.refusal.detail]


def test_records_in_tables_are_read_too(tmp_path: Path) -> None:
    (asked,) = said(read(tmp_path, 'image,question,answer\na.png,"one, two?",yes\n', "qa.csv"))
    assert (asked.question, asked.text) == ("one, two?", "yes")
    (asked,) = said(read(tmp_path, '{"items":[{"image":"a","question":"q","answer":"x"}]}', "b.json", records="items"))
    assert asked.text == "x"


def test_a_file_without_the_answers_is_refused_as_a_whole(tmp_path: Path) -> None:
    assert refusals(read(tmp_path, '[{"image":"a","question":"q"}]', "a.json")) == [("file", "", "missing_column")]
