"""Constructions that no rule of scope reads surely are refused; plain sentences beside them are not."""

import pytest

from curate.verify.unreadable import unreadable


@pytest.mark.parametrize(
    "text",
    [
        "Neither left nor right pleural effusion is present.",
        "Everything on the list except a nodule.",
        "All but hernia.",
        "None of the listed findings is missing.",
        "It is not true that there is no polyp.",
        "The grade is not 2.",
        "Zero is wrong.",
        "The trachea is shifted away from the left.",
        "The mass is on the opposite side.",
        "A nodule in place of a mass.",
        "A nodule, among other findings.",
        "The film shows all of the listed findings.",
        "A nodule on the left and elsewhere.",
        "A nodule and other abnormalities.",
        "A subdural haematoma, and other types of bleed.",
        "No effusion. A nodule with several others.",
        "Grade 0: it is just beginning.",
    ],
)
def test_what_cannot_be_read_surely_is_named(text: str) -> None:
    assert unreadable(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Neither a nodule nor a mass is seen.",
        "There is a nodule, and no other finding is present.",
        "There is a nodule, and other findings are absent.",
        "A nodule on the left, and the other one on the right.",
        "A nodule is seen; on the other hand, there is no mass.",
        "None of the listed findings is present.",
        "The grade is 2.",
        "The effusion is on the left side.",
        "All of the listed findings are absent.",
        "There is a nodule but no mass.",
    ],
)
def test_plain_sentences_are_left_to_the_other_rules(text: str) -> None:
    assert unreadable(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "除积液外，所列异常均存在。",
        "除胶质瘤外均有。",
        "盲肠以外。",
        "左侧以外存在积液。",
        "所列异常并非均未见。",
        "结节无可疑之处。",
        "射血分数不是61%。",
        "分级为2级以上。",
        "中线自右侧移位。",
        "病灶位于对侧。",
        "可见积液和水肿等异常。",
        "不仅有玻璃膜疣。",
        "双肾及其他部位均见结石。",
        "胸腔积液以左侧为主。",
        "双肾结石均已排出。",
    ],
)
def test_what_cannot_be_read_surely_in_chinese_is_named(text: str) -> None:
    assert unreadable(text, chinese=True) is not None


@pytest.mark.parametrize(
    "text",
    [
        "除积液外，其余所列异常均未见。",
        "未见积液、气胸等异常。",
        "左侧胸腔积液，未见其他异常。",
        "可见积液，无其他异常。",
        "分级为2级。",
        "中线向左移位。",
        "并非没有积液。",
        "心影大小正常，两肺清晰。",
    ],
)
def test_a_plain_chinese_sentence_is_left_to_the_other_rules(text: str) -> None:
    assert unreadable(text, chinese=True) is None
