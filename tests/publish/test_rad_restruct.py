"""Rad-ReStruct's JSON has the records of the published files, and a history that leads down to each question."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.publish.base import Format, FormatOptions, Release, Row, Written
from curate.publish.formats.rad_restruct import RadRestruct
from curate.publish.writing import Staging
from curate.rows import Message
from curate.testing.formats import FormatContract
from tests.publish.consumers import shape
from tests.publish.rows_by_hand import medium, release_of_rows, row

TURNS: list[dict[str, Any]] = [
    {"ask": "any_of", "concepts": ["consolidation", "nodule"], "group": "lung findings"},
    {"ask": "presence", "concept": "consolidation", "label_set": "table"},
    {"ask": "presence", "concept": "nodule", "label_set": "table"},
    {"ask": "presence", "concept": "cardiomegaly", "label_set": "table"},
]
ASKED = ("Any of these lung findings?", "Is there consolidation?", "Is there a nodule?", "Is there cardiomegaly?")
ANSWERED = ("Yes, at least one of them.", "No.", "Yes, a nodule is seen.", "No, no cardiomegaly is seen.")


class TestContract(FormatContract):
    @staticmethod
    def make() -> Format:
        return RadRestruct(FormatOptions())


def conversation(**changed: Any) -> Row:
    """A group, two findings of it, and a finding of none."""
    messages = [
        Message(role, text)
        for asked, answered in zip(ASKED, ANSWERED, strict=True)
        for role, text in (("user", asked), ("assistant", answered))
    ]
    messages[0] = Message("user", "<image>\n" + ASKED[0])
    known: dict[str, Any] = {"messages": tuple(messages), "constraints": {"ask": "dialogue", "turns": TURNS}}
    return row(ASKED[0], ANSWERED[-1], **known | changed)


def written(folder: Path, *rows: Row) -> Written:
    release: Release = release_of_rows(*rows)
    return RadRestruct(FormatOptions()).write(release, Staging(folder))


def test_a_question_has_the_fields_of_the_published_ones(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    one = conversation(split="validation")
    written(tmp_path, one)
    ours = json.loads((tmp_path / f"rad-restruct/val_qa_pairs/{one.pair_id}.json").read_text())
    folder = test_data("seed-records") / "rad-restruct/data/radrestruct/val_qa_pairs"
    theirs = [
        question
        for path in sorted(folder.glob("*.json"))
        for question in json.loads(path.read_text())
        if question[3]["answer_type"] == "single_choice" and question[3]["options"] == ["yes", "no"]
    ]
    assert theirs
    for question in ours:
        alike = next(other for other in theirs if len(other[2]) == len(question[2]))
        assert len(question) == len(alike)
        assert list(question[3]) == list(alike[3])
        assert [shape(field) for field in question] == [shape(field) for field in alike]
        assert question[1][0] in question[3]["options"] == alike[3]["options"]


def test_the_history_is_the_way_down_and_not_the_turns_before(tmp_path: Path) -> None:
    one = conversation()
    written(tmp_path, one)
    group, first, second, alone = json.loads((tmp_path / f"rad-restruct/train_qa_pairs/{one.pair_id}.json").read_text())
    assert group[:3] == [ASKED[0], ["yes"], []]
    assert first[:3] == [ASKED[1], ["no"], [[ASKED[0], ["yes"]]]]
    assert second[2] == first[2]
    assert alone[2] == []
    assert [asked[3]["path"] for asked in (group, first, alone)] == [
        "lung findings", "lung findings_consolidation", "cardiomegaly",
    ]  # fmt: skip


def test_a_question_alone_is_a_tree_of_one(tmp_path: Path) -> None:
    one = row("Is there a nodule?", "Yes.", constraints={"ask": "presence", "concept": "nodule"})
    written(tmp_path, one)
    (asked,) = json.loads((tmp_path / f"rad-restruct/train_qa_pairs/{one.pair_id}.json").read_text())
    assert asked[:3] == ["Is there a nodule?", ["yes"], []]
    pictures = json.loads((tmp_path / "rad-restruct/train_images.json").read_text())
    assert pictures == {one.pair_id: one.media[0].path}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (row("What is it?", "A nodule."), "neither turns down a tree"),
        (conversation(constraints={"ask": "dialogue", "turns": TURNS[:-1]}), "neither turns down a tree"),
        (conversation(constraints={"ask": "dialogue", "turns": [*TURNS[:-1], {"ask": "count"}]}), "neither turns"),
        (row("Nodule?", "It may be.", constraints={"ask": "presence", "concept": "nodule"}), "an answer that"),
        (
            row("Now?", "Yes.", media=(medium("a"), medium("b")), constraints={"ask": "presence", "concept": "x"}),
            "not of one picture",
        ),
    ],
)
def test_what_the_form_cannot_say_is_left_out_and_counted(other: Row, reason: str, tmp_path: Path) -> None:
    told = written(tmp_path, conversation(), other)
    assert told.rows == 1
    (left,) = told.left_out
    assert left.rows == 1
    assert left.reason.startswith(reason)
