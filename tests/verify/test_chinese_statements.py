"""Statements of Chinese texts that name no finding, or not by its name: sound organs, lists, rests, sides, options."""

from typing import Any

import pytest

from curate.rows import Subject
from curate.schema import Reason, State, World
from curate.verify.chinese import agreement, words
from curate.verify.chinese_characters import could_be_clinical, is_open_in_chinese
from curate.verify.lexicon import CONCEPT, concept_key, vocabulary_index
from tests.tasks import subjects as s
from tests.verify.by_hand import about, reason_of

CHEST = s.chest(
    "chinese statements",
    World.COMPLETE,
    sides=True,
    Pleural__Effusion="present",  # left
    Cardiomegaly="absent",
    Nodule="absent",
    Pneumothorax="absent",
)


FINDINGS = {"findings": s.VOCABULARY["findings"]}


def _reason(question: str, answer: str, subject: Subject = CHEST, **asked: Any) -> Reason | None:
    own = about(subject, asked.get("concept"))
    return reason_of(subject, question, answer, asked, rests_on=own, vocabulary=FINDINGS, language="zh")


def _presence(question: str, answer: str, concept: str) -> Reason | None:
    return _reason(question, answer, ask="presence", concept=concept, label_set="findings")


def _told(text: str, *concepts: str) -> list[tuple[str | None, State]]:
    part = words(text, (vocabulary_index(frozenset(concepts)),))
    return [(claim.mention.key(CONCEPT), claim.state) for claim in part.claims if claim.mention.key(CONCEPT)]


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("心影大小正常。", "cardiomegaly"),
        ("心影不大。", "cardiomegaly"),
        ("纵隔居中。", "mediastinal shift"),
        ("肋膈角锐利。", "blunted costophrenic angle"),
        ("肋骨完整。", "rib fracture"),
    ],
)
def test_an_organ_that_is_called_sound_has_no_finding(text: str, concept: str) -> None:
    assert _told(text, concept) == [(concept_key(concept), State.ABSENT)]


def test_an_organ_that_is_not_sound_is_not_denied_its_finding() -> None:
    assert _told("心影大小不正常。", "cardiomegaly") != [("cardiomegaly", State.ABSENT)]


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("没有，心影大小正常。", True),
        ("未见增大，心影大小正常。", True),
        ("心影不大。", True),
        ("心影大小正常，但心脏增大。", False),
        ("心影增大。", False),
    ],
)
def test_a_sound_heart_answers_for_cardiomegaly(answer: str, passes: bool) -> None:
    assert (_presence("心脏是否增大？", answer, "Cardiomegaly") is None) is passes


def test_a_sound_organ_with_a_finding_is_a_lie() -> None:
    assert _presence("有胸腔积液吗？", "没有，胸膜腔正常。", "Pleural Effusion") is not None


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        (
            "没有硬膜外、硬膜下及蛛网膜下腔出血。",
            ("epidural hemorrhage", "subdural hemorrhage", "subarachnoid hemorrhage"),
        ),
        ("肾脏无结石、积水。", ("kidney stone", "hydronephrosis")),
    ],
)
def test_members_of_a_list_share_its_place_or_its_end(text: str, concepts: tuple[str, ...]) -> None:
    assert _told(text, *concepts) == [(concept_key(concept), State.ABSENT) for concept in concepts]


def test_a_clause_with_a_side_of_its_own_denies_what_the_one_before_names() -> None:
    part = words("左肺见结节，右肺未见。", (vocabulary_index(frozenset({"nodule"})),))
    assert [(c.mention.key(CONCEPT), c.state) for c in part.claims if c.mention.key(CONCEPT)] == [
        ("nodul", State.PRESENT),
        ("nodul", State.ABSENT),
    ]
    assert part.clause_of(part.claims[-1].mention.start) != part.clause_of(part.claims[0].mention.start)


def test_a_heading_denies_what_stands_below_it() -> None:
    assert _told("阳性：肾结石；阴性：阑尾炎、憩室炎。", "kidney stone", "appendicitis", "diverticulitis") == [
        ("kidney ston", State.PRESENT),
        ("appendicit", State.ABSENT),
        ("diverticulit", State.ABSENT),
    ]


def test_not_the_left_is_the_right() -> None:
    assert [side for _, side in words("不是左眼，是右眼。", ()).sides] == ["right", "right"]
    assert [side for _, side in words("这是左眼。", ()).sides] == ["left"]
    assert [side for _, side in words("胸腔积液是单侧还是双侧？", ()).sides] == []


def test_a_roman_numeral_before_a_grade_is_a_number() -> None:
    assert [number for _, number in words("皮肤分型为V型。", ()).numbers] == [5.0]
    assert [number for _, number in words("II级。", ()).numbers] == [2.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("是的，没有结节。", True),
        ("不是，有结节。", False),
        ("没有，未见结节。", None),
        ("不对。", False),
        ("有。", None),
    ],
)
def test_what_agrees_with_a_question_is_told_from_what_says_that_something_is_there(
    text: str, says: bool | None
) -> None:
    assert agreement(text) is says


@pytest.mark.parametrize(
    ("question", "answer", "passes"),
    [
        ("没有结节吗？", "是的，没有结节。", True),
        ("没有结节吗？", "是的。", True),
        ("没有结节吗？", "不是，没有结节。", False),
        ("没有结节吗？", "不是。", False),
        ("并非没有结节，对吗？", "不对，没有结节。", True),
        ("并非没有结节，对吗？", "对，有结节。", False),
        ("能否说没有结节？", "能，未见结节。", True),
    ],
)
def test_yes_to_a_question_that_denies_agrees_with_it(question: str, answer: str, passes: bool) -> None:
    assert (_presence(question, answer, "Nodule") is None) is passes


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("左侧胸腔积液，其余所列异常均未见。", True),
        ("左侧胸腔积液，未见其他所列异常。", True),
        ("其余所列异常均未见。", False),
        ("所列异常均未见。", False),
    ],
)
def test_the_rest_may_be_denied_together_where_all_of_it_is_absent(answer: str, passes: bool) -> None:
    reason = _reason("请列出全部异常。", answer, ask="findings", label_set="findings", all=True)
    assert (reason is None) is passes


@pytest.mark.parametrize(
    ("answer", "passes"), [("B. 无", True), ("A. 有", False), ("A. 没有", False), ("B. 没有", True)]
)
def test_an_option_is_not_found_within_its_contrary(answer: str, passes: bool) -> None:
    asked = {"ask": "choice", "of": "presence", "options": ["有", "无"], "letters": True}
    reason = _reason("结节：A. 有 B. 无", answer, **asked, concept="Nodule", label_set="findings")
    assert (reason is None) is passes


def test_everyday_words_of_a_question_pass_and_words_that_could_tell_a_finding_do_not() -> None:
    assert not could_be_clinical("拜读")
    assert could_be_clinical("左")
    assert could_be_clinical("疖")  # by its radical
    assert could_be_clinical("腘")
    assert could_be_clinical("XYZ")


def test_a_question_that_asks_what_there_is_is_told_from_one_that_asks_whether() -> None:
    assert is_open_in_chinese("有哪些异常？")
    assert not is_open_in_chinese("是否有什么异常？")
    assert not is_open_in_chinese("有结节吗？")
